"""What the operator is told at once: when it begins, when it changes, and when it is over. Knows no front end.

The log says all of it too, but nobody reads logs at night. A front end with a place for alerts listens; without one
nothing is kept. What was told outlives the process, so that a restart, or one after the other, does not tell it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from bot.deadline import Deadline
from bot.delivery.frontend import DeliveryDelayed
from bot.errors import StoreUnavailable
from bot.pause import MAX_MOMENT
from bot.presentation.phrases import Phrase, Value
from bot.store.key_value_store import SettingStore
from bot.supervision import supervise

log = logging.getLogger(__name__)

ALERTS_SETTING: Final = "alerts"
ONCE_PER_S: Final = 3600.0
MAX_PER_HOUR: Final = 20  # of all kinds together: a hundred channels that change at once are one trouble
MAX_WAITING: Final = 50
MAX_REMEMBERED: Final = 200
RETRY_S: Final = 5.0


class AlertKind(StrEnum):
    """What may be wrong; each has the sentence `alert-…`, and `alert-…-over` if it can be over."""

    PAUSED = "paused"
    ENGINE_FAILED = "engine-failed"
    RESTARTED = "restarted"
    DISK_LOW = "disk-low"
    PERMISSION_LOST = "permission-lost"
    COMMANDS_LOST = "commands-lost"
    COMMANDS_REFUSED = "commands-refused"
    DATABASE_DAMAGED = "database-damaged"


# These happen; all others last until they are over.
HAPPENINGS: Final = frozenset(
    {AlertKind.ENGINE_FAILED, AlertKind.RESTARTED, AlertKind.COMMANDS_LOST, AlertKind.DATABASE_DAMAGED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One message to the operator. Never holds a prompt.

    Args:
        subject: which of its kind it is about, such as a channel.
        state: what it is like; if that changes, it is told again.
        values: of its sentence.
    """

    kind: AlertKind
    subject: str = ""
    state: str = ""
    values: Mapping[str, Value] = field(default_factory=dict)
    is_over: bool = False
    nonce: str = field(default_factory=lambda: secrets.token_hex(8), compare=False)  # the same at every try

    @property
    def key(self) -> str:
        """What it is about."""
        return f"{self.kind} {self.subject}".strip()

    @property
    def phrase(self) -> Phrase:
        """What is said."""
        return Phrase(f"alert-{self.kind}-over" if self.is_over else f"alert-{self.kind}", self.values)


class Report(Protocol):
    """Where parts say what is wrong, and that it is over."""

    def begin(self, alert: Alert) -> None:
        """Something is wrong; saying so again changes nothing."""

    def end(self, kind: AlertKind, subject: str = "", values: Mapping[str, Value] | None = None) -> None:
        """It is over; if it never was, nothing is said."""


class _Unheard:
    """A report that nobody listens to."""

    def begin(self, alert: Alert) -> None:
        """Say nothing."""

    def end(self, kind: AlertKind, subject: str = "", values: Mapping[str, Value] | None = None) -> None:
        """Say nothing."""


UNHEARD: Final[Report] = _Unheard()

# Posts an alert, or gives it up for good. Raises DeliveryDelayed.
Post = Callable[[Alert], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Told:
    state: str
    at: float  # Unix seconds
    is_open: bool


class Alerts:
    """Decides what is told, and tells it in order."""

    def __init__(
        self, settings: SettingStore, *, deadline: Deadline | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._deadline = deadline or Deadline()
        self._clock = clock
        self._post: Post | None = None
        self._told: dict[str, _Told] = {}
        self._times: deque[float] = deque(maxlen=MAX_PER_HOUR)
        self._waiting: deque[Alert] = deque()
        self._wake = asyncio.Event()
        self._is_unnoted = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    async def recall(self) -> None:
        """Read what earlier processes told; call once, before anything is reported."""
        with contextlib.suppress(StoreUnavailable):  # then something may be told twice
            self._told = _read(await self._settings.get_json(ALERTS_SETTING))

    def listen(self, post: Post) -> None:
        """Let `post` tell what is reported from now on."""
        self._post = post

    def begin(self, alert: Alert) -> None:
        """Tell of something that is wrong, unless it was told already, or within the last hour in the same state."""
        now, told = self._clock(), self._told.get(alert.key)
        if self._post is None or (told is not None and told.state == alert.state and _is_fresh(told, now)):
            return
        lasts = alert.kind not in HAPPENINGS
        if self._tell(alert, now):
            self._remember(alert.key, _Told(alert.state, now, is_open=lasts))

    def end(self, kind: AlertKind, subject: str = "", values: Mapping[str, Value] | None = None) -> None:
        """Tell that something is over, if it was told that it had begun."""
        alert = Alert(kind=kind, subject=subject, values=values or {}, is_over=True)
        told = self._told.get(alert.key)
        if self._post is None or told is None or not told.is_open:
            return
        if self._tell(alert, self._clock(), may_be_many=True):
            self._remember(alert.key, _Told(told.state, told.at, is_open=False))

    async def flush(self, timeout_s: float) -> None:
        """Wait until everything is told, because the process is about to end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._is_idle.wait()

    async def run(self) -> None:
        """Tell what is reported, for ever."""

        async def turn() -> bool:
            await self._wake.wait()
            if not self._waiting:
                self._wake.clear()
                self._is_idle.set()
                return True
            assert self._post is not None, "nothing waits without it"
            try:
                await self._post(self._waiting[0])
            except DeliveryDelayed as error:
                await self._deadline.pause(max(error.after_s, RETRY_S))
                return True
            self._waiting.popleft()
            return True

        await supervise("telling the operator", turn, self._deadline)

    async def remember(self) -> None:
        """Write down what was told, whenever that changes, for ever."""

        async def turn() -> bool:
            await self._is_unnoted.wait()
            await self._is_idle.wait()  # what was not told yet is told after a crash
            told = dict(self._told)
            await self._settings.set(ALERTS_SETTING, _written(told))
            if told == self._told:
                self._is_unnoted.clear()
            return True

        await supervise("noting what the operator was told", turn, self._deadline)

    def _tell(self, alert: Alert, now: float, *, may_be_many: bool = False) -> bool:
        is_crowded = len(self._times) == MAX_PER_HOUR and self._times[0] > now - ONCE_PER_S
        if len(self._waiting) >= MAX_WAITING or (is_crowded and not may_be_many):
            log.warning("one alert more than is told in an hour: %s", alert.key)
            return False
        self._times.append(now)
        self._waiting.append(alert)
        self._is_idle.clear()
        self._wake.set()
        return True

    def _remember(self, key: str, told: _Told) -> None:
        self._told.pop(key, None)
        self._told[key] = told
        self._is_unnoted.set()
        while len(self._told) > MAX_REMEMBERED:
            del self._told[next(iter(self._told))]


def _is_fresh(told: _Told, now: float) -> bool:
    """Whether the same is not to be told again; a moment of the future is of a clock that was wrong."""
    return told.is_open or 0 <= now - told.at < ONCE_PER_S


def _written(told: Mapping[str, _Told]) -> str:
    return json.dumps({key: [each.state, each.at, each.is_open] for key, each in told.items()})


def _read(stored: object) -> dict[str, _Told]:
    told: dict[str, _Told] = {}
    for key, each in stored.items() if isinstance(stored, dict) else ():
        match each:
            case [str() as state, int() | float() as at, bool() as is_open] if len(told) < MAX_REMEMBERED:
                if 0 <= at < MAX_MOMENT:
                    told[key] = _Told(state, float(at), is_open)
    return told
