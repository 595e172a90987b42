"""A bot without a library: for sending exactly the requests a test needs, right or wrong.

Owns one HTTP session and one websocket. Must not know any rule of Discord, so that it can break them all.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp

from tests.discord_server import Discord

INTENTS = 1 << 0 | 1 << 9 | 1 << 12
HELLO, HEARTBEAT, IDENTIFY, RESUME = 10, 1, 2, 6

IMAGINE = {
    "name": "imagine", "type": 1, "description": "Make a picture",
    "options": [
        {
            "type": 3, "name": "prompt", "description": "What to show", "required": True,
            "min_length": 2, "max_length": 20,
        },
        {"type": 4, "name": "seed", "description": "Seed", "min_value": 0, "max_value": 99},
        {"type": 3, "name": "style", "description": "Style", "choices": [{"name": "Oil paint", "value": "oil"}]},
        {"type": 3, "name": "model", "description": "Model", "autocomplete": True},
        {"type": 10, "name": "scale", "description": "Scale", "max_value": 2.5},
        {"type": 5, "name": "hq", "description": "High quality"},
        {"type": 11, "name": "image", "description": "Start"},
        {"type": 6, "name": "who", "description": "User"},
        {"type": 8, "name": "role", "description": "Role"},
        {"type": 7, "name": "where", "description": "Channel", "channel_types": [0]},
    ],
}  # fmt: skip
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc0000003010100"
    "c9fe92ef0000000049454e44ae426082"
)


def button(custom_id: str = "b", label: str = "B", **extra: Any) -> dict[str, Any]:
    return {"type": 2, "style": 1, "label": label, "custom_id": custom_id, **extra}


def row(*components: dict[str, Any]) -> dict[str, Any]:
    return {"type": 1, "components": list(components)}


class RawBot:
    """`async with RawBot(d) as bot:` registers the commands and connects."""

    def __init__(
        self, discord: Discord, *, intents: int = INTENTS, connect: bool = True, commands: Any = (IMAGINE,)
    ) -> None:
        self.discord = discord
        self.intents = intents
        self.connect_first = connect
        self.commands = list(commands)
        self.events: list[dict[str, Any]] = []
        self.session_id: str | None = None
        self.seq: int | None = None
        self.close_code: int | None = None
        self.ws: aiohttp.ClientWebSocketResponse | None = None
        self._http: aiohttp.ClientSession
        self._reader: asyncio.Task[None] | None = None
        self._new = asyncio.Condition()

    async def __aenter__(self) -> RawBot:
        self._http = aiohttp.ClientSession()
        if self.commands:
            status, body = await self.put(f"/applications/{self.discord.application_id}/commands", self.commands)
            assert status == 200, body
        if self.connect_first:
            await self.identify()
        return self

    async def __aexit__(self, *_: Any) -> None:
        if self.ws is not None:
            await self.ws.close()
        if self._reader is not None:
            await self._reader
        await self._http.close()

    # -- HTTP -----------------------------------------------------------------------

    async def call(
        self, method: str, path: str, body: Any = None, files: dict[int, tuple[str, bytes]] | None = None,
        *, token: str | None = "", headers: dict[str, str] | None = None, data: Any = None,
    ) -> tuple[int, Any]:  # fmt: skip
        headers = dict(headers or {})
        if token is not None:
            headers["Authorization"] = f"Bot {token or self.discord.token}"
        if files:
            data = aiohttp.FormData(quote_fields=False)
            data.add_field("payload_json", json.dumps(body), content_type="application/json")
            for n, (name, content) in files.items():
                data.add_field(f"files[{n}]", content, filename=name, content_type="application/octet-stream")
        elif body is not None:
            data, headers["Content-Type"] = json.dumps(body), "application/json"
        async with self._http.request(method, self.discord.api_base + path, data=data, headers=headers) as response:
            self.headers = response.headers
            text = await response.text()
            is_json = response.headers.get("Content-Type") == "application/json"
            return response.status, json.loads(text) if is_json and text else text or None

    async def get(self, path: str, **more: Any) -> tuple[int, Any]:
        return await self.call("GET", path, **more)

    async def post(self, path: str, body: Any = None, files: Any = None, **more: Any) -> tuple[int, Any]:
        return await self.call("POST", path, body, files, **more)

    async def put(self, path: str, body: Any = None, **more: Any) -> tuple[int, Any]:
        return await self.call("PUT", path, body, **more)

    async def patch(self, path: str, body: Any = None, files: Any = None, **more: Any) -> tuple[int, Any]:
        return await self.call("PATCH", path, body, files, **more)

    async def delete(self, path: str, **more: Any) -> tuple[int, Any]:
        return await self.call("DELETE", path, **more)

    async def send(self, body: Any, files: Any = None) -> tuple[int, Any]:
        """A message to the default channel."""
        return await self.post(f"/channels/{self.discord.channel.id}/messages", body, files)

    async def answer(
        self, interaction: dict[str, Any], kind: int, data: Any = None, files: Any = None
    ) -> tuple[int, Any]:
        body = {"type": kind} if data is None else {"type": kind, "data": data}
        return await self.post(
            f"/interactions/{interaction['id']}/{interaction['token']}/callback", body, files, token=None
        )

    def webhook(self, interaction: dict[str, Any], message: str = "") -> str:
        path = f"/webhooks/{interaction['application_id']}/{interaction['token']}"
        return f"{path}/messages/{message}" if message else path

    # -- gateway --------------------------------------------------------------------

    async def open(self, query: str = "v=10&encoding=json") -> None:
        self.ws = await self._http.ws_connect(f"{self.discord.gateway_url}?{query}")
        hello = await self.ws.receive_json()
        assert hello["op"] == HELLO
        self._reader = asyncio.create_task(self._read())

    async def op(self, op: int, data: Any) -> None:
        assert self.ws is not None
        await self.ws.send_json({"op": op, "d": data})

    async def identify(self, **changes: Any) -> None:
        await self.open()
        await self.op(HEARTBEAT, None)
        fields = {"token": self.discord.token, "intents": self.intents, "properties": {}} | changes
        await self.op(IDENTIFY, fields)
        if not changes:
            ready = await self.event("READY")
            self.session_id = ready["session_id"]

    async def resume(self, **changes: Any) -> None:
        await self.open()
        await self.op(RESUME, {"token": self.discord.token, "session_id": self.session_id, "seq": self.seq} | changes)

    async def _read(self) -> None:
        assert self.ws is not None
        ws = self.ws
        async for message in ws:
            payload = json.loads(message.data)
            self.seq = payload.get("s") or self.seq
            async with self._new:
                self.events.append(payload)
                self._new.notify_all()
        async with self._new:
            self.close_code = ws.close_code
            self._new.notify_all()

    async def until(self, predicate: Any) -> Any:
        async with asyncio.timeout(5.0), self._new:
            return await self._new.wait_for(predicate)

    async def event(self, name: str) -> Any:
        """The data of the next event of this name; it is used up."""
        found = await self.until(lambda: next((e for e in self.events if e.get("t") == name), None))
        self.events.remove(found)
        return found["d"]

    async def opcode(self, op: int) -> Any:
        found = await self.until(lambda: next((e for e in self.events if e["op"] == op), None))
        self.events.remove(found)
        return found["d"]

    async def closed(self) -> int:
        await self.until(lambda: self.close_code is not None)
        assert self.close_code is not None
        return self.close_code

    async def interaction(self) -> dict[str, Any]:
        return await self.event("INTERACTION_CREATE")
