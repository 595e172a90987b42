"""Posts a finished image again, for everybody in a channel. Who may see it is `visibility.py`."""

from __future__ import annotations

import discord

from bot.frontends.discord_app.components import buttons
from bot.frontends.discord_app.embeds import NOBODY, mention
from bot.frontends.discord_app.frontend import frontend_of
from bot.frontends.discord_app.interactions import PicturePruned, context_of, person, placeholder
from bot.jobs import Job
from bot.presentation.wording import wording_for


async def post(interaction: discord.Interaction, job: Job) -> None:
    """Post an image in a new message here, which says whose it is and, if somebody else asked, who that was.

    Raises:
        PicturePruned
        Refusal: one of `AccessPolicy`.
    """
    context_of(interaction).access.check_channel(interaction)
    async with placeholder(interaction):
        wording = wording_for((interaction.guild_locale or interaction.locale).value)
        composed = await frontend_of(interaction).compose([job], wording, guild_id=interaction.guild_id)
        if not composed.uploads:
            raise PicturePruned(job.id)
        key = "posted-own" if job.user == person(interaction) else "posted-of-other"
        await interaction.edit_original_response(
            content=wording.say(key, job_id=job.id, owner=mention(job), who=interaction.user.mention),
            embed=composed.message.embed,
            attachments=composed.files(),
            view=buttons(composed.message.actions, job.id, wording),
            allowed_mentions=NOBODY,
        )
