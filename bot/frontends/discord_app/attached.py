"""The images of messages that a menu was used on: which there are, and how they are fetched later.

A form or a menu holds the message and the number of the file. Where it lies is remembered while this process lives;
after a restart the message is read again, if the bot may: of messages that do not mention it, Discord shows a bot no
files unless it has the message-content intent, which this one does not ask for.
"""

from __future__ import annotations

import re
import weakref
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

import discord
from cachetools import LRUCache

from bot.errors import DownloadFailed, Refusal, UploadGone
from bot.frontends.discord_app.downloads import Download, is_too_large, too_large
from bot.frontends.discord_app.http_errors import TROUBLES
from bot.frontends.discord_app.message_ref import FRONTEND
from bot.requests.archive import Archive

KINDS: Final = frozenset({".png", ".jpg", ".jpeg", ".webp"})
REMEMBERED: Final = 500
OUR_FILE: Final = re.compile(r"(?:SPOILER_)?imagine-([0-9]{1,18})\.(?:png|webp)")  # as `composer.py` names it

# Of a channel, message and file: who acts in one channel is shown no file of another.
Place = tuple[int, int, int]

_urls: Final[weakref.WeakKeyDictionary[discord.Client, LRUCache[Place, str]]] = weakref.WeakKeyDictionary()


class NoImageHere(Refusal):
    """The message shows no image that could be used."""


class MessageForgotten(Refusal):
    """The files of the message cannot be seen any more; its menu has to be used again."""


async def numbers_on(message: discord.Message, archive: Archive) -> list[int]:
    """Return the numbers of the jobs that our message shows: whose answer it is, else by the names of its files.

    Raises:
        StoreUnavailable
    """
    if numbers := [job.id for job in await archive.of_message(FRONTEND, str(message.id))]:
        return numbers
    named = (OUR_FILE.fullmatch(file.filename) for file in message.attachments)
    return list(dict.fromkeys(int(match[1]) for match in named if match is not None))


def images_of(message: discord.Message) -> list[discord.Attachment]:
    """Return the files of a message that seem to be images, at least one.

    Raises:
        NoImageHere
    """
    if not (found := seeming_images(message)):
        raise NoImageHere
    return found


def seeming_images(message: discord.Message) -> list[discord.Attachment]:
    """Return the files of a message that seem to be images."""
    return [each for each in message.attachments if _seems_an_image(each)]


def remember(client: discord.Client, message: discord.Message) -> None:
    """Remember where the files of a message lie."""
    urls = _urls.setdefault(client, LRUCache(REMEMBERED))
    for file in message.attachments:
        urls[message.channel.id, message.id, file.id] = file.url


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedImage:
    """A file of a message, as `RemoteImage`; the message stands in the channel where the person acts."""

    client: discord.Client
    channel_id: int
    message_id: int
    file_id: int

    async def fetch(self) -> bytes:
        """See `RemoteImage.fetch`.

        Raises:
            MessageForgotten
        """
        urls = _urls.get(self.client)
        known = None if urls is None else urls.get((self.channel_id, self.message_id, self.file_id))
        if known is not None:
            try:
                return await Download(client=self.client, url=known).fetch()
            except UploadGone:  # the link may have expired: the message has a new one
                pass
        file = await self._read_again()
        if is_too_large(file):
            raise too_large()
        return await Download(client=self.client, url=file.url).fetch()

    async def _read_again(self) -> discord.Attachment:
        channel = self.client.get_partial_messageable(self.channel_id)
        try:
            message = await channel.fetch_message(self.message_id)
        except discord.NotFound as error:
            raise UploadGone from error
        except discord.Forbidden as error:
            raise MessageForgotten from error
        except TROUBLES as error:
            raise DownloadFailed from error
        for file in message.attachments:
            if file.id == self.file_id:
                return file
        raise MessageForgotten


def _seems_an_image(file: discord.Attachment) -> bool:
    """By what Discord says of it; what it is, is seen when it is fetched."""
    return (file.content_type or "").startswith("image/") or PurePosixPath(file.filename.lower()).suffix in KINDS
