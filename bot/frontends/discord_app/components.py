"""Buttons that survive a restart: their whole state is in the custom id, `im2:<action>:<job id>`.

`BUTTONS` says how they look; a button is one entry here, one in `actions.py`, which says what a press does, and one
sentence per language. The buttons that turn the pages of a history stand with them, in `commands/personal.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import discord

from bot.presentation.job_view import Action
from bot.presentation.wording import Wording

PER_ROW: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """The look of a button; `label` is the key of its sentence."""

    label: str
    style: discord.ButtonStyle = discord.ButtonStyle.secondary


BUTTONS: Final[dict[str, Button]] = {
    Action.CANCEL: Button(label="button-cancel"),
    Action.REROLL: Button(label="button-again"),
    Action.EDIT: Button(label="button-edit"),
    Action.VARY: Button(label="button-vary"),
    Action.MORE: Button(label="button-more"),
    Action.REVEAL: Button(label="button-show-me", style=discord.ButtonStyle.primary),
    Action.FINAL: Button(label="button-final", style=discord.ButtonStyle.primary),
    Action.MORE_STEPS: Button(label="button-more-steps"),
    Action.START_FROM: Button(label="button-start-from"),
    Action.INFO: Button(label="button-info"),
    Action.ORIGINAL: Button(label="button-original"),
    Action.SEND_DM: Button(label="button-send-dm"),
    Action.KEEP: Button(label="button-keep"),
    Action.DELETE: Button(label="button-delete", style=discord.ButtonStyle.danger),
    Action.ERASE: Button(label="button-erase", style=discord.ButtonStyle.danger),
}


def custom_id(action: str, job_id: int) -> str:
    """Return the state of a button."""
    return f"im2:{action}:{job_id}"


def buttons(
    actions: Iterable[Action], job_id: int, wording: Wording, *, labels: Mapping[Action, str] | None = None
) -> discord.ui.View | None:
    """Make the buttons of a message: of its actions those in the registry; None if there are none.

    `labels` are sentences that say more than those of the registry.
    """
    offered = [action for action in actions if action in BUTTONS]
    if not offered:
        return None
    view = discord.ui.View(timeout=None)
    for place, action in enumerate(offered):
        look = BUTTONS[action]
        view.add_item(
            discord.ui.Button(
                label=(labels or {}).get(action) or wording.say(look.label),
                style=look.style,
                custom_id=custom_id(action, job_id),
                row=place // PER_ROW,
            )
        )
    view.stop()  # Discord keeps the buttons; the library need not: `actions.py` finds them by their custom id
    return view
