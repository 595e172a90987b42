"""Builds every part and owns the order of starting and stopping. The only file that knows all parts.

Entered: database → recovery → executor → front ends → delivery → worker. Left in reverse: no new requests,
the running job back to its place, the cards and results out, then front ends, executor, database.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import itertools
import json
import logging
import os
import signal
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from bot import logs
from bot.config import Config, StorageConfig
from bot.deadline import Deadline
from bot.delivery.results import DeliveryLoop
from bot.errors import ExitCode, OperatorError, StoreUnavailable
from bot.executors import Executor, create_executor
from bot.farewell import LEAST_S, Farewells
from bot.frontends.discord_app.client import DiscordClient
from bot.frontends.web.server import WebServer
from bot.jobs import JobStatus
from bot.requests.models import Models
from bot.requests.service import Parts, Service
from bot.scheduling.breaker import Breaker
from bot.scheduling.eta import Pace
from bot.scheduling.job_queue import JobQueue
from bot.scheduling.worker_pool import Worker
from bot.store.database import Database, unusable
from bot.store.horizon import Horizon
from bot.store.image_store import ImageStore
from bot.store.job_store import DAY_S, JobStore
from bot.store.key_value_store import SettingStore
from bot.turns import take_turns
from pipeline import EngineDead, ImageOptions, ImageSpec, ModelFilesMissing, UnknownModel
from pipeline.catalog import files
from pipeline.catalog.models import ModelCard, choose_model, demand_means, find_model, unread_of, usable_models
from pipeline.device.gpu import MIB
from pipeline.device.runtime_estimate import estimate_runtime

log = logging.getLogger(__name__)

DATABASE_NAME: Final = "imagine-bot.db"
IMAGES_FOLDER: Final = "images"
PROMPTS_FOLDER: Final = "prompts"
# What the stop takes at most after stop_grace_s: with the default of 10 it is over within 20 s. In order:
FAREWELLS_S: Final = 9.0
ANSWERS_S: Final = 2.0
ANNOUNCE_S: Final = 2.0
FLUSH_S: Final = 2.0
PARTS_S: Final = 3.0  # an open page is cut off after 2 s
FRONTENDS_S: Final = 1.5
ENGINE_S: Final = 1.0
DATABASE_S: Final = 0.5
LAST_S: Final = 0.5  # beyond all that: if even the event loop hangs
MAX_NUMBER: Final = 10**15
HORIZON_SETTING: Final = "history.horizon"
ORPHAN_AGE_S: Final = 600.0  # a source is written just before its job
PRUNE_EVERY_S: Final = 3600.0
PRUNE_BATCH: Final = 200
STARTED_S: Final = 60.0
FOLDED_EVERY_S: Final = 1.0
LAG_PROBE_S: Final = 0.05
LAG_SAMPLES: Final = 100_000


async def run(config: Config, token: SecretStr | None, *, password: SecretStr | None, release: str) -> ExitCode:
    """Run the service until it is told to stop: Discord if there is a token, the page if enabled or without one.

    Ends the process by itself, with the right code, if something that hangs would keep it alive.

    Raises:
        OperatorError, PipelineError: it cannot start as it is set up.
    """
    card, reason = choose_model(config.pipeline)
    log.info("drawing with %s: %s", card.name, reason)
    if missing := files.missing(card, config.pipeline.models_dir):
        raise ModelFilesMissing(card.name, [each.path for each in missing])
    demand_means(card, config.pipeline)
    asyncio.get_running_loop().set_default_executor(_Threads(thread_name_prefix="files"))
    stop, deadline = asyncio.Event(), Deadline()
    farewells = Farewells(deadline)
    stop_s = config.worker.stop_grace_s + FAREWELLS_S
    _listen_for_signals(stop, partial(_begin_to_end, deadline, stop_s, ExitCode.OK))
    executor = create_executor(
        config.pipeline,
        stop_grace_s=config.worker.stop_grace_s,
        prompts_dir=config.storage.data_dir / PROMPTS_FOLDER,
    )
    opening = Database.open(config.storage.data_dir / DATABASE_NAME)
    database = await opening.__aenter__()
    errors = await _serve(config, token, password, release, database, card, executor, stop, farewells)
    await farewells.say({"the engine": _close(executor, farewells)}, at_most_s=ENGINE_S + LEAST_S)
    await farewells.say({"the database": opening.__aexit__(None, None, None)}, at_most_s=DATABASE_S)
    exit_code = _exit_code(errors)
    if errors and exit_code is not ExitCode.ENGINE_DEAD:
        if farewells.is_hung:  # then nobody may come to say it
            log.critical("%s", errors[0])
        raise errors[0] from None
    log.info("stopped")
    if farewells.is_hung:
        logging.shutdown()
        os._exit(exit_code)
    return exit_code


async def _serve(
    config: Config,
    token: SecretStr | None,
    password: SecretStr | None,
    release: str,
    database: Database,
    card: ModelCard,
    executor: Executor,
    stop: asyncio.Event,
    farewells: Farewells,
) -> list[BaseException]:
    """Build the parts between database and front ends, and run them; returns what they died of: as a rule, nothing."""
    deadline = farewells.deadline
    exits = {"leaving the page": contextlib.AsyncExitStack(), "leaving discord": contextlib.AsyncExitStack()}
    tasks: list[asyncio.Task[None]] = []
    errors: list[BaseException] = []
    chat: DiscordClient | None = None
    try:
        jobs, settings = JobStore(database), SettingStore(database)
        images = ImageStore(config.storage.data_dir / IMAGES_FOLDER)
        queue = JobQueue(
            jobs, settings, config.limits, slots=executor.slots, assumed_pace=assumed_pace, deadline=deadline
        )
        await continue_numbers(jobs, images)
        for job in await queue.recover(max_attempts=config.worker.max_attempts):
            if job.status is not JobStatus.QUEUED or job.attempts:
                log.warning("job %s was interrupted and is now %s", job.id, job.status)
        if (pause := queue.paused) is not None:
            log.warning("the queue is paused (%s): %s", pause.kind, pause.text or "no reason given")

        delivery = DeliveryLoop(jobs, queue, images, config.delivery, deadline=deadline)
        queue.subscribe(delivery.wake)
        _, *others = await asyncio.to_thread(usable_models, config.pipeline)
        models = Models(
            usual=card,
            others=tuple(others),
            unread=partial(unread_of, config.pipeline.models_dir),
            estimate_runtime=partial(estimate_runtime, card, config.pipeline),
        )
        parts = Parts(jobs=jobs, queue=queue, delivery=delivery, images=images)
        service = Service(parts, models, limits=config.limits, storage=config.storage)
        # Reads the tokenizer, which takes a tenth of a second, before anybody waits for a card.
        await asyncio.to_thread(service.unread, card.resolve(ImageOptions(prompt="x"), random_seed=0))
        breaker = Breaker(
            queue,
            can_save=partial(images.can_write, min_free_bytes=config.storage.min_free_mib * MIB),
            max_failures_in_a_row=config.worker.max_failures_in_a_row,
            deadline=deadline,
        )
        worker = Worker(queue, executor, images, breaker, config.worker, deadline=deadline)
        lag = _LagProbe()

        console = None
        if token is None or config.console.enabled:
            console = await exits["leaving the page"].enter_async_context(
                WebServer(
                    config.console,
                    password,
                    service=service,
                    settings=settings,
                    data_dir=config.storage.data_dir,
                    release=release,
                )
            )
            delivery.add_frontend(console.frontend)
        if token is not None:
            chat = await exits["leaving discord"].enter_async_context(
                DiscordClient(config.discord, service=service, settings=settings)
            )
            delivery.add_frontend(chat.frontend)
        drawing = asyncio.create_task(_load_and_draw(executor, card, worker, lag), name="the worker")
        tasks += [
            drawing,
            asyncio.create_task(_deliver(chat, delivery), name="delivery"),
            asyncio.create_task(_prune_forever(jobs, images, settings, config.storage, deadline), name="pruning"),
            asyncio.create_task(breaker.run(), name="the breaker"),
            asyncio.create_task(lag.run(), name="the lag probe"),
            asyncio.create_task(_tell_folded(), name="the count of folded lines"),
            asyncio.create_task(_freeze_what_stays(), name="the freezing of what stays"),
            asyncio.create_task(database.watch(), name="the look for damage"),
        ]
        if console is not None:
            tasks.append(asyncio.create_task(console.run_until_closed(), name="the page"))
        if chat is not None and token is not None:
            tasks.append(asyncio.create_task(chat.run_until_closed(token), name="discord"))
        await _run_until(stop, tasks)
        if stop.is_set():
            log.info("stopping: no new requests, the running job goes back to its place")
            service.stop_accepting()
            queue.close()
            await asyncio.wait([drawing], timeout=deadline.remaining(config.worker.stop_grace_s))
            answers = {} if chat is None else {"giving answers": chat.context.finish_answers()}
            await farewells.say({"sending jobs back": queue.requeue_all(), **answers}, at_most_s=ANSWERS_S)
            await farewells.say({"bringing cards up to date": delivery.announce_stop()}, at_most_s=ANNOUNCE_S)
            await farewells.say({"delivering results": delivery.flush()}, at_most_s=FLUSH_S)
    except StoreUnavailable as error:  # of a start: later the loops wait for the database
        errors.append(unusable(database.path, error))
    except Exception as error:
        errors.append(error)
    errors = _what_matters([*errors, *_errors_of(tasks)], is_asked_to_stop=stop.is_set())
    if errors:
        _begin_to_end(deadline, config.worker.stop_grace_s + FAREWELLS_S, _exit_code(errors))
        if chat is not None:  # whoever was just shown "thinking…" is to have a card that the next start finds
            await farewells.say({"giving answers": chat.context.finish_answers()}, at_most_s=ANSWERS_S)
    await farewells.cancel(tasks, at_most_s=PARTS_S)
    await farewells.say({name: each.aclose() for name, each in exits.items()}, at_most_s=FRONTENDS_S)
    return errors


async def _run_until(stop: asyncio.Event, parts: Sequence[asyncio.Task[None]]) -> None:
    """Wait until all are to stop, or a part dies.

    Raises:
        RuntimeError: a part ended without an error, which is never right.
    """
    stopping = asyncio.create_task(stop.wait())
    ended, _ = await asyncio.wait([stopping, *parts], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not stop.is_set() and not _errors_of(parts):
        raise RuntimeError(f"{ended.pop().get_name()} ended, and nobody asked for that")


def _errors_of(tasks: Sequence[asyncio.Task[None]]) -> list[BaseException]:
    """What parts that have ended by themselves died of."""
    ended = [task for task in tasks if task.done() and not task.cancelled()]
    return [error for task in ended if (error := task.exception()) is not None]


def _what_matters(errors: Sequence[BaseException], *, is_asked_to_stop: bool) -> list[BaseException]:
    """The plain errors that the supervisor hears of; who asked to stop is only told that the engine is dead."""
    leaves = [leaf for error in errors for leaf in _leaves(error)]
    if not is_asked_to_stop:
        return leaves
    for error in leaves:
        if not isinstance(error, EngineDead):
            log.error("an error while stopping", exc_info=error)
    return [error for error in leaves if isinstance(error, EngineDead)]


def _exit_code(errors: Sequence[BaseException]) -> ExitCode:
    """What the supervisor is told: that the engine is dead comes first, because only a fresh process helps then."""
    if any(isinstance(error, EngineDead) for error in errors):
        return ExitCode.ENGINE_DEAD
    if not errors:
        return ExitCode.OK
    return errors[0].exit_code if isinstance(errors[0], OperatorError) else ExitCode.FAILED


async def _close(executor: Executor, farewells: Farewells) -> None:
    if not await executor.close(ENGINE_S):
        log.error("stopping: the engine's thread hangs and is left behind")
        farewells.is_hung = True


async def _load_and_draw(executor: Executor, card: ModelCard, worker: Worker, lag: _LagProbe) -> None:
    started = time.monotonic()
    await executor.start(card.name)  # jobs may queue meanwhile
    log.info("%s is loaded after %.1f s", card.name, time.monotonic() - started)
    lag.report("while loading")
    await worker.run()
    lag.report("while serving")


async def _deliver(chat: DiscordClient | None, delivery: DeliveryLoop) -> None:
    if chat is not None:
        await chat.wait_until_connected()
    async with asyncio.TaskGroup() as loops:
        loops.create_task(delivery.run_results())
        loops.create_task(delivery.run_cards())


async def _prune_forever(
    jobs: JobStore, images: ImageStore, settings: SettingStore, config: StorageConfig, deadline: Deadline
) -> None:
    """Forget what is older than the config says, in small batches, once an hour; files without a row once a day."""
    hours = itertools.count()

    async def sweep() -> bool:
        await images.sweep()
        return False

    async def turn() -> bool:
        before = await history_begins(jobs, settings, now=int(time.time()), days=config.history_days)
        await asyncio.to_thread(forget_prompts, config.data_dir / PROMPTS_FOLDER, before=before)
        if deleted := await prune(jobs, images, before=before):
            log.info("%s jobs older than %s days were deleted", deleted, config.history_days)
        if next(hours) % 24 == 0 and (deleted := await prune_strays(jobs, images, before=before)):
            log.info("%s pictures without a row, older than %s days, were deleted", deleted, config.history_days)
        await images.delete_sources(kept=await jobs.sources(), before=time.time() - ORPHAN_AGE_S)
        await asyncio.sleep(PRUNE_EVERY_S)
        return True

    await take_turns("deleting half-written files", sweep, deadline)
    await take_turns("deleting old jobs", turn, deadline)


async def history_begins(jobs: JobStore, settings: SettingStore, *, now: int, days: int) -> int:
    """The moment before which history is deleted, whatever the clock says; notes this look for the next one."""
    stored = await settings.get_json(HORIZON_SETTING)
    horizon = Horizon.read(stored, newest_at=min(now, await jobs.newest_at() or now)).look(now)
    await settings.set(HORIZON_SETTING, json.dumps(dataclasses.asdict(horizon)))
    if horizon.leapt_at is not None:
        log.warning(
            "the clock is far ahead of the last look at it: old pictures are deleted after a day, if it stays so"
        )
    return min(horizon.trusted_at, now) - days * DAY_S


async def prune(jobs: JobStore, images: ImageStore, *, before: int) -> int:
    """Delete the jobs that ended before `before`, pictures first: a crash in between leaves no orphans.

    Those whose picture cannot be deleted now are kept for the next time, and hold up no others.
    """
    kept: set[int] = set()
    deleted = 0
    while old := [job for job in await jobs.ended_before(before, limit=PRUNE_BATCH + len(kept)) if job.id not in kept]:
        gone = [job.id for job in old if job.image_path is None or await images.delete(job.image_path)]
        await jobs.delete(gone)
        kept |= {job.id for job in old} - set(gone)
        deleted += len(gone)
    return deleted


async def _freeze_what_stays() -> None:
    """Take what libraries made while starting out of the sight of Python's collector, once all have started.

    It looks at all of it again and again, 50 ms at a time in which nobody is answered (docs/benchmarks.md).
    """
    await asyncio.sleep(STARTED_S)
    gc.collect()
    gc.freeze()
    await asyncio.Event().wait()


async def _tell_folded() -> None:
    """Say of lines that were folded how many there were, when their minute is over."""
    while True:
        await asyncio.sleep(FOLDED_EVERY_S)
        logs.tell_folded()


async def prune_strays(jobs: JobStore, images: ImageStore, *, before: int) -> int:
    """Delete pictures written before `before` that no row names: of a database moved away, or of a crash."""
    deleted = 0
    async for pictures in images.written_before(before):
        named = await jobs.image_paths(pictures.values())
        for path in pictures.keys() - named:
            deleted += await images.delete(path)
    return deleted


async def continue_numbers(jobs: JobStore, images: ImageStore) -> None:
    """Never give a number twice: old messages on Discord name jobs by them. Says so if the database lacks some."""
    last, highest = await jobs.last_number(), await images.highest_number()
    if last > MAX_NUMBER:
        log.critical("the database has numbers of jobs that nobody gave, up to %s: they get others", last)
        await jobs.renumber(above=MAX_NUMBER)
        last = await jobs.last_number()
    if highest <= last:
        return
    what = "is empty" if last == 0 else f"knows pictures up to number {last} only"
    log.critical(
        "the database %s, but there are pictures up to number %s: was it moved away, replaced by an older copy, or did "
        "it lose its -wal file? To have queue, history and limits back, stop now and put it back. "
        "New pictures begin at number %s, and those without a row are deleted after [storage] history_days",
        what, highest, highest + 1,
    )  # fmt: skip
    await jobs.number_from(highest)


def forget_prompts(folder: Path, *, before: float) -> None:
    """Delete what the engine read of prompts that nobody has drawn since `before`. Blocks."""
    for path in folder.glob("*"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < before:
                path.unlink()


class _LagProbe:
    """Measures how late the event loop is: Discord wants its first answer within 3 seconds."""

    def __init__(self) -> None:
        self._lags_ms: deque[float] = deque(maxlen=LAG_SAMPLES)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_PROBE_S
            await asyncio.sleep(LAG_PROBE_S)
            self._lags_ms.append((loop.time() - due) * 1000)

    def report(self, period: str) -> None:
        """Say how it was in the period that ends now, and begin another."""
        if len(self._lags_ms) > 1:
            percentiles = statistics.quantiles(self._lags_ms, n=100)
            worst = max(self._lags_ms)
            log.info(
                "event loop lag %s: p50 %.1f ms, p99 %.1f ms, max %.1f ms",
                period,
                percentiles[49],
                percentiles[98],
                worst,
            )
        self._lags_ms.clear()


def assumed_pace(spec: ImageSpec) -> Pace:
    """The model card's guess for the first finish times."""
    try:
        card = find_model(spec.model)
    except UnknownModel:  # of an older release: the job will fail with a clear text when its turn comes
        return Pace(step_s=1.0, fixed_s=1.0, is_rough=True)
    return Pace(step_s=card.assumed_step_s, fixed_s=card.assumed_fixed_s, is_rough=True)


