"""JobView → message: text and embed, in one language. Pure: no I/O, no message ids.

Everything a person typed is escaped and cut here, so that no prompt can break a message, mention anybody or exceed
Discord's limits. What is said is `bot/presentation`; sending is `frontend.py`, buttons are `components.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import discord

from bot.jobs import Job, JobStatus
from bot.presentation.job_view import Action, JobView, lora_phrases
from bot.presentation.phrases import Voice
from bot.presentation.wording import Wording
from bot.requests.flag_values import NO_NEGATIVE
from bot.requests.models import Models
from bot.requests.pasted_settings import OPTIONS
from pipeline.catalog.model_card import ModelCard
from pipeline.spec import MAX_SEED, ImageSpec, Size

# Discord's limits: resources/message, in characters. A client counts UTF-16 units, so do we.
MAX_CONTENT: Final = 2000
MAX_DESCRIPTION: Final = 4096
STATUS_PROMPT: Final = 600  # a message that waits should not fill the screen
MAX_REASON: Final = 300
MAX_ALT: Final = 1024
ZERO_WIDTH_SPACE: Final = "\u200b"  # `pipeline.spec.clean_prompt` drops it from a pasted command

NOBODY: Final = discord.AllowedMentions.none()  # a message that names people notifies none, unless it says whom
GREY: Final = discord.Colour(0x99AAB5)
BLUE: Final = discord.Colour(0x3498DB)
GREEN: Final = discord.Colour(0x2ECC71)
RED: Final = discord.Colour(0xE74C3C)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture of a message, a plain attachment: those are shown as a gallery, and their alt text is read aloud."""

    name: str
    alt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusMessage:
    """The message of one or several jobs, to be sent."""

    content: str
    embed: discord.Embed
    actions: tuple[Action, ...] = ()


def status_message(view: JobView, wording: Wording, *, with_prompt: bool = True) -> StatusMessage:
    """Lay out jobs that wait or run."""
    voice = voice_of(wording)
    parts = [voice.say(view.headline, who=mention(view.job))]
    parts += [voice.say(phrase) for phrase in (view.of_batch, view.eta) if phrase is not None]
    embed = discord.Embed(
        description=_prompts(view, wording, with_prompt),
        colour=BLUE if view.job.status is JobStatus.RUNNING else GREY,
    )
    embed.set_footer(text=_settings_line(view, voice))
    content = "\n".join([" · ".join(parts), *map(voice.say, view.notes)])
    return StatusMessage(content=content, embed=embed, actions=view.actions)


def result_message(
    view: JobView,
    wording: Wording,
    jobs: Sequence[Job],
    *,
    remarks: Sequence[str] = (),
    models: Models,
    with_prompt: bool = True,
) -> StatusMessage:
    """Lay out finished pictures, at least one of `jobs`, the images of one request in their order.

    The settings that not every model has are said if there is no room for the command.

    Args:
        remarks: sentences about the files, such as that one is gone.
        models: those that a command can name.
    """
    voice, job = voice_of(wording), view.job
    notes = [*remarks, *map(voice.say, view.notes), *_command_remarks(job, wording, models)]
    if with_prompt:
        if view.translation is not None:
            notes = [voice.say(view.translation), *notes]
        text = described(jobs, wording, notes, models=models, details=[*map(voice.say, view.details)])
    else:
        text = "\n".join([wording.say("card-prompt-hidden"), *notes])
    embed = discord.Embed(description=text, colour=GREEN)
    settings, ran_s = _settings_line(view, voice), sum(each.ran_s for each in jobs)
    if ran_s < 0.1:
        footer = wording.say("card-no-seconds", settings=settings)
    else:
        seconds = f"{ran_s:.1f}" if ran_s < 10 else f"{ran_s:.0f}"
        footer = wording.say("card-seconds", settings=settings, seconds=seconds)
    embed.set_footer(text=footer)
    return StatusMessage(content=voice.say(view.headline, who=mention(job)), embed=embed, actions=view.actions)


def described(
    jobs: Sequence[Job], wording: Wording, lines: Sequence[str], *, models: Models, details: Sequence[str] = ()
) -> str:
    """Lay out a prompt, the command that draws it again, and lines below.

    The command is shown whole or not at all, the prompt is cut to what it leaves.

    Args:
        details: lines in place of the command if there is no room for it.
    """
    job = jobs[0]
    block = "" if job.flaw is not None else f"```\n{command(jobs, models)}\n```"
    room = MAX_DESCRIPTION - units("\n".join([block, *lines])) - 2
    if block and room < STATUS_PROMPT:  # two prompts of 2000 characters, or almost as many that each count twice
        block, lines = "", [*details, *lines]
        room = MAX_DESCRIPTION - units("\n".join(lines)) - 2
    return "\n".join(part for part in (_prompt(job, room, wording, True), block, *lines) if part)


def alt_text(job: Job, wording: Wording, *, with_prompt: bool = True) -> str:
    """Describe a picture for people who do not see it: by its prompt, as it was typed."""
    text = wording.prompt(job) if with_prompt else wording.say("card-prompt-hidden")
    return shorten(text, MAX_ALT)


def ended_message(view: JobView, wording: Wording, *, with_prompt: bool = True) -> StatusMessage:
    """Lay out a job that failed or was cancelled."""
    voice, job = voice_of(wording), view.job
    description = _prompts(view, wording, with_prompt)
    if view.more is not None:
        description += f"\n-# {voice.say(view.more)}"  # in small letters
    embed = discord.Embed(
        description=description,
        colour=RED if job.status is JobStatus.FAILED else GREY,
    )
    embed.set_footer(text=_settings_line(view, voice))
    return StatusMessage(content=voice.say(view.headline, who=mention(job)), embed=embed, actions=view.actions)


