"""What *Info* says about an image, to whoever asks."""

from __future__ import annotations

import discord

from bot.frontends.discord_app.embeds import described, mention, relative, voice_of
from bot.frontends.discord_app.interactions import context_of, reader, say, think
from bot.jobs import Job
from bot.presentation.job_view import setting_phrases, settings_phrase, translation_phrase
from bot.requests.loras import trigger_phrases


async def info(interaction: discord.Interaction, job: Job) -> None:
    """Say privately who asked for an image and when, how it was drawn, and from what."""
    await think(interaction)
    wording, models = reader(interaction), context_of(interaction).service.models
    lines = [
        wording.say("info-asked", who=mention(job), when=relative(job.queued_at)),
        wording.say("info-drawn", when=relative(job.finished_at or job.queued_at), seconds=f"{job.ran_s:.1f}"),
        voice_of(wording).say(settings_phrase(job, models.titles)),
    ]
    if (translation := translation_phrase(job)) is not None:
        lines.insert(0, voice_of(wording).say(translation))
    lines += map(voice_of(wording).say, (*setting_phrases(job.spec), *trigger_phrases(job.spec, models)))
    if job.derived_from is not None:
        lines.append(wording.say("info-derived", job_id=job.derived_from.job_id))
    if job.spec.source:
        key = "info-upscaled" if job.spec.upscale else "info-from-image"
        lines.append(wording.say(key, strength=f"{job.spec.strength:g}"))
    if job.spec.references:
        lines.append(wording.say("info-edited", count=len(job.spec.reference_keys)))
    if job.image_bytes:
        lines.append(wording.say("info-file", kib=max(1, job.image_bytes // 1024)))
    if job.is_kept:
        lines.append(wording.say("info-kept"))
    text = described([job], wording, lines, models=models)
    await say(interaction, embed=discord.Embed(title=wording.say("info-title", job_id=job.id), description=text))
