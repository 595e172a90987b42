"""The private pages of a history: a contact sheet with a line for each image, and one image large.

The whole state of a page is in the custom ids of its buttons and its menu, what is searched as well, so that they work
after a restart. People see only their own. What a page holds is `bot/requests/histories.py`.
"""

from __future__ import annotations

import asyncio
import io
import logging
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import discord

from bot.errors import JobNotFound, Refusal
from bot.frontends.discord_app.actions import with_picture
from bot.frontends.discord_app.components import action_button
from bot.frontends.discord_app.contact_sheet import Cell, make_sheet
from bot.frontends.discord_app.embeds import MAX_ALT, STATUS_PROMPT, escape, relative, shorten, voice_of
from bot.frontends.discord_app.form_fields import MAX_LABEL
from bot.frontends.discord_app.frontend import frontend_of
from bot.frontends.discord_app.interactions import attempt, chosen_number, context_of, person, reader, replace, say
from bot.jobs import Job
from bot.presentation.job_view import Action, settings_phrase
from bot.presentation.wording import Wording
from bot.requests.histories import Page, Turn
from bot.requests.history_search import Days
from bot.requests.moments import DAY_S, HOUR_S

log = logging.getLogger(__name__)

MAX_SEARCH: Final = 50  # it travels in custom ids of at most 100 characters
LINE_PROMPT: Final = 120
SHEET_NAME: Final = "images.webp"
LABEL_SEED: Final = 4  # digits
PICKED_ACTIONS: Final = (Action.POST, Action.REROLL, Action.EDIT, Action.DELETE)
PICK_ROW, ACTION_ROW, TURN_ROW = 0, 1, 2


async def say_page(
    interaction: discord.Interaction,
    *,
    turn: Turn = Turn.NEWEST,
    at: int | None = None,
    search: str = "",
    note: str = "",
) -> None:
    """Show a page of the person's own history; `note` is said above it."""
    wording, service = reader(interaction), context_of(interaction).service
    page = await service.histories.page(person(interaction), turn, at=at, search=search)
    view = _view(page, search, wording, turn=turn)
    if not page.jobs:
        key = (
            "history-nothing-yet"
            if page.searched_to is not None
            else "history-nothing-found"
            if search
            else "history-empty"
        )
        text = wording.say(key, search=escape(search))
        await say(interaction, "\n".join(filter(None, [note, text])), embed=None, view=view)
        return
    embed = discord.Embed(
        title=wording.say("history-search-title", search=search) if search else wording.say("history-title"),
        description="\n".join(_lines(page, wording)),
    )
    parts: dict[str, Any] = {"embed": embed, "view": view}
    if drawn := _drawn(page.jobs):
        paths = await asyncio.gather(*map(service.image_file, drawn))
        cells = [
            Cell(number=job.id, path=path, is_spoiler=job.is_spoiler) for job, path in zip(drawn, paths, strict=True)
        ]
        numbers = wording.say("list-separator").join(f"#{job.id}" for job in drawn)
        alt = shorten(wording.say("history-sheet-alt", numbers=numbers), MAX_ALT)
        parts["file"] = discord.File(io.BytesIO(await make_sheet(cells)), filename=SHEET_NAME, description=alt)
        embed.set_image(url=f"attachment://{SHEET_NAME}")
    await say(interaction, note or None, **parts)


async def _say_picked(job_id: int, before_id: int | None, search: str, interaction: discord.Interaction) -> None:
    """Show one of the person's own images large; the page that it stands on if it is gone meanwhile."""
    wording, service = reader(interaction), context_of(interaction).service
    try:
        job = await service.job(job_id)
        if job.user != person(interaction):
            raise JobNotFound(job_id)
        with_picture(job)
    except Refusal as refusal:
        note = wording.refusal(refusal, format_time=relative)
        await say_page(interaction, turn=Turn.OLDER, at=before_id, search=search, note=note)
        return
    page = await service.histories.page(person(interaction), Turn.OLDER, at=before_id, search=search)
    file = await _file(interaction, job)
    text = [shorten(escape(wording.prompt(job)), STATUS_PROMPT), _marks(job, wording)]
    embed = discord.Embed(
        title=wording.say("history-picked-title", job_id=job.id),
        description="\n".join(filter(None, text)),
    ).set_footer(text=voice_of(wording).say(settings_phrase(job, service.models.titles)))
    parts: dict[str, Any] = {"embed": embed}
    if file is None:
        embed.set_footer(text=wording.say("history-file-gone", job_id=job.id))
    else:
        if not job.is_spoiler:  # embeds hide no images
            embed.set_image(url=f"attachment://{file.filename}")
        parts["file"] = file
    parts["view"] = _view(page, search, wording, picked=job, has_file=file is not None)
    await say(interaction, None, **parts)


