"""The second half of a double click is told from a second press."""

from __future__ import annotations

import itertools
from collections.abc import Hashable
from types import SimpleNamespace
from typing import Any, cast

import discord
import pytest

from bot.frontends.discord_app.presses import (
    DOUBLE_CLICK_S,
    REMEMBERED_PRESSES,
    Presses,
    earlier_press,
    forget,
)

NUMBERS = itertools.count(1)


def is_repeat(interaction: discord.Interaction) -> bool:
    return earlier_press(interaction) is not None


def heard(presses: Presses, key: Hashable) -> bool:
    return presses.note(key, 1) is None


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Client:
    """What `is_repeat` needs of a client: an identity."""


def press(
    client: Client, *, user: int = 1, message: int | None = 2, custom_id: str | None = "im2:x", values: Any = None
) -> discord.Interaction:
    data = {"component_type": 2} | ({"custom_id": custom_id} if custom_id is not None else {})
    if values is not None:
        data["values"] = values
    return cast(
        "discord.Interaction",
        SimpleNamespace(
            id=next(NUMBERS),
            client=client,
            data=data,
            user=SimpleNamespace(id=user),
            message=SimpleNamespace(id=message) if message is not None else None,
        ),
    )


def test_a_second_press_counts_after_a_moment_and_not_before() -> None:
    clock = Clock()
    presses = Presses(clock)
    assert presses.note("a", 1) is None
    clock.now += DOUBLE_CLICK_S - 0.01
    assert presses.note("a", 2) == 1
    clock.now += 0.01
    assert presses.note("a", 3) is None


def test_whoever_keeps_clicking_is_heard_again_and_again() -> None:
    clock = Clock()
    presses = Presses(clock)
    times = 0
    for _ in range(91):  # nine seconds, ten clicks a second
        times += heard(presses, "a")
        clock.now += 0.1
    assert times in (3, 4)


def test_memory_is_bounded_and_the_newest_press_is_kept() -> None:
    presses = Presses(Clock())
    for number in range(REMEMBERED_PRESSES + 1):
        assert heard(presses, number)
    assert not heard(presses, REMEMBERED_PRESSES)
    assert heard(presses, 0)  # made room


def test_a_double_click_is_one_press() -> None:
    client = Client()
    assert [is_repeat(press(client)) for _ in range(3)] == [False, True, True]


@pytest.mark.parametrize(
    "other",
    [{"user": 9}, {"message": 9}, {"custom_id": "im2:y"}, {"values": ["2"]}],
    ids=["another person", "another message", "another button", "another choice"],
)
def test_two_presses_that_differ_both_count(other: dict[str, Any]) -> None:
    client = Client()
    assert not is_repeat(press(client, values=["1"]))
    assert not is_repeat(press(client, **{"values": ["1"], **other}))


def test_clients_do_not_share_presses() -> None:
    one, two = Client(), Client()
    assert not is_repeat(press(one))
    assert not is_repeat(press(two))


@pytest.mark.parametrize("lacking", [{"message": None}, {"custom_id": None}])
def test_what_has_no_message_or_custom_id_is_never_a_repeat(lacking: dict[str, Any]) -> None:
    client = Client()
    assert not is_repeat(press(client, **lacking))
    assert not is_repeat(press(client, **lacking))
    forget(press(client, **lacking))


def test_a_refused_press_may_be_repeated_at_once() -> None:
    client = Client()
    assert not is_repeat(press(client))
    forget(press(client))
    assert not is_repeat(press(client))
