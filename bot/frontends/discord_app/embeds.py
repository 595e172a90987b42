"""Job → card: what a message says, as text and embed, in one language. Pure: no I/O, no message ids.

Everything a person typed is escaped and cut here, so that no prompt can break a card, mention anybody or
exceed Discord's limits. Sending is `frontend.py`; sentences are `bot/wording`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import discord

from bot.jobs import Job, JobStatus, QueueStatus
from bot.pause import Pause
from bot.presentation.wording import Wording
from pipeline.catalog.models import find_model
from pipeline.catalog.vocabulary import Unread
from pipeline.engine import Progress, Stage
from pipeline.errors import UnknownModel
from pipeline.spec import Aspect, ImageSpec

# Discord's limits: resources/message, in characters. A client counts UTF-16 units, so do we.
MAX_CONTENT: Final = 2000
MAX_DESCRIPTION: Final = 4096
STATUS_PROMPT: Final = 600  # a card that waits should not fill the screen
MAX_REASON: Final = 300
BAR_CELLS: Final = 10
SOON_S: Final = 3  # nearer finish times would be over before they are read
ZERO_WIDTH_SPACE: Final = "\u200b"  # `pipeline.spec.clean_prompt` drops it from a pasted command

GREY: Final = discord.Colour(0x99AAB5)
BLUE: Final = discord.Colour(0x3498DB)
GREEN: Final = discord.Colour(0x2ECC71)
RED: Final = discord.Colour(0xE74C3C)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A message to be. `picture` is the name of the file that the embed shows."""

    content: str
    embed: discord.Embed
    can_cancel: bool = False
    picture: str | None = None


def status_card(
    job: Job,
    standing: QueueStatus,
    wording: Wording,
    *,
    now: int,
    remarks: Sequence[str] = (),
    with_prompt: bool = True,
) -> Card:
    """The card of a job that waits or runs, for a reader at `now` (Unix seconds)."""
    lines = [_headline(job, standing, wording, now=now)]
    if standing.pause is not None:
        lines.append(pause_line(standing.pause, wording))
    if job.interruptions:
        lines.append(wording.say("card-resumed"))
    lines += remarks
    embed = discord.Embed(
        description=_prompt(job, STATUS_PROMPT, wording, with_prompt),
        colour=BLUE if job.status is JobStatus.RUNNING else GREY,
    )
    embed.set_footer(text=wording.settings(job))
    return Card(content="\n".join(lines), embed=embed, can_cancel=not job.is_cancel_requested)


def result_card(
    job: Job,
    wording: Wording,
    *,
    picture: str | None,
    shrunk_to: str | None = None,
    remarks: Sequence[str] = (),
    with_prompt: bool = True,
) -> Card:
    """The card of a finished picture; `picture` is its file name, `shrunk_to` the format if it is not the original.

    The command is shown whole or not at all, the prompt is cut to what it leaves.
    """
    notes = []
    if shrunk_to:
        notes.append(wording.say("card-shrunk", format=shrunk_to))
    if picture is None:
        notes.append(wording.say("card-picture-pruned"))
    notes += remarks
    block = f"```\n{command(job)}\n```" if with_prompt and job.flaw is None else ""
    room = MAX_DESCRIPTION - units("\n".join([block, *notes])) - 2
    if room < STATUS_PROMPT:  # almost 2000 characters that each count twice
        block, room = "", MAX_DESCRIPTION - units("\n".join(notes)) - 2
    parts = [_prompt(job, room, wording, with_prompt), block, *notes]
    embed = discord.Embed(description="\n".join(part for part in parts if part), colour=GREEN)
    if job.ran_s < 0.1:
        footer = wording.say("card-no-seconds", settings=wording.settings(job))
    else:
        seconds = f"{job.ran_s:.1f}" if job.ran_s < 10 else f"{job.ran_s:.0f}"
        footer = wording.say("card-seconds", settings=wording.settings(job), seconds=seconds)
    embed.set_footer(text=footer)
    if picture is not None:
        embed.set_image(url=f"attachment://{picture}")
    return Card(content=wording.say("card-done", who=mention(job)), embed=embed, picture=picture)


def ended_card(job: Job, wording: Wording, *, with_prompt: bool = True) -> Card:
    """The card of a job that failed or was cancelled."""
    if job.status is JobStatus.CANCELLED:
        content = wording.say("card-cancelled", who=mention(job))
    else:
        reason = wording.failure(job.failure_code) if job.failure_code else ""
        content = wording.say("card-failed", who=mention(job), reason=reason)
    embed = discord.Embed(
        description=_prompt(job, STATUS_PROMPT, wording, with_prompt),
        colour=RED if job.status is JobStatus.FAILED else GREY,
    )
    embed.set_footer(text=wording.settings(job))
    return Card(content=content, embed=embed)


