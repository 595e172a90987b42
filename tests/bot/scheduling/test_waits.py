"""Forecasts are stretched by as much as waits exceed them here, and by no more than others can live with."""

from __future__ import annotations

from bot.scheduling.eta import Forecast
from bot.scheduling.waits import FEWEST, STRETCHES, Waits


def after(ratio: float, *, count: int = FEWEST, wait_s: float = 10.0, is_paused: bool = False) -> Waits:
    """So many waits that were each `ratio` times as long as foretold."""
    waits = Waits()
    for number in range(count):
        forecast = Forecast(job_id=number, begins_s=wait_s, ends_s=wait_s + 1)
        waits.expect([forecast], now=0.0, is_paused=is_paused)
        waits.begun(number, now=wait_s * ratio)
    return waits


def test_waits_that_were_as_foretold_stretch_nothing() -> None:
    assert after(1.0).stretch == 1.0
    assert after(0.5).stretch == 1.0


def test_longer_waits_stretch_forecasts_as_far_as_needed_and_allowed() -> None:
    assert 1.0 < after(1.5).stretch <= 1.5 / 1.2
    assert after(1.75).stretch == STRETCHES[-1]


def test_few_short_or_paused_waits_say_nothing() -> None:
    assert after(1.5, count=FEWEST - 1).stretch == 1.0
    assert after(1.5, wait_s=1.0).stretch == 1.0
    assert after(1.5, is_paused=True).stretch == 1.0


def test_cancelled_jobs_are_forgotten() -> None:
    waits = Waits()
    waits.expect([Forecast(job_id=1, begins_s=10.0, ends_s=11.0)], now=0.0, is_paused=False)
    waits.keep({})
    for _ in range(FEWEST):
        waits.begun(1, now=15.0)
    assert waits.stretch == 1.0
