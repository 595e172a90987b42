"""The operator is told once: when something begins, when it changes, when it is over, whatever restarts in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bot.deadline import Deadline
from bot.delivery import alerts as module
from bot.delivery.alert_watch import AlertWatch, restarted, tell_before_the_end
from bot.delivery.alerts import ALERTS_SETTING, MAX_PER_HOUR, ONCE_PER_S, Alert, AlertKind, Alerts
from bot.delivery.frontend import DeliveryDelayed
from bot.errors import DatabaseUnusable, StoreUnavailable
from bot.jobs import Request
from bot.pause import Pause, PauseKind
from bot.presentation.wording import LANGUAGES, wording_for
from bot.scheduling.job_queue import JobQueue
from bot.store.job_store import JobStore
from bot.store.key_value_store import SettingStore
from pipeline import ImageSpec

MIB = 2**20
PAUSED = AlertKind.PAUSED


class Listener:
    """Collects what is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.troubles: list[Exception] = []

    async def __call__(self, alert: Alert) -> None:
        if self.troubles:
            raise self.troubles.pop(0)
        self.told.append(f"{alert.key}{' over' if alert.is_over else ''}")


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def heard() -> Listener:
    return Listener()


@asynccontextmanager
async def running(alerts: Alerts, *, are_noted: bool = True) -> AsyncIterator[None]:
    """Let the loops run until all is told, and noted if it can be."""
    tasks = [asyncio.create_task(alerts.run()), asyncio.create_task(alerts.remember())]
    try:
        yield
        await alerts.flush(2.0)
        async with asyncio.timeout(10):
            while are_noted and alerts._is_unnoted.is_set():  # what is noted is all that there was to tell
                await asyncio.sleep(0.002)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@pytest.fixture
async def alerts(settings: SettingStore, clock: Clock, heard: Listener) -> Alerts:
    alerts = Alerts(settings, clock=clock)
    alerts.listen(heard)
    return alerts


async def test_what_lasts_is_told_once_until_it_changes_and_once_when_it_is_over(
    alerts: Alerts, heard: Listener, clock: Clock
) -> None:
    async with running(alerts):
        alerts.end(PAUSED)  # nothing began
        for state in ("a", "a", "b"):
            alerts.begin(Alert(kind=PAUSED, state=state))
        clock.now += 10 * ONCE_PER_S
        alerts.begin(Alert(kind=PAUSED, state="b"))
        alerts.end(PAUSED)
        alerts.end(PAUSED)
    assert heard.told == ["paused", "paused", "paused over"]


async def test_what_comes_and_goes_is_told_once_an_hour(alerts: Alerts, heard: Listener, clock: Clock) -> None:
    async with running(alerts):
        for _ in range(100):
            alerts.begin(Alert(kind=AlertKind.DISK_LOW, state="low"))
            alerts.end(AlertKind.DISK_LOW)
            clock.now += 30
        clock.now += ONCE_PER_S
        alerts.begin(Alert(kind=AlertKind.DISK_LOW, state="low"))
    assert heard.told == ["disk-low", "disk-low over", "disk-low"]