def moved_card(job: Job, wording: Wording, *, to_dm: bool) -> Card:
    """What an old card says when the news had to go elsewhere."""
    if job.status is not JobStatus.DONE:
        return ended_card(job, wording)
    content = wording.say("card-done-by-dm" if to_dm else "card-done-elsewhere", who=mention(job))
    embed = discord.Embed(description=_prompt(job, STATUS_PROMPT, wording, True), colour=GREEN)
    embed.set_footer(text=wording.settings(job))
    return Card(content=content, embed=embed)


def finish(standing: QueueStatus, wording: Wording, *, now: int) -> str | None:
    """When the picture will be ready, never in the past; None while nobody can tell."""
    if standing.finish_at is None:
        return None
    if standing.finish_at - now < SOON_S:
        return wording.say("card-finish-soon")
    key = "card-finish-rough" if standing.is_rough else "card-finish"
    return wording.say(key, when=relative(standing.finish_at))


def pause_line(pause: Pause, wording: Wording) -> str:
    """Say that the queue is paused and why."""
    return wording.pause(pause, quote=lambda text: shorten(escape(text), MAX_REASON))


def command(job: Job) -> str:
    """The `/imagine` line that draws this picture again, safe inside a code block.

    Zero-width spaces keep runs of back-ticks from ending the block and words like `seed:` from being read as
    options; `clean_prompt` removes them again when the line is pasted. Option names are the same in every
    language, so that the line works for every reader.
    """
    spec = job.spec
    prompt = spec.prompt.replace("``", f"`{ZERO_WIDTH_SPACE}`{ZERO_WIDTH_SPACE}")
    prompt = re.sub(r"\b(prompt|seed|steps|aspect):", rf"\1{ZERO_WIDTH_SPACE}:", prompt)
    aspect = _aspect(spec)
    return f"/imagine prompt:{prompt} seed:{spec.seed} steps:{spec.steps}" + (f" aspect:{aspect}" if aspect else "")


def command_remarks(job: Job, wording: Wording, *, usual_model: str) -> list[str]:
    """What `command` cannot say, since `/imagine` neither takes a picture to start from nor names a model."""
    remarks = []
    if job.spec.source:
        remarks.append(wording.say("card-from-picture", strength=f"{job.spec.strength:g}"))
    if job.spec.model != usual_model:
        remarks.append(wording.say("card-other-model", model=job.spec.model, usual=usual_model))
    return remarks


def unread_remarks(unread: Unread, wording: Wording) -> list[str]:
    """That a model cannot read some of the prompt, if that is so."""
    return [text] if (text := wording.unread(unread)) else []


def relative(moment: int) -> str:
    """A moment as every reader's client writes it: "in 5 minutes", counting down by itself."""
    return f"<t:{moment}:R>"


def mention(job: Job) -> str:
    """Name the person; whether it also notifies is up to the sender."""
    return f"<@{job.user.id}>"


def escape(text: str) -> str:
    """Take the meaning from everything that Discord's markdown, mentions and links would act on."""
    return re.sub(r"([\\*_~`|>#\[\]()<@:-])", r"\\\1", text)


def units(text: str) -> int:
    """Length as Discord's clients count it: UTF-16 units."""
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


def _headline(job: Job, standing: QueueStatus, wording: Wording, *, now: int) -> str:
    who = mention(job)
    if job.is_cancel_requested:
        return wording.say("card-stopping", who=who)
    if job.status is JobStatus.RUNNING:
        text = _running(who, standing.progress, wording)
    else:
        text = wording.say("card-waiting", who=who, position=standing.position or 1)
    when = finish(standing, wording, now=now)
    return f"{text} · {when}" if when else text


def _running(who: str, progress: Progress | None, wording: Wording) -> str:
    match progress:
        case Progress(stage=Stage.DENOISING):
            filled = BAR_CELLS * progress.step // max(progress.steps, 1)
            bar = "▰" * filled + "▱" * (BAR_CELLS - filled)
            return wording.say("card-running", who=who, step=progress.step, steps=progress.steps, bar=bar)
        case Progress(stage=Stage.ENCODING):
            return wording.say("card-encoding", who=who)
        case Progress(stage=Stage.DECODING):
            return wording.say("card-decoding", who=who)
        case _:
            return wording.say("card-loading", who=who)


def _aspect(spec: ImageSpec) -> Aspect | None:
    """The name that the model's card has for the size; None if it has none any more, or no other to choose from."""
    try:
        sizes = find_model(spec.model).sizes
    except UnknownModel:
        return None
    if len(sizes) < 2:
        return None
    return next((aspect for aspect, size in sizes.items() if size == (spec.width, spec.height)), None)


def _prompt(job: Job, room: int, wording: Wording, with_prompt: bool) -> str:
    return shorten(escape(wording.prompt(job)), room) if with_prompt else wording.say("card-prompt-hidden")
