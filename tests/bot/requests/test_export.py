"""A copy of one's data: whole, in parts that fit, with names of our own, and nothing of anybody else."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from bot.config import DeliveryConfig, LimitsConfig
from bot.delivery.results import DeliveryLoop
from bot.errors import AlreadyExporting
from bot.jobs import Derivation, Job, Request, UserKey, Verb
from bot.requests.export import MARGIN_BYTES, Export, when
from bot.requests.preferences import Ping, Preferences, Setting
from bot.requests.privacy import Privacy
from bot.scheduling.eta import Pace
from bot.scheduling.job_queue import JobQueue
from bot.store.database import Database
from bot.store.image_store import ImageStore
from bot.store.job_store import JobStore
from bot.store.key_value_store import SettingStore
from bot.store.usage_store import Measurement
from pipeline import ImageSpec

ANN, BOB = UserKey(frontend="test", id="ann"), UserKey(frontend="test", id="bob")
MIB = 2**20
SOURCE = "5" * 64

Draw = Callable[..., Awaitable[Job]]


@pytest.fixture
def queue(jobs: JobStore, settings: SettingStore, no_limits: LimitsConfig) -> JobQueue:
    pace = Pace(step_s=1.0, fixed_s=1.0, is_rough=True)
    return JobQueue(jobs, settings, no_limits, assumed_pace=lambda _: pace)


@pytest.fixture
def privacy(queue: JobQueue, jobs: JobStore, images: ImageStore, make_privacy) -> Privacy:
    return make_privacy(queue, DeliveryLoop(jobs, queue, images, DeliveryConfig()))


@pytest.fixture
def draw(queue: JobQueue, jobs: JobStore, images: ImageStore, spec: ImageSpec, make_request) -> Draw:
    async def draw(
        png: bytes = b"png",
        *,
        user: UserKey = ANN,
        prompt: str = "a red apple",
        source: str = "",
        references: Sequence[str] = (),
        derived_from: Derivation | None = None,
    ) -> Job:
        request: Request = replace(make_request(), user=user, derived_from=derived_from)
        for key in references:
            await images.write_source(key, b"looked at " + key.encode())
        if source:
            await images.write_source(source, b"starting image")
        made = replace(spec, prompt=prompt, source=source, strength=0.5 if source else 1.0)
        made = replace(made, references=",".join(references))
        job = await queue.put(request, made)
        await jobs.claim(job.id, now=1)
        path = await images.write(job.id, png)
        measured = Measurement(step_s=1.0, fixed_s=1.0)
        done = await queue.finish(job.id, image_path=path, image_bytes=len(png), ran_s=1.5, measured=measured)
        assert done is not None
        return done

    return draw


def contents(export: Export) -> dict[str, bytes]:
    with export.file, zipfile.ZipFile(export.file) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


async def parts(privacy: Privacy, limit_bytes: int) -> list[Export]:
    first = await privacy.export(ANN, part=1, limit_bytes=limit_bytes)
    return [first, *[await privacy.export(ANN, part=n, limit_bytes=limit_bytes) for n in range(2, first.parts + 1)]]


async def test_copy_holds_everything_of_its_person_and_nothing_of_others(
    privacy: Privacy, draw: Draw, preferences: Preferences, database: Database
) -> None:
    job = await draw(b"ann's", prompt="mein Äpfelchen 苹果", source=SOURCE)
    await draw(b"bob's", user=BOB, prompt="bob's words")
    await preferences.set(ANN, Setting.PING, Ping.DM)
    await database.fetch_all("INSERT INTO presets VALUES ('test', 'ann', 'mine', '{\"steps\": 4}')")
    await database.fetch_all("UPDATE jobs SET repeat_of = 3, drawn_with = 'abc', taken_mib = 7 WHERE id = 1")
    person = privacy.holders.pseudonyms.of(ANN)
    await database.fetch_all("INSERT INTO bans VALUES (:p, 'test', 'ann', 'spam', 5, 99)", {"p": person})
    files = contents(await privacy.export(ANN, part=1, limit_bytes=9 * MIB))
    assert set(files) == {"about-you.json", "jobs-1.json", "images/1.png", "starting-images/1.png"}
    assert files["images/1.png"] == b"ann's"
    about, (record,) = json.loads(files["about-you.json"]), json.loads(files["jobs-1.json"])
    assert about["settings"] == {"ping": "dm"} and about["presets"] == {"mine": {"steps": 4}}
    assert about["ban"] == {"reason": "spam", "since": when(5), "until": when(99)}
    assert (record["id"], record["settings"]["prompt"], record["settings"]["seed"]) == (
        job.id,
        "mein Äpfelchen 苹果",
        7,
    )
    repeat = (record["answered_with_the_image_of"], record["drawn_with"], record["gpu_mib_of_other_programs"])
    assert repeat == (3, "abc", 7)
    assert (record["file"], record["starting_image"]) == ("images/1.png", "starting-images/1.png")
    assert not any(b"bob" in each for each in files.values())


async def test_copy_of_an_edit_holds_the_images_that_are_its_persons_own(privacy: Privacy, draw: Draw) -> None:
    first, second = "6" * 64, "7" * 64
    mine = await draw(references=[first, second])
    await draw(references=[first, second], derived_from=Derivation(job_id=mine.id, verb=Verb.START_FROM))
    await draw(references=[first, second], derived_from=Derivation(job_id=mine.id, verb=Verb.REROLL))
    files = contents(await privacy.export(ANN, part=1, limit_bytes=MIB))
    edited = {name: text for name, text in files.items() if name.startswith("edited-images/")}
    assert edited == {
        "edited-images/1-1.png": b"looked at " + first.encode(),
        "edited-images/1-2.png": b"looked at " + second.encode(),
        "edited-images/2-1.png": b"looked at " + second.encode(),
    }
    records = json.loads(files["jobs-1.json"])
    assert [record.get("edited_image_1") for record in records] == [
        "edited-images/1-1.png",
        "edited-images/2-1.png",
        None,
    ]


async def test_every_image_is_in_one_part_and_no_part_is_too_large(privacy: Privacy, draw: Draw) -> None:
    for _ in range(7):
        await draw(bytes(range(256)) * 1600)  # 400 KiB
    limit_bytes = MIB
    made = await parts(privacy, limit_bytes)
    sizes, names = [], []
    for export in made:
        sizes.append(export.file.seek(0, 2))
        names += [name for name in contents(export) if name.startswith("images/")]
    assert max(sizes) <= limit_bytes - MARGIN_BYTES and len(made) == 4
    assert sorted(names) == [f"images/{number}.png" for number in range(1, 8)]


async def test_image_larger_than_a_part_is_named_and_left_out(privacy: Privacy, draw: Draw) -> None:
    await draw(bytes(2 * MIB))
    await draw()
    (export,) = await parts(privacy, MIB)
    assert (export.too_large, export.images) == ((1,), 1)
    records = json.loads(contents(export)["jobs-1.json"])
    assert [record["file"] for record in records] == ["larger than one part may be", "images/2.png"]


async def test_part_that_there_is_not_is_the_last_one(privacy: Privacy, draw: Draw) -> None:
    await draw()
    export = await privacy.export(ANN, part=9999, limit_bytes=MIB)
    assert (export.part, export.parts) == (1, 1)
    assert "images/1.png" in contents(export)


async def test_nobody_gets_an_empty_copy(privacy: Privacy) -> None:
    files = contents(await privacy.export(BOB, part=1, limit_bytes=MIB))
    assert json.loads(files["jobs-1.json"]) == [] and json.loads(files["about-you.json"])["counts"]["jobs"] == 0


async def test_hostile_rows_and_missing_files_spoil_no_copy(
    privacy: Privacy, draw: Draw, images: ImageStore, database: Database, tmp_path
) -> None:
    (tmp_path / "outside.png").write_bytes(b"outside")
    drawn = [await draw() for _ in range(4)]
    assert drawn[3].image_path is not None
    await images.delete(drawn[3].image_path)
    await database.fetch_all("PRAGMA ignore_check_constraints = ON")  # as in service
    for job_id, path in ((1, "../outside.png"), (2, "x" * 5000), (3, "a\0b")):
        await database.fetch_all("UPDATE jobs SET image_path = :p WHERE id = :id", {"p": path, "id": job_id})
    await database.fetch_all("UPDATE jobs SET spec = '[[', reply_address = '[[', queued_at = 1e300 WHERE id = 2")
    await database.fetch_all("UPDATE jobs SET queued_at = 9007199254740000 WHERE id = 3")
    half = r'{"locale": "\ud800"}'
    await database.fetch_all("UPDATE jobs SET reply_address = :half WHERE id = 3", {"half": half})
    await database.fetch_all("INSERT INTO presets VALUES ('test', 'ann', 'a', :half)", {"half": half})
    export = await privacy.export(ANN, part=1, limit_bytes=MIB)
    assert export.images == 0 and export.missing == 4
    files = contents(export)
    assert set(files) == {"about-you.json", "jobs-1.json"}
    assert len(json.loads(files["jobs-1.json"])) == 4


async def test_second_copy_of_one_person_waits_for_the_first(
    privacy: Privacy, draw: Draw, monkeypatch: pytest.MonkeyPatch, jobs: JobStore
) -> None:
    of_user, refused = jobs.of_user, []

    async def impatient(*args: object, **options: object) -> object:
        if not refused:
            refused.append(True)
            with pytest.raises(AlreadyExporting):
                await privacy.export(ANN, part=1, limit_bytes=MIB)
            (await privacy.export(BOB, part=1, limit_bytes=MIB)).file.close()
        return await of_user(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(jobs, "of_user", impatient)
    (await privacy.export(ANN, part=1, limit_bytes=MIB)).file.close()
    (await privacy.export(ANN, part=1, limit_bytes=MIB)).file.close()


async def test_nothing_of_a_copy_stays_in_the_data_folder(privacy: Privacy, draw: Draw, database: Database) -> None:
    await draw()
    before = set(files_of(database))
    export = await privacy.export(ANN, part=1, limit_bytes=MIB)
    assert set(files_of(database)) == before  # not even now, so that a kill leaves nothing
    export.file.close()


def files_of(database: Database) -> Iterator[str]:
    return (str(path) for path in database.path.parent.rglob("*"))


@pytest.mark.parametrize("moment", [None, 0, -1, 2**62, -(2**62)])
def test_times_that_no_calendar_has_are_none(moment: int | None) -> None:
    assert (when(moment) is not None) == (moment in (0, -1))
