"""Private answers: refusals, errors with an id, results that could not be delivered.

Every command and button answers through here, so that each interaction gets exactly one first answer. Sentences are
`bot/presentation`; what everybody sees is `embeds.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Final, Protocol, cast

import discord
from cachetools import LRUCache
from discord import app_commands

from bot.errors import Refusal, StoreUnavailable
from bot.frontends.discord_app import own_deletions, presses
from bot.frontends.discord_app.embeds import MAX_CONTENT, clock_time, relative, units, voice_of
from bot.frontends.discord_app.http_errors import TROUBLES, VOID_TOKEN_CODES
from bot.frontends.discord_app.message_ref import FRONTEND, MAX_ID, key_of
from bot.frontends.discord_app.permissions import AccessPolicy, is_moderator
from bot.frontends.discord_app.placeholders import Placeholders
from bot.jobs import Allowance, Job, JobStatus, UserKey
from bot.presentation.job_view import moderated_phrase
from bot.presentation.wording import Wording, wording_for
from bot.requests.service import Service
from pipeline.errors import InvalidSpec

log = logging.getLogger(__name__)

REMEMBERED_CHANNELS: Final = 2000
SEEN_AFTER: Final = timedelta(seconds=0.5)  # an image that is there; the two halves of a double click are nearer
MAX_NOTES: Final = 15  # per message; the rest waits for the next command
_NUMBER: Final = re.compile(r"[0-9]{1,19}")  # of a job, or an id of Discord
_THINKING: Final = "thinking"  # in Interaction.extras: a private message waits to be replaced

May = Callable[[discord.Interaction, Job], bool]  # whether somebody may act on a job that is not theirs


class OptionsOutdated(app_commands.AppCommandError):
    """A command or button of another release: unknown, with unknown options, or with values of another type."""


class PicturePruned(Refusal):
    """The job's file was removed after its time."""

    def __init__(self, job_id: int) -> None:
        super().__init__(f"job {job_id}")
        self.job_id = job_id


@dataclass(frozen=True, slots=True, kw_only=True)
class InteractionContext:
    """The parts that every command and button needs."""

    service: Service
    access: AccessPolicy
    placeholders: Placeholders
    answering: set[asyncio.Task[Any]] = field(
        default_factory=set
    )  # tasks that have shown "thinking…" and owe an answer

    # By channel, what moderators chose for it when that was last looked up.
    channel_defaults: LRUCache[str, Mapping[str, object]] = field(default_factory=lambda: LRUCache(REMEMBERED_CHANNELS))

    def promise_answer(self) -> None:
        """Keep the process alive until this task has ended."""
        task = asyncio.current_task()
        assert task is not None, "discord.py runs every command, button and event in a task of its own"
        self.answering.add(task)
        task.add_done_callback(self.answering.discard)

    async def finish_answers(self) -> None:
        """Wait until everybody who was shown "thinking…" by now has an answer."""
        if self.answering:
            await asyncio.wait(set(self.answering))


class _HasContext(Protocol):
    context: InteractionContext


def context_of(interaction: discord.Interaction) -> InteractionContext:
    """Return the context of the client that received the interaction; for buttons, which the library creates."""
    return cast("_HasContext", interaction.client).context


def person(interaction: discord.Interaction) -> UserKey:
    """Return the person behind an interaction."""
    return key_of(interaction.user)


def pseudonym(interaction: discord.Interaction) -> str:
    """Return the name for the person behind an interaction that the log may hold."""
    return context_of(interaction).service.pseudonyms.short(person(interaction))


def role_ids(interaction: discord.Interaction) -> frozenset[int]:
    """Return the roles of the person who acts, by their ids; see `roles_of`."""
    return roles_of(interaction.user, interaction.guild_id)


def roles_of(member: discord.abc.User, guild_id: int | None) -> frozenset[int]:
    """Return the roles of somebody on a server, by their ids; that of everybody has the id of the server.

    Not `Member.roles`, which leaves out those that the library was not told of yet.
    """
    ids = member._roles if isinstance(member, discord.Member) else ()  # noqa: SLF001 - it has no other list of ids
    return frozenset(ids) | ({guild_id} if guild_id is not None else set())


