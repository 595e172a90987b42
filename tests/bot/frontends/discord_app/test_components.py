"""The Cancel button works for the right people, twice, after a restart, and on jobs that are gone."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import FrameType

import pytest

import bot
from bot.config import LimitsConfig
from bot.frontends.discord_app.actions import PRESSES
from bot.frontends.discord_app.components import BUTTONS
from bot.jobs import JobStatus
from bot.presentation.job_view import Action
from bot.presentation.wording import LANGUAGES, wording_for
from tests.bot.frontends.discord_app.conftest import Stage, Start
from tests.discord_server.driver import Use
from tests.discord_server.permissions import Permission
from tests.discord_server.view import MessageView


async def waiting_message(stage: Stage) -> MessageView:
    use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "imagine", prompt="x")
    return await use.wait(lambda message: "⏳" in message.content)


async def told(use: Use) -> str:
    return (await use.wait(lambda message: message.ephemeral and not message.loading)).content


async def test_owner_cancels_a_waiting_job(stage: Stage) -> None:
    message = await waiting_message(stage)
    assert await told(await stage.discord.click(message, "Cancel")) == "Image #1 was cancelled."
    ended = await stage.discord.wait_message(lambda message: "cancelled" in message.content and not message.ephemeral)
    assert not ended.buttons
    assert (await stage.job(1)).status is JobStatus.CANCELLED


async def test_owner_stops_a_running_job(stage: Stage) -> None:
    use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "imagine", prompt="[hang]")
    async with stage.drawing():
        message = await use.wait(lambda message: "step" in message.content)
        said = await told(await stage.discord.click(message, "Cancel"))
        assert said == "Image #1 stops at the next step; there is nothing more to do."
        await use.wait(lambda message: message.content.startswith("🚫"))


async def test_others_may_not(stage: Stage) -> None:
    message = await waiting_message(stage)
    stranger = stage.discord.add_user("bob")
    assert await told(await stage.discord.click(message, "Cancel", stranger)) == "Image #1 belongs to somebody else."
    assert (await stage.job(1)).status is JobStatus.QUEUED


async def test_moderators_may(stage: Stage) -> None:
    message = await waiting_message(stage)
    role = stage.discord.add_role("mod", Permission.MANAGE_MESSAGES)
    moderator = stage.discord.add_user("mod", roles=[role])
    assert await told(await stage.discord.click(message, "Cancel", moderator)) == "Image #1 was cancelled."


async def test_right_to_manage_messages_elsewhere_does_not_count(stage: Stage) -> None:
    message = await waiting_message(stage)
    elsewhere = stage.discord.add_channel("elsewhere")
    moderator = stage.discord.add_user("mod")
    stage.discord.set_permissions(elsewhere, moderator, allow=Permission.MANAGE_MESSAGES)
    assert "somebody else" in await told(await stage.discord.click(message, "Cancel", moderator))
    use = await stage.discord.slash(moderator, elsewhere, "cancel", picture=1)
    assert "somebody else" in await told(use)
    assert (await stage.job(1)).status is JobStatus.QUEUED


async def test_managers_may_from_any_channel_of_their_server(stage: Stage) -> None:
    await waiting_message(stage)
    elsewhere = stage.discord.add_channel("elsewhere")
    manager = stage.discord.add_user("boss", roles=[stage.discord.add_role("boss", Permission.MANAGE_GUILD)])
    use = await stage.discord.slash(manager, elsewhere, "cancel", picture=1)
    assert await told(use) == "Image #1 was cancelled."


@pytest.mark.parametrize("right", [Permission.MANAGE_MESSAGES, Permission.MANAGE_GUILD, Permission.ADMINISTRATOR])
async def test_moderators_of_another_server_may_not(stage: Stage, right: Permission) -> None:
    await waiting_message(stage)
    guild, channel = await stage.other_server()
    role = stage.discord.add_role("mod", right, guild=guild)
    moderator = stage.discord.add_user("mod", roles=[role], guild=guild)
    use = await stage.discord.slash(moderator, channel, "cancel", picture=1)
    assert await told(use) == "Image #1 belongs to somebody else."
    assert (await stage.job(1)).status is JobStatus.QUEUED


async def test_forged_button_of_another_server_may_not(stage: Stage) -> None:
    await waiting_message(stage)
    guild, channel = await stage.other_server()
    role = stage.discord.add_role("mod", Permission.ADMINISTRATOR, guild=guild)
    moderator = stage.discord.add_user("mod", roles=[role], guild=guild)
    use = await stage.discord.slash(moderator, channel, "imagine", prompt="y")
    own = await use.wait(lambda message: "⏳" in message.content)
    live = stage.discord.world.channels[own.channel_id].messages[own.id]
    live.components[0]["components"][0]["custom_id"] = "im1:cancel:1"
    pressed = await stage.discord.click(own, "im1:cancel:1", moderator)
    assert await told(pressed) == "Image #1 belongs to somebody else."


async def test_second_press_says_that_it_has_ended(stage: Stage) -> None:
    message = await waiting_message(stage)
    uses = [await stage.discord.click(message, "Cancel") for _ in range(2)]
    answers = {await told(use) for use in uses}
    assert answers == {
        "Image #1 was cancelled.",
        "Image #1 has already finished, so there is nothing to cancel.",
    }


async def test_button_of_another_life_is_answered(stage: Stage) -> None:
    message = await waiting_message(stage)
    live = stage.discord.world.channels[message.channel_id].messages[message.id]
    live.components[0]["components"][0]["custom_id"] = "im1:cancel:999"
    use = await stage.discord.click(message, "im1:cancel:999")
    assert (await told(use)).startswith("There is no image #999.")


async def test_deleting_the_message_cancels(stage: Stage) -> None:
    message = await waiting_message(stage)
    stage.discord.delete_message(message)
    while (await stage.job(1)).status is not JobStatus.CANCELLED:
        await stage.discord.world.changed.wait_for(lambda: True, 1)
    assert stage.discord.messages(stage.discord.channel) == []


async def test_cancelling_makes_room(start: Start) -> None:
    async with start(limits=LimitsConfig(max_active_per_user=1, cooldown_s=0)) as stage:
        message = await waiting_message(stage)
        await told(await stage.discord.click(message, "Cancel"))
        await waiting_message(stage)


# ── the registry ────────────────────────────────────────────────────────────────────────────────────


def give_id(stage: Stage, message: MessageView, custom_id: str) -> None:
    """Make the button of a message one of another release."""
    live = stage.discord.world.channels[message.channel_id].messages[message.id]
    live.components[0]["components"][0]["custom_id"] = custom_id


async def test_button_carries_action_and_job(stage: Stage) -> None:
    message = await waiting_message(stage)
    assert [button["custom_id"] for button in message.buttons] == ["im2:cancel:1"]


async def test_button_of_an_earlier_release_still_cancels(stage: Stage) -> None:
    message = await waiting_message(stage)
    give_id(stage, message, "im1:cancel:1")
    assert await told(await stage.discord.click(message, "im1:cancel:1")) == "Image #1 was cancelled."


OF_ANOTHER_RELEASE = (
    "im2:zoom:1", "im2:page:1", "im1:x:1", "im3:cancel:1", "im2:cancel:", "im2:cancel:-1",
    "im2:cancel:1111111111111111111", "im2:cancel:1\n", "IM2:CANCEL:1", "x", " ",
)  # fmt: skip


async def test_button_that_only_another_release_knows_is_answered(stage: Stage) -> None:
    message = await waiting_message(stage)
    for custom_id in OF_ANOTHER_RELEASE:
        give_id(stage, message, custom_id)
        answer = await told(await stage.discord.click(message, custom_id))
        assert answer.startswith("This command has just changed."), custom_id
    assert (await stage.job(1)).status is JobStatus.QUEUED


def test_every_button_has_a_look_and_something_to_do() -> None:
    assert BUTTONS.keys() - {Action.CANCEL, Action.REVEAL} == PRESSES.keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_button_says_in_words_what_it_does(language: str) -> None:
    """For those who see neither its sign nor its colour."""
    wording = wording_for(language)
    labels = {look.label: wording.say(look.label, steps=4) for look in BUTTONS.values()}
    assert [key for key, label in labels.items() if not re.search(r"[^\W\d_]{2,}", label)] == []
    assert len(set(labels.values())) == len(labels)


# ── the way of a press ──────────────────────────────────────────────────────────────────────────────

WAY = (
    "frontends/discord_app/actions.py",
    "frontends/discord_app/interactions.py",
    "requests/service.py",
    "scheduling/job_queue.py",
    "store/job_store.py",
)
# What a file of the way asks for a value, or tells that something changed, without anything further happening there.
BESIDE = {
    "store/database.py",
    "store/spec_codec.py",
    "store/job_rows.py",
    "store/job_sql.py",
    "store/outbox_store.py",  # what could not be delivered and is to be told
    "presentation/wording/__init__.py",
    "frontends/discord_app/message_ref.py",  # in which channel it was pressed
    "requests/preferences.py",  # in which language to answer
    "requests/moderation.py",  # what was removed and is to be told, in a table of its own
    "store/moderation_store.py",
    "delivery/results.py",
    "delivery/status_updates.py",
    "retry.py",
    "deadline.py",
}


@contextmanager
def traced() -> Iterator[list[str]]:
    """Note the files of `bot` that the task of a pressed button enters, one after the other."""
    root = Path(bot.__file__).parent
    entered: list[str] = []
    frames: dict[int, FrameType] = {}  # a coroutine that goes on is no new entry; kept, so that no id comes again
    pressing: list[asyncio.Task[object] | None] = []

    def look(frame: FrameType, event: str, _argument: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event != "call" or not path.is_relative_to(root):
            return
        if not pressing and frame.f_code.co_qualname == "ActionButton.callback":
            pressing.append(asyncio.current_task())
        if id(frame) in frames or not pressing or asyncio.current_task() is not pressing[0]:
            return
        frames[id(frame)] = frame
        file = path.relative_to(root).as_posix()
        if not entered or entered[-1] != file:
            entered.append(file)

    sys.setprofile(look)
    try:
        yield entered
    finally:
        sys.setprofile(None)


async def test_press_of_cancel_goes_one_way_down_and_comes_back_up_twice(stage: Stage) -> None:
    """Up to the queue, which tells that it changed, and to what answers; then results that were not delivered."""
    message = await waiting_message(stage)
    with traced() as entered:
        await told(await stage.discord.click(message, "Cancel"))
        while "requests/moderation.py" not in entered or entered[-1] != WAY[2]:  # the look for such results has ended
            await asyncio.sleep(0.01)
    assert set(entered) - set(WAY) <= BESIDE
    stops = [file for file in entered if file in WAY]
    steps = [WAY.index(file) for number, file in enumerate(stops) if stops[:number][-1:] != [file]]
    assert steps[: len(WAY)] == list(range(len(WAY)))
    assert sum(after < before for before, after in pairwise(steps)) <= 2
    assert steps.count(WAY.index("frontends/discord_app/interactions.py")) == 2
