"""The Discord client: connects, registers commands when they changed, and routes what Discord tells us.

Owns the connection and the one command error handler. What commands do is in the modules beside it; what
happens to jobs is `bot/requests/service.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Coroutine
from typing import Any, Final

import aiohttp
import discord
import yarl
from discord import app_commands
from discord.asset import Asset
from discord.gateway import DiscordWebSocket
from discord.http import Route
from pydantic import SecretStr

from bot.config import DISCORD_API_URL, DiscordConfig, proxy_of, token_refused
from bot.deadline import Deadline
from bot.delivery.alerts import UNHEARD, Report
from bot.errors import FrontendUnavailable, JobAlreadyFinished, Refusal
from bot.frontends.discord_app import forms, own_deletions
from bot.frontends.discord_app.actions import ActionButton, PictureSelect
from bot.frontends.discord_app.alert_channel import AlertChannel
from bot.frontends.discord_app.command_ids import CommandIds
from bot.frontends.discord_app.command_sync import CommandSync
from bot.frontends.discord_app.commands.admin import AdminCommands
from bot.frontends.discord_app.commands.generate import Imagine
from bot.frontends.discord_app.commands.help import ExampleButton, HelpCommand
from bot.frontends.discord_app.commands.history import HistoryCommands
from bot.frontends.discord_app.commands.message_menu import FileSelect, MessageMenu
from bot.frontends.discord_app.commands.personal import PersonalCommands
from bot.frontends.discord_app.commands.presets import PresetCommands
from bot.frontends.discord_app.commands.privacy import EraseButton, PrivacyCommands
from bot.frontends.discord_app.commands.quotas import QuotaCommands
from bot.frontends.discord_app.commands.settings import Settings
from bot.frontends.discord_app.frontend import DiscordFrontend
from bot.frontends.discord_app.greeting import Greeter
from bot.frontends.discord_app.history_pages import HISTORY_ITEMS
from bot.frontends.discord_app.interactions import InteractionContext, OptionsOutdated, explain, tell_notes
from bot.frontends.discord_app.message_ref import FRONTEND, is_of_server
from bot.frontends.discord_app.online import OnlineLine
from bot.frontends.discord_app.permissions import AccessPolicy
from bot.frontends.discord_app.placeholders import Placeholders
from bot.frontends.discord_app.presence import Presence
from bot.frontends.discord_app.replies import Replies
from bot.frontends.discord_app.translations import WordingTranslator
from bot.requests.service import Service
from bot.retry import Backoff
from bot.store.key_value_store import SettingStore

log = logging.getLogger(__name__)

# The library raises RateLimited instead of sleeping for longer than this, so that deliveries can be postponed; 30 is
# its minimum.
MAX_RATELIMIT_S: Final = 30.0
GUILD_WAIT_S: Final = 0.25  # only the upload limits of servers are needed, and those may come later
FIRST_RETRY_S: Final = 1.0
MAX_RETRY_S: Final = 60.0
CANCEL_AGAIN_S: Final = 0.5
OPTION_TYPES: Final = {  # as JSON, of every option type that our commands use
    discord.AppCommandOptionType.string: (str,),
    discord.AppCommandOptionType.integer: (int,),
    discord.AppCommandOptionType.boolean: (bool,),
    discord.AppCommandOptionType.user: (str,),
    discord.AppCommandOptionType.number: (int, float),  # JSON writes 7.0 as 7
    discord.AppCommandOptionType.attachment: (str,),  # the id of a file that comes along
}
GIVEN_BY_ID: Final = frozenset({discord.AppCommandOptionType.user, discord.AppCommandOptionType.attachment})
# Whatever can be pressed, at any age of its message.
ITEMS: Final = (ActionButton, PictureSelect, FileSelect, *HISTORY_ITEMS, ExampleButton, EraseButton)
# Gateway close codes that a reconnection cannot fix: bad token, API version, intents.
FATAL_CLOSE_CODES: Final = frozenset({4004, 4012, 4013, 4014})


class DiscordClient(discord.AutoShardedClient):
    """One connection to Discord; use as `async with`. AutoSharded because it asks the API for the gateway."""

    def __init__(
        self, config: DiscordConfig, *, service: Service, settings: SettingStore, report: Report = UNHEARD
    ) -> None:
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # this bot has no voice
        super().__init__(
            # Messages: for deletions, mentions and direct messages. Their content is a privileged intent, which this
            # bot has no use for: Discord hands it over where the bot is mentioned or written to.
            intents=discord.Intents(guilds=True, guild_messages=True, dm_messages=True),
            allowed_mentions=discord.AllowedMentions.none(),
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            guild_ready_timeout=GUILD_WAIT_S,
            max_messages=None,
            max_ratelimit_timeout=MAX_RATELIMIT_S,
            proxy=proxy_of(config),
        )
        self._config = config
        self._service = service
        self._has_been_ready = asyncio.Event()
        self.frontend = DiscordFrontend(self, service)
        self.context = InteractionContext(
            service=service, access=AccessPolicy(config), placeholders=Placeholders(settings)
        )
        self.presence = Presence(self, service, is_ready=self._has_been_ready)
        self.alert_channel = AlertChannel(self, config, is_ready=self._has_been_ready)
        self.command_ids = CommandIds()
        self._greeter = Greeter(self.context.access, self.command_ids)
        self._replies = Replies(self.context, self.frontend)
        self.tree = Tree(
            self,
            allowed_contexts=app_commands.AppCommandContext(guild=True, dm_channel=False, private_channel=False),
            allowed_installs=app_commands.AppInstallationType(guild=True, user=False),
        )
        self.tree.add_command(Imagine(self.context).command(service.models))
        for command in (*PersonalCommands(self.context).commands(), *HistoryCommands(self.context).commands()):
            self.tree.add_command(command)
        self.tree.add_command(QuotaCommands(self.context).personal())
        for entry in MessageMenu(self.context).commands():
            self.tree.add_command(entry)
        self.tree.add_command(Settings(self.context).command())
        self.tree.add_command(PresetCommands(self.context).group())
        self.tree.add_command(HelpCommand(self.context).command())
        self.tree.add_command(PrivacyCommands(self.context).group())
        self.tree.add_command(AdminCommands(self.context).group())
        self._sync = CommandSync(self, self.tree, config, settings=settings, ids=self.command_ids, report=report)
        self._online = OnlineLine(config, self._sync)
        if config.api_url != DISCORD_API_URL:
            _move_discord(config.api_url)

    # ── connecting ──────────────────────────────────────────────────────────────────────────────────

    async def run_until_closed(self, token: SecretStr) -> None:
        """Log in, connect and stay connected until cancelled. Retries the first login; the library reconnects later.

        Raises:
            FrontendUnavailable: Discord refuses the token, the intents or the login for good.
            RuntimeError: the library closed the client, which cannot be opened again.
        """
        backoff = Backoff(FIRST_RETRY_S, MAX_RETRY_S)
        while not self.is_closed():
            try:
                await _insist_on_cancelling(self._login_and_connect(token))
            except discord.LoginFailure as error:
                raise FrontendUnavailable(FRONTEND, f"the token is refused\n→ {token_refused(self._config)}") from error
            except discord.PrivilegedIntentsRequired as error:
                raise FrontendUnavailable(FRONTEND, str(error)) from error
            except discord.ConnectionClosed as error:
                if error.code in FATAL_CLOSE_CODES:
                    raise FrontendUnavailable(FRONTEND, f"Discord closed the connection: {error}") from error
                raise
            except discord.HTTPException as error:
                if error.status < 500 and error.status != 429:
                    raise FrontendUnavailable(FRONTEND, f"Discord refuses the login: {error}") from error
                await self._wait_for_network(error, backoff.next_s())
            except (
                discord.GatewayNotFound,
                discord.RateLimited,
                aiohttp.ClientError,
                OSError,
                TimeoutError,
            ) as error:
                await self._wait_for_network(error, backoff.next_s())
        raise RuntimeError("the connection to Discord was closed, and nobody asked for that")

    async def _login_and_connect(self, token: SecretStr) -> None:
        await self.login(token.get_secret_value())
        await self.connect()

    async def wait_until_connected(self) -> None:
        """Wait for the first successful connection."""
        await self._has_been_ready.wait()

    async def setup_hook(self) -> None:
        """Register commands and buttons. The library calls this after login, again after a failed start."""
        if self._config.api_url != DISCORD_API_URL:
            # A session that cannot be resumed starts anew at the library's built-in address.
            _, url, _ = await self.http.get_bot_gateway()
            DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(url)
        self.add_dynamic_items(*ITEMS)
        await self.tree.set_translator(WordingTranslator())
        await self._sync.register()
        await self.context.placeholders.clear(self, self._service.archive)

    async def on_ready(self) -> None:
        """Say that the bot is online; the library repeats this event after every new session."""
        if not self._has_been_ready.is_set():
            log.info("discord ready as %s in %d guild(s)", self.user, len(self.guilds))
        self._online.say(self.user, self.guilds)
        self._has_been_ready.set()
        self.presence.forget()

    async def look_after_itself(self, deadline: Deadline) -> None:
        """Keep the bot's status and its commands as they should be, for ever."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self.presence.run(deadline))
            loops.create_task(self._sync.look_again(deadline, is_ready=self._has_been_ready))

    async def _wait_for_network(self, error: Exception, pause_s: float) -> None:
        if self.is_closed():  # the library gave up a connection that it had
            raise RuntimeError(f"the connection to Discord was closed: {error or type(error).__name__}") from error
        log.warning("cannot reach Discord, trying again in %.0f s: %s", pause_s, error or type(error).__name__)
        await self.http.close()
        self.http.connector = discord.utils.MISSING  # closed with its session; login makes another
        await asyncio.sleep(pause_s)

    # ── commands ────────────────────────────────────────────────────────────────────────────────────

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        """Answer a form that was sent, and what only another release knows; the library answers all else."""
        self.frontend.time.hear(interaction.id)
        self._greeter.note_locale(interaction)
        if interaction.type is discord.InteractionType.modal_submit:
            await forms.submitted(interaction)
        elif interaction.type is discord.InteractionType.component and not _is_known(str(interaction.custom_id)):
            await explain(interaction, OptionsOutdated())

    async def on_app_command_completion(self, interaction: discord.Interaction, _command: object) -> None:
        """After any command, tell its person about results that could not be delivered."""
        await tell_notes(interaction, self._service)

    # ── what people say ─────────────────────────────────────────────────────────────────────────────

    async def on_message(self, message: discord.Message) -> None:
        """Edit what a reply asks to be edited; tell others who mention the bot or write to it how to ask."""
        if self.user is not None and not await self._replies.answer(message, self.user):
            await self._greeter.answer(message, self.user)

    # ── what happens to messages ────────────────────────────────────────────────────────────────────

    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        """Cancel the job whose message somebody deleted; an image that it showed is removed.

        Only those who manage messages can delete one of a bot's, and Discord does not say who did: it was a moderator,
        or a bot that works for one, unless it was this bot.
        """
        await self._message_deleted(event.message_id)

    async def on_raw_bulk_message_delete(self, event: discord.RawBulkMessageDeleteEvent) -> None:
        """Cancel the jobs whose messages were deleted together with many others, which judges no image."""
        for message_id in event.message_ids:
            await self._message_deleted(message_id, is_purge=True)

    async def _message_deleted(self, message_id: int, *, is_purge: bool = False) -> None:
        self._replies.note_deleted(message_id)
        if own_deletions.is_ours(self, message_id):
            await self._drop_message(str(message_id))
            return
        with contextlib.suppress(JobAlreadyFinished):  # at this very moment
            await self._service.moderation.message_deleted(FRONTEND, str(message_id), is_purge=is_purge)

    async def on_guild_join(self, _guild: discord.Guild) -> None:
        """Say that the bot is online, if it was on no server until now."""
        self._online.say(self.user, self.guilds)

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        """Cancel the jobs of a server that removed the bot or is gone. (An outage is another event.)"""
        left = [job for job, _ in await self._service.unfinished() if is_of_server(job, guild.id)]
        log.info("server %s is left, %d job(s) of it are cancelled", guild.id, len(left))
        for job in left:
            await self._drop_message(job.reply_to.key)

    async def _drop_message(self, key: str) -> None:
        with contextlib.suppress(JobAlreadyFinished):  # at this very moment
            await self._service.message_deleted(FRONTEND, key)


