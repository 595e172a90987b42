"""Whoever is erased is gone from every file, however often that was interrupted; limits hold, others keep theirs."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bot.config import DeliveryConfig, LimitsConfig
from bot.delivery.results import DeliveryLoop
from bot.delivery.retractions import Retractions
from bot.errors import BeingErased, DailyLimit, JobNotFound, StoreUnavailable, UploadGone
from bot.jobs import BatchPlace, Derivation, FailureCode, Job, JobStatus, ReplyTo, Request, UserKey, Verb
from bot.requests import erasure as module
from bot.requests.erasure import Erasure, Holders, Progress
from bot.requests.preferences import Ping, Preferences, Setting
from bot.scheduling.eta import Pace
from bot.scheduling.job_queue import JobQueue
from bot.store.backups.erased import FILE_NAME, erased_people
from bot.store.database import Database
from bot.store.erasure_store import ErasureStore
from bot.store.image_store import ImageStore
from bot.store.job_store import JobStore
from bot.store.key_value_store import SettingStore
from bot.store.moderation_store import ModerationStore
from bot.store.preset_store import PresetStore
from bot.store.pseudonyms import Pseudonyms
from bot.store.retraction_store import RetractionStore
from bot.store.usage_store import Measurement
from bot.store.user_quota_store import UserQuotaStore
from bot.store.user_setting_store import UserSettingStore
from pipeline import ImageOptions, ImageSpec
from tests.leftovers import leftovers

ANN = UserKey(frontend="discord", id="123456789012345678")
BOB = UserKey(frontend="discord", id="876543210987654321")
SECRET, OTHER_SECRET, PRESET = "a crimson zeppelin über Zürich", "an ochre submarine", "my-burgundy-preset"
PICTURE, BOBS_PICTURE = b"\x89PNG bytes of ann's picture" * 40, b"\x89PNG bytes of bob's picture" * 40
OF_ANN = (ANN.id, SECRET, "crimson", "Zürich", PRESET, "burgundy")
MEASURED = Measurement(step_s=1.0, fixed_s=1.0)
NOW = 1_800_000_000
SPEC = ImageSpec(prompt="x", seed=1, steps=4, width=64, height=64, guidance=3.5, cfg_scale=1.0, model="fake")


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


ANNS_SOURCE, FROM_ANN, BOBS_SOURCE, SHARED = (digest_of(word) for word in (b"ann", b"from ann", b"bob", b"shared"))

ANNS_EDITED, EDITED_FROM_ANN = digest_of(b"ann's edited"), digest_of(b"edited from ann")
BOBS_EDITED, BOBS_FURTHER = digest_of(b"bob's edited"), digest_of(b"bob's further")


@dataclass
class World:
    """Everything that is stored, and what is done with it."""

    database: Database
    jobs: JobStore
    images: ImageStore
    queue: JobQueue
    delivery: DeliveryLoop
    holders: Holders
    now: float = NOW

    def clock(self) -> float:
        return self.now

    def eraser(self) -> Erasure:
        """What a process that was just started has."""
        return Erasure(self.holders, clock=self.clock)

    @asynccontextmanager
    async def erasing(self) -> AsyncIterator[Erasure]:
        erasure = self.eraser()
        task = asyncio.create_task(erasure.run())
        try:
            yield erasure
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def ask(
        self, user: UserKey, prompt: str, *, source: str = "", references: Sequence[str] = (), **request: Any
    ) -> Job:
        number = len(await self.database.fetch_all("SELECT id FROM jobs")) + 500
        address = {"channel_id": 7, "message_id": number, "guild_id": 9, "user_id": int(user.id), "locale": "en-US"}
        made = Request(
            user=user,
            reply_to=ReplyTo(frontend="discord", key=str(number), address=json.dumps(address)),
            options=ImageOptions(prompt=prompt),
            key=f"discord:{number}",
        )
        spec = replace(
            SPEC,
            prompt=prompt,
            negative_prompt=f"no {prompt}",
            translated=f"read {prompt}",
            translated_negative=f"avoid {prompt}",
            source=source,
            strength=0.5 if source else 1.0,
        )
        spec = replace(spec, references=",".join(references))
        for key in (source, *references):
            if key:
                await self.images.write_source(key, b"source " + key.encode())
        return await self.queue.put(replace(made, **request), spec)

    async def draw(self, job: Job, png: bytes) -> Job:
        claimed = await self.jobs.claim(job.id, now=int(self.now))
        assert claimed is not None
        path = await self.images.write(job.id, png)
        await self.queue.finish(job.id, image_path=path, image_bytes=len(png), ran_s=30.0, measured=MEASURED)
        return await self.job(job.id)

    async def job(self, job_id: int) -> Job:
        job = await self.jobs.get(job_id)
        assert job is not None
        return job


@asynccontextmanager
async def world_at(folder: Path, *, max_images_per_day: int = 100) -> AsyncIterator[World]:
    pseudonyms = Pseudonyms(bytes(32))
    async with Database.open(folder / "imagine-bot.db") as database:
        jobs, settings, images = (
            JobStore(database, pseudonym_of=pseudonyms.of),
            SettingStore(database),
            ImageStore(folder / "images"),
        )
        limits = LimitsConfig(
            max_waiting=99, max_active_per_user=99, max_images_per_day=max_images_per_day, cooldown_s=0
        )
        pace = Pace(step_s=1.0, fixed_s=1.0, is_rough=True)
        queue = JobQueue(jobs, settings, limits, assumed_pace=lambda _: pace, clock=lambda: world.now)
        delivery = DeliveryLoop(jobs, queue, images, DeliveryConfig(), clock=lambda: world.now)
        holders = Holders(
            database=database, jobs=jobs, erasures=ErasureStore(database), settings=settings, images=images,
            queue=queue, delivery=delivery, retractions=Retractions(RetractionStore(database), clock=lambda: world.now),
            choices=UserSettingStore(database), presets=PresetStore(database), moderation=ModerationStore(database),
            quotas=UserQuotaStore(database, pseudonyms), pseudonyms=pseudonyms, prompts_dir=folder / "prompts",
        )  # fmt: skip
        world = World(database, jobs, images, queue, delivery, holders)
        yield world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_at(tmp_path / "data") as world:
        yield world


async def use_everything(world: World) -> dict[str, Job]:
    """Ann uses every feature, and Bob what he made from her images and on his own."""
    mine = {"plain": await world.draw(await world.ask(ANN, SECRET), PICTURE)}
    for index in range(2):
        place = BatchPlace(batch_id="discord:batch", index=index)
        mine[f"batch {index}"] = await world.draw(await world.ask(ANN, SECRET, batch=place), PICTURE)
    mine["private"] = await world.draw(await world.ask(ANN, SECRET, is_private=True, is_spoiler=True), PICTURE)
    mine["kept"] = await world.draw(await world.ask(ANN, SECRET), PICTURE)
    await world.jobs.keep(mine["kept"].id, limit=9)
    mine["from a file"] = await world.draw(await world.ask(ANN, SECRET, source=ANNS_SOURCE), PICTURE)
    mine["from a file of both"] = await world.draw(await world.ask(ANN, SECRET, source=SHARED), PICTURE)
    failed = await world.ask(ANN, SECRET)
    await world.jobs.claim(failed.id, now=NOW)
    await world.queue.fail(failed.id, FailureCode.GENERATION_FAILED, ran_s=5.0)
    await world.queue.cancel((await world.ask(ANN, SECRET)).id)
    erased = await world.draw(await world.ask(ANN, SECRET), PICTURE)
    assert erased.image_path is not None
    await world.images.delete(erased.image_path)
    await world.jobs.erase(erased.id, now=NOW)
    mine["edit"] = await world.draw(await world.ask(ANN, SECRET, references=[ANNS_EDITED, SHARED]), PICTURE)
    mine["waiting"] = await world.ask(ANN, SECRET)

    bobs = {"plain": await world.draw(await world.ask(BOB, OTHER_SECRET), BOBS_PICTURE)}
    bobs["from a file"] = await world.draw(await world.ask(BOB, OTHER_SECRET, source=BOBS_SOURCE), BOBS_PICTURE)
    bobs["from a file of both"] = await world.draw(await world.ask(BOB, OTHER_SECRET, source=SHARED), BOBS_PICTURE)
    of_ann = Derivation(job_id=mine["plain"].id, verb=Verb.START_FROM)
    bobs["from ann"] = await world.draw(
        await world.ask(BOB, OTHER_SECRET, source=FROM_ANN, derived_from=of_ann), BOBS_PICTURE
    )
    edited = Derivation(job_id=bobs["from ann"].id, verb=Verb.EDIT)
    bobs["edited"] = await world.draw(
        await world.ask(BOB, OTHER_SECRET, source=digest_of(b"refitted"), derived_from=edited), BOBS_PICTURE
    )
    varied = Derivation(job_id=bobs["from ann"].id, verb=Verb.VARY)
    bobs["varied"] = await world.draw(
        await world.ask(BOB, OTHER_SECRET, source=digest_of(b"bob's own"), derived_from=varied), BOBS_PICTURE
    )
    bobs["edit"] = await world.draw(await world.ask(BOB, OTHER_SECRET, references=[BOBS_EDITED, SHARED]), BOBS_PICTURE)
    bobs["edit of ann's"] = await world.draw(
        await world.ask(BOB, OTHER_SECRET, references=[EDITED_FROM_ANN], derived_from=of_ann), BOBS_PICTURE
    )
    again = Derivation(job_id=bobs["edit of ann's"].id, verb=Verb.REROLL)
    bobs["again"] = await world.draw(
        await world.ask(BOB, OTHER_SECRET, references=[EDITED_FROM_ANN], derived_from=again), BOBS_PICTURE
    )
    further = Derivation(job_id=bobs["again"].id, verb=Verb.START_FROM)
    bobs["further edit"] = await world.draw(
        await world.ask(BOB, OTHER_SECRET, references=[BOBS_FURTHER], derived_from=further), BOBS_PICTURE
    )
    bobs["waits to edit ann's"] = await world.ask(BOB, OTHER_SECRET, references=[EDITED_FROM_ANN], derived_from=of_ann)
    bobs["waits for ann's"] = await world.ask(BOB, OTHER_SECRET, source=FROM_ANN, derived_from=of_ann)
    of_bob = Derivation(job_id=bobs["plain"].id, verb=Verb.VARY)
    mine["from bob"] = await world.draw(
        await world.ask(ANN, SECRET, source=digest_of(b"from bob"), derived_from=of_bob), PICTURE
    )

    for user in (ANN, BOB):
        await Preferences(UserSettingStore(world.database)).set(user, Setting.PING, Ping.DM)
        person = world.holders.pseudonyms.of(user)
        values = {"person": person, "frontend": user.frontend, "id": user.id}
        for sql in (
            f"INSERT INTO presets VALUES (:frontend, :id, '{PRESET if user is ANN else 'his'}', '{{}}')",
            "INSERT INTO bans VALUES (:person, :frontend, :id, 'spam', 5, NULL)",
            "INSERT INTO user_quotas VALUES (:person, :frontend, :id, 77)",
        ):
            used = {name: value for name, value in values.items() if f":{name}" in sql}
            await world.database.fetch_all(sql, used)
    world.holders.prompts_dir.mkdir(exist_ok=True)
    (world.holders.prompts_dir / digest_of(SECRET.encode())).write_bytes(SECRET.encode())
    leave_a_copy(world.database.path)
    return {
        **{f"ann: {name}": job for name, job in mine.items()},
        **{f"bob: {name}": job for name, job in bobs.items()},
    }


def leave_a_copy(path: Path) -> Path:
    """Copy the database as an upgrade does."""
    copy = path.with_name("imagine-bot.v4.20260101T000000.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))
    return copy


async def assert_gone(world: World, everything: dict[str, Job]) -> None:
    folder = world.database.path.parent
    sources = [ANNS_SOURCE, FROM_ANN, digest_of(b"refitted"), digest_of(b"from bob"), ANNS_EDITED, EDITED_FROM_ANN]
    for key in (BOBS_EDITED, BOBS_FURTHER, SHARED):
        assert await world.images.find_source(key) is not None
    assert leftovers(folder, [*OF_ANN, *sources], [PICTURE[:28]]) == []
    assert not list(world.holders.prompts_dir.iterdir())
    for name, job in everything.items():
        row = await world.jobs.get(job.id)
        assert (row is None) == name.startswith("ann"), name


def rows_of_bob(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(
            "SELECT * FROM jobs WHERE user_id = ? AND (derived_from IS NULL OR derived_by = 'vary') ORDER BY id",
            (BOB.id,),
        ).fetchall()


async def test_nothing_is_left_of_somebody_who_used_everything(world: World) -> None:
    everything = await use_everything(world)
    folder = world.database.path.parent
    assert len({each.partition(":")[0] for each in leftovers(folder, OF_ANN, [PICTURE[:28]])}) > 4  # it does find
    before = rows_of_bob(world.database.path)
    async with world.erasing() as erasure:
        assert await erasure.erase(ANN) is Progress.SWEPT
    await assert_gone(world, everything)

    assert rows_of_bob(world.database.path) == before == rows_of_bob(folder / "imagine-bot.v4.20260101T000000.db")
    for name in ("from ann", "edited"):
        job = await world.job(everything[f"bob: {name}"].id)
        assert (job.status, job.spec.prompt, job.spec.source) == (JobStatus.DONE, OTHER_SECRET, "")
        assert job.image_path is not None and (folder / "images" / job.image_path).read_bytes() == BOBS_PICTURE
    assert (await world.job(everything["bob: waits for ann's"].id)).status is JobStatus.CANCELLED
    for digest in (BOBS_SOURCE, SHARED, digest_of(b"bob's own")):
        assert await world.images.find_source(digest) is not None
    assert await Preferences(UserSettingStore(world.database)).ping(BOB) is Ping.DM
    tables = ("bans", "user_quotas")
    for table in tables:
        rows = {row["person"]: row["user_id"] for row in await world.database.fetch_all(f"SELECT * FROM {table}")}
        assert rows == {world.holders.pseudonyms.of(ANN): None, world.holders.pseudonyms.of(BOB): BOB.id}
    assert await world.holders.quotas.get(ANN) == 77


async def test_messages_are_noted_without_whose_they_were(world: World) -> None:
    await use_everything(world)
    count = (
        await world.database.fetch_all(
            "SELECT COUNT(DISTINCT reply_key) AS n FROM jobs WHERE user_id = :id", {"id": ANN.id}
        )
    )[0]["n"]
    async with world.erasing() as erasure:
        await erasure.erase(ANN)
    rows = await world.database.fetch_all("SELECT * FROM retractions")
    assert len(rows) == count
    assert all(json.loads(row["address"]).keys() == {"channel_id", "message_id", "guild_id"} for row in rows)


async def test_limits_of_the_day_and_fairness_outlive_the_erasure(tmp_path: Path) -> None:
    async with world_at(tmp_path / "data", max_images_per_day=3) as world:
        for _ in range(3):
            await world.draw(await world.ask(ANN, SECRET), PICTURE)
        before = await world.jobs.usage(ANN, now=NOW)
        async with world.erasing() as erasure:
            await erasure.erase(ANN)
            assert await world.jobs.usage(ANN, now=NOW) == before
            with pytest.raises(DailyLimit):
                await world.ask(ANN, "again")
            assert await world.jobs.spent_seconds([ANN, BOB], now=NOW) == {ANN: 90.0}
            assert await world.jobs.gpu_seconds(now=NOW) == {}
            await world.ask(BOB, "his")
            assert (await world.jobs.usage(BOB, now=NOW)).counted == before.counted[:1]
            world.now += 86_401
            await erasure.work()
            await world.holders.erasures.prune_spent(world.now)  # which the service does once an hour
        assert await world.database.fetch_all("SELECT * FROM spent") == []
        await world.ask(ANN, "a new day")


async def test_whoever_used_the_gpu_before_the_erasure_still_comes_after_the_others(world: World) -> None:
    await world.draw(await world.ask(ANN, SECRET), PICTURE)
    async with world.erasing() as erasure:
        await erasure.erase(ANN)
    first, second = await world.ask(ANN, "ann's"), await world.ask(BOB, "bob's")
    assert [job.id for job, _ in await world.queue.standings()] == [second.id, first.id]


async def test_erasing_twice_and_erasing_nobody_is_harmless(world: World) -> None:
    everything = await use_everything(world)
    async with world.erasing() as erasure:
        both = await asyncio.gather(erasure.erase(ANN), erasure.erase(ANN))
        assert both == [Progress.SWEPT, Progress.SWEPT]
        usage = await world.jobs.usage(ANN, now=NOW)
        assert await erasure.erase(ANN) is Progress.SWEPT
        assert await erasure.erase(UserKey(frontend="discord", id="' OR 1=1 --")) is Progress.SWEPT
        assert await world.jobs.usage(ANN, now=NOW) == usage
    await assert_gone(world, everything)


class Killed(BaseException):
    """The process ends at this very moment."""


async def test_killed_at_any_statement_it_goes_on_and_counts_everything_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is half forgotten: the next start carries it to the end. At even numbers the statement was done."""
    monkeypatch.setattr(module, "BATCH", 5)
    async with world_at(tmp_path / "template") as template:
        everything = await use_everything(template)
        expected = (await template.jobs.usage(ANN, now=NOW)).counted
        waiting = 1  # what waits counts until it is cancelled
    statements, is_over = -4, False
    while not is_over:
        statements += 5
        folder = tmp_path / str(statements)
        shutil.copytree(tmp_path / "template", folder)
        async with world_at(folder) as world:
            run, left = world.database.fetch_all, statements

            async def dying(*args: Any, run: Callable[..., Awaitable[Any]] = run, at: int = statements) -> Any:
                nonlocal left
                left -= 1
                if left == 0 and at % 2:
                    raise Killed
                rows = await run(*args)
                if left == 0:
                    raise Killed
                return rows

            await world.holders.erasures.begin(ANN, now=NOW)
            monkeypatch.setattr(world.database, "fetch_all", dying)
            with suppress(Killed):
                await world.eraser().work()
                is_over = True
        async with world_at(folder) as world:  # the next start
            await world.eraser().work()
            await assert_gone(world, everything)
            assert len((await world.jobs.usage(ANN, now=NOW)).counted) == len(expected) - waiting, statements
    assert statements > 30


