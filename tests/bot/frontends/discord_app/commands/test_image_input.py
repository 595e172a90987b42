"""`image:` and `strength:` of /imagine, whatever the file is and however Discord hands it over."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from PIL import Image

from bot.config import LimitsConfig
from bot.frontends.discord_app import downloads, drawing
from bot.jobs import Job
from bot.requests.models import Models
from pipeline.catalog.models import FAKE
from pipeline.images.init_image import MAX_SOURCE_BYTES
from pipeline.spec import Strength
from tests.bot.frontends.discord_app.conftest import Stage, Start
from tests.discord_server import Discord, MessageView, Upload, Use
from tests.discord_server import client as discord_client
from tests.discord_server.interactions import Kind

STRENGTHS = {Strength.SUBTLE: 0.3, Strength.MEDIUM: 0.5, Strength.STRONG: 0.7}
OTHER = replace(FAKE, name="other", title="Other", strengths=STRENGTHS)
DEAF = replace(FAKE, name="deaf", title="Deaf", supports=frozenset())


def file_of(size: tuple[int, int] = (90, 60), kind: str = "PNG", **options: object) -> bytes:
    """A picture whose left half is red and whose right half is blue."""
    picture = Image.new("RGB", size, "blue")
    picture.paste("red", (0, 0, size[0] // 2, size[1]))
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **options)
    return buffer.getvalue()


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return file_of((60, 90), "JPEG", exif=exif)


def animated(kind: str) -> bytes:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, format=kind, save_all=True, append_images=frames[1:], duration=100)
    return buffer.getvalue()


PNG = Upload("start.png", file_of())


async def ask(discord: Discord, image: Upload = PNG, **options: object) -> Use:
    given = {"image": image, "steps": 1, "strength": "medium", **options}
    return await discord.slash(discord.user, discord.channel, "imagine", prompt="a cat", **given)


async def taken(stage: Stage, use: Use, number: int = 1) -> Job:
    await use.wait(lambda message: bool(message.buttons))
    return await stage.job(number)


async def refused(use: Use) -> MessageView:
    """What the person reads, and nobody else; no placeholder is left."""
    message = await use.wait(lambda message: message.ephemeral and not message.loading)
    public = [use.response, *use.followups]
    assert all(shown is None or shown.ephemeral for shown in public)
    return message


async def test_image_is_what_the_job_starts_from_in_its_own_shape(stage: Stage) -> None:
    job = await taken(stage, await ask(stage.discord))
    assert (job.spec.width, job.spec.height) == (96, 64)  # landscape, as nobody said otherwise
    assert job.spec.strength == FAKE.default_strength
    with Image.open(io.BytesIO(await stage.service.init_image(job) or b"")) as kept:
        assert kept.size == (96, 64) and not kept.info.get("exif")
        assert kept.getpixel((10, 30)) == (255, 0, 0) and kept.getpixel((90, 30)) == (0, 0, 255)


async def test_shape_that_is_asked_for_wins_and_all_of_a_request_start_from_one_image(stage: Stage) -> None:
    await taken(stage, await ask(stage.discord, aspect="square", count=2, strength="subtle"))
    first, second = await stage.job(1), await stage.job(2)
    assert (first.spec.width, first.spec.height) == (64, 64)
    assert first.spec.source == second.spec.source != ""
    assert first.spec.strength == second.spec.strength == FAKE.strengths[Strength.SUBTLE]


async def test_message_says_that_it_is_drawn_from_a_starting_image(stage: Stage) -> None:
    async with stage.drawing():
        done = await (await ask(stage.discord, strength="60%")).wait(lambda message: bool(message.images), timeout=20)
    assert "Drawn from a starting image (strength 0.6)" in done.text


@pytest.mark.parametrize(
    ("file", "size"),
    [
        (turned(6), (96, 64)),
        (turned(1), (64, 96)),
        (file_of((90, 60), "JPEG"), (96, 64)),
        (file_of((60, 90), "WEBP"), (64, 96)),
        (animated("WEBP"), (64, 64)),
        (animated("PNG"), (64, 64)),
    ],
    ids=["turned", "upright", "jpeg", "webp", "moving webp", "moving png"],
)
async def test_kinds_of_images_that_are_taken(stage: Stage, file: bytes, size: tuple[int, int]) -> None:
    """By their bytes: all have a name and a type that say something else."""
    job = await taken(stage, await ask(stage.discord, Upload("x.txt", file, content_type="text/html", size=1)))
    assert (job.spec.width, job.spec.height) == size
    with Image.open(io.BytesIO(await stage.service.init_image(job) or b"")) as kept:
        red, _, blue = kept.convert("RGB").getpixel((5, 5))  # type: ignore[misc]
        assert red > 200 > 60 > blue  # the first frame, and the right side up


LARGE = b"\x89PNG\r\n\x1a\n" + bytes(MAX_SOURCE_BYTES)
REFUSED = {
    "not an image": (Upload("x.png", b"<html>"), "cannot be read as an image"),
    "empty": (Upload("x.png", b""), "cannot be read as an image"),
    "moving gif": (Upload("x.gif", animated("GIF")), "cannot be read as an image"),
    "cut off": (Upload("x.png", file_of()[:90]), "cannot be read as an image"),
    "said to be too large": (replace(PNG, size=MAX_SOURCE_BYTES + 1), "larger than 25 MiB"),
    "too large, said to be small": (Upload("x.png", LARGE, size=10), "larger than 25 MiB"),
    "too many pixels": (Upload("x.png", file_of((8000, 8000), compress_level=9)), "too many pixels"),
    "too long": (Upload("x.png", file_of((900, 10))), "too long and narrow"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_file_that_cannot_be_used_is_refused_privately(start: Start, case: str) -> None:
    image, sentence = REFUSED[case]
    async with start(server={"attachment_size_limit": 2**26}) as stage:
        assert sentence in (await refused(await ask(stage.discord, image))).content
        assert not await stage.service.unfinished()
        assert not list(stage.images._folder.rglob("*.png"))
        stage.discord.assert_clean()


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ({"status": 404}, "no longer available"),
        ({"status": 403}, "no longer available"),
        ({"status": 302}, "could not be fetched"),
        ({"status": 500, "times": 9}, "could not be fetched"),
        ({"reset": True, "times": 9}, "could not be fetched"),
        ({"cut": 20, "times": 9}, "could not be fetched"),
        ({"hang": 30, "times": 9}, "took more than 1 seconds"),
    ],
    ids=str,
)
async def test_file_that_cannot_be_fetched_is_refused_privately(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, fault: dict[str, float], sentence: str
) -> None:
    monkeypatch.setattr(downloads, "LIMIT_S", 1)
    monkeypatch.setattr(downloads, "PAUSE_S", 0.01)
    stage.discord.fault("GET /cdn/", **fault)
    assert sentence in (await refused(await ask(stage.discord))).content
    assert not await stage.service.unfinished()


async def test_failure_of_a_moment_is_not_told(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "PAUSE_S", 0.01)
    stage.discord.fault("GET /cdn/", cut=20)
    assert (await taken(stage, await ask(stage.discord))).spec.source


async def test_slow_file_is_waited_for_behind_a_placeholder_and_refused_without_a_trace(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "FILE_FIRST_S", 0.05)
    stage.discord.fault("GET /cdn/", slow=0.4)
    use = await ask(stage.discord)
    assert await use.acked() < 2 and use.response is not None and use.response.loading
    assert (await taken(stage, use)).spec.source
    stage.discord.fault("GET /cdn/", slow=0.4)
    use = await ask(stage.discord, Upload("x.png", b"no"))
    assert "cannot be read" in (await use.wait(lambda message: message.ephemeral and not message.loading)).content
    assert len([each for each in stage.discord.messages(stage.discord.channel) if not each.ephemeral]) == 1


async def test_one_person_has_one_file_fetched_at_a_time(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    discord, bob = stage.discord, stage.discord.add_user("bob")
    discord.fault("GET /cdn/", slow=0.6, times=2)
    first = await ask(discord)
    await discord.emu.faults._rules[0]._changed.wait_for(lambda: discord.emu.faults._rules[0].hits, 10)
    assert "Another starting image" in (await refused(await ask(discord))).content
    other = await discord.slash(bob, discord.channel, "imagine", prompt="x", image=PNG)
    for use in (first, other):
        await use.wait(lambda message: bool(message.buttons))


async def test_limits_are_looked_at_before_anything_is_fetched(start: Start) -> None:
    async with start(LimitsConfig(max_active_per_user=1, cooldown_s=0)) as stage:
        await taken(stage, await ask(stage.discord))
        await refused(await ask(stage.discord))
        assert (await refused(await ask(stage.discord, strength="2"))).content.startswith("The strength must be")
        assert len([each for each in stage.discord.messages(stage.discord.channel) if each.buttons]) == 1


@pytest.mark.parametrize(
    ("typed", "strength"), [("0.35", 0.35), ("0,35", 0.35), ("35%", 0.35), ("strong", 0.7), ("", 0.5)]
)
async def test_strength_is_that_of_the_model_that_draws(start: Start, typed: str, strength: float) -> None:
    async with start(models=Models(usual=FAKE, others=(OTHER,))) as stage:
        options = {"strength": typed} if typed else {}
        job = await taken(stage, await ask(stage.discord, model="Other", **options))
        assert (job.spec.model, job.spec.strength) == ("other", strength)


@pytest.mark.parametrize("typed", ["half", "0", "1.1", "101%", "-1", "nan"])
async def test_what_is_no_strength_is_refused(stage: Stage, typed: str) -> None:
    answer = await refused(await ask(stage.discord, strength=typed))
    assert "must be `subtle`, `medium` or `strong`" in answer.content


async def test_strength_without_an_image_and_image_for_a_model_without_are_refused(start: Start) -> None:
    async with start(models=Models(usual=FAKE, others=(DEAF,))) as stage:
        discord = stage.discord
        use = await discord.slash(discord.user, discord.channel, "imagine", prompt="x", strength="subtle")
        assert "Please add an image" in (await refused(use)).content
        use = await ask(discord, model="deaf")
        assert (await refused(use)).content.startswith("Deaf cannot start from an image.")
    async with start(models=Models(usual=DEAF)) as stage:
        options = {option["name"] for option in (await stage.discord.wait_command("imagine"))["options"]}
        assert not {"image", "strength"} & options


async def test_flag_for_the_strength_is_taken_with_an_image_and_noted_without(stage: Stage) -> None:
    discord = stage.discord
    options = {"prompt": "a cat --strength subtle --iw 2", "image": PNG, "steps": 1}
    use = await discord.slash(discord.user, discord.channel, "imagine", **options)
    note = await use.wait(lambda message: message.ephemeral)
    assert "strength subtle" in note.content and r"Not known here: \-\-iw 2" in note.content
    assert (await stage.job(1)).spec.strength == FAKE.strengths[Strength.SUBTLE]
    use = await discord.slash(discord.user, discord.channel, "imagine", prompt="a cat --strength 0.3", steps=1)
    note = await use.wait(lambda message: message.ephemeral)
    assert note.content == r"Not used here: \-\-strength"
    assert (await stage.job(2)).spec.strength == 1


@pytest.mark.parametrize(
    ("locale", "typed", "others", "names"),
    [
        ("en-US", "", {}, ["Subtle · 0.4", "Medium · 0.6", "Strong · 0.8"]),
        ("zh-CN", "强", {}, ["强烈 · 0.8"]),
        ("zh-TW", "med", {"model": "other"}, ["適中 · 0.5"]),
        ("en-US", "0,45", {}, ["Strength · 0.45", "Subtle · 0.4", "Medium · 0.6", "Strong · 0.8"]),
        ("en-US", "7", {}, []),
        ("en-US", "x" * 6000, {}, []),
    ],
)
async def test_strengths_are_suggested_with_their_numbers(
    start: Start, locale: str, typed: str, others: dict[str, str], names: list[str]
) -> None:
    async with start(models=Models(usual=FAKE, others=(OTHER,))) as stage:
        discord = stage.discord
        reader = discord.add_user("reader", locale=locale)
        found = await discord.autocomplete(reader, discord.channel, "imagine", "strength", typed, **others)
        assert [choice["name"] for choice in found] == names
        discord.assert_clean()


FORGED: dict[str, Callable[[dict[str, object]], None]] = {
    "no such file": lambda data: data.pop("resolved"),  # type: ignore[dict-item, return-value]
    "another host": lambda data: _file(data).update(url="https://192.0.2.1/x.png"),
    "a file of this machine": lambda data: _file(data).update(url="file:///etc/passwd"),
    "no address": lambda data: _file(data).update(url=""),
}


def _file(data: dict[str, object]) -> dict[str, object]:
    return next(iter(data["resolved"]["attachments"].values()))  # type: ignore[index]


@pytest.mark.parametrize("case", FORGED)
async def test_forged_file_is_answered_and_nothing_else_is_asked(stage: Stage, case: str) -> None:
    discord = stage.discord
    command = await discord.wait_command("imagine")
    details = discord_client.command_details(
        discord.emu, command, [], {"prompt": "x", "image": PNG}, discord.user, discord.channel
    )
    FORGED[case](details)
    opened = discord.emu.interactions.open(Kind.COMMAND, discord.user, discord.channel, details, name="imagine")
    await opened.changed.wait_for(lambda: any(event.kind == "message" for event in opened.timeline), 10)
    assert not await stage.service.unfinished()