class Tree(app_commands.CommandTree[DiscordClient]):
    """The command tree, with one check before and one error handler after all commands."""

    async def interaction_check(self, interaction: discord.Interaction[DiscordClient], /) -> bool:
        """Refuse servers that are not on the list, and options that do not belong to the command.

        Discord may still show the options of an earlier release. Channels are checked by the command itself.
        """
        try:
            interaction.client.context.access.check_server(interaction)
        except Refusal as refusal:
            if interaction.type is not discord.InteractionType.autocomplete:
                await explain(interaction, refusal)
            return False
        if not _fits(interaction):
            if interaction.type is not discord.InteractionType.autocomplete:
                await explain(interaction, OptionsOutdated())
            return False
        return True

    async def on_error(
        self, interaction: discord.Interaction[DiscordClient], error: app_commands.AppCommandError, /
    ) -> None:
        """Say privately what went wrong, then tell undelivered results."""
        if interaction.type is not discord.InteractionType.autocomplete:
            await explain(interaction, error)
            await tell_notes(interaction, interaction.client.context.service)


def _is_known(custom_id: str) -> bool:
    """Whether the library finds a button or menu of ours by this id; else it would leave the press unanswered."""
    return any(item.__discord_ui_compiled_template__.fullmatch(custom_id) for item in ITEMS)