def label(job: Job, wording: Wording, *, now: float) -> str:
    """Name an image in a list: by number, age, the first digits of its seed, and its prompt."""
    seed = str(job.spec.seed)
    seed = seed if len(seed) <= LABEL_SEED + 1 else f"{seed[:LABEL_SEED]}…"
    named = wording.say("history-label", job_id=job.id, age=_age(job, wording, now=now), seed=seed)
    return shorten(f"{named} · {wording.prompt(job)}", MAX_LABEL)


# ── the parts of a page ─────────────────────────────────────────────────────────────────────────────


def _lines(page: Page, wording: Wording) -> list[str]:
    lines = [wording.say("history-days", days=_days(page.days))] if page.days is not None else []
    lines += [_line(job, wording) for job in page.jobs]
    if page.searched_to is not None:
        lines.append(wording.say("history-cut", job_id=page.searched_to))
    return lines


def _line(job: Job, wording: Wording) -> str:
    when = relative(job.finished_at or job.queued_at)
    if job.is_erased:
        reason = shorten(escape(job.moderated_reason or ""), LINE_PROMPT)
        key = "history-line-removed-because" if reason else "history-line-removed"
        return wording.say(key, job_id=job.id, when=when, reason=reason)
    line = wording.say("history-line", job_id=job.id, when=when, seed=job.spec.seed)
    prompt = shorten(escape(wording.prompt(job)), LINE_PROMPT)
    return " · ".join(filter(None, [line, _marks(job, wording), prompt]))


def _marks(job: Job, wording: Wording) -> str:
    marks = {"history-private": job.is_private, "history-spoiler": job.is_spoiler, "history-kept": job.is_kept}
    return " · ".join(wording.say(key) for key, is_set in marks.items() if is_set)


def _days(days: Days) -> str:
    if days.first == days.last:
        return f"{days.first}"
    return f"{days.first or '…'} – {days.last or '…'}"


def _age(job: Job, wording: Wording, *, now: float) -> str:
    age_s = max(0, int(now) - (job.finished_at or job.queued_at))
    if age_s < HOUR_S:
        return wording.say("history-age-minutes", count=age_s // 60)
    if age_s < DAY_S:
        return wording.say("history-age-hours", count=age_s // HOUR_S)
    return wording.say("history-age-days", count=age_s // DAY_S)


def _drawn(jobs: Sequence[Job]) -> list[Job]:
    return [job for job in jobs if not job.is_erased]


async def _file(interaction: discord.Interaction, job: Job) -> discord.File | None:
    try:
        return await frontend_of(interaction).picture(job, reader(interaction), guild_id=interaction.guild_id)
    except OSError as error:
        log.warning("the picture of job %s cannot be read: %s", job.id, error)
        return None


# ── buttons and menu ────────────────────────────────────────────────────────────────────────────────


def _view(
    page: Page,
    search: str,
    wording: Wording,
    *,
    turn: Turn = Turn.NEWEST,
    picked: Job | None = None,
    has_file: bool = True,
) -> discord.ui.View | None:
    view = discord.ui.View(timeout=None)
    top = page.jobs[0].id + 1 if page.jobs else None
    if drawn := _drawn(page.jobs):
        now = time.time()
        options = [
            discord.SelectOption(
                label=label(job, wording, now=now),
                value=str(job.id),
                default=picked is not None and job.id == picked.id,
            )
            for job in drawn
        ]
        view.add_item(HistorySelect(top, search, options, placeholder=wording.say("history-pick")))
    if picked is not None:
        for action in PICKED_ACTIONS if has_file else PICKED_ACTIONS[1:]:
            view.add_item(action_button(action, picked.id, wording, row=ACTION_ROW))
        view.add_item(HistoryButton(Turn.OLDER, top, search, label=wording.say("history-back")))
    else:
        _add_turns(view, page, search, wording, turn=turn)
    view.stop()  # found by their custom ids
    return view if view.children else None


def _add_turns(view: discord.ui.View, page: Page, search: str, wording: Wording, *, turn: Turn) -> None:
    is_upward, is_cut = turn in (Turn.NEWER, Turn.OLDEST), page.searched_to is not None
    newer, older = (
        ("history-search-newer" if is_cut and is_upward else "history-newer"),
        ("history-search-older" if is_cut and not is_upward else "history-older"),
    )
    if page.newer_than is not None:
        view.add_item(HistoryButton(Turn.NEWEST, None, search, label=wording.say("history-newest")))
        view.add_item(HistoryButton(Turn.NEWER, page.newer_than, search, label=wording.say(newer)))
    if page.older_than is not None:
        view.add_item(HistoryButton(Turn.OLDER, page.older_than, search, label=wording.say(older)))
        view.add_item(HistoryButton(Turn.OLDEST, None, search, label=wording.say("history-oldest")))


class HistoryButton(
    discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]],
    template=re.compile(r"im2:page:(?P<turn>newest|newer|older|oldest):(?P<at>\d{0,16}):(?P<search>.*)", re.DOTALL),
):
    """Turns to another page."""

    def __init__(self, turn: Turn, at: int | None, search: str, *, label: str = "…") -> None:
        custom_id = f"im2:page:{turn}:{'' if at is None else max(0, at)}:{search}"
        super().__init__(discord.ui.Button(label=label, custom_id=custom_id, row=TURN_ROW))
        self.turn, self.at, self.search = turn, at, search

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: discord.ui.Item[discord.ui.View], match: re.Match[str], /
    ) -> HistoryButton:
        """Rebuild the button that was pressed."""
        return cls(Turn(match["turn"]), _number(match["at"]), match["search"])

    async def callback(self, interaction: discord.Interaction) -> None:
        """Replace the page by the one asked for."""
        await _replace(interaction, partial(say_page, turn=self.turn, at=self.at, search=self.search))


