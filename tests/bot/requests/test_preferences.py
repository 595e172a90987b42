"""A person's choice lasts, is theirs alone, and cannot be damaged."""

from __future__ import annotations

import pytest

from bot.jobs import UserKey
from bot.requests.preferences import PING, Ping, Preferences
from bot.store.database import Database
from bot.store.user_setting_store import UserSettingStore

ANN, BOB = UserKey(frontend="test", id="ann"), UserKey(frontend="test", id="bob")


@pytest.mark.parametrize("ping", list(Ping))
async def test_choice_lasts_and_is_one_persons(preferences: Preferences, ping: Ping) -> None:
    await preferences.set_ping(ANN, Ping.OFF)
    await preferences.set_ping(ANN, ping)
    assert await preferences.ping(ANN) is ping
    assert await preferences.ping(BOB) is Ping.HERE
    assert await preferences.ping(UserKey(frontend="other", id="ann")) is Ping.HERE


@pytest.mark.parametrize("stored", ["", "loud", "HERE", "x" * 10_000])
async def test_choice_of_another_release_counts_as_none(
    preferences: Preferences, database: Database, stored: str
) -> None:
    await UserSettingStore(database).set(ANN, PING, stored)
    assert await preferences.ping(ANN) is Ping.HERE
