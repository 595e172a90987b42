"""What every test may use: a clean environment, a frozen clock, a real database in a temporary folder.

And how the tests are shared by two processes.
"""

from __future__ import annotations

import atexit
import gc
import itertools
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import certifi
import pytest

from bot.config import ENV_PREFIX, TOKEN_ENV, LimitsConfig
from bot.delivery.results import DeliveryLoop
from bot.delivery.retractions import Retractions
from bot.jobs import ReplyTo, Request, UserKey
from bot.requests.erasure import Erasure, Holders
from bot.requests.preferences import Preferences
from bot.requests.presets import Presets
from bot.requests.privacy import Privacy
from bot.scheduling.job_queue import JobQueue
from bot.store.channel_setting_store import ChannelSettingStore
from bot.store.database import Database
from bot.store.erasure_store import ErasureStore
from bot.store.image_store import ImageStore
from bot.store.job_store import JobStore
from bot.store.key_value_store import SettingStore
from bot.store.moderation_store import ModerationStore
from bot.store.preset_store import PresetStore
from bot.store.pseudonyms import Pseudonyms
from bot.store.retraction_store import RetractionStore
from bot.store.statistics_store import StatisticsStore
from bot.store.user_quota_store import UserQuotaStore
from bot.store.user_setting_store import UserSettingStore
from pipeline import ImageOptions, ImageSpec
from pipeline.device.gpu import find_gpu
from pipeline.runtime.process_setup import set_environment

# Without bytecode beside the sources every program that a test starts compiles all that it imports: 13 s of a processor
# instead of 6 to import DiffSynth, 4.4 instead of 2.6 for Gradio. Some machines ask for that by this variable.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    sys.dont_write_bytecode = False


def trust_one_authority() -> None:
    """Let every client of every program that a test starts read one certificate instead of the 150 of this machine.

    No test asks a server of the Internet. Reading them takes 23 ms for each client, twice for each start of a bot.
    """
    text = Path(certifi.where()).read_text("utf-8")
    end = "-----END CERTIFICATE-----\n"
    file = tempfile.NamedTemporaryFile("w", suffix=".pem", encoding="utf-8")  # noqa: SIM115 - lives as long as we do
    file.write(text[text.index("-----BEGIN") : text.index(end) + len(end)])
    file.flush()
    atexit.register(file.close)
    os.environ["SSL_CERT_FILE"] = file.name
    os.environ["SSL_CERT_DIR"] = os.devnull


if os.name != "nt" and "PYTEST_XDIST_WORKER" not in os.environ:  # whose workers are told by their parent
    trust_one_authority()

# As `pipeline.catalog.models.create_engine` does: too late there for tests that import torch themselves.
set_environment()

PROCESSES = 2

# Two processes with a thread for every core each would wait for each other's: four drawings in each of two on two
# cores took 77 s so, and 55 s with one thread each. torch reads this when it is imported, with the tests.
_is_shared = "PYTEST_XDIST_WORKER" in os.environ and "OMP_NUM_THREADS" not in os.environ
if _is_shared:
    os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // PROCESSES))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of `tests/fuzz`."""
    parser.addoption("--fuzz-inputs", type=int, metavar="N", help="give every target in tests/fuzz N random inputs")


def pytest_configure(config: pytest.Config) -> None:
    """Hand the option on: how often a test runs is decided when it is imported."""
    if (inputs := config.getoption("--fuzz-inputs")) is not None:
        from tests.fuzz import fuzzing

        fuzzing.inputs_per_target = inputs


def pytest_xdist_auto_num_workers() -> int:
    """While one process waits for a bot, the other computes; one where there is a card, whose memory is measured."""
    return PROCESSES if find_gpu() is None else 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with those that wait most: they are in the half of one process, and most that compute in the other's."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/e2e/"))


