"""How long a load takes is what the last one took, and nothing that a database may hold spoils a forecast."""

from __future__ import annotations

import json

import pytest

from bot.errors import StoreUnavailable
from bot.scheduling.load_times import MAX_LOAD_S, SETTING, Load, LoadTimes, assumed_load_s
from bot.store.key_value_store import SettingStore


@pytest.fixture
def loads(settings: SettingStore) -> LoadTimes:
    return LoadTimes(settings, assumed_s=lambda _model: 20.0)


async def test_last_load_is_expected_again_by_the_next_process(loads: LoadTimes, settings: SettingStore) -> None:
    assert loads.expected("m", is_first=True) == Load(20.0, is_rough=True)
    for took_s in (40.0, 33.0):
        await loads.note("m", loads.begin("m", is_first=True, now=0.0), took_s=took_s)
    later = LoadTimes(settings, assumed_s=lambda _model: 20.0)
    await later.recall(["m", "other"])
    assert later.expected("m", is_first=True) == Load(33.0, is_rough=False)
    assert later.expected("m", is_first=False) == Load(20.0, is_rough=True)  # without imports, never longer
    assert later.expected("other", is_first=True) == Load(20.0, is_rough=True)


@pytest.mark.parametrize(
    "stored",
    [
        "", "{", "[]", "null", "7", '"x"', '{"first": "x"}', '{"first": null}', '{"first": true}', '{"first": NaN}',
        '{"first": Infinity}', '{"first": -1}', '{"first": 86400}', '{"first": 1e999}', '{"first": [1]}', "[" * 9999,
    ],
)  # fmt: skip
async def test_damaged_or_absurd_time_counts_as_not_measured(
    loads: LoadTimes, settings: SettingStore, stored: str
) -> None:
    await settings.set(f"{SETTING}m", stored)
    await loads.recall(["m"])
    assert loads.expected("m", is_first=True) == Load(20.0, is_rough=True)


@pytest.mark.parametrize("took_s", [-1.0, float("nan"), float("inf"), MAX_LOAD_S + 1])
async def test_absurd_measurement_is_not_kept(loads: LoadTimes, settings: SettingStore, took_s: float) -> None:
    await loads.note("m", loads.begin("m", is_first=True, now=0.0), took_s=took_s)
    assert await settings.get(f"{SETTING}m") is None


async def test_time_that_cannot_be_stored_is_known_to_this_process(
    loads: LoadTimes, settings: SettingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_key: str, _value: str | None) -> None:
        raise StoreUnavailable("full", is_full=True)

    monkeypatch.setattr(settings, "set", fail)
    await loads.note("m", loads.begin("m", is_first=False, now=0.0), took_s=7.0)
    assert loads.expected("m", is_first=False) == Load(7.0, is_rough=False)


async def test_time_left_is_what_was_measured_less_what_is_over(loads: LoadTimes, settings: SettingStore) -> None:
    await settings.set(f"{SETTING}m", json.dumps({"first": 30}))
    await loads.recall(["m"])
    loading = loads.begin("m", is_first=True, now=100.0)
    assert [loading.left_s(now) for now in (90.0, 100.0, 120.0, 140.0)] == [30.0, 30.0, 10.0, 4.0]


def test_unknown_model_is_expected_to_take_no_time() -> None:
    assert assumed_load_s("of another release") == 0.0
    assert assumed_load_s("demo") > 0
