"""What a press of a button does: one entry per action in `PRESSES`. Its look is in `components.py`.

The whole state of a press is in its custom id, so that buttons work after a restart and as long as their image is
kept. Whoever presses asks for himself: what is drawn counts toward the presser. Who may press is decided from the job
in the database, never from the message. Forms are `forms.py`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import discord

from bot.errors import NotYourJob, PictureNotReady
from bot.frontends.discord_app import forms, presses
from bot.frontends.discord_app.components import buttons, custom_id
from bot.frontends.discord_app.drawing import draw_chosen
from bot.frontends.discord_app.embeds import (
    NOBODY,
    described,
    escape,
    mention,
    relative,
    shorten,
    voice_of,
)
from bot.frontends.discord_app.form_fields import MAX_LABEL
from bot.frontends.discord_app.frontend import frontend_of
from bot.frontends.discord_app.interactions import (
    OptionsOutdated,
    PicturePruned,
    attempt,
    cancel,
    chosen_number,
    context_of,
    is_double_click,
    person,
    reader,
    replace,
    say,
    think,
)
from bot.frontends.discord_app.permissions import is_moderator
from bot.frontends.discord_app.posting import post
from bot.frontends.discord_app.removal import take_back
from bot.frontends.discord_app.reveal import reveal
from bot.frontends.discord_app.visibility import in_time, visible_job
from bot.jobs import Job, JobStatus
from bot.presentation.job_view import MENU, Action, setting_phrases, settings_phrase, translation_phrase
from bot.requests.edits import edits
from bot.requests.erased import check_not_erased
from bot.requests.loras import trigger_phrases
from bot.requests.verbs import VERBS, can_start_from_images, idle, steps_after

LINE_PROMPT: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """What a press does with a finished picture.

    is_once: a double click is one press.
    """

    do: Callable[[discord.Interaction, Job], Awaitable[None]]
    is_once: bool = False


# ── drawing again ───────────────────────────────────────────────────────────────────────────────────


async def _draw(verb: Action, interaction: discord.Interaction, job: Job) -> None:
    await draw_chosen(interaction, VERBS[verb](job, context_of(interaction).service.models))


# ── the menu ────────────────────────────────────────────────────────────────────────────────────────


async def _more(interaction: discord.Interaction, job: Job) -> None:
    await _answer_privately(interaction)
    wording = reader(interaction)
    labels = {
        Action.MORE_STEPS: wording.say("button-more-steps", steps=steps_after(job)),
        Action.KEEP: wording.say("button-unkeep" if job.is_kept else "button-keep"),
    }
    view = buttons(_menu(interaction, job), job.id, wording, labels=labels)
    prompt = shorten(escape(wording.prompt(job)), LINE_PROMPT)
    await say(interaction, wording.say("menu-title", job_id=job.id, prompt=prompt), view=view, embed=None)


def _menu(interaction: discord.Interaction, job: Job) -> list[Action]:
    models = context_of(interaction).service.models
    left_out = idle(job, models)
    if not can_start_from_images(job, models) and not any(map(edits, models.all)):
        left_out.add(Action.START_FROM)
    if not _may_dispose(interaction, job):
        left_out |= {Action.KEEP, Action.DELETE}
    return [action for action in MENU if action not in left_out]


async def _info(interaction: discord.Interaction, job: Job) -> None:
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


async def _original(interaction: discord.Interaction, job: Job) -> None:
    await think(interaction)
    file = await _file(interaction, job, guild_id=interaction.guild_id)
    await say(interaction, reader(interaction).say("original-file", job_id=job.id), file=file)


async def _send_dm(interaction: discord.Interaction, job: Job) -> None:
    await think(interaction)
    wording, models = reader(interaction), context_of(interaction).service.models
    file = await _file(interaction, job, guild_id=None)
    try:
        channel = await interaction.user.create_dm()
        prompt = shorten(escape(wording.prompt(job)), LINE_PROMPT)
        text = f"{prompt}\n{voice_of(wording).say(settings_phrase(job, models.titles))}"
        await channel.send(text, file=file, allowed_mentions=NOBODY, nonce=f"dm-{interaction.id}")
    except discord.Forbidden:
        await say(interaction, wording.say("dm-closed"))
        return
    await say(interaction, wording.say("dm-sent", job_id=job.id))


async def _keep(interaction: discord.Interaction, job: Job) -> None:
    await think(interaction)
    archive = context_of(interaction).service.archive
    kept = await archive.set_kept(
        job.id, is_kept=not job.is_kept, by=person(interaction), may=partial(is_moderator, interaction)
    )
    await say(
        interaction, reader(interaction).say("image-kept" if kept.is_kept else "image-kept-no-longer", job_id=job.id)
    )


async def _delete(interaction: discord.Interaction, job: Job) -> None:
    """Ask first: there is no way back."""
    if not _may_dispose(interaction, job):
        raise NotYourJob(job.id)
    await think(interaction)
    wording = reader(interaction)
    view = buttons([Action.ERASE], job.id, wording)
    await say(interaction, wording.say("delete-question", job_id=job.id), view=view)


async def _erase(interaction: discord.Interaction, job: Job) -> None:
    await _answer_privately(interaction)
    service, wording = context_of(interaction).service, reader(interaction)
    erased = await service.archive.erase(job.id, by=person(interaction), may=partial(is_moderator, interaction))
    key = "image-deleted" if await take_back(interaction, erased) else "image-deleted-but-message"
    await say(interaction, wording.say(key, job_id=job.id), view=None)


PRESSES: Final[dict[str, Press]] = {
    **{verb: Press(do=partial(_draw, verb), is_once=True) for verb in VERBS},
    Action.EDIT: Press(do=forms.ask_for_edit),
    Action.POST: Press(do=post, is_once=True),
    Action.MORE: Press(do=_more),
    Action.START_FROM: Press(do=forms.ask_for_start_from),
    Action.INFO: Press(do=_info),
    Action.ORIGINAL: Press(do=_original),
    Action.SEND_DM: Press(do=_send_dm, is_once=True),
    Action.KEEP: Press(do=_keep, is_once=True),
    Action.DELETE: Press(do=_delete),
    Action.ERASE: Press(do=_erase, is_once=True),
}


# ── the way of a press ──────────────────────────────────────────────────────────────────────────────


class ActionButton(
    discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]],
    # `im1` is what earlier releases wrote: their messages stay, and so do the buttons under them. `im2one` means an
    # image that was chosen from its request already.
    template=r"im(?P<kind>1|2|2one):(?P<action>[a-z_]+):(?P<job_id>\d{1,18})",
):
    """A button of the registry, or one that only another release knows."""

    def __init__(self, action: str, job_id: int, *, is_choice: bool = False) -> None:
        super().__init__(discord.ui.Button(label="×", custom_id=custom_id(action, job_id, is_chosen=is_choice)))
        self.action, self.job_id, self.is_choice = action, job_id, is_choice

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: discord.ui.Item[discord.ui.View], match: re.Match[str], /
    ) -> ActionButton:
        """Rebuild the button that was pressed."""
        return cls(match["action"], int(match["job_id"]), is_choice=match["kind"] == "2one")

    async def callback(self, interaction: discord.Interaction) -> None:
        """Do what the button is for; a double click is one press."""
        if self.action == Action.CANCEL:
            await attempt(interaction, cancel(interaction, self.job_id))
        elif self.action == Action.REVEAL:
            await attempt(interaction, reveal(interaction, self.job_id))
        else:
            await attempt(interaction, pressed(interaction, self.action, self.job_id, is_choice=self.is_choice))


class PictureSelect(
    discord.ui.DynamicItem[discord.ui.Select[discord.ui.View]],
    template=r"im2pick:(?P<action>[a-z_]+):(?P<job_id>\d{1,18})",
):
    """Asks which picture of a request a button is meant for."""

    def __init__(self, action: str, job_id: int, options: Sequence[discord.SelectOption] = ()) -> None:
        super().__init__(discord.ui.Select(custom_id=f"im2pick:{action}:{job_id}", options=list(options)))
        self.action = action

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: discord.ui.Item[discord.ui.View], match: re.Match[str], /
    ) -> PictureSelect:
        """Rebuild the menu that was used."""
        return cls(match["action"], int(match["job_id"]))

    async def callback(self, interaction: discord.Interaction) -> None:
        """Do with the chosen picture what the button was for."""
        await attempt(interaction, _chosen(interaction, self.action))


async def _chosen(interaction: discord.Interaction, action: str) -> None:
    if (job_id := chosen_number(interaction)) is None:
        raise OptionsOutdated
    await pressed(interaction, action, job_id, is_choice=True)


async def pressed(interaction: discord.Interaction, action: str, job_id: int, *, is_choice: bool) -> None:
    """Do with an image what a button or command is for, or ask with which image of its request.

    Raises:
        OptionsOutdated: only another release knows the action.
        Refusal, StoreUnavailable
    """
    press = PRESSES.get(action)
    if press is None:
        raise OptionsOutdated
    context_of(interaction).access.check_server(interaction)
    try:
        async with in_time():
            is_repeated = press.is_once and await is_double_click(interaction)
            job = await visible_job(interaction, job_id)
            pictures = [job]
            if not is_choice and action not in (Action.ERASE, *MENU):  # those stand in the menu of one picture
                pictures = await _pictures_of(interaction, job)
        if is_repeated:
            await say(interaction, reader(interaction).say("press-repeated"))
        elif len(pictures) > 1:
            await _ask_which(interaction, action, pictures)
        else:
            await press.do(interaction, with_picture(pictures[0]))
    except Exception:
        presses.forget(interaction)
        raise


async def act(interaction: discord.Interaction, action: Action, pictures: Sequence[Job]) -> None:
    """Do what a button is for with one of some pictures, at least one; which, is asked.

    Raises:
        PictureErased, PictureNotReady
    """
    ready = [job for job in pictures if job.status is JobStatus.DONE and not job.is_erased]
    if len(ready) > 1:
        await _ask_which(interaction, action, ready)
    else:
        await PRESSES[action].do(interaction, with_picture([*ready, *pictures][0]))


async def _pictures_of(interaction: discord.Interaction, job: Job) -> list[Job]:
    siblings = await context_of(interaction).service.archive.siblings(job)
    return [sibling for sibling in siblings if sibling.status is JobStatus.DONE] or [job]


async def _ask_which(interaction: discord.Interaction, action: str, pictures: Sequence[Job]) -> None:
    wording = reader(interaction)
    options = [
        discord.SelectOption(
            label=shorten(wording.say("pick-option", number=number, job_id=job.id, seed=job.spec.seed), MAX_LABEL),
            value=str(job.id),
        )
        for number, job in enumerate(pictures, start=1)
    ]
    view = discord.ui.View(timeout=None)
    view.add_item(PictureSelect(action, pictures[0].id, options))
    view.stop()  # found by its custom id
    await say(interaction, wording.say("pick-title"), view=view)


def with_picture(job: Job) -> Job:
    """Return a job that has a picture.

    Raises:
        PictureErased, PictureRemoved, PictureNotReady
    """
    check_not_erased(job)
    if job.status is not JobStatus.DONE:
        raise PictureNotReady(job.id)
    return job


async def _answer_privately(interaction: discord.Interaction) -> None:
    """Answer in a private message: that of the menu which asked which picture, or a new one."""
    message = interaction.message
    if message is not None and message.flags.ephemeral:
        await replace(interaction)
    else:
        await think(interaction)


async def _file(interaction: discord.Interaction, job: Job, *, guild_id: int | None) -> discord.File:
    """Read the picture of a job, for this server or, with None, for a direct message.

    Raises:
        PicturePruned
    """
    file = await frontend_of(interaction).picture(job, reader(interaction), guild_id=guild_id)
    if file is None:
        raise PicturePruned(job.id)
    return file


def _may_dispose(interaction: discord.Interaction, job: Job) -> bool:
    return job.user == person(interaction) or is_moderator(interaction, job)
