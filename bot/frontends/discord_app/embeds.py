"""JobView → message: text and embed, in one language. Pure: no I/O, no message ids.

Everything a person typed is escaped and cut here, so that no prompt can break a message, mention anybody or exceed
Discord's limits. What is said is `bot/presentation`; sending is `frontend.py`, buttons are `components.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import discord

from bot.jobs import Job, JobStatus
from bot.presentation.job_view import Action, JobView, Voice
from bot.presentation.wording import Wording
from pipeline.catalog.models import find_model
from pipeline.engine import Progress
from pipeline.errors import UnknownModel
from pipeline.spec import Aspect, ImageSpec

# Discord's limits: resources/message, in characters. A client counts UTF-16 units, so do we.
MAX_CONTENT: Final = 2000
MAX_DESCRIPTION: Final = 4096
STATUS_PROMPT: Final = 600  # a message that waits should not fill the screen
MAX_REASON: Final = 300
BAR_CELLS: Final = 10
ZERO_WIDTH_SPACE: Final = "\u200b"  # `pipeline.spec.clean_prompt` drops it from a pasted command

GREY: Final = discord.Colour(0x99AAB5)
BLUE: Final = discord.Colour(0x3498DB)
GREEN: Final = discord.Colour(0x2ECC71)
RED: Final = discord.Colour(0xE74C3C)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusMessage:
    """The message of a job, to be sent. `picture` is the name of the file that the embed shows."""

    content: str
    embed: discord.Embed
    actions: tuple[Action, ...] = ()
    picture: str | None = None


def status_message(view: JobView, wording: Wording, *, with_prompt: bool = True) -> StatusMessage:
    """Lay out a job that waits or runs."""
    voice = voice_of(wording)
    headline = voice.say(view.headline, who=mention(view.job), bar=_bar(view.progress))
    if view.eta is not None:
        headline = f"{headline} · {voice.say(view.eta)}"
    embed = discord.Embed(
        description=_prompt(view.job, STATUS_PROMPT, wording, with_prompt),
        colour=BLUE if view.job.status is JobStatus.RUNNING else GREY,
    )
    embed.set_footer(text=voice.say(view.settings))
    return StatusMessage(content="\n".join([headline, *map(voice.say, view.notes)]), embed=embed, actions=view.actions)


def result_message(
    view: JobView,
    wording: Wording,
    *,
    picture: str | None,
    shrunk_to: str | None = None,
    usual_model: str,
    with_prompt: bool = True,
) -> StatusMessage:
    """Lay out a finished picture.

    The command is shown whole or not at all, the prompt is cut to what it leaves.

    Args:
        picture: the name of its file; None if that is gone.
        shrunk_to: the format if it is not the original.
        usual_model: which one draws when a command names none.
    """
    voice, job = voice_of(wording), view.job
    notes = []
    if shrunk_to:
        notes.append(wording.say("card-shrunk", format=shrunk_to))
    if picture is None:
        notes.append(wording.say("card-picture-pruned"))
    notes += [*map(voice.say, view.notes), *_command_remarks(job, wording, usual_model=usual_model)]
    block = f"```\n{command(job)}\n```" if with_prompt and job.flaw is None else ""
    room = MAX_DESCRIPTION - units("\n".join([block, *notes])) - 2
    if room < STATUS_PROMPT:  # almost 2000 characters that each count twice
        block, room = "", MAX_DESCRIPTION - units("\n".join(notes)) - 2
    parts = [_prompt(job, room, wording, with_prompt), block, *notes]
    embed = discord.Embed(description="\n".join(part for part in parts if part), colour=GREEN)
    settings = voice.say(view.settings)
    if job.ran_s < 0.1:
        footer = wording.say("card-no-seconds", settings=settings)
    else:
        seconds = f"{job.ran_s:.1f}" if job.ran_s < 10 else f"{job.ran_s:.0f}"
        footer = wording.say("card-seconds", settings=settings, seconds=seconds)
    embed.set_footer(text=footer)
    if picture is not None:
        embed.set_image(url=f"attachment://{picture}")
    return StatusMessage(
        content=voice.say(view.headline, who=mention(job)), embed=embed, actions=view.actions, picture=picture
    )


def ended_message(view: JobView, wording: Wording, *, with_prompt: bool = True) -> StatusMessage:
    """Lay out a job that failed or was cancelled."""
    voice, job = voice_of(wording), view.job
    embed = discord.Embed(
        description=_prompt(job, STATUS_PROMPT, wording, with_prompt),
        colour=RED if job.status is JobStatus.FAILED else GREY,
    )
    embed.set_footer(text=voice.say(view.settings))
    return StatusMessage(content=voice.say(view.headline, who=mention(job)), embed=embed, actions=view.actions)


def moved_message(view: JobView, wording: Wording, *, to_dm: bool) -> StatusMessage:
    """Lay out an old message whose result had to go elsewhere."""
    job = view.job
    if job.status is not JobStatus.DONE:
        return ended_message(view, wording)
    content = wording.say("card-done-by-dm" if to_dm else "card-done-elsewhere", who=mention(job))
    embed = discord.Embed(description=_prompt(job, STATUS_PROMPT, wording, True), colour=GREEN)
    embed.set_footer(text=voice_of(wording).say(view.settings))
    return StatusMessage(content=content, embed=embed)


def voice_of(wording: Wording) -> Voice:
    """Return the voice for Discord, whose clients count moments down and read markup."""
    return Voice(wording=wording, write_moment=relative, quote=lambda text: shorten(escape(text), MAX_REASON))


def command(job: Job) -> str:
    """Return the `/imagine` line that draws this picture again, safe inside a code block.

    Zero-width spaces keep runs of back-ticks from ending the block and words like `seed:` from being read as
    options; `clean_prompt` removes them again when the line is pasted. Option names are the same in every
    language, so that the line works for every reader.
    """
    spec = job.spec
    prompt = spec.prompt.replace("``", f"`{ZERO_WIDTH_SPACE}`{ZERO_WIDTH_SPACE}")
    prompt = re.sub(r"\b(prompt|seed|steps|aspect):", rf"\1{ZERO_WIDTH_SPACE}:", prompt)
    aspect = _aspect(spec)
    return f"/imagine prompt:{prompt} seed:{spec.seed} steps:{spec.steps}" + (f" aspect:{aspect}" if aspect else "")


def relative(moment: int) -> str:
    """Write a moment so that every client shows it in its own way: "in 5 minutes", counting down."""
    return f"<t:{moment}:R>"


def mention(job: Job) -> str:
    """Mention the person; the sender decides whether it notifies."""
    return f"<@{job.user.id}>"


def escape(text: str) -> str:
    """Escape everything that Discord reads as markdown, mention or link."""
    return re.sub(r"([\\*_~`|>#\[\]()<@:-])", r"\\\1", text)


def units(text: str) -> int:
    """Return the length as Discord's clients count it, in UTF-16 units."""
    return len(text.encode("utf-16-le")) // 2


