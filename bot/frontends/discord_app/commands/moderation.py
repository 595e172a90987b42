"""/admin remove, ban, unban, bans and words: what moderators decide. Part of the group of `admin.py`.

What stays on one server needs “Manage Server” there; bans and words hold on every server, like a pause.
"""

from __future__ import annotations

import io
import time
from typing import Final

import discord
from discord import app_commands

from bot.errors import JobNotFound, Refusal
from bot.frontends.discord_app.commands.options import JobId
from bot.frontends.discord_app.commands.signatures import Command, make_command, make_group
from bot.frontends.discord_app.embeds import MAX_DESCRIPTION, date_time, escape, shorten, units
from bot.frontends.discord_app.interactions import InteractionContext, reader, say, think
from bot.frontends.discord_app.message_ref import FRONTEND, is_of_server, key_of
from bot.frontends.discord_app.removal import take_back
from bot.frontends.discord_app.translations import text
from bot.jobs import Job
from bot.presentation.wording import Wording
from bot.requests.moderation import MAX_REASON
from bot.requests.moments import MAX_TEXT, parse_until
from bot.store.moderation_store import Ban
from pipeline.spec import MAX_PROMPT_CHARS

MAX_TYPED_WORDS: Final = 1000
LINES: Final = 25
WHERE: Final = {"everywhere": "where-everywhere", "sfw": "where-sfw"}

Reason = app_commands.Range[str, 1, MAX_REASON]
Words = app_commands.Range[str, 1, MAX_TYPED_WORDS]