def moved_message(view: JobView, wording: Wording, *, to_dm: bool) -> StatusMessage:
    """Lay out an old message whose result had to go elsewhere."""
    job = view.job
    if job.status is not JobStatus.DONE:
        return ended_message(view, wording)
    content = wording.say("card-done-by-dm" if to_dm else "card-done-elsewhere", who=mention(job))
    embed = discord.Embed(description=_prompts(view, wording, True), colour=GREEN)
    embed.set_footer(text=_settings_line(view, voice_of(wording)))
    return StatusMessage(content=content, embed=embed)


def voice_of(wording: Wording) -> Voice:
    """Return the voice for Discord, whose clients count moments down and read markup."""
    return Voice(
        wording=wording,
        write_moment=relative,
        write_clock=clock_time,
        quote=lambda text: shorten(escape(text), MAX_REASON),
    )


def command(jobs: Sequence[Job], models: Models) -> str:
    """Return the `/imagine` line that draws the images of a request again, safe inside a code block.

    Zero-width spaces keep runs of back-ticks from ending the block and words like `seed:` from being read as
    options; `clean_prompt` removes them again when the line is pasted. Option names are the same in every
    language, so that the line works for every reader.
    """
    spec = jobs[0].spec
    card = models.find(spec.model)
    options = f"seed:{spec.seed} steps:{spec.steps}"
    if card is not None:
        options += f"{_shape(spec, card)}{_settings(spec, card, models)}"
    count = sum(job.spec.seed == (spec.seed + number) % (MAX_SEED + 1) for number, job in enumerate(jobs))
    counted = f" count:{count}" if count == len(jobs) > 1 else ""
    return f"/imagine prompt:{_pasteable(spec.prompt)} {options}{counted}"


def _pasteable(prompt: str) -> str:
    prompt = prompt.replace("``", f"`{ZERO_WIDTH_SPACE}`{ZERO_WIDTH_SPACE}")
    return re.sub(rf"\b({'|'.join(OPTIONS)}):", rf"\1{ZERO_WIDTH_SPACE}:", prompt)


def _settings(spec: ImageSpec, card: ModelCard, models: Models) -> str:
    """Return the options for what is not as the model draws anyway."""
    values = {
        # Also the usual one, if there is a choice: whoever pastes the line may have chosen another for themselves.
        "model": "" if models.all == (card,) else spec.model,
        "negative": ""
        if spec.negative_prompt == card.negative_prompt
        else _pasteable(spec.negative_prompt) or NO_NEGATIVE,
        "cfg": "" if spec.cfg_scale == card.cfg_scale else f"{spec.cfg_scale:g}",
        "guidance": "" if spec.guidance == card.guidance else f"{spec.guidance:g}",
        "sampler": "" if spec.sampler in card.samplers[:1] else spec.sampler,
        "clip_skip": "" if spec.clip_skip == card.clip_skip else str(spec.clip_skip),
        "lora": spec.loras,
    }
    return "".join(f" {name}:{value}" for name, value in values.items() if value)


def relative(moment: int) -> str:
    """Write a moment so that every client shows it in its own way: "in 5 minutes", counting down."""
    return f"<t:{moment}:R>"


def clock_time(moment: int) -> str:
    """Write a moment as the time of day in each reader's zone and, since it may be days ahead, counting down."""
    return f"<t:{moment}:t> (<t:{moment}:R>)"


def date_time(moment: int) -> str:
    """Write a moment as the date and the time of day in each reader's zone."""
    return f"<t:{moment}:f>"


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


def _command_remarks(job: Job, wording: Wording, models: Models) -> list[str]:
    """Say what `command` cannot: it enlarges nothing, holds no image, and names no model that is not here."""
    remarks = []
    if job.spec.upscale:
        remarks.append(wording.say("card-upscaled"))
    elif job.spec.source:
        remarks.append(wording.say("card-from-picture", strength=f"{job.spec.strength:g}"))
    elif job.spec.references:
        remarks.append(wording.say("card-edited", count=len(job.spec.reference_keys)))
    if models.find(job.spec.model) is None:
        remarks.append(wording.say("card-other-model", model=job.spec.model, usual=models.usual.title))
    return remarks


def _shape(spec: ImageSpec, model: ModelCard) -> str:
    """Return the options that lead to the size; none if it is what the model draws anyway."""
    width, height = spec.source_size  # of an upscaled image, the image before
    if (named := model.name_of_size(width, height)) is None:
        return f" size:{width}x{height}"
    aspect, size = named
    shape = f" aspect:{aspect}" if len(model.sizes) > 1 else ""
    return shape if size is Size.NORMAL else f"{shape} size:{size}"


def _prompts(view: JobView, wording: Wording, with_prompt: bool) -> str:
    """Lay out the prompt of a message that should not fill the screen, and what the model reads in its place."""
    prompt = _prompt(view.job, STATUS_PROMPT, wording, with_prompt)
    if view.translation is None or not with_prompt:
        return prompt
    return f"{prompt}\n{voice_of(wording).say(view.translation)}"


def _settings_line(view: JobView, voice: Voice) -> str:
    """Say the settings that every model has, and the LoRAs."""
    return " · ".join(map(voice.say, (view.settings, *lora_phrases(view.job.spec))))


def _prompt(job: Job, room: int, wording: Wording, with_prompt: bool) -> str:
    return shorten(escape(wording.prompt(job)), room) if with_prompt else wording.say("card-prompt-hidden")
