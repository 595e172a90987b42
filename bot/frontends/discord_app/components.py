"""Buttons that survive a restart: their whole state is in the custom id, `im1:<action>:<job id>`.

Who may press is decided from the job in the database, never from the message.
"""

from __future__ import annotations

import re

import discord

from bot.frontends.discord_app.embeds import Card
from bot.frontends.discord_app.interactions import cancel, context_of, explain, tell_notes
from bot.jobs import Job
from bot.presentation.wording import Wording


class CancelButton(
    discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]], template=r"im1:cancel:(?P<job_id>\d{1,18})"
):
    """Cancels one job, waiting or running, for its owner or a moderator."""

    def __init__(self, job_id: int, label: str | None = None) -> None:
        super().__init__(
            discord.ui.Button(label=label or "×", style=discord.ButtonStyle.secondary, custom_id=f"im1:cancel:{job_id}")
        )
        self.job_id = job_id

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: discord.ui.Item[discord.ui.View], match: re.Match[str], /
    ) -> CancelButton:
        """Rebuild the button that was pressed."""
        return cls(int(match["job_id"]))

    async def callback(self, interaction: discord.Interaction) -> None:
        """Cancel; pressing twice is harmless, the second time says that it has ended."""
        service = context_of(interaction).service
        try:
            await cancel(interaction, service, self.job_id)
        except Exception as error:  # discord.py would log it and leave the person without an answer
            await explain(interaction, error)
        await tell_notes(interaction, service)


def view_of(card: Card, job: Job, wording: Wording) -> discord.ui.View | None:
    """The buttons of a card, or None if it has none."""
    if not card.can_cancel:
        return None
    view = discord.ui.View(timeout=None)
    view.add_item(CancelButton(job.id, wording.say("button-cancel")))
    return view