def shorten(escaped: str, room: int) -> str:
    """Cut escaped text to `room` UTF-16 units with an ellipsis, never inside an escape."""
    if units(escaped) <= room:
        return escaped
    kept: list[str] = []
    left = room - 1
    for piece in re.findall(r"\\.|.", escaped, re.DOTALL):
        left -= units(piece)
        if left < 0:
            break
        kept.append(piece)
    return "".join(kept).rstrip("\u200d ") + "…"


def _bar(progress: Progress | None) -> str:
    if progress is None:
        return ""
    filled = BAR_CELLS * progress.step // max(progress.steps, 1)
    return "▰" * filled + "▱" * (BAR_CELLS - filled)


def _command_remarks(job: Job, wording: Wording, *, usual_model: str) -> list[str]:
    """Say what `command` cannot, because `/imagine` takes neither an init image nor a model."""
    remarks = []
    if job.spec.source:
        remarks.append(wording.say("card-from-picture", strength=f"{job.spec.strength:g}"))
    if job.spec.model != usual_model:
        remarks.append(wording.say("card-other-model", model=job.spec.model, usual=usual_model))
    return remarks


def _aspect(spec: ImageSpec) -> Aspect | None:
    """Return the model's name for the size; None if it has no such name, or only one."""
    try:
        sizes = find_model(spec.model).sizes
    except UnknownModel:
        return None
    if len(sizes) < 2:
        return None
    return next((aspect for aspect, size in sizes.items() if size == (spec.width, spec.height)), None)


def _prompt(job: Job, room: int, wording: Wording, with_prompt: bool) -> str:
    return shorten(escape(wording.prompt(job)), room) if with_prompt else wording.say("card-prompt-hidden")