class ModerationCommands:
    """The commands of those who judge images and people."""

    def __init__(self, context: InteractionContext) -> None:
        self._context = context

    def of_admin(self) -> list[Command | app_commands.Group]:
        """Make the subcommands of /admin."""
        return [
            make_command("admin-remove", self.remove, job_id="id", reason="remove-reason"),
            make_command("admin-ban", self.ban, user="ban-user", until="ban-until", reason="ban-reason"),
            make_command("admin-unban", self.unban, user="ban-user"),
            make_command("admin-bans", self.bans),
            self._words(),
        ]

    def _words(self) -> app_commands.Group:
        add = make_command("admin-words-add", self.add_words, word="word", where="where")
        choices = [app_commands.Choice(name=text(key), value=value) for value, key in WHERE.items()]
        app_commands.choices(where=choices)(add)
        return make_group(
            "admin-words",
            add,
            make_command("admin-words-remove", self.remove_words, word="word"),
            make_command("admin-words-test", self.test_words, prompt="test-text"),
            make_command("admin-words-list", self.list_words),
        )

    # ── images ──────────────────────────────────────────────────────────────────────────────────────

    async def remove(self, interaction: discord.Interaction, job_id: JobId, reason: Reason | None = None) -> None:
        """Remove an image of this server; one of the page, if this server may decide for all."""
        access = self._context.access
        access.check_manager(interaction)

        def may(job: Job) -> bool:
            if job.reply_to.frontend == FRONTEND:
                return is_of_server(job, interaction.guild_id)
            try:
                access.check_operator(interaction)
            except Refusal:
                return False
            return True

        await think(interaction)
        service, wording = self._context.service, reader(interaction)
        try:
            removed = await service.moderation.remove(job_id, reason or "", may=may)
        except JobNotFound as refusal:
            raise refusal.here() from None
        key = "admin-removed" if await take_back(interaction, removed) else "admin-removed-but-message"
        await say(interaction, wording.say(key, job_id=job_id))

    # ── people ──────────────────────────────────────────────────────────────────────────────────────

    async def ban(
        self,
        interaction: discord.Interaction,
        user: discord.User,
        until: app_commands.Range[str, 1, MAX_TEXT] | None = None,
        reason: Reason | None = None,
    ) -> None:
        """Let somebody draw no more, and cancel what they have waiting or running."""
        self._context.access.check_operator(interaction)
        zone = self._context.service.pausing.zone
        until_at = None if until is None else parse_until(until, int(time.time()), zone=zone)
        await think(interaction)
        wording = reader(interaction)
        ban, stopped = await self._context.service.moderation.ban(key_of(user), reason or "", until_at=until_at)
        text = wording.say("admin-banned", who=user.mention, until=_until(ban, wording), count=len(stopped))
        await say(interaction, text)

    async def unban(self, interaction: discord.Interaction, user: discord.User) -> None:
        """Let somebody draw again."""
        self._context.access.check_operator(interaction)
        await think(interaction)
        was_banned = await self._context.service.moderation.bans.lift(key_of(user))
        key = "admin-unbanned" if was_banned else "admin-not-banned"
        await say(interaction, reader(interaction).say(key, who=user.mention))

    async def bans(self, interaction: discord.Interaction) -> None:
        """Show who may not draw."""
        self._context.access.check_operator(interaction)
        await think(interaction)
        wording, bans = reader(interaction), self._context.service.moderation.bans.all
        lines = [_line(ban, wording) for ban in bans[:LINES]]
        if len(bans) > LINES:
            lines.append(wording.say("admin-bans-more", count=len(bans) - LINES))
        title = wording.say("admin-bans-title", count=len(bans))
        description = shorten("\n".join(lines), MAX_DESCRIPTION)
        await say(interaction, embed=discord.Embed(title=title, description=description))

    # ── words ───────────────────────────────────────────────────────────────────────────────────────

    async def add_words(self, interaction: discord.Interaction, word: Words, where: str | None = None) -> None:
        """Refuse prompts with a word; those that are there already are not looked at again."""
        self._context.access.check_operator(interaction)
        await think(interaction)
        is_restricted, wording = where == "sfw", reader(interaction)
        words = await self._context.service.moderation.words.add(word, is_restricted=is_restricted)
        where_text = wording.say("where-sfw" if is_restricted else "where-everywhere")
        await say(interaction, wording.say("admin-words-added", where=where_text, words=_joined(words, wording)))

    async def remove_words(self, interaction: discord.Interaction, word: Words) -> None:
        """Take a word off the list."""
        self._context.access.check_operator(interaction)
        await think(interaction)
        wording = reader(interaction)
        words = await self._context.service.moderation.words.remove(word)
        if words:
            await say(interaction, wording.say("admin-words-removed", words=_joined(words, wording)))
        else:
            await say(interaction, wording.say("admin-words-not-there"))

    async def test_words(
        self, interaction: discord.Interaction, prompt: app_commands.Range[str, 1, MAX_PROMPT_CHARS]
    ) -> None:
        """Say what a text would be refused for, and why."""
        self._context.access.check_manager(interaction)
        await think(interaction)
        wording = reader(interaction)
        if (found := await self._context.service.moderation.words.test(prompt)) is None:
            await say(interaction, wording.say("admin-words-passes"))
            return
        where = wording.say("where-sfw" if found.is_restricted else "where-everywhere")
        hit = {"found": shorten(escape(found.hit.found), MAX_REASON), "word": escape(found.hit.word)}
        await say(interaction, wording.say("admin-words-caught", where=where, **hit))

    async def list_words(self, interaction: discord.Interaction) -> None:
        """Show the list, as a file if it is long."""
        self._context.access.check_manager(interaction)
        await think(interaction)
        wording, words = reader(interaction), self._context.service.moderation.words.all
        if not words:
            await say(interaction, wording.say("admin-words-empty"))
            return
        title, outside = wording.say("admin-words-title", count=len(words)), wording.say("where-sfw")
        lines = [f"{listed.word} ({outside})" if listed.is_restricted else listed.word for listed in words]
        description = "\n".join(map(escape, lines))
        if units(description) <= MAX_DESCRIPTION:
            await say(interaction, embed=discord.Embed(title=title, description=description))
        else:
            file = discord.File(io.BytesIO("\n".join(lines).encode()), filename="words.txt")
            await say(interaction, title, file=file)


def _until(ban: Ban, wording: Wording) -> str:
    if ban.until_at is None:
        return wording.say("ban-for-good")
    return wording.say("ban-until", when=date_time(ban.until_at))


def _line(ban: Ban, wording: Wording) -> str:
    is_known = ban.user_id is not None and ban.user_frontend == FRONTEND
    who = f"<@{ban.user_id}>" if is_known else wording.say("admin-ban-nobody")
    reason = {"reason": escape(ban.reason), "has_reason": "yes" if ban.reason else "no"}
    return wording.say("admin-ban-line", who=who, until=_until(ban, wording), **reason)


def _joined(words: list[str], wording: Wording) -> str:
    return shorten(escape(wording.say("list-separator").join(words)), 2 * MAX_TYPED_WORDS - 500)