def pytest_collection_finish() -> None:
    """Take what was imported out of the collector's sight; let programs that tests start choose their threads.

    Every engine that is closed has the collector look at everything, of which thousands of tests and libraries of
    millions of objects are nearly all.
    """
    gc.collect()
    gc.freeze()
    if _is_shared:
        os.environ.pop("OMP_NUM_THREADS", None)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the settings, or the token, of the person who runs it."""
    for name in list(os.environ):
        if name.upper().startswith(ENV_PREFIX.rstrip("_")) or name == TOKEN_ENV:
            monkeypatch.delenv(name)


@dataclass
class FrozenClock:
    """Time that passes only when a test says so."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database.open(tmp_path / "data" / "test.db") as database:
        await database.fetch_all("PRAGMA ignore_check_constraints = OFF")  # our own mistakes are to be found
        yield database


@pytest.fixture
def jobs(database: Database, pseudonyms: Pseudonyms) -> JobStore:
    return JobStore(database, pseudonym_of=pseudonyms.of)


@pytest.fixture
def settings(database: Database) -> SettingStore:
    return SettingStore(database)


@pytest.fixture
def statistics(database: Database) -> StatisticsStore:
    return StatisticsStore(database)


@pytest.fixture
def preferences(database: Database) -> Preferences:
    return Preferences(UserSettingStore(database))


@pytest.fixture
def presets(database: Database) -> Presets:
    return Presets(PresetStore(database))


@pytest.fixture
def channel_settings(database: Database) -> ChannelSettingStore:
    return ChannelSettingStore(database)


@pytest.fixture
async def user_quotas(database: Database, settings: SettingStore) -> UserQuotaStore:
    return UserQuotaStore(database, await Pseudonyms.open(settings))


@pytest.fixture
async def pseudonyms(settings: SettingStore) -> Pseudonyms:
    return await Pseudonyms.open(settings)


@pytest.fixture
def moderation_store(database: Database) -> ModerationStore:
    return ModerationStore(database)


@pytest.fixture
def images(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images")


@pytest.fixture
def spec() -> ImageSpec:
    return ImageSpec(
        prompt="a red apple", seed=7, steps=4, width=64, height=64, guidance=3.5, cfg_scale=1.0, model="fake"
    )


@pytest.fixture
def no_limits() -> LimitsConfig:
    """Bounds that no test reaches by accident."""
    return LimitsConfig(max_waiting=1000, max_active_per_user=1000, max_images_per_day=1000, cooldown_s=0)


@pytest.fixture
def make_request() -> Callable[..., Request]:
    """Requests that differ in everything but what the test fixes."""
    numbers = itertools.count(1)

    def make(user: str = "ann", *, key: str | None = None, **options: object) -> Request:
        number = next(numbers)
        base = ImageOptions(prompt="a red apple", seed=number, steps=4)
        return Request(
            user=UserKey(frontend="test", id=user),
            reply_to=ReplyTo(frontend="test", key=f"card-{number}", address="{}"),
            options=replace(base, **options),  # type: ignore[arg-type]
            key=key or f"request-{number}",
        )

    return make


@pytest.fixture
def make_privacy(
    database: Database, jobs: JobStore, settings: SettingStore, images: ImageStore, pseudonyms: Pseudonyms
) -> Callable[[JobQueue, DeliveryLoop], Privacy]:
    """Make what erases people from everything that a test has; nothing runs its loops yet."""

    def make(queue: JobQueue, delivery: DeliveryLoop) -> Privacy:
        holders = Holders(
            database=database,
            jobs=jobs,
            erasures=ErasureStore(database),
            choices=UserSettingStore(database),
            presets=PresetStore(database),
            moderation=ModerationStore(database),
            quotas=UserQuotaStore(database, pseudonyms),
            settings=settings,
            images=images,
            queue=queue,
            delivery=delivery,
            retractions=Retractions(RetractionStore(database)),
            pseudonyms=pseudonyms,
            prompts_dir=database.path.parent / "prompts",
        )
        return Privacy(holders, Erasure(holders))

    return make