async def allowance_of(interaction: discord.Interaction) -> Allowance:
    """Return what the person who acts may.

    Raises:
        StoreUnavailable
    """
    return await context_of(interaction).service.allowances.of(person(interaction), role_ids(interaction))


def reader(interaction: discord.Interaction) -> Wording:
    """Return the wording for the person behind an interaction: the language they chose, else that of their Discord.

    From memory only, because it is asked before the first await.
    """
    chosen = context_of(interaction).service.preferences.language(person(interaction))
    return wording_for(chosen or interaction.locale.value)


def chosen_number(interaction: discord.Interaction) -> int | None:
    """Return what was chosen in a select menu whose values are numbers; None if it is nothing."""
    data: Any = interaction.data or {}
    numbers = (int(value) for value in data.get("values", ()) if _NUMBER.fullmatch(str(value)))
    return next((number for number in numbers if number < MAX_ID), None)


async def think(interaction: discord.Interaction) -> None:
    """Show "thinking…" to one person; the first await of a command. The next `say` replaces it."""
    promise_answer(interaction)
    await interaction.response.defer(ephemeral=True, thinking=True)
    interaction.extras[_THINKING] = True


async def replace(interaction: discord.Interaction) -> None:
    """Answer a button of a private message; the next `say` replaces that message."""
    promise_answer(interaction)
    await interaction.response.defer()
    interaction.extras[_THINKING] = True


async def say(interaction: discord.Interaction, text: str | None = None, **parts: Any) -> None:
    """Tell one person something, as the first answer or as a later one.

    `parts` are `embed`, `view` and `file`, or `files`, of discord.py's message methods.
    """
    if not interaction.response.is_done():
        await interaction.response.send_message(text, ephemeral=True, **parts)
    elif interaction.extras.pop(_THINKING, False):
        file, files = parts.pop("file", None), parts.pop("files", [])
        await interaction.edit_original_response(
            content=text, attachments=files if file is None else [file, *files], **parts
        )
    else:
        await interaction.followup.send(text or discord.utils.MISSING, ephemeral=True, **parts)


@contextlib.asynccontextmanager
async def placeholder(interaction: discord.Interaction) -> AsyncIterator[int]:
    """Show "thinking…" to everybody; an error inside takes it away again.

    Yields:
        The id of the message that will hold the answer.
    """
    promise_answer(interaction)
    answer = await interaction.response.defer(thinking=True)
    try:
        if answer is not None and answer.message_id is not None:
            yield answer.message_id
        else:
            yield (await interaction.original_response()).id
    except Exception:
        # Otherwise the next answer of the interaction would replace the placeholder, visible to everybody.
        if answer is not None and answer.message_id is not None:
            own_deletions.note(interaction.client, answer.message_id)
        with contextlib.suppress(*TROUBLES):
            await interaction.delete_original_response()
        raise


async def is_double_click(interaction: discord.Interaction) -> bool:
    """Whether this press is the second half of a double click, and so none of its own.

    It is not if what the first one asked for is there already: then somebody wants more. Nobody sees an image and
    presses again within half a second, though.
    """
    if (earlier := presses.earlier_press(interaction)) is None:
        return False
    if interaction.created_at - discord.utils.snowflake_time(earlier) < SEEN_AFTER:
        return True
    if not await context_of(interaction).service.archive.is_over(f"{FRONTEND}:{earlier}"):
        return True
    presses.forget(interaction)
    return presses.earlier_press(interaction) is not None


def sentence_of(error: Exception, wording: Wording, *, who: str, where: str) -> str:
    """Say why something did not work; unexpected errors are logged under an id.

    Args:
        who: a name for the person that the log may hold.
        where: what they used.
    """
    match error:
        case Refusal():
            log.info("refused: %s(%s) for %s", type(error).__name__, error, who)
            return wording.refusal(error, format_time=relative, format_clock=clock_time)
        case InvalidSpec():
            log.info("refused: %s for %s", error, who)
            return wording.invalid(error)
        case StoreUnavailable():
            log.error("refused: the database cannot be used: %s", error)
            return wording.say("store-unavailable")
        case _:
            error_id = secrets.token_hex(4)
            log.error("error %s in %s", error_id, where, exc_info=error)
            return wording.say("unexpected-error", error_id=error_id)


