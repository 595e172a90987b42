"""Files that people attached: fetched from Discord alone, within bounds of size and time. Nothing is unpacked here.

What Discord says of a file, its size and its type, is a stranger's word: the bytes are counted as they come, and what
they are is for `pipeline/images/init_image.py` to find out.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import aiohttp
import discord
import yarl
from discord.asset import Asset

from bot.errors import DownloadFailed, DownloadTooSlow, UploadGone
from pipeline.errors import InvalidSpec
from pipeline.images.init_image import MAX_SOURCE_BYTES

log = logging.getLogger(__name__)

LIMIT_S: Final = 20  # the largest file over a line of 10 Mbit/s
TRIES: Final = 2
PAUSE_S: Final = 0.5
CHUNK_BYTES: Final = 2**16
PROXY_HOST: Final = yarl.URL("https://media.discordapp.net")
GONE: Final = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE})  # expired, or deleted
TEMPORARY: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file of a message or a command, as `RemoteImage`."""

    client: discord.Client
    url: str

    async def fetch(self) -> bytes:
        """See `RemoteImage.fetch`."""
        url = _served_by_discord(self.url)
        try:
            async with asyncio.timeout(LIMIT_S):
                for _ in range(TRIES - 1):
                    if (data := await self._try(url)) is not None:
                        return data
                    await asyncio.sleep(PAUSE_S)
                if (data := await self._try(url)) is not None:
                    return data
        except TimeoutError as error:
            raise DownloadTooSlow(limit_s=LIMIT_S) from error
        raise DownloadFailed

    async def _try(self, url: yarl.URL) -> bytes | None:
        """Fetch it once; None if it may work in a moment."""
        http = self.client.http
        session = aiohttp.ClientSession(
            connector=http.connector,
            connector_owner=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            headers={"Accept-Encoding": "identity"},
            auto_decompress=False,  # a few bytes could unfold to any number
        )
        try:
            async with (
                session,
                session.get(url, allow_redirects=False, proxy=http.proxy, proxy_auth=http.proxy_auth) as response,
            ):
                if response.status in GONE:
                    raise UploadGone
                if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR or response.status in TEMPORARY:
                    return None
                if response.status != HTTPStatus.OK:
                    raise DownloadFailed
                return await _read(response.content)
        except (aiohttp.ClientError, OSError) as error:
            log.warning("a file cannot be fetched from Discord: %s", type(error).__name__)
            return None


def is_too_large(attachment: discord.Attachment) -> bool:
    """Whether Discord says already that the file is larger than any that is taken."""
    return attachment.size > MAX_SOURCE_BYTES


def too_large() -> InvalidSpec:
    """Make the refusal of a file that is too large."""
    return InvalidSpec("image", f"is larger than {MAX_SOURCE_BYTES // 2**20} MiB", detail="too-large")


async def _read(content: aiohttp.StreamReader) -> bytes:
    data = bytearray()
    async for chunk in content.iter_chunked(CHUNK_BYTES):
        data += chunk
        if len(data) > MAX_SOURCE_BYTES:
            raise too_large()
    return bytes(data)


def _served_by_discord(text: str) -> yarl.URL:
    """Return an address as it is to be asked for.

    Raises:
        DownloadFailed: another host than Discord's would be asked.
    """
    base = yarl.URL(Asset.BASE).origin()
    origins = {base, PROXY_HOST} if base.scheme == "https" else {base}
    try:
        url = yarl.URL(text, encoded=True)  # it is signed as it is written
        if url.origin() in origins and url.user is None:
            return url
    except ValueError as error:
        raise DownloadFailed from error
    raise DownloadFailed
