"""A person's choice lasts, is theirs alone, and cannot be damaged."""

from __future__ import annotations

import asyncio

import pytest

from bot.errors import SettingInvalid
from bot.jobs import UserKey
from bot.requests.preferences import Personal, Ping, Preferences, PrivateTo, Setting
from bot.store.database import Database
from bot.store.user_setting_store import UserSettingStore
from pipeline.spec import Aspect

ANN, BOB = UserKey(frontend="test", id="ann"), UserKey(frontend="test", id="bob")


@pytest.mark.parametrize("ping", list(Ping))
async def test_choice_lasts_and_is_one_persons(preferences: Preferences, ping: Ping) -> None:
    await preferences.set(ANN, Setting.PING, Ping.OFF)
    await preferences.set(ANN, Setting.PING, ping)
    assert await preferences.ping(ANN) is ping
    assert await preferences.ping(BOB) is Ping.HERE
    assert await preferences.ping(UserKey(frontend="other", id="ann")) is Ping.HERE


@pytest.mark.parametrize("stored", ["", "loud", "HERE", "x" * 10_000])
async def test_choice_of_another_release_counts_as_none(
    preferences: Preferences, database: Database, stored: str
) -> None:
    await UserSettingStore(database).set(ANN, Setting.PING, stored)
    assert await preferences.ping(ANN) is Ping.HERE


GOOD = {
    Setting.ASPECT: "wide",
    Setting.STEPS: "9",
    Setting.SUFFIX: "in ink",
    Setting.MODEL: "painter",
    Setting.PING: "dm",
    Setting.LANGUAGE: "zh-TW",
    Setting.PRIVATE: "on",
    Setting.PRIVATE_TO: "button",
    Setting.SPOILER: "off",
}


async def test_everything_that_was_chosen_outlives_the_process(preferences: Preferences, database: Database) -> None:
    for setting, value in GOOD.items():
        await preferences.set(ANN, setting, value)
    later = Preferences(UserSettingStore(database))
    await later.load()
    chosen = later.known(ANN)
    assert chosen == await preferences.of(ANN) and chosen is not None
    assert (chosen.aspect, chosen.steps, chosen.suffix, chosen.model) == (Aspect.WIDE, 9, "in ink", "painter")
    assert (chosen.is_private, chosen.private_to, chosen.is_spoiler) == (True, PrivateTo.BUTTON, False)
    assert later.language(ANN) == "zh-TW" and later.known(BOB) == Personal()


async def test_one_choice_or_all_can_be_taken_back(preferences: Preferences, database: Database) -> None:
    for setting, value in GOOD.items():
        await preferences.set(ANN, setting, value)
    await preferences.set(BOB, Setting.STEPS, 3)
    await preferences.reset(ANN, Setting.LANGUAGE)
    assert preferences.language(ANN) is None and (await preferences.of(ANN)).steps == 9
    await preferences.reset(ANN)
    assert await preferences.of(ANN) == Personal() and not await UserSettingStore(database).of(ANN)
    assert (await preferences.of(BOB)).steps == 3


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *((setting, "") for setting in Setting),
        (Setting.ASPECT, "round"),
        (Setting.STEPS, "0"),
        (Setting.STEPS, "51"),
        (Setting.STEPS, "9" * 5000),
        (Setting.STEPS, "٣"),
        (Setting.STEPS, "-1"),
        (Setting.SUFFIX, "x" * 301),
        (Setting.SUFFIX, "\u200b \u2060"),
        (Setting.LANGUAGE, "fr"),
        (Setting.PRIVATE, "True"),
        (Setting.PRIVATE_TO, "everybody"),
    ],
)
async def test_value_that_cannot_be_is_refused_and_if_stored_ignored(
    preferences: Preferences, database: Database, setting: Setting, value: str
) -> None:
    with pytest.raises(SettingInvalid):
        await preferences.set(ANN, setting, value)
    await UserSettingStore(database).set(BOB, setting, value)
    await UserSettingStore(database).set(BOB, "of a later release", "7")
    assert await preferences.of(BOB) == Personal(unread=(setting,))


async def test_more_people_than_there_is_room_for_are_read_when_they_come(
    preferences: Preferences, database: Database
) -> None:
    people = [UserKey(frontend="test", id=f"p{number}") for number in range(6)]
    for person in people:
        await preferences.set(person, Setting.LANGUAGE, "zh-CN")
    few = Preferences(UserSettingStore(database), remembered=4)
    await few.load()
    assert few.known(UserKey(frontend="test", id="new")) is None
    for person in people:
        assert (await few.of(person)).language == "zh-CN"
    await few.set(people[0], Setting.STEPS, 4)
    assert (await few.of(people[0])) == Personal(language="zh-CN", steps=4)


async def test_somebody_new_may_push_out_somebody_known_without_a_loss(
    preferences: Preferences, database: Database
) -> None:
    few = Preferences(UserSettingStore(database), remembered=1)
    await few.load()
    await few.set(ANN, Setting.PRIVATE, True)
    await few.set(BOB, Setting.STEPS, 3)
    assert few.known(ANN) is None
    assert (await few.of(ANN)).is_private


async def test_choices_made_at_the_same_time_are_all_known(preferences: Preferences) -> None:
    await asyncio.gather(*(preferences.set(ANN, setting, value) for setting, value in GOOD.items()))
    assert (await preferences.of(ANN)).steps == 9 and preferences.language(ANN) == "zh-TW"
    assert (await preferences.of(ANN)).is_private is True


async def test_who_was_erased_is_not_remembered(preferences: Preferences, database: Database) -> None:
    await preferences.load()
    await preferences.set(ANN, Setting.LANGUAGE, "zh-CN")
    await UserSettingStore(database).delete(ANN)
    preferences.forget(ANN)
    assert preferences.language(ANN) is None and await preferences.of(ANN) == Personal()
