"""Posts a finished image again, for everybody in a channel. Who may see it is `visibility.py`."""

from __future__ import annotations

import discord

from bot.frontends.discord_app.components import buttons
from bot.frontends.discord_app.copies import note_copy
from bot.frontends.discord_app.embeds import NOBODY, mention
from bot.frontends.discord_app.frontend import frontend_of
from bot.frontends.discord_app.interactions import PicturePruned, context_of, person, placeholder
from bot.frontends.discord_app.permissions import is_age_restricted
from bot.jobs import Job
from bot.presentation.wording import wording_for
from bot.requests.erased import check_not_erased


async def post(interaction: discord.Interaction, job: Job) -> None:
    """Post an image in a new message here, which says whose it is and, if somebody else asked, who that was.

    Raises:
        PicturePruned, StoreUnavailable
        JobNotFound, PictureErased, PictureRemoved: it went while it was posted.
        Refusal: one of `AccessPolicy`, or of `Moderation.check`: what its words may not draw here is not shown here.
    """
    context, frontend = context_of(interaction), frontend_of(interaction)
    context.access.check_channel(interaction)
    is_restricted = is_age_restricted(interaction.channel)
    texts = [job.spec.prompt, job.spec.text]
    await context.service.moderation.check(person(interaction), texts, is_age_restricted=is_restricted)
    async with placeholder(interaction) as message_id:
        wording = wording_for((interaction.guild_locale or interaction.locale).value)
        composed = await frontend.compose([job], wording, guild_id=interaction.guild_id)
        if not composed.uploads:
            raise PicturePruned(job.id)
        key = "posted-own" if job.user == person(interaction) else "posted-of-other"
        # Before it is shown: a message that shows an image must be known, whatever happens in between.
        await note_copy(context.service, job, frontend.address(interaction), message_id)
        await interaction.edit_original_response(
            content=wording.say(key, job_id=job.id, owner=mention(job), who=interaction.user.mention),
            embed=composed.message.embed,
            attachments=composed.files(),
            view=buttons(composed.message.actions, job.id, wording),
            allowed_mentions=NOBODY,
        )
        # A copy that was noted too late to be taken back, or while it was empty, is taken back here.
        check_not_erased(await context.service.job(job.id))