class _Threads(ThreadPoolExecutor):
    """Threads for files, which nobody waits for at the end: a disk that hangs would hold the process for ever."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work; what is under way is left to `bot/__main__.py`, which gives every thread a moment."""
        super().shutdown(wait=False, cancel_futures=cancel_futures)


def _begin_to_end(deadline: Deadline, seconds: float, code: ExitCode) -> None:
    """Set the deadline, and see that the process ends soon after, whatever hangs: the event loop, or Python's exit."""
    deadline.begin(seconds)
    guard = threading.Timer(deadline.remaining() + LAST_S, _end_process, (code,))
    guard.daemon = True
    guard.start()


def _end_process(code: ExitCode) -> None:
    # In a thread of its own: what hangs may be what the log is written to.
    threading.Thread(target=log.critical, args=("something hangs: the process ends all the same",), daemon=True).start()
    time.sleep(0.1)
    os._exit(code)


def _listen_for_signals(stop: asyncio.Event, begin_to_end: Callable[[], None]) -> None:
    """SIGTERM and Ctrl-C ask to stop; a second one ends the process at once."""
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(ExitCode.INTERRUPTED)
        stop.set()
        begin_to_end()

    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, on_signal)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(on_signal))


def _leaves(error: BaseException) -> list[BaseException]:
    """The plain exceptions inside nested groups: an operator wants one sentence, not a tree."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in _leaves(each)]
    return [error]
