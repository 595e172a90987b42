"""Builds every part of the service and puts them together. The only file that knows all parts.

In what order they start and stop is `lifecycle.py`; what the service does by itself is `maintenance.py`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from bot.config import Config, Passwords
from bot.deadline import Deadline
from bot.delivery.alert_watch import AlertWatch, restarted, tell_before_the_end
from bot.delivery.alerts import AlertKind, Alerts
from bot.delivery.results import DeliveryLoop
from bot.delivery.retractions import Retractions
from bot.errors import ExitCode, StoreUnavailable
from bot.executors import Executor, create_executor
from bot.executors.drawing import Drawing
from bot.executors.file_hashes import file_hashes, hash_models
from bot.executors.translator_files import open_translator
from bot.frontends.web.server import WebServer
from bot.jobs import Job, JobStatus
from bot.lifecycle import Assembly, Exits, FileThreads, Lifecycle, Loop, exit_code
from bot.maintenance import (
    PROMPTS_FOLDER,
    LagProbe,
    beat_forever,
    begin_run,
    continue_numbers,
    end_run,
    freeze_what_stays,
    prune_forever,
    tell_folded,
)
from bot.requests.allowances import Allowances
from bot.requests.backups import Backups
from bot.requests.erasure import Erasure, Holders
from bot.requests.models import Models
from bot.requests.moderation import Moderation
from bot.requests.parts import Parts
from bot.requests.preferences import Preferences
from bot.requests.presets import Presets, check_shared, shared_presets
from bot.requests.privacy import Privacy
from bot.requests.service import Service
from bot.requests.translations import Translations
from bot.scheduling.breaker import Breaker
from bot.scheduling.card_paces import assumed_pace, card_of, named_sizes, steps_taken
from bot.scheduling.hours import QuietHours
from bot.scheduling.image_policy import policy_of
from bot.scheduling.job_queue import JobQueue
from bot.scheduling.load_times import LoadTimes, assumed_load_s
from bot.scheduling.model_memory import ModelMemory
from bot.scheduling.worker_pool import WorkerPool
from bot.store.channel_setting_store import ChannelSettingStore
from bot.store.database import DATABASE_NAME, Database, unusable
from bot.store.erasure_store import ErasureStore
from bot.store.image_store import IMAGES_FOLDER, ImageStore
from bot.store.job_store import JobStore
from bot.store.key_value_store import SettingStore
from bot.store.moderation_store import ModerationStore
from bot.store.preset_store import PresetStore
from bot.store.pseudonyms import Pseudonyms
from bot.store.retraction_store import RetractionStore
from bot.store.statistics_store import StatisticsStore
from bot.store.user_quota_store import UserQuotaStore
from bot.store.user_setting_store import UserSettingStore
from pipeline import ImageOptions
from pipeline.catalog.loras import loras_of
from pipeline.catalog.model_hash import ModelHashes
from pipeline.catalog.models import (
    ModelCard,
    choose_model,
    demand_files,
    demand_means,
    unread_of,
    usable_models,
)
from pipeline.catalog.vocabulary import forget_prompts
from pipeline.device.gpu import MIB
from pipeline.device.runtime_estimate import check_memory, estimate_runtime

if TYPE_CHECKING:
    from bot.frontends.discord_app.client import DiscordClient

log = logging.getLogger(__name__)

NOTE_S: Final = 0.5  # for the last statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What the operator decided, and the usual model that follows from it."""

    config: Config
    token: SecretStr | None
    passwords: Passwords
    release: str
    card: ModelCard
    say_page: Callable[[str], None] | None = None  # to the operator, once its address is certain