async def test_each_channel_is_told_for_itself_but_not_a_hundred(
    alerts: Alerts, heard: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(alerts):
        for number in range(100):
            alerts.begin(Alert(kind=AlertKind.PERMISSION_LOST, subject=str(number)))
        alerts.end(AlertKind.PERMISSION_LOST, "3")
    assert heard.told[:2] == ["permission-lost 0", "permission-lost 1"]
    assert len(heard.told) == MAX_PER_HOUR + 1 and heard.told[-1] == "permission-lost 3 over"
    assert "one alert more than is told in an hour: permission-lost 99" in caplog.text


async def test_restarts_one_after_the_other_are_told_once_and_what_lasted_is_still_ended(
    settings: SettingStore, clock: Clock, heard: Listener
) -> None:
    for _ in range(3):
        alerts = Alerts(settings, clock=clock)
        await alerts.recall()
        alerts.listen(heard)
        async with running(alerts):
            alerts.begin(Alert(kind=AlertKind.RESTARTED))
            alerts.begin(Alert(kind=PAUSED, state="a"))
        clock.now += 60
    assert heard.told == ["restarted", "paused"]
    alerts = Alerts(settings, clock=clock)
    await alerts.recall()
    alerts.listen(heard)
    async with running(alerts):
        alerts.end(PAUSED)
    assert heard.told[2:] == ["paused over"]


async def test_nothing_is_lost_while_discord_is_away(
    alerts: Alerts, heard: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    heard.troubles = [DeliveryDelayed(), DeliveryDelayed()]
    async with running(alerts):
        alerts.begin(Alert(kind=PAUSED))
        alerts.end(PAUSED)
    assert heard.told == ["paused", "paused over"]


async def test_without_a_listener_nothing_is_kept(settings: SettingStore) -> None:
    alerts = Alerts(settings)
    alerts.begin(Alert(kind=PAUSED))
    alerts.end(PAUSED)
    await asyncio.wait_for(alerts.flush(5.0), 1.0)


@pytest.mark.parametrize(
    "stored",
    [
        "{", "[1]", '{"paused": 1}', '{"paused": ["a", "b", "c"]}', '{"paused": [1, 2, true]}', "[" * 10_000,
        f'{{"paused": ["", 1{"0" * 400}, true]}}', '{"paused": ["", 1e999, true]}', '{"paused": ["", NaN, true]}',
    ],
    ids=lambda stored: stored[:20],
)  # fmt: skip
async def test_damaged_notes_are_no_notes(settings: SettingStore, heard: Listener, stored: str) -> None:
    await settings.set(ALERTS_SETTING, stored)
    alerts = Alerts(settings)
    await alerts.recall()
    alerts.listen(heard)
    async with running(alerts):
        alerts.begin(Alert(kind=PAUSED))
    assert heard.told == ["paused"]


async def test_database_that_takes_no_notes_keeps_nobody_from_being_told(
    alerts: Alerts, heard: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def locked(*_: object) -> None:
        raise StoreUnavailable("locked", is_full=False)

    monkeypatch.setattr(SettingStore, "set", locked)
    async with running(alerts, are_noted=False):
        alerts.begin(Alert(kind=PAUSED))
    assert heard.told == ["paused"]


def watch(alerts: Alerts, queue: JobQueue, free_mib: Callable[[], int]) -> AlertWatch:
    async def free_bytes() -> int:
        return free_mib() * MIB

    return AlertWatch(alerts, queue, free_bytes=free_bytes, min_free_mib=500, deadline=Deadline())


async def test_pauses_of_people_and_of_the_machine_are_told_with_their_reason(
    alerts: Alerts, heard: Listener, queue: JobQueue
) -> None:
    looker = watch(alerts, queue, lambda: 10_000)
    said = []
    alerts.listen(lambda alert: _keep(said, alert))
    async with running(alerts):
        for pause in (Pause.by_operator("a game"), Pause.by_operator("a *night*")):
            await queue.pause(pause)
            looker.look_at_queue()
        await queue.resume()
        looker.look_at_queue()
        await queue.pause(Pause(kind=PauseKind.ENGINE_FAILURES))
        looker.look_at_queue()
    reasons = [alert.phrase.values["paused"].values.get("reason") for alert in said if not alert.is_over]
    assert [getattr(reason, "text", None) or reason.key for reason in reasons] == [
        "a game", "a *night*", "pause-engine-failures",
    ]  # fmt: skip
    assert [alert.is_over for alert in said] == [False, False, True, False]


async def _keep(said: list[Alert], alert: Alert) -> None:
    said.append(alert)


async def test_disk_is_told_when_it_gets_low_when_it_is_full_and_when_there_is_room(
    alerts: Alerts, queue: JobQueue
) -> None:
    sizes, said = iter((900, 800, 400, 300, 900, 2000)), list[Alert]()
    alerts.listen(lambda alert: _keep(said, alert))
    looker = watch(alerts, queue, lambda: next(sizes))
    async with running(alerts):
        for _ in range(6):
            await looker.look_at_disk()
    assert [(alert.values["free_mib"], alert.state, alert.is_over) for alert in said] == [
        (900, "low", False), (400, "refusing", False), (900, "low", False), (2000, "", True),
    ]  # fmt: skip


async def test_disk_that_cannot_be_looked_at_ends_nothing(alerts: Alerts, heard: Listener, queue: JobQueue) -> None:
    def gone() -> int:
        raise OSError("not mounted")

    async with running(alerts):
        await watch(alerts, queue, gone).look_at_disk()
    assert heard.told == []


async def test_part_that_dies_is_told_before_the_process_ends(alerts: Alerts, heard: Listener, tmp_path: Any) -> None:
    async def die() -> None:
        raise DatabaseUnusable(tmp_path, "damaged")

    async with running(alerts):
        with pytest.raises(DatabaseUnusable):
            await tell_before_the_end(die, alerts, AlertKind.DATABASE_DAMAGED, Deadline())
        assert heard.told == ["database-damaged"]


async def test_crash_is_told_with_what_became_of_its_jobs(
    queue: JobQueue, jobs: JobStore, spec: ImageSpec, make_request: Callable[..., Request]
) -> None:
    assert restarted([]).values == {"count": 0, "lost": 0}
    for _ in range(3):
        await queue.put(make_request(), spec)
    await queue.claim()
    assert restarted(await jobs.recover(max_attempts=1, now=9)).values == {"count": 2, "lost": 1}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", AlertKind)
def test_every_alert_has_its_sentences(kind: AlertKind, language: str) -> None:
    values = dict.fromkeys(("paused", "channel", "server", "where"), "x") | dict.fromkeys(
        ("count", "lost", "free_mib", "floor_mib", "is_full"), 1
    )
    assert len(wording_for(language).say(f"alert-{kind}", **values)) > 8
    if kind not in module.HAPPENINGS:
        assert wording_for(language).say(f"alert-{kind}-over", **values).startswith("✅")
