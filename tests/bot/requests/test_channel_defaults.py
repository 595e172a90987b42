"""A channel's defaults last, are its own and its threads', and no damaged one spoils a request."""

from __future__ import annotations

import pytest

from bot.jobs import Allowance
from bot.requests.channel_defaults import ChannelDefaults
from bot.requests.models import Models
from bot.store.channel_setting_store import ChannelSettingStore
from bot.store.database import Database
from pipeline import Aspect, InvalidSpec
from pipeline.catalog.models import find_model

FAKE_AND_DEMO = Models(usual=find_model("fake"), others=(find_model("demo"),))


@pytest.fixture
def channels(channel_settings: ChannelSettingStore) -> ChannelDefaults:
    return ChannelDefaults(channel_settings, FAKE_AND_DEMO)


async def test_defaults_last_and_are_one_channels(channels: ChannelDefaults, database: Database) -> None:
    await channels.set("test", "art", model="demo", aspect="wide", private=True)
    again = ChannelDefaults(ChannelSettingStore(database), FAKE_AND_DEMO)
    assert await again.of("test", "art") == {"model": "demo", "aspect": Aspect.WIDE, "private": True}
    assert await again.of("test", "music") == {}
    assert await again.of("other", "art") == {}


async def test_value_that_is_left_out_stays(channels: ChannelDefaults) -> None:
    await channels.set("test", "art", model="demo")
    await channels.set("test", "art", private=False)
    assert await channels.of("test", "art") == {"model": "demo", "private": False}
    await channels.set("test", "art")
    assert await channels.of("test", "art") == {"model": "demo", "private": False}


async def test_thread_inherits_what_was_not_set_in_it(channels: ChannelDefaults) -> None:
    await channels.set("test", "art", model="demo", private=True)
    await channels.set("test", "thread", private=False, aspect="phone")
    assert await channels.of("test", "thread", parent_id="art") == {
        "model": "demo",
        "aspect": Aspect.PHONE,
        "private": False,
    }
    await channels.reset("test", "thread")
    assert await channels.of("test", "thread", parent_id="art") == {"model": "demo", "private": True}
    assert await channels.of("test", "art") == {"model": "demo", "private": True}


async def test_model_that_somebody_may_not_draw_with_is_left_out_for_them(channels: ChannelDefaults) -> None:
    await channels.set("test", "art", model="demo", aspect="wide")
    assert await channels.of("test", "art", allowance=Allowance(models=("fake",))) == {"aspect": Aspect.WIDE}
    assert (await channels.of("test", "art", allowance=Allowance(models=("demo",))))["model"] == "demo"


@pytest.mark.parametrize("values", [{"model": "nothing"}, {"model": ""}, {"aspect": "round"}, {"aspect": ""}])
async def test_unknown_value_is_refused_and_changes_nothing(channels: ChannelDefaults, values: dict[str, str]) -> None:
    await channels.set("test", "art", model="demo")
    with pytest.raises(InvalidSpec):
        await channels.set("test", "art", private=True, **values)
    assert await channels.of("test", "art") == {"model": "demo"}


@pytest.mark.parametrize("name", ["model", "aspect", "private"])
@pytest.mark.parametrize("stored", ["", "2", "true", "1 ", "x" * 10_000, "{}"])
async def test_value_of_another_release_counts_as_none(
    channels: ChannelDefaults, channel_settings: ChannelSettingStore, name: str, stored: str
) -> None:
    await channel_settings.set("test", "art", {name: stored, "later": "1"})
    assert await channels.of("test", "art") == {}


async def test_model_that_is_gone_is_left_out(channels: ChannelDefaults, channel_settings: ChannelSettingStore) -> None:
    await channels.set("test", "art", model="demo", aspect="square")
    later = ChannelDefaults(channel_settings, Models(usual=find_model("fake")))
    assert await later.of("test", "art") == {"aspect": Aspect.SQUARE}
