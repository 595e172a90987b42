"""Pseudonyms: the same for one person and database, different for all others, and no way back."""

from __future__ import annotations

import pytest

from bot.jobs import UserKey
from bot.store.database import Database
from bot.store.key_value_store import SettingStore
from bot.store.pseudonyms import KEY_SETTING, Pseudonyms

ANN = UserKey(frontend="discord", id="123456789012345678")


async def test_pseudonym_outlives_a_restart_and_holds_no_id(database: Database) -> None:
    settings = SettingStore(database)
    first, again = await Pseudonyms.open(settings), await Pseudonyms.open(settings)
    assert first.of(ANN) == again.of(ANN)
    assert ANN.id not in first.of(ANN) and len(first.of(ANN)) == 64
    assert first.of(ANN).startswith(first.short(ANN))


async def test_people_and_front_ends_are_told_apart(database: Database) -> None:
    names = await Pseudonyms.open(SettingStore(database))
    others = [UserKey(frontend="discord", id="123456789012345679"), UserKey(frontend="web", id=ANN.id)]
    assert len({names.of(user) for user in (ANN, *others)}) == 3


@pytest.mark.parametrize("stored", ["", "zz", "00", "ä", "00" * 31, "00" * 33])
async def test_damaged_key_is_replaced(database: Database, stored: str) -> None:
    settings = SettingStore(database)
    await settings.set(KEY_SETTING, stored)
    made = await Pseudonyms.open(settings)
    assert made.of(ANN) == (await Pseudonyms.open(settings)).of(ANN) != Pseudonyms(b"").of(ANN)
