"""The scenario driver: starts a Discord, plays its users, breaks things, and reports.

Owns what a test may say and see; almost everything is one line into the emulator. Must not know our bot.
"""

# ruff: noqa: ASYNC109 - see signals.py

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from tests.discord_server import client, forms, html_page
from tests.discord_server.client import ClientRefused, Resolved
from tests.discord_server.commands import CommandType
from tests.discord_server.config import Config
from tests.discord_server.errors import ApiError
from tests.discord_server.faults import Fault
from tests.discord_server.gateway import Gateway, Session
from tests.discord_server.interactions import Interaction, Kind, State
from tests.discord_server.messages import REPLY, Event, Upload
from tests.discord_server.permissions import NONE, Permission
from tests.discord_server.server import Emulator
from tests.discord_server.signals import HarnessTimeout
from tests.discord_server.stats import RequestRecord, Violation
from tests.discord_server.view import MessageView
from tests.discord_server.world import Channel, Guild, Member, Message, Overwrite, Role, User

SEEN = ("message", "edit")


class InteractionFailed(Exception):
    """The user saw "The application did not respond"."""


class Use:
    """One use of a command, button or modal, as the user experienced it."""

    def __init__(self, driver: Discord, interaction: Interaction) -> None:
        self._driver = driver
        self.interaction = interaction

    @property
    def timeline(self) -> list[Event]:
        """Everything the user saw, with `t` in seconds since the use.

        Kinds: ack (detail: how it was answered), message, edit, delete, failed, expired.
        """
        return self.interaction.timeline

    @property
    def failed(self) -> bool:
        return self.interaction.state is State.FAILED

    @property
    def ack_seconds(self) -> float | None:
        return next((e.t for e in self.timeline if e.kind == "ack"), None)

    @property
    def response(self) -> MessageView | None:
        """The original response as it is now (for an update: the button's message)."""
        original = self.interaction.original
        return self._driver.view(original) if original else None

    @property
    def followups(self) -> list[MessageView]:
        return [self._driver.view(m) for m in self.interaction.followups]

    @property
    def modal(self) -> dict[str, Any] | None:
        return self.interaction.modal

    async def acked(self, timeout: float = 10.0) -> float:
        """Wait for the first answer; return the seconds it took."""
        await self._until(lambda: self.ack_seconds is not None, timeout, "answer")
        return self.ack_seconds or 0.0

    async def wait(
        self,
        predicate: Callable[[MessageView], Any] = lambda m: not m.loading,
        timeout: float = 10.0,
        after: int = 0,
    ) -> MessageView:
        """Return the first state the user saw of a response or follow-up that fits.

        `after` skips that many timeline events (`len(it.timeline)` for "from now on").
        """

        def fitting() -> MessageView | None:
            shown = (e.message for e in self.timeline[after:] if e.kind in SEEN and e.message)
            return next((m for m in shown if predicate(m)), None)

        message: MessageView = await self._until(fitting, timeout, "message that fits")
        return message

    async def wait_event(self, kind: str, timeout: float = 10.0) -> Event:
        """Return the first event of a kind; see `timeline` for the kinds."""
        return await self.interaction.changed.wait_for(
            lambda: next((e for e in self.timeline if e.kind == kind), None),
            timeout,
            lambda: f"{kind!r} {self._story()}",
        )

    async def wait_modal(self, timeout: float = 10.0) -> dict[str, Any]:
        """Return the form the use opened."""
        modal: dict[str, Any] = await self._until(lambda: self.modal, timeout, "modal")
        return modal

    async def _until(self, predicate: Callable[[], Any], timeout: float, what: str) -> Any:
        def check() -> Any:
            value = predicate()
            if not value and self.failed:
                raise InteractionFailed(f"no {what}: the application did not respond {self._story()}")
            return value

        return await self.interaction.changed.wait_for(check, timeout, lambda: f"{what} {self._story()}")

    def _story(self) -> str:
        lines = [f"  {e.t:8.3f} {e.kind} {e.detail or ''} {e.message or ''}" for e in self.timeline]
        return "in the timeline:\n" + ("\n".join(lines) or "  (empty)") + "\n"