async def explain(interaction: discord.Interaction, error: Exception, *, before: str = "", keep: str = "") -> None:
    """Say privately why a command or button did not work; unexpected errors are logged under an id.

    `before` is a sentence that comes first; `keep` is what the person typed, said below so that it can be copied.
    """
    wording = reader(interaction)
    if isinstance(error, app_commands.CommandInvokeError):
        error = error.original
    match error:
        case (
            OptionsOutdated()
            | app_commands.CommandNotFound()
            | app_commands.CommandSignatureMismatch()
            | app_commands.TransformerError()
        ):
            # The error itself quotes what was typed.
            log.warning("%s is of another release: %s", _name(interaction), type(error).__name__)
            text = wording.say("command-outdated")
        case discord.HTTPException(code=code) if code in VOID_TOKEN_CODES:
            log.warning("an interaction of %s could not be answered: %s", pseudonym(interaction), error)
            return
        case _:
            text = sentence_of(error, wording, who=pseudonym(interaction), where=_name(interaction))
    try:
        await say(interaction, "\n".join(part for part in (before, text, keep) if part))
    except TROUBLES as trouble:
        log.warning("%s could not be told %r: %s", pseudonym(interaction), type(error).__name__, trouble)


async def attempt(interaction: discord.Interaction, work: Awaitable[None]) -> None:
    """Run what a button is for; explain a failure privately, then tell undelivered results."""
    try:
        await work
    except Exception as error:  # noqa: BLE001 - discord.py would log it and leave the person without an answer
        await explain(interaction, error)
    await tell_notes(interaction, context_of(interaction).service)


async def tell_notes(interaction: discord.Interaction, service: Service) -> None:
    """Tell results that could not be delivered; those that were really said are not told again."""
    try:
        if not (jobs := await service.undelivered(person(interaction))):
            return
        wording = reader(interaction)
        told: list[int] = []
        text = wording.say("notes-title")
        for job in jobs[:MAX_NOTES]:
            longer = f"{text}\n{_note(job, wording)}"
            if units(longer) > MAX_CONTENT:
                break
            told, text = [*told, job.id], longer
        await say(interaction, text)
        await service.mark_told(told)
    except (*TROUBLES, StoreUnavailable) as trouble:
        log.warning("notes of %s could not be told: %s", pseudonym(interaction), trouble)


async def cancel(interaction: discord.Interaction, job_id: int, may: May = is_moderator) -> None:
    """Cancel the request of one's own job, or of one that `may` allows, and say what came of it.

    Raises:
        JobNotFound, NotYourJob, JobAlreadyFinished
    """
    await think(interaction)
    service = context_of(interaction).service
    job = await service.cancel_request(job_id, by=person(interaction), may=partial(may, interaction))
    key = "cancel-done" if job.status is JobStatus.CANCELLED else "cancel-stopping"  # within one step
    await say(interaction, reader(interaction).say(key, job_id=job.id))


def promise_answer(interaction: discord.Interaction) -> None:
    """Keep the process alive until this task has answered; else "thinking…" would stay for 15 minutes."""
    context_of(interaction).promise_answer()


def _note(job: Job, wording: Wording) -> str:
    if job.moderated_reason is not None:
        return voice_of(wording).say(moderated_phrase(job))
    if job.status is JobStatus.DONE:
        return wording.say("note-private-done" if job.is_private else "note-done", job_id=job.id)
    if job.failure_code is not None:
        return wording.say("note-failed", job_id=job.id, reason=wording.failure(job.failure_code))
    return wording.say("note-cancelled", job_id=job.id)


def _name(interaction: discord.Interaction) -> str:
    """Name a command, button or form for the log; the rest of a custom id may be what somebody typed."""
    if (command := interaction.command) is not None:
        return f"/{command.qualified_name}"
    known = re.match(r"im[a-z0-9]{1,8}:(?:page|[a-z_]{1,16}(?=:[0-9]{1,18}$))", str(interaction.custom_id))
    return known[0] if known else "a button or form"
