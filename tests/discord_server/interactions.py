"""Interactions: their tokens and deadlines, and what a bot answers to them.

Owns the rules of the first answer (in time, once, of a fitting type) and of the webhook behind the token.
Must not know how users come to act (client.py) nor HTTP.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterator
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any

from tests.discord_server import components, limits
from tests.discord_server.errors import ApiError, Problem
from tests.discord_server.messages import REPLY, Event, Upload
from tests.discord_server.permissions import DM
from tests.discord_server.signals import Signal
from tests.discord_server.view import MessageView
from tests.discord_server.world import (
    COMPONENTS_V2,
    EPHEMERAL,
    LOADING,
    SUPPRESS_EMBEDS,
    SUPPRESS_NOTIFICATIONS,
    Channel,
    Message,
    User,
)

if TYPE_CHECKING:
    from tests.discord_server.server import Emulator


class Kind(IntEnum):
    """What a user did."""

    COMMAND = 2
    COMPONENT = 3
    AUTOCOMPLETE = 4
    MODAL_SUBMIT = 5


class Callback(IntEnum):
    """How a bot answered it."""

    MESSAGE = 4
    DEFER = 5
    DEFER_UPDATE = 6
    UPDATE = 7
    CHOICES = 8
    MODAL = 9


NEW_MESSAGE = {Callback.MESSAGE, Callback.DEFER}
SAME_MESSAGE = {Callback.DEFER_UPDATE, Callback.UPDATE}
ALLOWED: dict[Kind, set[Callback]] = {
    Kind.COMMAND: NEW_MESSAGE | {Callback.MODAL},
    Kind.COMPONENT: NEW_MESSAGE | SAME_MESSAGE | {Callback.MODAL},
    Kind.AUTOCOMPLETE: {Callback.CHOICES},
    Kind.MODAL_SUBMIT: NEW_MESSAGE | SAME_MESSAGE,
}
SETTABLE_FLAGS = SUPPRESS_EMBEDS | EPHEMERAL | COMPONENTS_V2 | SUPPRESS_NOTIFICATIONS
MESSAGE_TYPE_COMMAND = 20
NO_RESPONSE = "The application did not respond"


class State(Enum):
    """Where the first answer stands."""

    PENDING = "pending"
    ANSWERED = "answered"
    FAILED = "failed"  # no answer in time: the user saw NO_RESPONSE


class Interaction:
    """One use of a command, button or modal, from the click to the token's end."""

    def __init__(
        self,
        emu: Emulator,
        kind: Kind,
        user: User,
        channel: Channel,
        details: dict[str, Any],
        *,
        name: str = "",
        message: Message | None = None,
        parent: Interaction | None = None,
        option_type: int = 0,
        target: User | Message | None = None,
        age: float = 0.0,
    ) -> None:
        self.emu = emu
        self.id = emu.world.snowflake(age)
        self.token = "itoken-" + hashlib.sha256(f"{self.id}:{emu.config.token}".encode()).hexdigest()
        self.application_id = emu.world.application_id
        self.kind, self.user, self.channel, self.details = kind, user, channel, details
        self.name = name  # of the command, as shown above its answer
        self.message = message  # whose button was used
        self.parent = parent  # the interaction that opened the modal
        self.option_type = option_type  # of the autocompleted option
        self.target = target  # whose menu the command was chosen in
        self.state = State.PENDING
        self.expired = False
        self.original: Message | None = None
        self.followups: list[Message] = []
        self.modal: dict[str, Any] | None = None
        self.choices: list[dict[str, Any]] | None = None
        self.timeline: list[Event] = []
        self.changed = Signal()
        self.started = time.monotonic()
        loop = asyncio.get_running_loop()
        config = emu.config
        self._deadline = loop.call_later(config.scaled(config.ack_deadline), self._fail)
        self._expiry = loop.call_later(config.scaled(config.interaction_lifetime - age), self.expire)

    # -- what the bot is told -------------------------------------------------------

    def payload(self) -> dict[str, Any]:
        """Return the INTERACTION_CREATE event."""
        world, channel, guild = self.emu.world, self.channel, self.channel.guild
        user_permissions = str(int(world.permissions(channel, self.user)))
        bot_permissions = world.permissions(channel, world.bot) if guild else DM
        payload: dict[str, Any] = {
            "id": self.id, "application_id": self.application_id, "type": int(self.kind),
            "data": self.details, "token": self.token, "version": 1, "channel_id": channel.id,
            "channel": {**channel.payload(), "permissions": user_permissions},
            "app_permissions": str(int(bot_permissions)), "locale": self.user.locale,
            "entitlements": [], "entitlement_sku_ids": [],
            "authorizing_integration_owners": self._owners(), "context": 0 if guild else 1,
            "attachment_size_limit": self.emu.config.attachment_size_limit,
        }  # fmt: skip
        if guild:
            payload |= {
                "guild_id": guild.id, "guild_locale": guild.locale,
                "guild": {"id": guild.id, "locale": guild.locale, "features": []},
                "member": {**guild.members[self.user.id].full(), "permissions": user_permissions},
            }  # fmt: skip
        else:
            payload["user"] = self.user.payload()
        if self.message is not None:
            payload["message"] = self.emu.messages.payload(self.message)
        return payload

    def message_metadata(self, message: Message) -> dict[str, Any]:
        """Return the fields of an answering message that tell what it answers."""
        metadata = self._metadata()
        if message is not self.original and self.original is not None:
            metadata["original_response_message_id"] = self.original.id
        fields: dict[str, Any] = {"interaction_metadata": metadata}
        if message.type == MESSAGE_TYPE_COMMAND:
            user = self.user.payload()
            fields["interaction"] = {"id": self.id, "type": int(self.kind), "name": self.name, "user": user}
        return fields

    def _metadata(self) -> dict[str, Any]:
        metadata: dict[str, Any] = {
            "id": self.id, "type": int(self.kind), "user": self.user.payload(),
            "authorizing_integration_owners": self._owners(),
        }  # fmt: skip
        if self.kind is Kind.COMMAND:
            metadata["name"] = self.name
        if isinstance(self.target, Message):
            metadata["target_message_id"] = self.target.id
        elif self.target is not None:
            metadata["target_user"] = self.target.payload()
        if self.kind is Kind.COMPONENT and self.message is not None:
            metadata["interacted_message_id"] = self.message.id
        if self.kind is Kind.MODAL_SUBMIT and self.parent is not None:
            metadata["triggering_interaction_metadata"] = self.parent._metadata()
        return metadata

    def _owners(self) -> dict[str, str]:
        return {"0": self.channel.guild.id if self.channel.guild else "0"}

    # -- life -----------------------------------------------------------------------

    @property
    def elapsed(self) -> float:
        """Seconds since the user acted."""
        return time.monotonic() - self.started

    def record(self, kind: str, message: MessageView | None = None, detail: Any = None) -> None:
        """Add to what the user saw."""
        self.timeline.append(Event(self.elapsed, kind, message, detail))
        self.changed.notify()

    def answered(self, kind: Callback, at: float, position: int) -> None:
        """Note the first answer, ahead of the messages it brought (timeline[position:])."""
        self._deadline.cancel()
        self.state = State.ANSWERED
        self.emu.stats.ack_seconds.append(at)
        self.timeline.insert(position, Event(at, "ack", None, kind.name.lower()))
        self.changed.notify()

    def _fail(self) -> None:
        self.state = State.FAILED
        self.emu.stats.interactions_failed += 1
        self.record("failed", detail=NO_RESPONSE)

    def expire(self) -> None:
        """End the token; a placeholder still waiting turns into a failure."""
        self._expiry.cancel()
        self.expired = True
        stuck = self.original is not None and self.original.loading and not self.original.deleted
        self.record("expired", detail=NO_RESPONSE if stuck else None)

    def stop_timers(self) -> None:
        self._deadline.cancel()
        self._expiry.cancel()