class Discord:
    """`async with Discord(**config) as d:` runs a server with one guild, channel and user."""

    command_wait = 5.0  # how long slash() and autocomplete() wait for a command to be registered

    def __init__(self, **config: Any) -> None:
        self.config = Config(**config)
        self.emu = Emulator(self.config)
        self.world = self.emu.world
        self.bot: User = self.world.bot
        self.guild: Guild = self.world.add_guild("test guild")
        self.channel: Channel = self.add_channel("general")
        self.user: User = self.add_user("alice")

    async def __aenter__(self) -> Discord:
        await self.emu.start()
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.emu.stop()

    # -- where the bot finds it -----------------------------------------------------

    @property
    def token(self) -> str:
        return self.config.token

    @property
    def api_base(self) -> str:
        return self.emu.api_base

    @property
    def gateway_url(self) -> str:
        return self.emu.gateway_url

    @property
    def cdn_base(self) -> str:
        return self.emu.cdn_base

    @property
    def application_id(self) -> str:
        return self.world.application_id

    @property
    def gateway(self) -> Gateway:
        """For its faults: drop, ask_reconnect, invalidate."""
        return self.emu.gateway

    # -- the world ------------------------------------------------------------------

    def add_user(
        self,
        name: str,
        *,
        locale: str = "en-US",
        roles: Iterable[Role] = (),
        dms_open: bool = True,
        guild: Guild | None = None,
    ) -> User:
        """Add a user, member of the guild (the default one unless given)."""
        user = self.world.add_user(name, locale=locale, dms_open=dms_open)
        guild = guild or self.guild
        member = guild.members[user.id] = Member(user, [r.id for r in roles])
        self._tell("GUILD_MEMBER_ADD", {**member.full(), "guild_id": guild.id}, guild)
        return user

    def add_guild(self, name: str) -> Guild:
        guild = self.world.add_guild(name)
        self._tell("GUILD_CREATE", guild.create_payload(self.bot), guild)
        return guild

    def add_channel(self, name: str, *, guild: Guild | None = None, nsfw: bool = False) -> Channel:
        guild = guild or self.guild
        channel = self.world.add_channel(guild, name, nsfw=nsfw)
        self._tell("CHANNEL_CREATE", channel.payload(), guild)
        return channel

    def add_thread(self, parent: Channel, name: str) -> Channel:
        """Start a public thread, as a user does."""
        thread = self.world.add_thread(parent, name, self.user)
        self._tell("THREAD_CREATE", {**thread.payload(), "newly_created": True}, thread.guild)
        return thread

    def add_role(self, name: str, permissions: Permission = NONE, *, guild: Guild | None = None) -> Role:
        guild = guild or self.guild
        role = self.world.add_role(guild, name, permissions)
        self._tell("GUILD_ROLE_CREATE", {"guild_id": guild.id, "role": role.payload()}, guild)
        return role

    def dm(self, user: User) -> Channel:
        return self.world.dm(user)

    def set_permissions(
        self, channel: Channel, who: User | Role, *, allow: Permission = NONE, deny: Permission = NONE
    ) -> None:
        """Overwrite what a user (the bot, say) or role may do in a channel."""
        assert channel.guild is not None
        channel.overwrites[who.id] = Overwrite(who.id, isinstance(who, User), allow, deny)
        self._tell("CHANNEL_UPDATE", channel.payload(), channel.guild)

    def set_role_permissions(self, guild: Guild, role: Role, permissions: Permission) -> None:
        role.permissions = permissions
        self._tell("GUILD_ROLE_UPDATE", {"guild_id": guild.id, "role": role.payload()}, guild)

    def _tell(self, event: str, about: dict[str, Any], guild: Guild | None) -> None:
        assert guild is not None
        self.emu.gateway.dispatch(event, about, guild.id)

    # -- the bot's coming and going -------------------------------------------------

    async def wait_ready(self, timeout: float = 30.0, count: int = 1) -> Session:
        """Wait until the bot is online, having identified `count` times in all."""
        ready = lambda: self.gateway.online if len(self.gateway.sessions) >= count else None  # noqa: E731
        online = await self.gateway.changed.wait_for(ready, timeout, "bot online")
        return online[-1]

    async def wait_offline(self, timeout: float = 10.0) -> None:
        await self.gateway.changed.wait_for(lambda: not self.gateway.online, timeout, "bot offline")

    async def wait_resumed(self, timeout: float = 30.0, count: int = 1) -> None:
        """Wait until the bot has resumed `count` times in all and is online."""
        done = lambda: self.emu.stats.resumes >= count and self.gateway.online  # noqa: E731
        await self.gateway.changed.wait_for(done, timeout, f"resume number {count}")

    def presence(self) -> str:
        """Return what stands under the bot's name; "" if it is offline or shows nothing."""
        return next((session.presences[-1] for session in self.gateway.online if session.presences), "")

    async def wait_presence(self, text: str, timeout: float = 10.0) -> None:
        """Wait until this stands under the bot's name."""
        await self.gateway.changed.wait_for(lambda: self.presence() == text, timeout, f"presence {text!r}")

    async def wait_command(
        self,
        name: str,
        timeout: float = 10.0,
        guild: Guild | None = None,
        kind: CommandType = CommandType.CHAT_INPUT,
    ) -> dict[str, Any]:
        """Wait until a command is registered; return its registration."""
        guild_id = (guild or self.guild).id
        found = lambda: self.emu.commands.find(name, guild_id, kind)  # noqa: E731
        return await self.emu.commands.changed.wait_for(found, timeout, f"command /{name} registered")

    # -- users act ------------------------------------------------------------------

    async def slash(
        self,
        user: User,
        channel: Channel,
        name: str,
        /,
        *,
        options: dict[str, Any] | None = None,
        age: float = 0.0,
        **kwargs: Any,
    ) -> Use:
        """Use a command ("imagine", or "settings model set" for a subcommand).

        Options are keywords, or in `options` where a name is taken. Users, channels, roles
        and Uploads are given as such, choices by name or value.
        `age` lets the interaction begin that many seconds ago for its token and its id
        (not for the 3 s the bot has), to get near a token's end without waiting.
        """
        root, *words = name.split()
        command = await self._offered(root, channel)
        client.check_may_use(self.emu, command, user, channel)
        details = client.command_details(self.emu, command, words, {**(options or {}), **kwargs}, user, channel)
        return self._open(Kind.COMMAND, user, channel, details, name=name, age=age)

    async def autocomplete(
        self,
        user: User,
        channel: Channel,
        name: str,
        focused: str,
        text: str = "",
        /,
        *,
        timeout: float = 10.0,
        **others: Any,
    ) -> list[dict[str, Any]]:
        """Type `text` into an option; return the choices the bot suggests."""
        root, *words = name.split()
        command = await self._offered(root, channel)
        client.check_may_use(self.emu, command, user, channel)
        node = [command, *client.descend(command, words)][-1]
        offered = {o["name"]: o for o in node["options"] if o.get("autocomplete")}
        client.refuse_if(focused not in offered, f"{focused!r} has no autocomplete")
        details = client.command_details(self.emu, command, words, {**others, focused: text}, user, channel, focused)
        use = self._open(Kind.AUTOCOMPLETE, user, channel, details, option_type=offered[focused]["type"])
        await use.acked(timeout)
        return use.interaction.choices or []

    async def click(self, message: MessageView, target: str, user: User | None = None, *, age: float = 0.0) -> Use:
        """Press a button, by label, custom_id or emoji, on the message as it is now."""
        user, live = user or self.user, self._live(message)
        client.check_sees(self.emu, live, user)
        details = forms.click_details(live, target)
        return self._open(Kind.COMPONENT, user, live.channel, details, message=live, age=age)

    async def select(
        self, message: MessageView, target: str, values: Any, user: User | None = None, *, age: float = 0.0
    ) -> Use:
        """Choose in a select menu, found by custom_id or placeholder, on the message as it is now.

        Options are given by value or label, users, roles and channels as such; several in a list.
        """
        user, live = user or self.user, self._live(message)
        client.check_sees(self.emu, live, user)
        details = forms.select_details(live, target, values, Resolved(self.emu, user, live.channel))
        return self._open(Kind.COMPONENT, user, live.channel, details, message=live, age=age)

    async def message_menu(self, user: User, message: MessageView, name: str, *, age: float = 0.0) -> Use:
        """Choose an entry in the menu of a message, under "Apps"."""
        live = self._live(message)
        client.check_sees(self.emu, live, user)
        return await self._menu(user, live.channel, name, CommandType.MESSAGE, live, age)

    async def user_menu(self, user: User, channel: Channel, name: str, target: User, *, age: float = 0.0) -> Use:
        """Choose an entry in the menu of a user met in a channel, under "Apps"."""
        return await self._menu(user, channel, name, CommandType.USER, target, age)

    async def _menu(
        self, user: User, channel: Channel, name: str, kind: CommandType, target: User | Message, age: float
    ) -> Use:
        command = await self._offered(name, channel, kind)
        client.check_may_use(self.emu, command, user, channel)
        details = client.menu_details(command, target, Resolved(self.emu, user, channel))
        return self._open(Kind.COMMAND, user, channel, details, name=name, target=target, age=age)

    async def submit_modal(self, use: Use, answers: dict[str, Any] | None = None, timeout: float = 10.0) -> Use:
        """Fill in and submit the modal a use opened; answers by custom_id or label.

        Fields without an answer are submitted as they were opened. See `forms.modal_details` for what they take.
        """
        modal = await use.wait_modal(timeout)
        opener = use.interaction
        resolved = Resolved(self.emu, opener.user, opener.channel)
        details = forms.modal_details(modal, answers or {}, resolved)
        return self._open(
            Kind.MODAL_SUBMIT, opener.user, opener.channel, details,
            message=opener.message, parent=opener, name=opener.name,
        )  # fmt: skip

    def say(
        self,
        user: User,
        channel: Channel,
        content: str,
        *,
        files: Iterable[Upload] = (),
        reply_to: MessageView | None = None,
        ping: bool = True,
    ) -> MessageView:
        """Post an ordinary message, perhaps with files, perhaps as a reply (without `ping`: "@ off")."""
        may = Permission.SEND_MESSAGES in self.world.permissions(channel, user)
        client.refuse_if(not may, f"{user.username} may not write here")
        uploads = dict(enumerate(files))
        client.refuse_if(not content.strip() and not uploads, "an empty message")
        reference = self._live(reply_to) if reply_to else None
        client.refuse_if(reference and reference.ephemeral, "nobody can reply to an ephemeral message")
        allowed = {"parse": ["users", "roles", "everyone"], "replied_user": ping}
        fields = {"content": content, "allowed_mentions": allowed}
        kind = REPLY if reference else 0
        return self.view(self.emu.messages.create(channel, user, fields, uploads, kind=kind, reference=reference))

    def announce_again(self, message: MessageView) -> None:
        """Tell the bot a second time that a message was posted, as Discord may after a gateway resumed."""
        self.emu.messages.announce_again(self._live(message))

    def react(self, user: User, message: MessageView, emoji: str) -> MessageView:
        """Add a reaction; return the message as it is then."""
        live = self._reactable(user, message)
        may = Permission.ADD_REACTIONS in self.world.permissions(live.channel, user)
        client.refuse_if(emoji not in live.reactions and not may, f"{user.username} may not add reactions here")
        try:
            self.emu.messages.react(live, user, emoji)
        except ApiError as error:
            raise ClientRefused(error.message) from None
        return self.view(live)

    def unreact(self, user: User, message: MessageView, emoji: str) -> MessageView:
        """Take a reaction of one's own away; return the message as it is then."""
        live = self._reactable(user, message)
        client.refuse_if(user not in live.reactions.get(emoji, ()), f"{user.username} has not reacted with {emoji}")
        self.emu.messages.unreact(live, user, emoji)
        return self.view(live)

    def _reactable(self, user: User, message: MessageView) -> Message:
        live = self._live(message)
        client.check_sees(self.emu, live, user)
        client.refuse_if(live.ephemeral, "an ephemeral message takes no reactions")
        return live

    async def _offered(self, name: str, channel: Channel, kind: CommandType = CommandType.CHAT_INPUT) -> dict[str, Any]:
        guild_id = channel.guild.id if channel.guild else None
        found = lambda: self.emu.commands.find(name, guild_id, kind)  # noqa: E731
        try:
            return await self.emu.commands.changed.wait_for(found, self.command_wait, f"/{name}")
        except HarnessTimeout:
            what = f"command /{name}" if kind is CommandType.CHAT_INPUT else f"entry {name!r}"
            raise ClientRefused(f"there is no {what}") from None

    def _open(self, kind: Kind, user: User, channel: Channel, details: dict[str, Any], **more: Any) -> Use:
        return Use(self, self.emu.interactions.open(kind, user, channel, details, **more))

    # -- what users see -------------------------------------------------------------

    def view(self, message: Message) -> MessageView:
        return MessageView.of(self.world, message)

    def refresh(self, message: MessageView) -> MessageView:
        """Return the message as it is now."""
        return self.view(self._live(message))

    def messages(self, channel: Channel, viewer: User | None = None) -> list[MessageView]:
        """Return what a user sees in a channel, oldest first."""
        viewer = viewer or self.user
        return [self.view(m) for m in channel.messages.values() if self.world.visible_to(m, viewer)]

    def html(
        self,
        messages: Iterable[MessageView],
        viewer: User | None = None,
        *,
        modal: dict[str, Any] | None = None,
        now: float | None = None,
        clock: str | None = None,
    ) -> str:
        """Return a page that shows these messages, and perhaps an opened modal, as they look on Discord.

        See `html_page.render`; screenshots.py makes a PNG of it.
        """
        return html_page.render(self.world, messages, viewer or self.user, modal=modal, now=now, clock=clock)

    async def wait_message(
        self,
        predicate: Callable[[MessageView], Any],
        channel: Channel | None = None,
        timeout: float = 10.0,
        after: float = 0.0,
    ) -> MessageView:
        """Return the first state of any message that fits, seen later than `after` (see `now`)."""
        unread = 0

        def fitting() -> MessageView | None:
            nonlocal unread
            events, unread = self.emu.log[unread:], len(self.emu.log)
            for event in events:
                message = event.message
                if event.kind not in SEEN or message is None or event.t < after:
                    continue
                if (channel is None or message.channel_id == channel.id) and predicate(message):
                    return message
            return None

        return await self.world.changed.wait_for(fitting, timeout, "message that fits")

    async def wait_reaction(
        self, message: MessageView, emoji: str, user: User | None = None, timeout: float = 10.0
    ) -> MessageView:
        """Wait until a message has a reaction of the bot's (or another user's); return the message with it."""
        live, who = self._live(message), user or self.bot
        there = lambda: who in live.reactions.get(emoji, ())  # noqa: E731
        await self.world.changed.wait_for(there, timeout, f"reaction {emoji} of {who.username}")
        return self.view(live)

    @property
    def now(self) -> float:
        """Seconds since the server started, as in `log`, `violations` and `requests`."""
        return self.emu.elapsed()

    @property
    def log(self) -> list[Event]:
        """Every message state of the whole world, in order."""
        return self.emu.log

    def _live(self, message: MessageView) -> Message:
        channel = self.world.channels.get(message.channel_id)
        if channel is None or message.id not in channel.messages:
            raise ClientRefused("the message is deleted")
        return channel.messages[message.id]

    # -- breaking things ------------------------------------------------------------

    def fault(self, pattern: str, times: float = 1, **how: Any) -> Fault:
        """Break the next `times` requests whose "METHOD /path" fits; `how` are the fields of Fault."""
        return self.emu.faults.add(Fault(pattern, times, **how))

    def clear_faults(self) -> None:
        self.emu.faults.clear()

    def delete_message(self, message: MessageView, user: User | None = None) -> None:
        """Delete a message; as a `user` only if they wrote it or may manage messages here."""
        live = self._live(message)
        if user is not None:
            client.check_sees(self.emu, live, user)
            client.refuse_if(live.ephemeral, "an ephemeral message can only be dismissed, which tells nobody")
            manages = Permission.MANAGE_MESSAGES in self.world.permissions(live.channel, user)
            client.refuse_if(live.author is not user and not manages, f"{user.username} may not delete the message")
        self.emu.messages.delete(live)

    def delete_channel(self, channel: Channel) -> None:
        assert channel.guild is not None
        self.world.remove_channel(channel)
        self._tell("THREAD_DELETE" if channel.is_thread else "CHANNEL_DELETE", channel.payload(), channel.guild)

    def archive(self, thread: Channel, *, locked: bool = False) -> None:
        """Archive a thread: edits fail with 50083, posting wakes it unless it is locked."""
        thread.locked = locked
        self.emu.set_archived(thread, archived=True)

    def remove_member(self, user: User, guild: Guild | None = None) -> None:
        """Let a user leave a guild; of the bot: kick it."""
        guild = guild or self.guild
        del guild.members[user.id]
        if user is self.bot:
            self._tell("GUILD_DELETE", {"id": guild.id}, guild)
        else:
            self._tell("GUILD_MEMBER_REMOVE", {"guild_id": guild.id, "user": user.payload()}, guild)

    def expire_token(self, use: Use) -> None:
        """End an interaction's token now."""
        use.interaction.expire()

    def expire_cdn_urls(self) -> None:
        self.world.cdn.expire_urls()

    def revoke_token(self) -> None:
        """Reset the bot token: its requests get 401, its connections 4004."""
        self.config.token += ".reset"
        self.gateway.drop(4004, resumable=False)

    # -- reports --------------------------------------------------------------------

    @property
    def violations(self) -> list[Violation]:
        return self.emu.violations

    def assert_clean(self, allow: Iterable[str] = ()) -> None:
        """Fail on any violation whose kind is not allowed."""
        bad = [v for v in self.violations if v.kind not in set(allow)]
        if bad:
            raise AssertionError("violations:\n" + "\n".join(map(str, bad)))

    def assert_thrifty(self) -> None:
        """Fail on 429s of the bot's own making, and on edits after which its readers see what they saw before."""
        stats = self.stats()
        if stats["rate_limited"] or stats["vain_edits"]:
            raise AssertionError(f"limited: {stats['rate_limited_by_route']}, edits in vain: {stats['vain_edits']}")

    def stats(self) -> dict[str, Any]:
        return self.emu.stats.summary()

    def requests(self, pattern: str = "") -> list[RequestRecord]:
        """Return the requests whose "METHOD /path" (real or as described) fits."""
        return [r for r in self.emu.requests if _fits(pattern, r)]

    async def wait_requests(self, pattern: str, count: int = 1, timeout: float = 10.0) -> list[RequestRecord]:
        enough = lambda: found if len(found := self.requests(pattern)) >= count else None  # noqa: E731
        return await self.emu.traffic.wait_for(enough, timeout, f"{count} requests like {pattern}")


def _fits(pattern: str, record: RequestRecord) -> bool:
    return any(re.search(pattern, f"{record.method} {path}") for path in (record.path, record.route))
