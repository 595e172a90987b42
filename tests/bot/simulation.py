"""A bot that people use for an hour, in seconds: real queue, runners and delivery on a clock that jumps.

The event loop has its own time, which moves on as soon as nothing is left to do. What usually runs on threads runs at
once, so that one seed always gives one course of events. Only the engine, the people and their messages are made up.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import selectors
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import pytest

from bot.config import DeliveryConfig, LimitsConfig, WorkerConfig
from bot.deadline import Deadline
from bot.delivery.results import DeliveryLoop
from bot.errors import Refusal
from bot.jobs import Job, QueueStatus, ReplyTo, Request, StopSignal, UserKey
from bot.presentation.job_view import JobView, unfinished_view
from bot.presentation.phrases import Moment, Voice
from bot.presentation.wording import wording_for
from bot.scheduling.breaker import Breaker
from bot.scheduling.eta import Pace
from bot.scheduling.job_queue import JobQueue
from bot.scheduling.load_times import LoadTimes
from bot.scheduling.worker_pool import WorkerPool
from bot.store import spec_codec
from bot.store.database import Database, readable
from bot.store.image_store import ImageStore
from bot.store.job_store import JobStore
from bot.store.key_value_store import SettingStore
from pipeline import GeneratedImage, GenerationStopped, ImageOptions, ImageSpec, Progress, Stage

BEGINNING = 1_800_000_000
LATENCY_S = 0.15  # of a message
NOISE = 0.15
STEP_S = {"small": 0.25, "large": 0.5, "other": 0.4}
ENCODE_S, DECODE_S = 0.4, 0.6
FIRST_LOAD_S, LOAD_S = 30.0, {"small": 12.0, "large": 12.0, "other": 25.0}
VOICE = Voice(wording=wording_for("en"), write_moment=str)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time is that of the next callback."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_NoWait(self))

    def time(self) -> float:
        return self._now

    def jump(self, seconds: float) -> None:
        self._now += seconds

    def run_in_executor(self, _executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future


class _NoWait(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "everybody waits, and nothing can happen any more"
        ready = super().select(0)
        if not ready and timeout > 0:
            self._loop.jump(timeout)
        return ready


class InlineConnection:
    """Runs statements where they are awaited."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        with contextlib.closing(sqlite3.connect(path)) as file:
            file.backup(self._connection)
        self._connection.row_factory = sqlite3.Row
        self._connection.text_factory = readable

    async def execute_fetchall(self, sql: str, values: Mapping[str, Any]) -> list[sqlite3.Row]:
        return self._connection.execute(sql, values).fetchall()

    def close(self) -> None:
        self._connection.close()


class SimulatedEngine:
    """An executor that takes as long as such an engine does, more or less."""

    slots = 1
    models = None

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.model: str | None = None
        self.steps_over: set[int] = set()  # seeds of pictures whose last step is over
        self.ended: dict[int, float] = {}  # when each picture was ready, by seed
        self.begun: list[str] = []  # the models of all pictures, in the order in which they were begun

    async def _take(self, seconds: float) -> float:
        seconds *= self._rng.uniform(1 - NOISE, 1 + NOISE)
        await asyncio.sleep(seconds)
        return seconds

    async def _load(self, model: str, seconds: float) -> None:
        self.model = None
        await self._take(seconds)
        self.model = model

    async def start(self, model: str) -> None:
        await self._load(model, FIRST_LOAD_S)

    async def run(
        self,
        spec: ImageSpec,
        *,
        on_progress: Callable[[Progress], None],
        stop: StopSignal,
        source: bytes | None = None,
        references: object = (),
        upcoming: Sequence[str] = (),
    ) -> GeneratedImage:
        self.begun.append(spec.model)
        if self.model != spec.model:
            on_progress(Progress(stage=Stage.LOADING, steps=spec.steps))
            await self._load(spec.model, LOAD_S[spec.model])
        on_progress(Progress(stage=Stage.ENCODING, steps=spec.steps))
        encode_s, denoise_s = await self._take(ENCODE_S), 0.0
        for step in range(spec.steps + 1):
            on_progress(Progress(stage=Stage.DENOISING, step=step, steps=spec.steps, denoise_s=denoise_s))
            if stop.is_set():
                raise GenerationStopped
            if step < spec.steps:
                denoise_s += await self._take(STEP_S[spec.model])
        self.steps_over.add(spec.seed)
        on_progress(Progress(stage=Stage.DECODING, step=spec.steps, steps=spec.steps, denoise_s=denoise_s))
        decode_s = await self._take(DECODE_S)
        self.ended[spec.seed] = _time()
        return GeneratedImage(
            pixels=bytes(16 * 16 * 3), width=16, height=16, spec=replace(spec, width=16, height=16),
            encode_s=encode_s, denoise_s=denoise_s, decode_s=decode_s, peak_mib=None,
        )  # fmt: skip

    async def release(self) -> bool:
        return False

    async def close(self, grace_s: float) -> bool:
        return True


