"""The Cancel button works for the right people, twice, after a restart, and on jobs that are gone."""

from __future__ import annotations

import pytest

from bot.config import LimitsConfig
from bot.jobs import JobStatus
from tests.bot.frontends.discord_app.conftest import Stage, Start
from tests.discord_server.driver import Use
from tests.discord_server.permissions import Permission
from tests.discord_server.view import MessageView


async def waiting_card(stage: Stage) -> MessageView:
    use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "imagine", prompt="x")
    return await use.wait(lambda message: "in line" in message.content)


async def told(use: Use) -> str:
    return (await use.wait(lambda message: message.ephemeral and not message.loading)).content


async def test_owner_cancels_a_waiting_job(stage: Stage) -> None:
    card = await waiting_card(stage)
    assert await told(await stage.discord.click(card, "Cancel")) == "Image #1 was cancelled."
    ended = await stage.discord.wait_message(lambda message: "cancelled" in message.content and not message.ephemeral)
    assert not ended.buttons
    assert (await stage.job(1)).status is JobStatus.CANCELLED


async def test_owner_stops_a_running_job(stage: Stage) -> None:
    use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "imagine", prompt="[hang]")
    async with stage.drawing():
        card = await use.wait(lambda message: "step" in message.content)
        assert await told(await stage.discord.click(card, "Cancel")) == "Image #1 stops at the next step."
        await use.wait(lambda message: message.content.startswith("🚫"))


async def test_others_may_not(stage: Stage) -> None:
    card = await waiting_card(stage)
    stranger = stage.discord.add_user("bob")
    assert await told(await stage.discord.click(card, "Cancel", stranger)) == "Image #1 belongs to somebody else."
    assert (await stage.job(1)).status is JobStatus.QUEUED


async def test_moderators_may(stage: Stage) -> None:
    card = await waiting_card(stage)
    role = stage.discord.add_role("mod", Permission.MANAGE_MESSAGES)
    moderator = stage.discord.add_user("mod", roles=[role])
    assert await told(await stage.discord.click(card, "Cancel", moderator)) == "Image #1 was cancelled."


async def test_right_to_manage_messages_elsewhere_does_not_count(stage: Stage) -> None:
    card = await waiting_card(stage)
    elsewhere = stage.discord.add_channel("elsewhere")
    moderator = stage.discord.add_user("mod")
    stage.discord.set_permissions(elsewhere, moderator, allow=Permission.MANAGE_MESSAGES)
    assert "somebody else" in await told(await stage.discord.click(card, "Cancel", moderator))
    use = await stage.discord.slash(moderator, elsewhere, "cancel", image=1)
    assert "somebody else" in await told(use)
    assert (await stage.job(1)).status is JobStatus.QUEUED


async def test_managers_may_from_any_channel_of_their_server(stage: Stage) -> None:
    await waiting_card(stage)
    elsewhere = stage.discord.add_channel("elsewhere")
    manager = stage.discord.add_user("boss", roles=[stage.discord.add_role("boss", Permission.MANAGE_GUILD)])
    use = await stage.discord.slash(manager, elsewhere, "cancel", image=1)
    assert await told(use) == "Image #1 was cancelled."


@pytest.mark.parametrize("right", [Permission.MANAGE_MESSAGES, Permission.MANAGE_GUILD, Permission.ADMINISTRATOR])
async def test_moderators_of_another_server_may_not(stage: Stage, right: Permission) -> None:
    await waiting_card(stage)
    guild, channel = await stage.other_server()
    role = stage.discord.add_role("mod", right, guild=guild)
    moderator = stage.discord.add_user("mod", roles=[role], guild=guild)
    use = await stage.discord.slash(moderator, channel, "cancel", image=1)
    assert await told(use) == "Image #1 belongs to somebody else."
    assert (await stage.job(1)).status is JobStatus.QUEUED


async def test_forged_button_of_another_server_may_not(stage: Stage) -> None:
    await waiting_card(stage)
    guild, channel = await stage.other_server()
    role = stage.discord.add_role("mod", Permission.ADMINISTRATOR, guild=guild)
    moderator = stage.discord.add_user("mod", roles=[role], guild=guild)
    use = await stage.discord.slash(moderator, channel, "imagine", prompt="y")
    own = await use.wait(lambda message: "in line" in message.content)
    live = stage.discord.world.channels[own.channel_id].messages[own.id]
    live.components[0]["components"][0]["custom_id"] = "im1:cancel:1"
    pressed = await stage.discord.click(own, "im1:cancel:1", moderator)
    assert await told(pressed) == "Image #1 belongs to somebody else."


async def test_second_press_says_that_it_has_ended(stage: Stage) -> None:
    card = await waiting_card(stage)
    uses = [await stage.discord.click(card, "Cancel") for _ in range(2)]
    answers = {await told(use) for use in uses}
    assert answers == {
        "Image #1 was cancelled.",
        "Image #1 has already finished, so there is nothing to cancel.",
    }


async def test_button_of_another_life_is_answered(stage: Stage) -> None:
    card = await waiting_card(stage)
    live = stage.discord.world.channels[card.channel_id].messages[card.id]
    live.components[0]["components"][0]["custom_id"] = "im1:cancel:999"
    use = await stage.discord.click(card, "im1:cancel:999")
    assert (await told(use)).startswith("There is no image #999.")


async def test_deleting_the_card_cancels(stage: Stage) -> None:
    card = await waiting_card(stage)
    stage.discord.delete_message(card)
    while (await stage.job(1)).status is not JobStatus.CANCELLED:
        await stage.discord.world.changed.wait_for(lambda: True, 1)
    assert stage.discord.messages(stage.discord.channel) == []


async def test_cancelling_makes_room(start: Start) -> None:
    async with start(limits=LimitsConfig(max_active_per_user=1, cooldown_s=0)) as stage:
        card = await waiting_card(stage)
        await told(await stage.discord.click(card, "Cancel"))
        await waiting_card(stage)
