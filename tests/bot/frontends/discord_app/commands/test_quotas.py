"""What roles and moderators allow holds for every way to ask, and a channel has defaults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from bot.config import LimitsConfig, RoleConfig
from bot.frontends.discord_app import interactions, presses
from bot.jobs import UserKey
from pipeline import Aspect
from tests.bot.frontends.discord_app.conftest import PAINTING, Stage, Start
from tests.discord_server.driver import ClientRefused, Use
from tests.discord_server.permissions import Permission
from tests.discord_server.view import MessageView

LOW, HIGH = {"max_images_per_day": 3, "max_active": 1, "max_steps": 3, "models": ("painter",)}, {"max_active": 2}


@pytest.fixture
async def stage(start: Start) -> AsyncIterator[Stage]:
    """A bot that draws with two models and has not read its roles yet: their ids are made with the members."""
    async with start(models=PAINTING, limits=LimitsConfig(max_images_per_day=20, cooldown_s=0)) as stage:
        async with stage.drawing():
            yield stage
        stage.discord.assert_clean()


def member(stage: Stage, name: str, **bounds: Any) -> Any:
    """A member with a role of that name, which the config has with these bounds."""
    role = stage.discord.add_role(name, Permission(0))
    stage.service.allowances._roles = {**stage.service.allowances._roles, int(role.id): RoleConfig(**bounds)}
    return stage.discord.add_user(name, roles=[role])


def boss(stage: Stage) -> Any:
    return stage.discord.add_user("boss", roles=[stage.discord.add_role("boss", Permission.MANAGE_GUILD)])


async def told(use: Use) -> str:
    return (await use.wait(lambda message: message.ephemeral and not message.loading)).text


def is_done(message: MessageView) -> bool:
    return message.content.startswith("✅")


async def imagine(stage: Stage, user: Any, **options: Any) -> Use:
    return await stage.discord.slash(user, stage.discord.channel, "imagine", prompt="a red apple", **options)


async def command(stage: Stage, who: Any, name: str, /, **options: Any) -> str:
    return await told(await stage.discord.slash(who, stage.discord.channel, name, options=options))


async def test_role_binds_command_flag_button_form_and_menu(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interactions, "SEEN_AFTER", timedelta(0))  # presses of tests are quicker than any person's
    low, discord = member(stage, "low", **LOW), stage.discord
    theirs = await (await imagine(stage, discord.user, model="fake", steps=8)).wait(is_done)
    refused = "Your roles do not allow Fake: a colour gradient. You can draw with: painter."
    assert await told(await imagine(stage, low, model="fake")) == refused
    assert await told(await discord.slash(low, discord.channel, "imagine", prompt="x --model fake")) == refused
    assert await told(await imagine(stage, low, model="Painter", steps=4)) == (
        "You asked for 4 steps, and your roles allow up to 3. Please ask for fewer."
    )
    assert "your roles allow up to 3" in await told(
        await discord.slash(low, discord.channel, "imagine", prompt="x --steps 50 --model painter")
    )
    assert await told(await discord.click(theirs, "🔄 Again", low)) == refused
    form = await discord.click(theirs, "✏️ Edit", low)
    assert (await told(await discord.submit_modal(form, {"prompt": "a pear"}))).startswith(refused)
    more = await discord.click(theirs, "⋯ More", low)
    opened = await more.wait(lambda message: message.ephemeral and not message.loading and message.buttons)
    steps = next(button["label"] for button in opened.buttons if "steps" in button["label"].lower())
    assert await told(await discord.click(opened, steps, low)) == refused
    assert not await stage.service.unfinished() and (await stage.jobs.last_number()) == 1  # nothing was queued

    mine = await (await imagine(stage, low)).wait(is_done)  # their model and their steps, though neither was named
    assert (await stage.job(2)).spec.model == "painter" and (await stage.job(2)).spec.steps == 3
    await (await discord.click(mine, "🔄 Again", low)).wait(is_done)
    await (await discord.click(mine, "🔄 Again", low)).wait(is_done)
    assert (await told(await discord.click(mine, "🔄 Again", low))).startswith("You have used 3 of your 3 images")
    await (await discord.click(mine, "🔄 Again", discord.user)).wait(is_done)  # the presser's roles count


async def test_suggestions_and_quota_show_ones_own(stage: Stage) -> None:
    low, both = member(stage, "low", **LOW), member(stage, "high", **HIGH)
    stage.discord.guild.members[both.id].roles.append(stage.discord.guild.members[low.id].roles[0])
    for user, models in ((low, ["painter"]), (both, ["fake", "painter"]), (stage.discord.user, ["fake", "painter"])):
        found = await stage.discord.autocomplete(user, stage.discord.channel, "imagine", "model", "")
        assert [choice["value"] for choice in found] == models
    quota = await command(stage, low, "quota")
    assert "**0** of 3" in quota and "**0** of 1" in quota
    assert "At most 3 steps for an image." in quota and "Models for your roles: Painter" in quota
    quota = await command(stage, both, "quota")
    assert "**0** of 20" in quota and "**0** of 2\n" in quota
    assert "steps for an image" not in quota and "Models for" not in quota


async def test_role_of_everybody_has_the_id_of_the_server(stage: Stage) -> None:
    stage.service.allowances._roles = {int(stage.discord.guild.id): RoleConfig(max_images_per_day=1)}
    await (await imagine(stage, stage.discord.user)).wait(is_done)
    assert (await told(await imagine(stage, stage.discord.user))).startswith("You have used 1 of your 1")
    other_guild, channel = await stage.other_server()
    stranger = stage.discord.add_user("stranger", guild=other_guild)
    for _ in range(2):
        await (await stage.discord.slash(stranger, channel, "imagine", prompt="x")).wait(is_done)


async def test_ten_presses_at_once_make_at_most_the_cap_of_ones_role(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presses, "DOUBLE_CLICK_S", 0.0)
    async with start(limits=LimitsConfig(max_active_per_user=5, cooldown_s=0)) as stage:
        async with stage.drawing():
            message = await (await imagine(stage, stage.discord.user)).wait(is_done)
        low = member(stage, "low", max_active=2)
        uses = await asyncio.gather(*(stage.discord.click(message, "🔄 Again", low) for _ in range(10)))
        await asyncio.gather(*(use.wait(lambda message: not message.loading) for use in uses))
        assert len(await stage.service.unfinished()) == 2


async def test_moderator_sets_and_resets_the_images_of_one_member(stage: Stage) -> None:
    low, manager = member(stage, "low", **LOW), boss(stage)
    who = f"<@{low.id}>"
    assert await command(stage, manager, "admin quota", user=low, images=1) == (
        f"{who} may now draw one image in any 24 hours, whatever their roles say."
    )
    quota = await command(stage, low, "quota")
    assert "**0** of 1\nA moderator set this number of images for you." in quota and "steps for an image" in quota
    await (await imagine(stage, low)).wait(is_done)
    assert (await told(await imagine(stage, low))).startswith("You have used 1 of your 1 images")
    assert "may now draw 2 images" in await command(stage, manager, "admin quota", user=low, images=2)
    await (await imagine(stage, low)).wait(is_done)
    assert "follow their roles" in await command(stage, manager, "admin quota", user=low)
    quota = await command(stage, low, "quota")
    assert "**2** of 3" in quota and "moderator" not in quota


async def test_only_who_may_pause_sets_quotas_and_only_managers_set_channels(stage: Stage) -> None:
    for name in ("admin quota", "admin channel"):
        with pytest.raises(ClientRefused):
            await command(stage, stage.discord.user, name, **({"user": stage.discord.user} if "quota" in name else {}))
    shown = await stage.discord.wait_command("admin")
    shown["default_member_permissions"] = None  # as a server's settings may show it
    for name in ("admin quota", "admin channel"):
        options = {"user": stage.discord.user, "images": 100_000} if "quota" in name else {"private": True}
        assert "“Manage Server”" in await command(stage, stage.discord.user, name, **options)
    assert await stage.service.allowances.own_images(UserKey(frontend="discord", id=str(stage.discord.user.id))) is None
    assert await stage.service.channels.of("discord", str(stage.discord.channel.id)) == {}
    manager = boss(stage)
    await stage.other_server()  # now quotas concern a server that the operator did not list
    assert "allowed_guilds" in await command(stage, manager, "admin quota", user=manager, images=5)
    assert "Images:" in await command(stage, manager, "admin channel")


async def test_channel_has_defaults_that_its_threads_take_over(stage: Stage) -> None:
    manager, discord, channels = boss(stage), stage.discord, stage.service.channels
    channel, thread = str(discord.channel.id), discord.add_thread(discord.channel, "sketches")
    usual = await command(stage, manager, "admin channel")
    assert usual == (
        f"In <#{channel}>, unless somebody asks for something else:\nModel: Fake: a colour gradient, as everywhere\n"
        "Shape: the usual one of the model\nImages: everybody here sees them\n"
        "Threads of this channel take this over, unless it is set in them."
    )
    told_ = await command(stage, manager, "admin channel", model="painter", aspect="wide", private=True)
    assert "Model: Painter\nShape: Wide\nImages: private, only the person who asked sees them" in told_
    again = await told(await discord.slash(manager, thread, "admin channel", private=False))
    assert "Model: Painter\nShape: Wide\nImages: everybody" in again
    assert again.endswith(f"What is not set in this thread comes from <#{channel}>.")
    holds = {"model": "painter", "aspect": Aspect.WIDE}
    assert await channels.of("discord", channel) == {**holds, "private": True}
    assert await channels.of("discord", str(thread.id), parent_id=channel) == {**holds, "private": False}
    reset = await command(stage, manager, "admin channel", reset=True, aspect="square")
    assert "as everywhere\nShape: Square\nImages: everybody" in reset
    assert await channels.of("discord", channel) == {"aspect": Aspect.SQUARE}


async def test_default_of_a_channel_binds_only_who_may_draw_with_it(stage: Stage) -> None:
    manager, low = boss(stage), member(stage, "low", models=("fake",))
    await command(stage, manager, "admin channel", model="painter")
    for number, (user, model) in enumerate([(stage.discord.user, "painter"), (low, "fake")], start=1):
        await (await imagine(stage, user)).wait(is_done)
        assert (await stage.job(number)).spec.model == model


async def test_values_of_a_modified_client_change_nothing(stage: Stage) -> None:
    manager, registered = boss(stage), await stage.discord.wait_command("admin")
    [sub] = [option for option in registered["options"] if option["name"] == "channel"]
    for option in sub["options"]:
        option.pop("choices", None)
    assert "no such model" in await command(stage, manager, "admin channel", model="@everyone", private=True)
    assert "has just changed" in await command(stage, manager, "admin channel", aspect="round", private=True)
    for option in sub["options"]:
        if option["name"] == "private":
            option["type"] = 3  # text
    assert "has just changed" in await command(stage, manager, "admin channel", private="yes")
    [sub] = [option for option in registered["options"] if option["name"] == "quota"]
    for option in sub["options"]:
        option.pop("min_value", None)
        option.pop("max_value", None)
    for images in (0, -1, 100_001, 2**53 - 1):
        assert "has just changed" in await command(stage, manager, "admin quota", user=manager, images=images)
    assert await stage.service.allowances.own_images(UserKey(frontend="discord", id=str(manager.id))) is None
    assert await stage.service.channels.of("discord", str(stage.discord.channel.id)) == {}
