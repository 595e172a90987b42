"""A whole bot in one process: real client, real service, real SQLite, fake engine, our own Discord."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from discord.asset import Asset
from discord.gateway import DiscordWebSocket
from discord.http import Route
from pydantic import SecretStr

from bot.config import DeliveryConfig, DiscordConfig, LimitsConfig, RoleConfig, StorageConfig, WorkerConfig
from bot.delivery.results import DeliveryLoop
from bot.executors.thread import ThreadExecutor
from bot.frontends.discord_app import client as client_module
from bot.frontends.discord_app.client import DiscordClient
from bot.frontends.discord_app.retraction import withdraw
from bot.jobs import Job
from bot.requests.allowances import Allowances
from bot.requests.models import Models
from bot.requests.moderation import Moderation
from bot.requests.parts import Parts
from bot.requests.preferences import Preferences
from bot.requests.presets import Presets
from bot.requests.privacy import Privacy
from bot.requests.service import Service
from bot.scheduling.breaker import Breaker
from bot.scheduling.eta import Pace
from bot.scheduling.job_queue import JobQueue
from bot.scheduling.worker_pool import WorkerPool
from bot.store.channel_setting_store import ChannelSettingStore
from bot.store.image_store import ImageStore
from bot.store.job_store import JobStore
from bot.store.key_value_store import SettingStore
from bot.store.moderation_store import ModerationStore
from bot.store.pseudonyms import Pseudonyms
from bot.store.statistics_store import StatisticsStore
from bot.store.user_quota_store import UserQuotaStore
from pipeline.catalog.models import FAKE, create_engine
from pipeline.config import PipelineConfig
from pipeline.engine import Engine
from pipeline.fake import FakeEngine
from tests.cards import PAINTER, STARTER
from tests.discord_server import Discord

FAKE_ONLY = Models(usual=FAKE)
PAINTING = Models(usual=FAKE, others=(PAINTER,))
STARTING = Models(usual=STARTER)


def make_engine(name: str, config: PipelineConfig) -> Engine:
    """Make one for PAINTER and STARTER too, which no catalog knows."""
    unknown = {card.name: card for card in (PAINTER, STARTER)}
    return FakeEngine(unknown[name]) if name in unknown else create_engine(name, config)


@dataclass
class Stage:
    """The parts of a running bot, for a test to look at and to push."""

    discord: Discord
    client: DiscordClient
    service: Service
    queue: JobQueue
    jobs: JobStore
    delivery: DeliveryLoop
    images: ImageStore

    @asynccontextmanager
    async def drawing(self, pipeline: PipelineConfig | None = None) -> AsyncIterator[None]:
        """A worker for the length of a `with` block."""
        pipeline = pipeline or PipelineConfig(model="fake")
        executor = ThreadExecutor(pipeline, stop_grace_s=2.0, make_engine=make_engine)
        can_save = partial(self.images.can_write, min_free_bytes=0)
        breaker = Breaker(self.queue, can_save=can_save, max_failures_in_a_row=3)
        config = WorkerConfig(job_timeout_s=20, stop_grace_s=2)
        task = asyncio.create_task(WorkerPool(self.queue, [executor], self.images, breaker, config).run())
        try:
            yield
        finally:
            self.queue.close()
            await asyncio.wait([task])
            await executor.close(2.0)

    async def other_server(self) -> tuple[Any, Any]:
        """A second server that the bot serves: the server and a channel of it."""
        before = len(self.client.guilds)
        guild = self.discord.add_guild("another server")
        channel = self.discord.add_channel("art", guild=guild)
        while len(self.client.guilds) == before:
            await asyncio.sleep(0.01)
        return guild, channel

    async def job(self, job_id: int) -> Job:
        job = await self.jobs.get(job_id)
        assert job is not None
        return job


Start = Callable[..., AbstractAsyncContextManager[Stage]]


@pytest.fixture
def keep_discord(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the library's addresses back after the test; wait shorter for servers, which are here at once."""
    monkeypatch.setattr(client_module, "GUILD_WAIT_S", 0.03)
    for owner, name in ((Route, "BASE"), (Asset, "BASE"), (DiscordWebSocket, "DEFAULT_GATEWAY")):
        monkeypatch.setattr(owner, name, getattr(owner, name))


@pytest.fixture
def start(
    keep_discord: None,
    tmp_path: Path,
    jobs: JobStore,
    settings: SettingStore,
    images: ImageStore,
    channel_settings: ChannelSettingStore,
    user_quotas: UserQuotaStore,
    preferences: Preferences,
    pseudonyms: Pseudonyms,
    make_privacy: Callable[[JobQueue, DeliveryLoop], Privacy],
    presets: Presets,
    statistics: StatisticsStore,
    no_limits: LimitsConfig,
    moderation_store: ModerationStore,
) -> Start:
    """Run a bot for the length of a `with` block; keywords go to the emulator and to the config."""

    @asynccontextmanager
    async def start(
        limits: LimitsConfig | None = None,
        server: dict[str, Any] | None = None,
        *,
        with_delivery: bool = True,
        models: Models = FAKE_ONLY,
        roles: Mapping[int, RoleConfig] | None = None,
        **config: Any,
    ) -> AsyncIterator[Stage]:
        limits = limits or no_limits
        queue = JobQueue(jobs, settings, limits, assumed_pace=lambda _: Pace(step_s=0.01, fixed_s=0.01, is_rough=True))
        await queue.recover(max_attempts=2)
        moderation = await Moderation.open(moderation_store, jobs, queue, images, pseudonyms)
        delivery = DeliveryLoop(jobs, queue, images, DeliveryConfig(card_interval_s=0.1, retry_first_s=0.05))
        queue.subscribe(delivery.wake)
        privacy = make_privacy(queue, delivery)
        service = Service(
            Parts(
                jobs=jobs,
                queue=queue,
                delivery=delivery,
                images=images,
                preferences=preferences,
                pseudonyms=pseudonyms,
                privacy=privacy,
                presets=presets,
                statistics=statistics,
                channel_settings=channel_settings,
                allowances=Allowances(user_quotas, limits, roles or {}),
                moderation=moderation,
            ),
            models,
            limits=limits,
            storage=StorageConfig(data_dir=tmp_path, min_free_mib=0),
        )
        async with Discord(**(server or {})) as emulator:
            discord_config = DiscordConfig(api_url=emulator.api_base, **config)
            async with DiscordClient(discord_config, service=service, settings=settings) as client:
                delivery.add_frontend(client.frontend)
                retractions = privacy.holders.retractions
                retractions.add_frontend(client.frontend.name, partial(withdraw, client.frontend))
                loops = [client.run_until_closed(SecretStr(emulator.token)), privacy.erasure.run(), retractions.run()]
                tasks = [asyncio.create_task(loop) for loop in loops]
                await client.wait_until_connected()
                if with_delivery:
                    tasks += [asyncio.create_task(delivery.run())]
                try:
                    yield Stage(emulator, client, service, queue, jobs, delivery, images)
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.wait(tasks)

    return start


@pytest.fixture
async def stage(start: Start) -> AsyncIterator[Stage]:
    async with start() as stage:
        yield stage
        stage.discord.assert_clean()