async def test_running_job_is_stopped_and_its_image_not_kept(world: World) -> None:
    await world.ask(ANN, SECRET)
    running = await world.queue.claim()
    assert running is not None
    async with world.erasing() as erasure:
        erasing = asyncio.create_task(erasure.erase(ANN))
        while not running.stop.is_set():
            await asyncio.sleep(0.01)
        path = await world.images.write(running.job.id, PICTURE)  # it was just done, all the same
        await world.queue.finish(running.job.id, image_path=path, image_bytes=1, ran_s=1.0, measured=MEASURED)
        assert await erasing is Progress.SWEPT
    assert leftovers(world.database.path.parent, OF_ANN, [PICTURE[:28]]) == []


async def test_nothing_new_is_accepted_from_somebody_who_is_being_erased(world: World) -> None:
    """Nor after a restart: the row says so."""
    await world.ask(ANN, SECRET)
    await world.holders.erasures.begin(ANN, now=NOW)
    with pytest.raises(BeingErased):
        await world.ask(ANN, "meanwhile")
    await world.ask(BOB, "his")
    async with world.erasing() as erasure:
        await erasure.erase(ANN)
    await world.ask(ANN, "afterwards")


async def test_settings_written_during_the_erasure_are_erased_as_well(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.ask(ANN, SECRET)
    end, choose, ends = world.holders.erasures.end, Preferences(UserSettingStore(world.database)).set, []

    async def busy(user: UserKey) -> bool:
        if not ends:
            await choose(ANN, Setting.PING, Ping.OFF)
        ends.append(await end(user))
        return ends[-1]

    monkeypatch.setattr(world.holders.erasures, "end", busy)
    async with world.erasing() as erasure:
        await erasure.erase(ANN)
    assert ends == [False, True]
    assert leftovers(world.database.path.parent, OF_ANN) == []


async def test_image_made_from_one_that_is_erased_meanwhile_is_refused(world: World) -> None:
    job = await world.draw(await world.ask(ANN, SECRET), PICTURE)
    async with world.erasing() as erasure:
        await erasure.erase(ANN)
    with pytest.raises(UploadGone):
        await world.ask(BOB, "his", source=FROM_ANN, derived_from=Derivation(job_id=job.id, verb=Verb.VARY))
    with pytest.raises(JobNotFound):
        await world.queue.cancel(job.id)


async def test_file_that_cannot_be_deleted_holds_up_nobody_else_and_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.draw(await world.ask(ANN, SECRET), PICTURE)
    await world.draw(await world.ask(BOB, OTHER_SECRET), BOBS_PICTURE)
    with monkeypatch.context() as patch:

        async def only_bobs(path: str, delete: Callable[..., Any] = world.images.delete) -> bool:
            return path.startswith("00000/2-") and bool(await delete(path))

        patch.setattr(world.images, "delete", only_bobs)
        for user in (ANN, BOB):
            await world.holders.erasures.begin(user, now=NOW)
        with pytest.raises(StoreUnavailable):
            await world.eraser().work()
        assert await world.holders.erasures.pending() == [ANN]
        assert leftovers(world.database.path.parent, [BOB.id, OTHER_SECRET]) == []
    await world.eraser().work()
    assert leftovers(world.database.path.parent, OF_ANN, [PICTURE[:28]]) == []


async def test_person_is_answered_although_the_engine_is_busy(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SWEEP_ANSWER_S", 0.01)
    is_drawn, forgotten = asyncio.Event(), []

    async def forget() -> None:
        await is_drawn.wait()
        forgotten.append(True)

    await world.ask(ANN, SECRET)
    async with world.erasing() as erasure:
        erasure.forget_prompts = forget
        assert await erasure.erase(ANN) is Progress.ERASED
        assert leftovers(world.database.path.parent, OF_ANN) == []
        is_drawn.set()
        assert await erasure.erase(ANN) in (Progress.SWEPT, Progress.ERASED)
    assert forgotten


async def test_damaged_copy_of_the_database_is_deleted_and_other_files_stay(world: World) -> None:
    folder = world.database.path.parent
    damaged, foreign = folder / "imagine-bot.v3.20250101T000000.db", folder / "imagine-bot.v3.mine.db"
    damaged.write_bytes(b"SQLite format 3\0" + SECRET.encode() * 999)
    foreign.write_bytes(b"of the operator")
    await world.ask(ANN, SECRET)
    async with world.erasing() as erasure:
        assert await erasure.erase(ANN) is Progress.SWEPT
    assert not damaged.exists() and foreign.read_bytes() == b"of the operator"


async def test_hostile_paths_in_rows_delete_nothing_outside(world: World, tmp_path: Path) -> None:
    outside = tmp_path / "data" / "precious.txt"
    outside.write_text("precious")
    for path in ("../precious.txt", "/etc/hostname", "", "..", "a\0b", "x" * 5000):
        job = await world.draw(await world.ask(ANN, SECRET), PICTURE)
        assert job.image_path is not None
        await world.images.delete(job.image_path)
        await world.database.fetch_all(
            "UPDATE jobs SET image_path = :path WHERE id = :id", {"path": path, "id": job.id}
        )
    await world.database.fetch_all("UPDATE jobs SET spec = 'no json', reply_address = '[[[' WHERE id = 2")
    async with world.erasing() as erasure:
        assert await erasure.erase(ANN) is Progress.SWEPT
    assert outside.read_text() == "precious"
    assert leftovers(tmp_path / "data", OF_ANN) == []


async def test_backups_made_before_are_told_who_was_erased(world: World) -> None:
    pseudonym = world.holders.pseudonyms.of(ANN)
    note = world.database.path.parent / FILE_NAME
    note.mkdir()  # so that it cannot be written
    await world.holders.erasures.begin(ANN, now=NOW)
    with pytest.raises(StoreUnavailable):
        await world.eraser().work()
    assert await world.holders.erasures.pending() == [ANN], "an erasure that a backup would undo is not over"
    note.rmdir()
    await world.eraser().work()
    assert await world.holders.erasures.pending() == []
    assert erased_people(note.parent) == {pseudonym: NOW} and ANN.id not in note.read_text()
