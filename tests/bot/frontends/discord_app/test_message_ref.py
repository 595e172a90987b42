"""Where a message stands is read from this release's rows and from later ones'; a damaged one ends nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import discord
import pytest

from bot.delivery.frontend import DeliveryImpossible
from bot.frontends.discord_app.message_ref import Address, DiscordTime, is_of_server
from bot.jobs import ReplyTo
from tests.bot.frontends.discord_app.test_embeds import a_job
from tests.conftest import FrozenClock

ADDRESS = Address(channel_id=2, message_id=3, guild_id=1, user_id=4, locale="en-US")
FIELDS = json.loads(ADDRESS.reply_to().address)


def stored(text: str) -> ReplyTo:
    return ReplyTo(frontend="discord", key="3", address=text)


def test_address_of_a_later_release_is_read() -> None:
    assert Address.read(ADDRESS.reply_to()) == ADDRESS
    assert Address.read(stored(json.dumps({**FIELDS, "thread_id": 7}))) == ADDRESS


def test_address_of_an_earlier_release_is_read() -> None:
    earlier = {name: value for name, value in FIELDS.items() if name not in ("is_direct", "is_age_restricted")}
    assert Address.read(stored(json.dumps(earlier))) == ADDRESS


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", "null", "{}", "[" * 100_000]
    + [
        json.dumps({**FIELDS, **change})
        for change in (
            {"channel_id": "2"},
            {"channel_id": True},
            {"message_id": -1},
            {"user_id": 10**40},
            {"guild_id": []},
            {"locale": None},
            {"locale": {"a": 1}},
            {"is_direct": 1},
            {"is_age_restricted": "yes"},
        )
    ],
    ids=range(16),
)
def test_damaged_address_is_a_reason_not_to_deliver_and_of_no_server(text: str) -> None:
    with pytest.raises(DeliveryImpossible, match="cannot be read"):
        Address.read(stored(text))
    assert not is_of_server(replace(a_job(), reply_to=stored(text)), 1)


@pytest.mark.parametrize("wrong_h", [-5, 0, 2, 91 * 24])
def test_age_of_a_message_is_by_the_clock_of_discord(
    monkeypatch: pytest.MonkeyPatch, clock: FrozenClock, wrong_h: int
) -> None:
    posted = datetime(2026, 12, 1, tzinfo=UTC)
    monkeypatch.setattr(discord.utils, "utcnow", lambda: posted + timedelta(hours=wrong_h))
    now, address = DiscordTime(monotonic=clock), replace(ADDRESS, message_id=discord.utils.time_snowflake(posted))
    assert now.is_old(address) is (wrong_h > 1), "nothing was heard"
    now.hear(discord.utils.time_snowflake(posted + timedelta(seconds=5)))
    assert not now.is_old(address)
    clock.advance(3594)
    assert not now.is_old(address)
    clock.advance(2)
    assert now.is_old(address)
    assert not now.is_old(replace(address, message_id=None))
    now.hear(discord.utils.time_snowflake(posted + timedelta(minutes=5)))  # the machine slept, or Discord knows better
    assert not now.is_old(address)