class Interactions:
    """All interactions, by token."""

    def __init__(self, emu: Emulator) -> None:
        self.emu = emu
        self._by_token: dict[str, Interaction] = {}

    def __iter__(self) -> Iterator[Interaction]:
        return iter(self._by_token.values())

    def open(self, kind: Kind, user: User, channel: Channel, details: dict[str, Any], **more: Any) -> Interaction:
        """Let a user do something: tell the bot and start the clock."""
        interaction = Interaction(self.emu, kind, user, channel, details, **more)
        self._by_token[interaction.token] = interaction
        self.emu.stats.interactions += 1
        guild_id = channel.guild.id if channel.guild else None
        self.emu.gateway.dispatch("INTERACTION_CREATE", interaction.payload(), guild_id)
        return interaction

    # -- the first answer -----------------------------------------------------------

    def answer(self, interaction_id: str, token: str, body: dict[str, Any], files: dict[int, Upload]) -> Interaction:
        """Carry out the bot's first answer; a refused one does not count as given."""
        interaction = self._answerable(interaction_id, token)
        kind, answer = body["type"], body.get("data") or {}
        without_message = kind in SAME_MESSAGE and interaction.message is None
        if kind not in ALLOWED[interaction.kind] or without_message:
            text = f"Type {kind} does not answer an interaction of type {int(interaction.kind)}"
            self.emu.reject_if("limit", [Problem(("type",), "INTERACTION_RESPONSE_TYPE_INVALID", text)])
        at, position = interaction.elapsed, len(interaction.timeline)
        match Callback(kind):
            case Callback.MESSAGE:
                flags = (answer.get("flags") or 0) & SETTABLE_FLAGS
                self._create_original(interaction, answer, files, flags)
            case Callback.DEFER:
                flags = answer.get("flags") or 0
                if flags & ~EPHEMERAL:
                    text = "Only EPHEMERAL can be set when deferring"
                    self.emu.reject_if("limit", [Problem(("data", "flags"), "BASE_TYPE_INVALID", text)])
                self._create_original(interaction, {}, {}, flags | LOADING)
            case Callback.DEFER_UPDATE | Callback.UPDATE:
                message = interaction.message
                assert message is not None
                if message.deleted:
                    raise ApiError("UNKNOWN_MESSAGE")
                if interaction not in message.watchers:
                    message.watchers.append(interaction)
                if kind == Callback.UPDATE:
                    self.emu.messages.edit(message, answer, files, at=("data",))
                interaction.original = message
            case Callback.CHOICES:
                choices = answer.get("choices") or []
                problems = limits.choice_problems(choices, interaction.option_type, ("data", "choices"))
                self.emu.reject_if("limit", problems)
                interaction.choices = choices
            case Callback.MODAL:
                self.emu.reject_if("limit", components.modal_problems(answer))
                components.number(answer["components"])
                interaction.modal = answer
        interaction.answered(Callback(kind), at, position)
        return interaction

    def _answerable(self, interaction_id: str, token: str) -> Interaction:
        interaction = self._by_token.get(token)
        if interaction is None or interaction.id != interaction_id:
            raise ApiError("UNKNOWN_INTERACTION")
        if interaction.state is State.FAILED or interaction.expired:
            text = f"answered {interaction.elapsed:.2f} s after the interaction"
            self.emu.violation("late_ack", text)
            raise ApiError("UNKNOWN_INTERACTION")
        if interaction.state is State.ANSWERED:
            self.emu.violation("double_ack", "a second first answer to one interaction")
            raise ApiError("ALREADY_ACKNOWLEDGED")
        return interaction

    def _create_original(
        self, interaction: Interaction, fields: dict[str, Any], files: dict[int, Upload], flags: int
    ) -> None:
        _check_channel(interaction)
        kind = MESSAGE_TYPE_COMMAND if interaction.kind is Kind.COMMAND else REPLY
        interaction.original = self.emu.messages.create(
            interaction.channel, self.emu.world.bot, fields, files, flags=flags, kind=kind,
            interaction=interaction, reference=interaction.message, at=("data",),
        )  # fmt: skip

    # -- the webhook behind the token ------------------------------------------------

    def by_webhook(self, application_id: str, token: str) -> Interaction:
        """Return the interaction whose webhook this is, if it may be used now."""
        interaction = self._by_token.get(token)
        if application_id != self.emu.world.application_id or interaction is None:
            raise ApiError("UNKNOWN_WEBHOOK")
        if interaction.expired:
            raise ApiError("INVALID_WEBHOOK_TOKEN")
        if interaction.state is State.PENDING:
            self.emu.violation("unanswered", "used an interaction's webhook before its first answer")
        if interaction.state is not State.ANSWERED:
            raise ApiError("UNKNOWN_WEBHOOK")
        return interaction

    def followup(self, interaction: Interaction, fields: dict[str, Any], files: dict[int, Upload]) -> Message:
        """Post one more answer; the first one after a deferral fills its placeholder (documented)."""
        original = interaction.original
        if original is not None and original.loading and not original.deleted:
            self.emu.messages.edit(original, fields, files)
            return original
        _check_channel(interaction)
        message = self.emu.messages.create(
            interaction.channel, self.emu.world.bot, fields, files, kind=REPLY,
            flags=(fields.get("flags") or 0) & SETTABLE_FLAGS, interaction=interaction, reference=original,
        )  # fmt: skip
        interaction.followups.append(message)
        return message

    def find_message(self, interaction: Interaction, message_id: str) -> Message:
        """Return the message a webhook path means: the original answer or a follow-up."""
        message = interaction.original
        if message_id != "@original":
            mine = (interaction.original, *interaction.followups)
            message = next((m for m in mine if m is not None and m.id == message_id), None)
        if message is None or message.deleted:
            raise ApiError("UNKNOWN_MESSAGE")
        return message


def _check_channel(interaction: Interaction) -> None:
    if interaction.channel.deleted:
        raise ApiError("UNKNOWN_CHANNEL")
