"""Buttons that survive a restart: their whole state is in the custom id, `im2:<action>:<job id>`.

`BUTTONS` is the registry: a button is one entry here and one sentence per language. Who may press is decided from the
job in the database, never from the message. What a press does is `interactions.py`; the buttons that turn the pages of
a history stand with them, in `commands/personal.py`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

import discord

from bot.frontends.discord_app.interactions import May, OptionsOutdated, attempt, cancel
from bot.frontends.discord_app.permissions import is_moderator
from bot.jobs import Job
from bot.presentation.job_view import Action
from bot.presentation.wording import Wording


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """One kind of button under the message of a job.

    label: the key of its sentence.
    may: who may press it, beside the job's owner.
    press: what it does with the job of that number.
    """

    label: str
    style: discord.ButtonStyle
    may: May
    press: Callable[[discord.Interaction, int, May], Awaitable[None]]


BUTTONS: Final[dict[str, Button]] = {
    Action.CANCEL: Button(
        label="button-cancel", style=discord.ButtonStyle.secondary, may=is_moderator, press=cancel
    ),
}  # fmt: skip


class ActionButton(
    discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]],
    # `im1` is what earlier releases wrote: their messages stay, and so do the buttons under them.
    template=r"im[12]:(?P<action>[a-z_]+):(?P<job_id>\d{1,18})",
):
    """A button of the registry, or one that only another release knows."""

    def __init__(
        self,
        action: str,
        job_id: int,
        *,
        label: str = "×",
        style: discord.ButtonStyle = discord.ButtonStyle.secondary,
    ) -> None:
        super().__init__(discord.ui.Button(label=label, style=style, custom_id=f"im2:{action}:{job_id}"))
        self.action, self.job_id = action, job_id

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: discord.ui.Item[discord.ui.View], match: re.Match[str], /
    ) -> ActionButton:
        """Rebuild the button that was pressed."""
        return cls(match["action"], int(match["job_id"]))

    async def callback(self, interaction: discord.Interaction) -> None:
        """Do what the button is for; pressing twice is harmless, the second time says so."""
        button = BUTTONS.get(self.action)
        if button is None:
            await attempt(interaction, _unknown())
        else:
            await attempt(interaction, button.press(interaction, self.job_id, button.may))


def buttons(actions: Iterable[Action], job: Job, wording: Wording) -> discord.ui.View | None:
    """Make the buttons of a message: of its actions those in the registry; None if there are none."""
    offered = [(action, BUTTONS[action]) for action in actions if action in BUTTONS]
    if not offered:
        return None
    view = discord.ui.View(timeout=None)
    for action, button in offered:
        view.add_item(ActionButton(action, job.id, label=wording.say(button.label), style=button.style))
    return view


async def _unknown() -> None:
    raise OptionsOutdated
