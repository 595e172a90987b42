"""How payloads go over the websocket: as text, or as one compressed stream."""

from __future__ import annotations

import zlib

from aiohttp import web


class PlainText:
    """Payloads as text."""

    async def send(self, ws: web.WebSocketResponse, text: str) -> None:
        await ws.send_str(text)


class ZlibStream:
    """One zlib stream for the whole connection."""

    def __init__(self) -> None:
        self._zlib = zlib.compressobj()

    async def send(self, ws: web.WebSocketResponse, text: str) -> None:
        await ws.send_bytes(self._zlib.compress(text.encode()) + self._zlib.flush(zlib.Z_SYNC_FLUSH))


TRANSPORTS: dict[str | None, type[PlainText] | type[ZlibStream]] = {None: PlainText, "zlib-stream": ZlibStream}