def _fits(interaction: discord.Interaction[DiscordClient]) -> bool:
    """Whether every given option belongs to the command and has its type; the library reports unknown commands.

    The library trusts the type that an option claims to have. While an option with suggestions is being typed, it may
    hold any text.
    """
    if not isinstance(command := interaction.command, app_commands.Command):
        return True
    data: Any = interaction.data
    options = data.get("options", [])
    while options and "options" in options[0]:  # of a subcommand
        options = options[0]["options"]
    parameters = {parameter.display_name: parameter for parameter in command.parameters}
    pairs = [(option, parameters.get(option["name"])) for option in options]
    is_typing = interaction.type is discord.InteractionType.autocomplete
    return (not is_typing or any(option.get("focused") for option in options)) and all(
        parameter is not None
        and option["type"] == parameter.type.value
        and (parameter.autocomplete if option.get("focused") else _is_of(parameter.type, option["value"]))
        for option, parameter in pairs
    )


def _is_of(kind: discord.AppCommandOptionType, value: object) -> bool:
    """Whether an option of this type may have a value; people and files are given by their ids."""
    if type(value) not in OPTION_TYPES[kind]:
        return False
    return kind not in GIVEN_BY_ID or re.fullmatch("[0-9]{1,19}", str(value)) is not None


def _move_discord(api_url: str) -> None:
    """Point the library at another Discord: REST and files here, the gateway as that API says."""
    Route.BASE = api_url
    Asset.BASE = str(yarl.URL(api_url).origin() / "cdn")


async def _insist_on_cancelling(work: Coroutine[Any, Any, None]) -> None:
    """Await `work`; when cancelled, cancel it until it ends.

    The library waits through `asyncio.wait_for`, which in Python 3.11 swallows a cancellation that arrives
    together with the result (python/cpython#81839): the connection would stay, and the process with it.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task])
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=CANCEL_AGAIN_S)
    await task