async def run(
    config: Config,
    token: SecretStr | None,
    *,
    passwords: Passwords,
    release: str,
    say_page: Callable[[str], None] | None = None,
) -> ExitCode:
    """Run the service until it is told to stop: Discord if there is a token, the page if enabled or without one.

    Ends the process by itself, with the right code, if something that hangs would keep it alive.

    Raises:
        OperatorError, PipelineError: it cannot start as it is set up.
    """
    card, reason = choose_model(config.pipeline)
    log.info("drawing with %s: %s", card.name, reason)
    demand_files(card, config.pipeline)
    demand_means(card, config.pipeline)
    asyncio.get_running_loop().set_default_executor(FileThreads(thread_name_prefix="files"))
    lifecycle = Lifecycle(grace_s=config.worker.stop_grace_s)
    lifecycle.listen_for_signals()
    executor = create_executor(
        config.pipeline,
        stop_grace_s=config.worker.stop_grace_s,
        prompts_dir=config.storage.data_dir / PROMPTS_FOLDER,
    )
    opening = Database.open(config.storage.data_dir / DATABASE_NAME)
    database = await opening.__aenter__()
    setup = Setup(config=config, token=token, passwords=passwords, release=release, card=card, say_page=say_page)
    errors = await lifecycle.serve(partial(build, setup, database, executor, lifecycle.deadline))
    if exit_code(errors) in (ExitCode.OK, ExitCode.USAGE):
        await lifecycle.shutdown.run({"noting the end": end_run(SettingStore(database))}, at_most_s=NOTE_S)
    return await lifecycle.end(errors, close_engine=executor.close, close_database=opening.__aexit__(None, None, None))


async def build(setup: Setup, database: Database, executor: Executor, deadline: Deadline, exits: Exits) -> Assembly:
    """Settle what the last process left, and build everything that stands on the database.

    Raises:
        OperatorError: a front end cannot start, or the database cannot be used.
    """
    try:
        return await _assemble(setup, database, executor, deadline, exits)
    except StoreUnavailable as error:  # of a start: later the loops wait for the database
        raise unusable(database.path, error) from error


