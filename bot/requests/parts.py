"""The parts that the service is built on; `bot/app.py` makes them, a test may make others."""

from __future__ import annotations

from dataclasses import dataclass

from bot.delivery.results import DeliveryLoop
from bot.requests.allowances import Allowances
from bot.requests.moderation import Moderation
from bot.requests.preferences import Preferences
from bot.requests.presets import Presets
from bot.requests.privacy import Privacy
from bot.scheduling.job_queue import JobQueue
from bot.store.channel_setting_store import ChannelSettingStore
from bot.store.image_store import ImageStore
from bot.store.job_store import JobStore
from bot.store.pseudonyms import Pseudonyms
from bot.store.statistics_store import StatisticsStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts that the service is built on."""

    jobs: JobStore
    queue: JobQueue
    delivery: DeliveryLoop
    images: ImageStore
    preferences: Preferences
    pseudonyms: Pseudonyms
    privacy: Privacy
    presets: Presets
    statistics: StatisticsStore
    channel_settings: ChannelSettingStore
    allowances: Allowances
    moderation: Moderation
