"""Where a job's message stands on Discord: what `ReplyTo.address` holds, and how old the message is.

No secrets in it: it is stored with the job. Writing there is `frontend.py`; who may act on a job because of
where it stands is `permissions.py`.
"""

from __future__ import annotations

import dataclasses
import json
import time
from dataclasses import dataclass
from typing import Final

import discord

from bot.clock import Clock
from bot.delivery.frontend import DeliveryImpossible
from bot.jobs import Job, ReplyTo, UserKey

FRONTEND: Final = "discord"
# Discord limits edits of messages older than an hour (code 30046): leave those edits to results.
OLD_MESSAGE_S: Final = 3600.0
MAX_ID: Final = 2**63
_LATER: Final = ("is_direct", "is_age_restricted")  # fields that addresses of earlier releases lack


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One message, its person and the language of its server.

    message_id: None if the process was killed before Discord had said which message holds the answer, and of a private
        image until it is there: an answer that only one person sees cannot be edited as the bot.
    guild_id: the server where it was asked for, also of a message that went to its person directly.
    is_direct: whether the message stands in a direct message, of an image that is private.
    is_age_restricted: whether it was asked for in a channel for adults; False of what earlier releases wrote.
    """

    channel_id: int
    message_id: int | None
    guild_id: int | None
    user_id: int
    locale: str
    is_direct: bool = False
    is_age_restricted: bool = False

    @classmethod
    def read(cls, reply_to: ReplyTo) -> Address:
        """Parse what `reply_to` wrote, in this release or a later one.

        Raises:
            DeliveryImpossible: it is damaged.
        """
        try:
            stored = json.loads(reply_to.address)
            names = [field.name for field in dataclasses.fields(cls)]
            address = cls(**{name: stored[name] for name in names if name in stored or name not in _LATER})
            ids = [address.channel_id, address.user_id]
            ids += [each for each in (address.message_id, address.guild_id) if each is not None]
            if not all(type(each) is int and 0 <= each < MAX_ID for each in ids) or type(address.locale) is not str:
                raise ValueError("an id or the language is of another type")
            if not all(type(getattr(address, name)) is bool for name in _LATER):
                raise ValueError("whether it is a direct message or for adults is of another type")
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise DeliveryImpossible(f"where to answer cannot be read: {type(error).__name__}") from error
        return address

    def reply_to(self, interaction_id: int | None = None) -> ReplyTo:
        """Pack it for the job's row; the message id is the key under which deletions are reported.

        Until there is a message, the interaction's id is the key.
        """
        key = interaction_id if self.message_id is None else self.message_id
        return ReplyTo(frontend=FRONTEND, key=str(key), address=json.dumps(dataclasses.asdict(self)))


class DiscordTime:
    """What time it is for Discord, by the newest of its ids: the clock of this machine may be hours off."""

    def __init__(self, *, monotonic: Clock = time.monotonic) -> None:
        self._monotonic = monotonic
        self._ahead_s: float | None = None  # of the monotonic clock, in Unix seconds

    def hear(self, snowflake: int) -> None:
        """Take note of an id that Discord has just given."""
        self._ahead_s = discord.utils.snowflake_time(snowflake).timestamp() - self._monotonic()

    def is_old(self, address: Address) -> bool:
        """Whether edits of this message are limited. Until an id was heard, the clock of this machine is believed."""
        if address.message_id is None:
            return False
        now = discord.utils.utcnow().timestamp() if self._ahead_s is None else self._monotonic() + self._ahead_s
        return now - discord.utils.snowflake_time(address.message_id).timestamp() > OLD_MESSAGE_S


def key_of(user: discord.abc.User) -> UserKey:
    """Return who somebody on Discord is to the rest of the bot."""
    return UserKey(frontend=FRONTEND, id=str(user.id))


def channel_ids(interaction: discord.Interaction) -> tuple[str, str | None]:
    """Return the channel where somebody acts, and the one that it belongs to if it is a thread."""
    channel = interaction.channel
    parent_id = channel.parent_id if isinstance(channel, discord.Thread) else None
    return str(interaction.channel_id), None if parent_id is None else str(parent_id)


def is_of_server(job: Job, guild_id: int | None) -> bool:
    """Whether the job was asked for on this server; never true of direct messages and other front ends."""
    if guild_id is None or job.reply_to.frontend != FRONTEND:
        return False
    try:
        return Address.read(job.reply_to).guild_id == guild_id
    except DeliveryImpossible:
        return False


def request_key(job: Job) -> str:
    """Name the request of a job: its message may move from one key to another while its images are delivered."""
    return f"request {job.id if job.batch is None else job.batch.batch_id}"