async def _assemble(setup: Setup, database: Database, executor: Executor, deadline: Deadline, exits: Exits) -> Assembly:
    config = setup.config
    _, *others = await asyncio.to_thread(usable_models, config.pipeline)
    find = partial(card_of, {card.name: card for card in (setup.card, *others)})
    settings = SettingStore(database)
    pseudonyms = await Pseudonyms.open(settings)
    jobs = JobStore(database, pseudonym_of=pseudonyms.of)
    images = ImageStore(config.storage.data_dir / IMAGES_FOLDER)
    queue = JobQueue(jobs, settings, config.limits, assumed_pace=partial(assumed_pace, find=find), deadline=deadline)
    queue.pauses.hours = QuietHours.of(config.hours)
    queue.paces.named_sizes = partial(named_sizes, find=find)
    queue.paces.steps_taken = partial(steps_taken, find=find)
    queue.loads = LoadTimes(settings, assumed_s=partial(assumed_load_s, find=find))
    recovered = await _settle(config, jobs, images, queue)
    has_crashed = await begin_run(settings, now=int(time.time()))
    alerts = Alerts(settings, deadline=deadline)
    delivery = DeliveryLoop(jobs, queue, images, config.delivery, deadline=deadline)
    queue.subscribe(delivery.wake)
    retractions = Retractions(RetractionStore(database), deadline=deadline)
    choices, presets, decided = UserSettingStore(database), PresetStore(database), ModerationStore(database)
    quotas = UserQuotaStore(database, pseudonyms)
    holders = Holders(
        database=database,
        jobs=jobs,
        erasures=ErasureStore(database),
        choices=choices,
        presets=presets,
        moderation=decided,
        quotas=quotas,
        settings=settings,
        images=images,
        queue=queue,
        delivery=delivery,
        retractions=retractions,
        pseudonyms=pseudonyms,
        prompts_dir=config.storage.data_dir / PROMPTS_FOLDER,
    )
    erasure = Erasure(holders, deadline=deadline)
    preferences = Preferences(choices)
    await preferences.load()
    moderation = await Moderation.open(decided, jobs, queue, images, pseudonyms)
    moderation.removes_with_message = config.moderation.remove_with_message
    erasure.memories += [preferences.forget, moderation.bans.forget_id]
    parts = Parts(
        jobs=jobs,
        queue=queue,
        delivery=delivery,
        images=images,
        preferences=preferences,
        pseudonyms=pseudonyms,
        privacy=Privacy(holders, erasure),
        presets=Presets(presets, shared_presets(config.presets, await asyncio.to_thread(loras_of, config.pipeline))),
        statistics=StatisticsStore(database),
        channel_settings=ChannelSettingStore(database),
        allowances=Allowances(quotas, config.limits, config.roles),
        moderation=moderation,
    )
    service = await _build_service(setup, parts, others, find, deadline)
    erasure.forget_prompts = partial(_forget_prompts, executor, service.translations)
    breaker = Breaker(
        queue,
        can_save=partial(images.can_write, min_free_bytes=config.storage.min_free_mib * MIB),
        max_failures_in_a_row=config.worker.max_failures_in_a_row,
        deadline=deadline,
    )
    pool = WorkerPool(queue, [executor], images, breaker, config.worker, deadline=deadline)
    hashes, cards = ModelHashes.of(config.pipeline), {card.name: card for card in service.models.all}
    drawing = Drawing(config.pipeline, cards, release=setup.release, image_check=config.moderation.image_check)
    pool.drawn_with = service.repeats.drawn_with = drawing.hash_of
    pool.image_policy = policy_of(config.moderation)
    service.memory = ModelMemory(lambda: pool.left, queue, deadline=deadline)
    pool.hashes_of = partial(file_hashes, hashes, cards, config.pipeline)
    is_loaded = asyncio.Event()
    forgetful = (moderation.bans.forget_ended, retractions.forget_old, holders.erasures.prune_spent)
    await pool.expect_load(setup.card.name)  # jobs may queue from here on
    lag = LagProbe()
    loops: dict[str, Loop] = {
        "pruning": partial(prune_forever, jobs, images, settings, config.storage, deadline, forgetful),
        "the breaker": breaker.run,
        "the nightly backup": service.backups.run,
        "the unloading of idle models": partial(service.memory.watch, config.worker.idle_unload_min * 60.0),
        "erasing people": erasure.run,
        "taking messages back": retractions.run,
        "the hours": queue.pauses.watch,
        "the lag probe": lag.run,
        "the count of folded lines": tell_folded,
        "the sign of life": partial(beat_forever, database.path, deadline),
        "the freezing of what stays": freeze_what_stays,
        "the look for damage": partial(
            tell_before_the_end, database.watch, alerts, AlertKind.DATABASE_DAMAGED, deadline
        ),
        "the hashing of models": partial(hash_models, hashes, cards.values(), config.pipeline, is_loaded, deadline),
    }
    before_drawing: Callable[[], Coroutine[None, None, None]] | None = None
    if setup.token is None or config.console.enabled:
        page = await exits["leaving the page"].enter_async_context(
            WebServer(
                config.console,
                setup.passwords,
                service=service,
                settings=settings,
                data_dir=config.storage.data_dir,
                release=setup.release,
            )
        )
        delivery.add_frontend(page.frontend)
        if setup.say_page is not None:
            setup.say_page(page.url)
        loops["the page"], before_drawing = page.run_until_closed, page.wait_until_built
    chat = None
    if setup.token is not None:
        # Half a second of import, which the page alone need not wait for.
        from bot.frontends.discord_app.channel_watch import ChannelWatch
        from bot.frontends.discord_app.client import DiscordClient
        from bot.frontends.discord_app.retraction import withdraw

        chat = await exits["leaving discord"].enter_async_context(
            DiscordClient(config.discord, service=service, settings=settings, report=alerts)
        )
        retractions.add_frontend(chat.frontend.name, partial(withdraw, chat.frontend))
        erasure.memories.append(chat.frontend.private.forget)
        delivery.add_frontend(ChannelWatch(chat.frontend, chat, alerts))
        queue.subscribe(chat.presence.wake)
        loops["discord"] = partial(chat.run_until_closed, setup.token)
        loops["the status on discord"] = partial(chat.look_after_itself, deadline)
        if config.discord.alert_channel is not None:
            watch = AlertWatch(
                alerts,
                queue,
                free_bytes=images.free_bytes,
                min_free_mib=config.storage.min_free_mib,
                deadline=deadline,
            )
            await alerts.recall()
            alerts.listen(chat.alert_channel.post)
            if has_crashed:
                alerts.begin(restarted(recovered))
            queue.subscribe(watch.look_at_queue)
            loops |= {"alerts": alerts.run, "the notes of alerts": alerts.remember, "the look for alerts": watch.run}
    await delivery.updates.recall()
    loops["delivery"] = partial(_deliver, chat, delivery)
    draw = partial(_load_and_draw, pool, setup.card, lag, after=before_drawing, is_loaded=is_loaded, deadline=deadline)
    return Assembly(
        service=service,
        queue=queue,
        delivery=delivery,
        finish_answers=None if chat is None else chat.context.finish_answers,
        draw=partial(tell_before_the_end, draw, alerts, AlertKind.ENGINE_FAILED, deadline),
        loops=loops,
    )