class NoImages:
    """Keeps no picture."""

    async def write(self, number: int, _png: bytes) -> str:
        return f"{number}.png"

    async def locate(self, _path: str) -> None:
        return None

    async def can_write(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Said:
    """What a message began to say at one moment; `place` and `promise` if it names them."""

    at: float
    key: str
    text: str
    place: int | None = None
    promise: int | None = None
    is_too_soon: bool = False  # it says "any moment" before the last step
    is_too_late: bool = False  # it says that the model is being made ready, which it is


@dataclass
class Messages:
    """A front end, and everything that it ever said."""

    name: str = "test"
    is_live = False
    engine: SimulatedEngine | None = None
    said: list[Said] = field(default_factory=list)
    seeds: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))  # of its pictures, by message
    ended: dict[int, float] = field(default_factory=dict)  # by seed
    begun: list[str] = field(default_factory=list)  # the models of pictures
    models: dict[int, str] = field(default_factory=dict)  # by seed, in the order in which they were asked for
    stopped_at: float = 0.0  # when the first process was told to stop
    locks: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def show(self, job: Job, standing: QueueStatus) -> None:
        async with self.locks[job.reply_to.key]:
            await self.open(job, standing)

    async def open(self, job: Job, standing: QueueStatus) -> None:
        """The first answer, which those who ask hold the lock for."""
        assert self.engine is not None
        view = unfinished_view(job, standing, now=BEGINNING + _time())
        is_loading = self.engine.model is None
        text, place, promise = rendered(view)
        said = Said(
            0.0, job.reply_to.key, text, place, promise,
            is_too_soon="any moment" in text and job.spec.seed not in self.engine.steps_over,
            is_too_late=("· loading " in text or "being loaded" in text) and not is_loading,
        )  # fmt: skip
        await asyncio.sleep(LATENCY_S)
        self.said.append(replace(said, at=_time()))

    async def deliver(self, job: Job, image: Path | None) -> ReplyTo:
        async with self.locks[job.reply_to.key]:
            await asyncio.sleep(LATENCY_S)
            if self.seeds[job.reply_to.key] <= self.ended.keys():
                self.said.append(Said(_time(), job.reply_to.key, f"{job.status} {job.id}"))
        return job.reply_to


def rendered(view: JobView) -> tuple[str, int | None, int | None]:
    """The text of a message, the place and the finish time in it."""
    parts = [VOICE.say(view.headline, who="@you", bar="")]
    promise = None
    if view.eta is not None:
        parts.append(VOICE.say(view.eta))
        moment = view.eta.values.get("when")
        promise = moment.at if isinstance(moment, Moment) else None
    match view.headline.key:
        case "card-next" | "card-next-loading":
            place = 1
        case "card-ahead":
            ahead = view.headline.values["count"]
            assert isinstance(ahead, int)
            place = ahead + 1
        case _:
            place = None
    return "\n".join([" · ".join(parts), *map(VOICE.say, view.notes), VOICE.say(view.settings)]), place, promise