class HistorySelect(
    discord.ui.DynamicItem[discord.ui.Select[discord.ui.View]],
    template=re.compile(r"im2:look:(?P<before>\d{0,16}):(?P<search>.*)", re.DOTALL),
):
    """Shows an image of the page large."""

    def __init__(
        self,
        before_id: int | None,
        search: str,
        options: Sequence[discord.SelectOption] = (),
        *,
        placeholder: str | None = None,
    ) -> None:
        custom_id = f"im2:look:{'' if before_id is None else before_id}:{search}"
        super().__init__(
            discord.ui.Select(custom_id=custom_id, options=list(options), placeholder=placeholder, row=PICK_ROW)
        )
        self.before_id, self.search = before_id, search

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: discord.ui.Item[discord.ui.View], match: re.Match[str], /
    ) -> HistorySelect:
        """Rebuild the menu that was used."""
        return cls(_number(match["before"]), match["search"])

    async def callback(self, interaction: discord.Interaction) -> None:
        """Show the image that was chosen, or the page if nothing was."""
        if (job_id := chosen_number(interaction)) is not None:
            await _replace(interaction, partial(_say_picked, job_id, self.before_id, self.search))
        else:
            await _replace(interaction, partial(say_page, turn=Turn.OLDER, at=self.before_id, search=self.search))


class EarlierHistoryButton(
    discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]],
    template=re.compile(r"im1:page:(?P<before>\d{0,16}):(?P<picked>\d{0,16}):(?P<search>.*)", re.DOTALL),
):
    """A button under a page of an earlier release: turns to the page below a number, or shows an image of it."""

    def __init__(self, before_id: int | None, picked: int | None, search: str) -> None:
        custom_id = f"im1:page:{before_id or ''}:{picked or ''}:{search}"
        super().__init__(discord.ui.Button(label="…", custom_id=custom_id))
        self.before_id, self.picked, self.search = before_id, picked, search

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: discord.ui.Item[discord.ui.View], match: re.Match[str], /
    ) -> EarlierHistoryButton:
        """Rebuild the button that was pressed."""
        return cls(_number(match["before"]), _number(match["picked"]), match["search"])

    async def callback(self, interaction: discord.Interaction) -> None:
        """Replace the page by one of this release."""
        if self.picked is not None:
            await _replace(interaction, partial(_say_picked, self.picked, self.before_id, self.search))
        else:
            await _replace(interaction, partial(say_page, turn=Turn.OLDER, at=self.before_id, search=self.search))


HISTORY_ITEMS: Final = (HistoryButton, HistorySelect, EarlierHistoryButton)


async def _replace(interaction: discord.Interaction, show: Callable[[discord.Interaction], Awaitable[None]]) -> None:
    async def replaced() -> None:
        await replace(interaction)
        await show(interaction)

    await attempt(interaction, replaced())


def _number(text: str) -> int | None:
    return int(text) if text else None
