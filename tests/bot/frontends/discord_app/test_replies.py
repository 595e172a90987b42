"""A reply to an image that mentions the bot edits it, within all that holds for a command; nothing else draws."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest
from PIL import Image

from bot.config import LimitsConfig
from bot.frontends.discord_app import replies
from bot.jobs import Job, UserKey, Verb
from bot.requests.models import Models
from bot.requests.preferences import Setting
from pipeline.catalog.models import FAKE
from pipeline.images.reference import read_reference
from tests.bot.frontends.discord_app.conftest import Stage, Start
from tests.cards import STARTER
from tests.discord_server import MessageView, Permission, Upload


def file_of(colour: str = "red", size: tuple[int, int] = (96, 64)) -> Upload:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, format="PNG")
    return Upload(f"{colour}.png", buffer.getvalue())


def key_of(upload: Upload) -> str:
    return read_reference(upload.data).key


def me(stage: Stage) -> str:
    return f"<@{stage.discord.bot.id}>"


def reply(stage: Stage, to: MessageView, words: str = "make it night", user: Any = None, **more: Any) -> MessageView:
    discord = stage.discord
    return discord.say(user or discord.user, discord.channel, f"{me(stage)} {words}", reply_to=to, **more)


def shown(stage: Stage, *files: Upload) -> MessageView:
    """A message with images that the bot is let see, of somebody whom it greeted before."""
    stage.client._greeter._greeted[int(stage.discord.user.id)] = None
    return stage.discord.say(stage.discord.user, stage.discord.channel, f"{me(stage)} look", files=files or [file_of()])


async def drawn(stage: Stage, **options: Any) -> MessageView:
    """A finished picture, or several in one message."""
    discord = stage.discord
    use = await discord.slash(discord.user, discord.channel, "imagine", prompt="an apple", steps=1, **options)
    return await use.wait(lambda message: bool(message.images) and "✅" in message.content, timeout=20)


async def answer_to(stage: Stage, asked: MessageView, words: str = "") -> MessageView:
    return await stage.discord.wait_message(
        lambda message: message.reference == asked.id and words in message.text, timeout=20
    )


async def settled(stage: Stage) -> None:
    """Every message that was said by now has been looked at: a command that comes after them is answered."""
    use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "quota")
    await use.wait(lambda message: message.embeds)
    await stage.client.context.finish_answers()


async def jobs_of(stage: Stage) -> list[Job]:
    return await stage.jobs.unfinished()


async def test_reply_to_an_image_edits_it_and_is_answered_by_the_result(stage: Stage) -> None:
    bob = stage.discord.add_user("bob")
    asked = reply(stage, shown(stage), "make it night, @everyone", bob)
    async with stage.drawing():
        done = await stage.discord.wait_message(
            lambda message: message.reference == asked.id and bool(message.images), timeout=20
        )
    job = await stage.job(1)
    assert (job.user.id, job.spec.prompt, job.spec.source) == (bob.id, "make it night, @everyone", "")
    assert job.spec.reference_keys == (key_of(file_of()),)
    assert (job.spec.width, job.spec.height) == (96, 64)
    assert "Edited by words from an image" in done.text and done.pings == []
    assert {"im2:reroll:1", "im2:edit:1"} <= {button["custom_id"] for button in done.buttons}
    again = await stage.discord.click(done, "im2:reroll:1")
    await again.wait(lambda message: bool(message.buttons))
    assert (await stage.job(2)).spec.references == job.spec.references


async def test_our_own_image_is_edited_and_further_images_are_looked_at(stage: Stage) -> None:
    async with stage.drawing():
        apple = await drawn(stage)
        asked = reply(stage, apple, "like these", files=[file_of("lime"), file_of("blue")])
        await answer_to(stage, asked, "✅")
    job = await stage.job(2)
    assert job.spec.reference_keys[1:] == (key_of(file_of("lime")), key_of(file_of("blue")))
    assert job.derived_from is not None and (job.derived_from.job_id, job.derived_from.verb) == (1, Verb.START_FROM)


async def test_ping_of_a_reply_is_enough_and_flags_count(stage: Stage) -> None:
    async with stage.drawing():
        apple = await drawn(stage)
        asked = stage.discord.say(
            stage.discord.user, stage.discord.channel, "a pear --seed 7 --ar 1:1 --nonsense", reply_to=apple
        )
        await answer_to(stage, asked, "nonsense")
    job = await stage.job(2)
    assert (job.spec.prompt, job.spec.seed, job.spec.width, job.spec.height) == ("a pear", 7, 64, 64)


async def test_what_is_no_reply_to_an_image_that_mentions_the_bot_draws_nothing(stage: Stage) -> None:
    discord, channel = stage.discord, stage.discord.channel
    image, text = shown(stage), discord.say(discord.user, channel, f"{me(stage)} hello")
    robot = discord.add_user("robot")
    robot.bot = True
    role = discord.add_role("painters")
    reply(stage, image, "x", robot)
    reply(stage, text, "make it night")
    for words in ("make it night", "@everyone make it night", f"<@&{role.id}> make it night", f"`{me(stage)}` night"):
        discord.say(discord.user, channel, words, reply_to=image)
    discord.say(discord.user, channel, f"{me(stage)} make it night", files=[file_of()])
    direct = discord.dm(discord.user)
    theirs = discord.say(discord.user, direct, "look", files=[file_of()])
    discord.say(discord.user, direct, f"{me(stage)} make it night", reply_to=theirs)
    await settled(stage)
    assert await jobs_of(stage) == []


async def test_edit_of_a_message_and_a_reply_to_an_unfinished_image_draw_nothing_more(stage: Stage) -> None:
    asked = reply(stage, shown(stage))
    unfinished = await answer_to(stage, asked)
    assert "#1" in (await answer_to(stage, reply(stage, unfinished))).content
    live = stage.discord._live(asked)
    stage.discord.emu.messages.edit(live, {"content": f"{me(stage)} make it day"}, {})
    await settled(stage)
    assert len(await jobs_of(stage)) == 1


async def test_same_message_twice_is_one_request(stage: Stage) -> None:
    asked = reply(stage, shown(stage))
    stage.discord.announce_again(asked)
    await answer_to(stage, asked)
    stage.discord.announce_again(asked)
    stage.client._replies._seen.clear()  # as if it came long after
    stage.discord.announce_again(asked)
    await settled(stage)
    assert len(await jobs_of(stage)) == 1
    answers = [each for each in stage.discord.messages(stage.discord.channel) if each.reference == asked.id]
    assert len(answers) == 1


REFUSED = [
    ("", [], "Write in your reply what to change"),
    ("all of them", [file_of("lime"), file_of("blue"), file_of("white")], "at most 3 images"),
    ("this", [Upload("x.png", b"not a picture")], "cannot be read as an image"),
    ("this", [Upload("x.png", file_of().data, size=2**30)], "larger than"),
    ("x --steps 999", [], "number of steps"),
]


async def test_what_cannot_be_done_is_said_in_a_reply_that_pings_nobody(stage: Stage) -> None:
    image = shown(stage)
    for words, files, told in REFUSED:
        stage.client._replies._refused_in.clear()
        assert (await answer_to(stage, reply(stage, image, words, files=files), told)).pings == []
    assert await jobs_of(stage) == []


async def test_images_that_discord_hides_are_asked_for_and_taken_from_the_reply(stage: Stage) -> None:
    hidden = stage.discord.say(stage.discord.user, stage.discord.channel, "look", files=[file_of()])
    assert "Use as input" in (await answer_to(stage, reply(stage, hidden))).content
    asked = reply(stage, hidden, files=[file_of("lime")])
    await answer_to(stage, asked, "make it night")
    assert [job.spec.references for job in await jobs_of(stage)] == [key_of(file_of("lime"))]


async def test_several_images_of_ours_are_not_guessed_among_and_several_of_others_are_all_looked_at(
    stage: Stage,
) -> None:
    async with stage.drawing():
        use = await stage.discord.slash(
            stage.discord.user, stage.discord.channel, "imagine", prompt="apples", steps=1, count=2
        )
        both = await use.wait(lambda message: len(message.images) == 2, timeout=20)
        assert "choose one" in (await answer_to(stage, reply(stage, both))).content
        await answer_to(stage, reply(stage, shown(stage, file_of(), file_of("lime"), file_of()), "mix them"), "✅")
    assert (await stage.job(3)).spec.reference_keys == (key_of(file_of()), key_of(file_of("lime")))


async def test_erased_removed_and_private_images_are_not_edited_by_others(stage: Stage) -> None:
    discord, bob = stage.discord, stage.discord.add_user("bob")
    async with stage.drawing():
        erased, removed, private = [await drawn(stage) for _ in range(3)]
        await stage.service.archive.erase(1, by=UserKey(frontend="discord", id=discord.user.id))
        await stage.service.moderation.remove(2, "rude", may=lambda _job: True)
        await stage.jobs._database.fetch_all("UPDATE jobs SET is_private = 1 WHERE id = 3")
        for message in (erased, removed, private):
            assert (await answer_to(stage, reply(stage, message, user=bob))).content
        mine = reply(stage, private, "make it night")
        assert "direct message" in (await answer_to(stage, mine)).content
        direct = await discord.wait_message(lambda message: bool(message.images), discord.dm(discord.user), timeout=20)
    assert (await stage.job(4)).is_private and direct.images
    assert [job.id for job in await jobs_of(stage)] == []


async def test_whoever_is_banned_is_not_answered_and_refused_words_are_not_repeated(stage: Stage) -> None:
    bob, carl = stage.discord.add_user("bob"), stage.discord.add_user("carl")
    await stage.service.moderation.ban(UserKey(frontend="discord", id=bob.id), "spam", until_at=None)
    await stage.service.moderation.words.add("zeppelin", is_restricted=False)
    image = shown(stage)
    banned, asked = reply(stage, image, user=bob), reply(stage, image, "a zeppelin", carl)
    answer = await answer_to(stage, asked)
    await settled(stage)
    assert "zeppelin" not in answer.text
    assert not [each for each in stage.discord.messages(stage.discord.channel) if each.reference == banned.id]
    assert await jobs_of(stage) == []


async def test_refusals_do_not_flood_a_channel(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "CHANNEL_LIMIT", 2)
    image = shown(stage)
    for number in range(5):
        reply(stage, image, "", stage.discord.add_user(f"person {number}"))
    await settled(stage)
    hints = [each for each in stage.discord.messages(stage.discord.channel) if "Write in your reply" in each.content]
    assert len(hints) == 2


async def test_limits_hold_as_for_a_command(start: Start) -> None:
    limits = LimitsConfig(max_waiting=9, max_active_per_user=1, max_images_per_day=9, cooldown_s=0)
    async with start(limits=limits) as stage:
        image = shown(stage)
        await answer_to(stage, reply(stage, image))
        assert (await answer_to(stage, reply(stage, image, "make it day"))).content
        assert len(await jobs_of(stage)) == 1


async def test_lists_of_the_operator_hold(start: Start) -> None:
    async with start(allowed_channels=[1]) as stage:
        reply(stage, shown(stage))
        await settled(stage)
        assert await jobs_of(stage) == []


async def test_permissions_hold_for_the_person_and_for_the_bot(stage: Stage) -> None:
    discord, bob = stage.discord, stage.discord.add_user("bob")
    image = shown(stage)
    discord.set_permissions(discord.channel, bob, deny=Permission.USE_APPLICATION_COMMANDS)
    reply(stage, image, user=bob)
    discord.set_permissions(discord.channel, discord.bot, deny=Permission.ATTACH_FILES)
    assert "Attach Files" in (await answer_to(stage, reply(stage, image))).content
    discord.set_permissions(discord.channel, discord.bot, deny=Permission.SEND_MESSAGES)
    reply(stage, image)
    await settled(stage)
    assert await jobs_of(stage) == []


async def test_message_that_is_deleted_meanwhile_asks_for_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit, image = stage.service.submit_batch, shown(stage)
    asked: list[MessageView] = []

    async def slow(*args: Any, **options: Any) -> Any:
        accepted = await submit(*args, **options)
        stage.discord.delete_message(asked[0])
        while int(asked[0].id) not in stage.client._replies._deleted:
            await asyncio.sleep(0.01)
        return accepted

    monkeypatch.setattr(stage.service, "submit_batch", slow)
    asked.append(reply(stage, image))
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        while await stage.jobs.get(1) is None or await jobs_of(stage):
            await asyncio.sleep(0.01)
    await settled(stage)
    assert not [each for each in stage.discord.messages(stage.discord.channel) if each.reference == asked[0].id]


async def test_image_whose_message_is_gone_is_said_to_be_gone(stage: Stage) -> None:
    image = shown(stage)
    live = stage.discord._live(image)
    stage.discord.delete_message(image)
    discord = stage.discord
    fields = {"content": f"{me(stage)} make it night", "allowed_mentions": {"parse": ["users"]}}
    discord.emu.messages.create(discord.channel, discord.user, fields, {}, kind=19, reference=live)
    answer = await discord.wait_message(lambda message: "was deleted" in message.content)
    assert answer.author_id == discord.bot.id and await jobs_of(stage) == []


async def test_model_that_edits_is_found_else_the_image_is_started_from(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, mixed = shown(stage), Models(usual=STARTER, others=(FAKE,))
    for models, words, model, is_edit in (
        (mixed, "night", "fake", True),
        (mixed, "night --model starter", "starter", False),
        (Models(usual=STARTER), "night", "starter", False),
        (Models(usual=FAKE, others=(STARTER,)), "night --strength 0.3", "fake", False),
    ):
        monkeypatch.setattr(stage.service, "models", models)
        await answer_to(stage, reply(stage, image, words), "night")
        spec = (await jobs_of(stage))[-1].spec
        assert (spec.model, bool(spec.references), bool(spec.source)) == (model, is_edit, not is_edit), words
        assert spec.strength == (1 if is_edit else 0.3 if "0.3" in words else STARTER.default_strength)


async def test_spoilers_and_privacy_are_as_the_person_chose(stage: Stage) -> None:
    who = UserKey(frontend="discord", id=stage.discord.user.id)
    await stage.service.preferences.set(who, Setting.SPOILER, True)
    await answer_to(stage, reply(stage, shown(stage)))
    await stage.service.preferences.set(who, Setting.PRIVATE, True)
    answer = await answer_to(stage, reply(stage, shown(stage), "make it day"))
    assert "private" in answer.content and "make it day" not in answer.text
    assert [(job.is_spoiler, job.is_private) for job in await jobs_of(stage)] == [(True, False), (True, True)]
