"""Builds every part and owns the order of starting and stopping. The only file that knows all parts.

Entered: database → recovery → executor → front ends → delivery → worker. Left in reverse: no new requests,
the running job back to its place, the cards and results out, then front ends, executor, database.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import statistics
import time
from collections import deque
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from pydantic import SecretStr

from bot.chat.client import ChatClient
from bot.config import Config, StorageConfig
from bot.console.server import Console
from bot.delivery import DeliveryLoop
from bot.errors import BotError, ExitCode, StoreUnavailable
from bot.executors import Executor, create_executor
from bot.forecast import Pace
from bot.jobqueue import JobQueue
from bot.jobs import JobStatus
from bot.service import Service
from bot.store.database import Database, unusable
from bot.store.images import ImageStore
from bot.store.jobstore import DAY_S, JobStore
from bot.store.settingstore import SettingStore
from bot.worker import PAUSED_BY_FAILURES, Worker
from pipeline import EngineDead, ImageSpec, ModelFilesMissing, PipelineError, UnknownModel, files
from pipeline.models import ModelCard, choose_model, find_model, usable_models
from pipeline.outlook import look_ahead

E = TypeVar("E", bound=BaseException)

log = logging.getLogger(__name__)

DATABASE_NAME: Final = "imagine-bot.db"
IMAGES_FOLDER: Final = "images"
PROMPTS_FOLDER: Final = "prompts"
# With the default stop_grace_s of 10 the whole stop takes at most 20 s.
ANSWERS_DEADLINE_S: Final = 2.0
ANNOUNCE_DEADLINE_S: Final = 3.0
FLUSH_DEADLINE_S: Final = 3.0
CLOSE_GRACE_S: Final = 2.0
ORPHAN_AGE_S: Final = 600.0  # a source is written just before its job
PRUNE_EVERY_S: Final = 3600.0
PRUNE_BATCH: Final = 200
LAG_PROBE_S: Final = 0.05
LAG_SAMPLES: Final = 100_000


async def run(config: Config, token: SecretStr | None, *, password: SecretStr | None, release: str) -> ExitCode:
    """Run the service until it is told to stop: Discord if there is a token, the page if enabled or without one.

    Ends the process by itself, with the right code, if a hung engine thread would keep it alive.

    Raises:
        OperatorError, PipelineError: it cannot start as it is set up.
    """
    card, reason = choose_model(config.pipeline)
    log.info("drawing with %s: %s", card.name, reason)
    if missing := files.missing(card, config.pipeline.models_dir):
        raise ModelFilesMissing(card.name, [each.path for each in missing])
    stop = asyncio.Event()
    _listen_for_signals(stop)
    executor = create_executor(
        config.pipeline,
        stop_grace_s=config.worker.stop_grace_s,
        prompts_dir=config.storage.data_dir / PROMPTS_FOLDER,
    )
    exit_code = ExitCode.OK
    is_hung = False
    try:
        async with Database.open(config.storage.data_dir / DATABASE_NAME) as database:
            try:
                await _serve(config, token, password, release, database, card, executor, stop)
            finally:
                is_hung = not await executor.close(CLOSE_GRACE_S)
    except* EngineDead:
        exit_code = ExitCode.ENGINE_DEAD
    except* StoreUnavailable as group:  # of a start: later the loops wait for the database
        raise unusable(config.storage.data_dir / DATABASE_NAME, _first(group)) from None
    except* (BotError, PipelineError) as group:
        raise _first(group) from None
    log.info("stopped")
    if is_hung:
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
) -> None:
    jobs, settings = JobStore(database), SettingStore(database)
    images = ImageStore(config.storage.data_dir / IMAGES_FOLDER)
    queue = JobQueue(jobs, settings, config.limits, slots=executor.slots, assumed_pace=assumed_pace)
    await continue_numbers(jobs, images)
    for job in await queue.recover(max_attempts=config.worker.max_attempts):
        if job.status is not JobStatus.QUEUED or job.attempts:
            log.warning("job %s was interrupted and is now %s", job.id, job.status)
    if queue.pause_reason == PAUSED_BY_FAILURES:
        log.warning("the queue had paused itself after several failures; it goes on after this restart")
        await queue.resume()
    if queue.pause_reason is not None:
        log.warning("the queue is paused: %s", queue.pause_reason or "no reason given")

    delivery = DeliveryLoop(jobs, queue, images, config.delivery)
    queue.subscribe(delivery.wake)
    _, *others = await asyncio.to_thread(usable_models, config.pipeline)
    service = Service(
        card=card,
        others=others,
        jobs=jobs,
        queue=queue,
        delivery=delivery,
        images=images,
        limits_config=config.limits,
        storage=config.storage,
        look_ahead=partial(look_ahead, card, config.pipeline),
    )
    worker = Worker(queue, executor, images, config.worker)
    lag = _LagProbe()

    async with contextlib.AsyncExitStack() as frontends:
        chat = console = None
        if token is None or config.console.enabled:
            console = await frontends.enter_async_context(
                Console(
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
            chat = await frontends.enter_async_context(ChatClient(config.discord, service=service, settings=settings))
            delivery.add_frontend(chat.frontend)
        async with asyncio.TaskGroup() as parts:
            drawing = parts.create_task(_load_and_draw(executor, card, worker, lag), name="worker")
            background = [
                parts.create_task(_deliver(chat, delivery), name="delivery"),
                parts.create_task(_prune_forever(jobs, images, config.storage), name="prune"),
                parts.create_task(lag.run(), name="lag"),
                parts.create_task(database.watch(), name="damage"),
            ]
            if console is not None:
                background.append(parts.create_task(console.run_until_closed(), name="console"))
            if chat is not None and token is not None:
                background.append(parts.create_task(chat.run_until_closed(token), name="discord"))
            await stop.wait()
            log.info("stopping: no new requests, the running job goes back to its place")
            service.stop_accepting()
            queue.close()
            await asyncio.wait([drawing], timeout=config.worker.stop_grace_s)
            await queue.requeue_all()
            for farewell, deadline_s in (
                *([(chat.desk.finish_answers, ANSWERS_DEADLINE_S)] if chat is not None else []),
                (delivery.announce_stop, ANNOUNCE_DEADLINE_S),
                (delivery.flush, FLUSH_DEADLINE_S),
            ):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(deadline_s):
                        await farewell()
            for task in [drawing, *background]:
                task.cancel()


async def _load_and_draw(executor: Executor, card: ModelCard, worker: Worker, lag: _LagProbe) -> None:
    started = time.monotonic()
    await executor.start(card.name)  # jobs may queue meanwhile
    log.info("%s is loaded after %.1f s", card.name, time.monotonic() - started)
    lag.report("while loading")
    await worker.run()
    lag.report("while serving")


async def _deliver(chat: ChatClient | None, delivery: DeliveryLoop) -> None:
    if chat is not None:
        await chat.wait_until_connected()
    async with asyncio.TaskGroup() as loops:
        loops.create_task(delivery.run_results())
        loops.create_task(delivery.run_cards())


async def _prune_forever(jobs: JobStore, images: ImageStore, config: StorageConfig) -> None:
    """Forget what is older than the config says, in small batches, once an hour; files without a row once a day."""
    await images.sweep()
    for hour in itertools.count():
        before = int(time.time()) - config.history_days * DAY_S
        await asyncio.to_thread(forget_prompts, config.data_dir / PROMPTS_FOLDER, before=before)
        try:
            while deleted := await prune(jobs, images, before=before):
                log.info("%s jobs older than %s days were deleted", deleted, config.history_days)
            if hour % 24 == 0 and (deleted := await prune_strays(jobs, images, before=before)):
                log.info("%s pictures without a row, older than %s days, were deleted", deleted, config.history_days)
            await images.delete_sources(kept=await jobs.sources(), before=time.time() - ORPHAN_AGE_S)
        except StoreUnavailable as error:
            log.error("old jobs cannot be deleted now: %s", error)
        await asyncio.sleep(PRUNE_EVERY_S)


async def prune(jobs: JobStore, images: ImageStore, *, before: int) -> int:
    """Delete one batch of jobs that ended before `before`, pictures first: a crash in between leaves no orphans."""
    old = await jobs.ended_before(before, limit=PRUNE_BATCH)
    gone = [job.id for job in old if job.image_path is None or await images.delete(job.image_path)]
    await jobs.delete(gone)
    return len(gone)


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


def _listen_for_signals(stop: asyncio.Event) -> None:
    """SIGTERM and Ctrl-C ask to stop; a second one ends the process at once."""
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(ExitCode.INTERRUPTED)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, on_signal)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(on_signal))


def _first(error: BaseExceptionGroup[E]) -> E:
    """The first plain exception inside nested groups: an operator wants one sentence, not a tree."""
    first = error.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