async def _settle(config: Config, jobs: JobStore, images: ImageStore, queue: JobQueue) -> list[Job]:
    """Settle what the last process left. Returns the jobs that had not ended."""
    await continue_numbers(jobs, images)
    recovered = await queue.recover(max_attempts=config.worker.max_attempts)
    for job in recovered:
        if job.status is not JobStatus.QUEUED or job.attempts:
            log.warning("job %s was interrupted and is now %s", job.id, job.status)
    if (pause := queue.paused) is not None:
        log.warning("the queue is paused (%s): %s", pause.kind, pause.text or "no reason given")
    return recovered


async def _build_service(
    setup: Setup, parts: Parts, others: Iterable[ModelCard], find: Callable[[str], ModelCard], deadline: Deadline
) -> Service:
    config, card = setup.config, setup.card
    translator = await asyncio.to_thread(open_translator, config.translator, config.pipeline)
    models = Models(
        usual=card,
        others=tuple(others),
        unread=partial(unread_of, config.pipeline, find=find),
        loras=partial(loras_of, config.pipeline),
        estimate_runtime=partial(estimate_runtime, card, config.pipeline),
        is_translated=translator is not None,
        check_memory=lambda model, spec: check_memory(model, config.pipeline, spec),
    )
    check_shared(parts.presets, models)
    service = Service(parts, models, limits=config.limits, storage=config.storage)
    service.translations = Translations(translator)
    service.backups = Backups(
        config.backup, config.storage, release=setup.release, zone=lambda: service.pausing.zone, deadline=deadline
    )
    # Reads the tokenizer, which takes a tenth of a second, before anybody waits for a message.
    await asyncio.to_thread(service.unread, card.resolve(ImageOptions(prompt="x"), random_seed=0))
    return service


async def _forget_prompts(executor: Executor, translations: Translations) -> None:
    """Let no part of this process remember a prompt; waits for the image that is being drawn."""
    forget_prompts()
    translations.forget()
    await executor.forget_prompts()


async def _load_and_draw(
    pool: WorkerPool,
    card: ModelCard,
    lag: LagProbe,
    *,
    after: Callable[[], Coroutine[None, None, None]] | None,
    is_loaded: asyncio.Event,
    deadline: Deadline,
) -> None:
    # Importing the page and importing the engine each occupy the interpreter for seconds, and the page is wanted first.
    if after is not None and not await _ends_before(deadline, after):
        return
    started = time.monotonic()
    await pool.load(card.name)
    is_loaded.set()
    log.info("%s is loaded after %.1f s", card.name, time.monotonic() - started)
    lag.report("while loading")
    await pool.run()
    lag.report("while serving")


async def _ends_before(deadline: Deadline, wait: Callable[[], Coroutine[None, None, None]]) -> bool:
    """Wait for something, or for the stop to begin. Returns False if it was the stop."""
    tasks = [asyncio.create_task(wait()), asyncio.create_task(deadline.wait_for_begin())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    return not deadline.has_begun


async def _deliver(chat: DiscordClient | None, delivery: DeliveryLoop) -> None:
    if chat is not None:
        await chat.wait_until_connected()
    await delivery.run()