def _time() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class World:
    """Ten people and a bot that is started twice."""

    folder: Path
    seed: int
    pictures: int
    people: int = 10
    shares: Mapping[str, float] = field(default_factory=lambda: {"large": 0.1, "small": 0.9})  # of requests, by model
    several: float = 0.15  # share of requests for two or three images in one message
    think_s: float = 150.0  # from an image to the next request, on average
    messages: Messages = field(default_factory=Messages)
    asked: int = 0
    numbers: Iterator[int] = field(default_factory=itertools.count)
    queue: JobQueue | None = None
    delivery: DeliveryLoop | None = None

    def run(self) -> Messages:
        """Let it all happen; one seed, one course of events."""
        with asyncio.Runner() as real:
            real.run(self._make_database())
        with pytest.MonkeyPatch.context() as patch, asyncio.Runner(loop_factory=VirtualLoop) as virtual:
            patch.setattr(spec_codec, "decode", cache(spec_codec.decode))  # a third of the time
            virtual.run(self._happen())
        return self.messages

    @property
    def _path(self) -> Path:
        return self.folder / "test.db"

    async def _make_database(self) -> None:
        async with Database.open(self._path):
            pass

    async def _happen(self) -> None:
        with contextlib.closing(InlineConnection(self._path)) as connection:
            database = Database(connection, self._path)  # type: ignore[arg-type]
            async with asyncio.TaskGroup() as group:
                for number in range(self.people):
                    group.create_task(self._person(f"person-{number}", random.Random(f"{self.seed} {number}")))
                await self._life(database, life=1, until=lambda: self.asked >= self.pictures / 2)
                await asyncio.sleep(4.0)
                await self._life(database, life=2, until=self._is_over)

    async def _life(self, database: Database, *, life: int, until: Callable[[], bool]) -> None:
        """One process, from its start to its stop."""
        monotonic = asyncio.get_running_loop().time

        def clock() -> float:
            return BEGINNING + monotonic()

        deadline = Deadline(monotonic=monotonic)
        jobs, settings, images = JobStore(database), SettingStore(database), cast("ImageStore", NoImages())
        limits = LimitsConfig(max_waiting=100, max_active_per_user=4, max_images_per_day=1000, cooldown_s=0)
        queue = JobQueue(
            jobs, settings, limits, clock=clock, deadline=deadline,
            assumed_pace=lambda _spec: Pace(step_s=0.5, fixed_s=1.0, is_rough=True),
        )  # fmt: skip
        queue.loads = LoadTimes(settings, assumed_s=lambda _model: 20.0)
        await queue.recover(max_attempts=5)
        delivery = DeliveryLoop(jobs, queue, images, DeliveryConfig(), deadline=deadline, clock=clock)
        delivery.add_frontend(self.messages)
        queue.subscribe(delivery.wake)
        engine = SimulatedEngine(random.Random(f"{self.seed} engine {life}"))
        self.messages.engine, engine.ended = engine, self.messages.ended
        engine.begun = self.messages.begun
        breaker = Breaker(
            queue, can_save=NoImages().can_write, max_failures_in_a_row=9,
            deadline=deadline, monotonic=monotonic,
        )  # fmt: skip
        pool = WorkerPool(queue, [engine], images, breaker, WorkerConfig(), deadline=deadline)
        await pool.expect_load("small")
        await delivery.updates.recall()

        async def draw() -> None:
            await pool.load("small")
            await pool.run()

        delivering, drawing = asyncio.create_task(delivery.run()), asyncio.create_task(draw())
        self.queue, self.delivery = queue, delivery
        while not until():
            await asyncio.sleep(1.0)
            assert not delivering.done() and not drawing.done()
        self.queue = self.delivery = None
        if life == 1:
            self.messages.stopped_at = _time()
        queue.close()
        await asyncio.wait([drawing])
        await delivery.updates.announce_stop()
        await delivery.flush()
        delivering.cancel()
        await asyncio.wait([delivering])

    async def _person(self, name: str, rng: random.Random) -> None:
        """Ask, look at what comes, think, ask again."""
        await asyncio.sleep(rng.uniform(0, 40))
        number = 0
        while self.asked < self.pictures:
            number += 1
            key = f"{name}/{number}"
            count = rng.choice([2, 3]) if rng.random() < self.several else 1
            model, steps = self._model(rng.random()), rng.choice([8, 12, 20])
            while self.queue is None:
                await asyncio.sleep(1.0)
            async with self.messages.locks[key]:
                await self._ask(name, key, count, partial(self._spec, model, steps))
            while self.messages.seeds[key] - self.messages.ended.keys():
                if rng.random() < 0.01:  # impatient
                    break
                await asyncio.sleep(1.0)
            await asyncio.sleep(rng.expovariate(1 / self.think_s))

    def _model(self, share: float) -> str:
        for model, its_share in self.shares.items():
            if (share := share - its_share) < 0:
                return model
        return model

    def _is_over(self) -> bool:
        assert _time() < 3 * 3600, "something never ends"
        seeds = set().union(*self.messages.seeds.values())
        return self.asked >= self.pictures and seeds <= self.messages.ended.keys()

    def _spec(self, model: str, steps: int) -> ImageSpec:
        return ImageSpec(
            prompt="x",
            seed=next(self.numbers),
            steps=steps,
            width=512,
            height=512,
            guidance=1.0,
            cfg_scale=1.0,
            model=model,
        )

    async def _ask(self, name: str, key: str, count: int, make_spec: Callable[[], ImageSpec]) -> None:
        """What `Service.submit` and a command do."""
        first: Job | None = None
        standing: QueueStatus | None = None
        queue, delivery = self.queue, self.delivery
        if queue is None or delivery is None:
            return
        for index in range(count):
            request = Request(
                user=UserKey(frontend="test", id=name), reply_to=ReplyTo(frontend="test", key=key, address="{}"),
                options=ImageOptions(prompt="x"), key=f"{key}/{index}",
            )  # fmt: skip
            try:
                job = await queue.put(request, make_spec())
            except Refusal:
                break
            self.asked += 1
            self.messages.seeds[key].add(job.spec.seed)
            self.messages.models[job.spec.seed] = job.spec.model
            now = {each.id: stands for each, stands in await queue.standings()}.get(job.id)
            now = now or QueueStatus(position=None, finish_at=None, is_rough=False)
            standing = delivery.card_is_fresh(job, now) or now
            first = first or job
        if first is not None and standing is not None:
            await self.messages.open(first, standing)
