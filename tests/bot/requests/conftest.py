"""A service over a database and a folder of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from bot.config import DeliveryConfig, LimitsConfig, RoleConfig, StorageConfig
from bot.deadline import Deadline
from bot.delivery.results import DeliveryLoop
from bot.requests.allowances import Allowances
from bot.requests.models import Models
from bot.requests.moderation import Moderation
from bot.requests.parts import Parts
from bot.requests.preferences import Preferences
from bot.requests.presets import Presets
from bot.requests.service import Service
from bot.scheduling.eta import Pace
from bot.scheduling.job_queue import JobQueue
from bot.store.channel_setting_store import ChannelSettingStore
from bot.store.image_store import ImageStore
from bot.store.job_store import JobStore
from bot.store.key_value_store import SettingStore
from bot.store.moderation_store import ModerationStore
from bot.store.statistics_store import StatisticsStore
from bot.store.user_quota_store import UserQuotaStore
from pipeline.catalog.models import find_model


@pytest.fixture
def queue(jobs: JobStore, settings: SettingStore, no_limits: LimitsConfig, clock) -> JobQueue:
    pace = Pace(step_s=1.0, fixed_s=1.0, is_rough=True)
    return JobQueue(
        jobs, settings, no_limits, assumed_pace=lambda _spec: pace, deadline=Deadline(monotonic=clock), clock=clock
    )


@pytest.fixture
async def moderation(
    moderation_store: ModerationStore, jobs: JobStore, queue: JobQueue, images: ImageStore, pseudonyms, clock
) -> Moderation:
    return await Moderation.open(moderation_store, jobs, queue, images, pseudonyms, clock=clock)


@pytest.fixture
def make_service(
    jobs: JobStore,
    queue: JobQueue,
    images: ImageStore,
    preferences: Preferences,
    statistics: StatisticsStore,
    channel_settings: ChannelSettingStore,
    user_quotas: UserQuotaStore,
    pseudonyms,
    make_privacy,
    presets: Presets,
    clock,
    no_limits,
    moderation,
) -> Callable[..., Service]:
    def make(
        *,
        storage: StorageConfig | None = None,
        models: Models | None = None,
        roles: Mapping[int, RoleConfig] | None = None,
    ) -> Service:
        delivery = DeliveryLoop(jobs, queue, images, DeliveryConfig(), clock=clock)
        return Service(
            Parts(
                jobs=jobs,
                queue=queue,
                delivery=delivery,
                images=images,
                preferences=preferences,
                pseudonyms=pseudonyms,
                privacy=make_privacy(queue, delivery),
                presets=presets,
                statistics=statistics,
                channel_settings=channel_settings,
                allowances=Allowances(user_quotas, no_limits, roles or {}),
                moderation=moderation,
            ),
            models or Models(usual=find_model("fake"), others=(find_model("demo"),)),
            limits=no_limits,
            storage=storage or StorageConfig(min_free_mib=0),
            clock=clock,
            monotonic=clock,
        )

    return make
