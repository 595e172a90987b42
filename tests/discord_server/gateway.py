"""The gateway: websocket connections, the sessions behind them, and their faults.

Owns identifying, resuming, heartbeats, intents and the delivery of events. Must not know why an event
happens; whoever changes the world calls `dispatch`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import WSCloseCode, WSMsgType, web

from tests.discord_server import presence
from tests.discord_server.ratelimit import Window
from tests.discord_server.render import redacted
from tests.discord_server.signals import Signal
from tests.discord_server.transports import TRANSPORTS

if TYPE_CHECKING:
    from tests.discord_server.server import Emulator

PATH = "/gateway-ws"

DISPATCH, HEARTBEAT, IDENTIFY, PRESENCE, RESUME, RECONNECT = 0, 1, 2, 3, 6, 7
INVALID_SESSION, HELLO, HEARTBEAT_ACK = 9, 10, 11
NOT_EMULATED = (4, 8)  # voice states, member lists

GUILDS, GUILD_MEMBERS, GUILD_PRESENCES, GUILD_MESSAGES = 1 << 0, 1 << 1, 1 << 8, 1 << 9
GUILD_REACTIONS, DM_MESSAGES, DM_REACTIONS, MESSAGE_CONTENT = 1 << 10, 1 << 12, 1 << 13, 1 << 15
PRIVILEGED = GUILD_MEMBERS | GUILD_PRESENCES | MESSAGE_CONTENT
KNOWN_INTENTS = (1 << 22) - 1 & ~(1 << 17 | 1 << 18 | 1 << 19) | 1 << 24 | 1 << 25  # of API v10

# event prefix (the first that fits) -> the intents that let it through, in a guild and in a DM (0: always)
INTENTS: dict[str, tuple[int, int]] = {
    "GUILD_MEMBER_": (GUILD_MEMBERS, 0),
    "GUILD_": (GUILDS, 0),
    "CHANNEL_": (GUILDS, 0),
    "THREAD_": (GUILDS, 0),
    "MESSAGE_REACTION_": (GUILD_REACTIONS, DM_REACTIONS),
    "MESSAGE_": (GUILD_MESSAGES, DM_MESSAGES),
}
SEND_LIMIT = (120, 60.0)
FATAL_CLIENT_CLOSES = (1000, 1001)  # a bot closing with these gives its session up


def required_intent(event: str, *, in_guild: bool) -> int:
    """Return the intent a session needs to be told of an event; 0 for none."""
    for prefix, (guild, dm) in INTENTS.items():
        if event.startswith(prefix):
            return guild if in_guild else dm
    return 0


@dataclass(eq=False)
class Session:
    """What survives a lost connection: the events not yet seen, until the bot resumes."""

    id: str
    intents: int
    shard: tuple[int, int]
    seq: int = 0
    backlog: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=5000))
    connection: Connection | None = None
    lost_at: float | None = None  # when its connection went away
    resumable: bool = True
    presences: list[str] = field(default_factory=list)  # what stood under the name, the newest last

    def serves(self, guild_id: str | None) -> bool:
        shard_id, count = self.shard
        return shard_id == ((int(guild_id) >> 22) % count if guild_id else 0)

    def dispatch(self, event: str, data: dict[str, Any]) -> None:
        self.seq += 1
        text = json.dumps({"op": DISPATCH, "t": event, "s": self.seq, "d": data})
        self.backlog.append((self.seq, text))
        if self.connection is not None:
            self.connection.send_text(text)


class Connection:
    """One websocket. Writes go through a queue, so that dispatching never waits."""

    def __init__(self, gateway: Gateway, ws: web.WebSocketResponse, request: web.Request, transport: Any):
        self.gateway = gateway
        self.ws = ws
        self.compress = request.query.get("compress")
        self.session: Session | None = None
        self._request = request
        self._transport = transport
        self._out: asyncio.Queue[str | int] = asyncio.Queue()
        self._sent, self._presences = Window(), Window()
        self._last_beat: float | None = None
        self._watchdog: asyncio.TimerHandle | None = None

    # -- outgoing -------------------------------------------------------------------

    def send(self, op: int, data: Any = None) -> None:
        self.send_text(json.dumps({"op": op, "d": data, "s": None, "t": None}))

    def send_text(self, text: str) -> None:
        self._out.put_nowait(text)

    def close(self, code: int) -> None:
        self.detach()
        self._out.put_nowait(code)

    def abort(self) -> None:
        """Cut the TCP connection without a closing handshake."""
        self.detach()
        if self._request.transport is not None:
            self._request.transport.abort()

    def detach(self) -> None:
        if self._watchdog:
            self._watchdog.cancel()
        if self.session is not None and self.session.connection is self:
            self.session.connection = None
            self.session.lost_at = time.monotonic()
            self.gateway.changed.notify()

    async def _write(self) -> None:
        while True:
            item = await self._out.get()
            if isinstance(item, int):
                await self.ws.close(code=item)
                return
            try:
                await self._transport.send(self.ws, item)
            except ConnectionError:
                return

    # -- incoming -------------------------------------------------------------------

    async def run(self) -> None:
        writer = asyncio.create_task(self._write())
        self.send(HELLO, {"heartbeat_interval": int(self.gateway.config.heartbeat_interval * 1000), "_trace": []})
        self._arm_watchdog()
        try:
            async for message in self.ws:
                if message.type is WSMsgType.TEXT:
                    self._receive(message.data)
            code = self.ws.close_code
            if self.session is not None and self.session.connection is self and code in FATAL_CLIENT_CLOSES:
                self.session.resumable = False
        finally:
            self.detach()
            writer.cancel()

    def _receive(self, text: str) -> None:
        if self._sent.take(*SEND_LIMIT, time.monotonic()):
            self._misuse(4008, "more than 120 gateway messages in 60 s")
            return
        try:
            payload = json.loads(text)
            op, data = payload["op"], payload.get("d")
        except (ValueError, KeyError, TypeError):
            self._misuse(4002, "a payload that is not a gateway message")
            return
        if op == HEARTBEAT:
            self._heartbeat(data)
        elif op == IDENTIFY:
            self._identify(data)
        elif op == RESUME:
            self._resume(data)
        elif self.session is None:
            self._misuse(4003, f"op {op} before identifying")
        elif op in NOT_EMULATED:
            self.gateway.emu.violation("not_emulated", f"gateway op {op} is not emulated")
        elif op == PRESENCE:
            self._presence(data)
        else:
            self._misuse(4001, f"unknown op {op}")

    def _presence(self, data: Any) -> None:
        assert self.session is not None, "looked at before"
        if self._presences.take(*presence.LIMIT, time.monotonic()):
            self.gateway.emu.violation("gateway", "more than 5 presence updates in 20 s")
        elif (problem := presence.problem_of(data)) is not None:
            self.gateway.emu.violation("gateway", f"presence: {problem}")
        else:
            self.session.presences.append(presence.text_of(data))
            self.gateway.changed.notify()

    def _misuse(self, code: int, what: str) -> None:
        self.gateway.emu.violation("gateway", f"{what} (closed with {code})")
        self.close(code)

    def _heartbeat(self, seq: int | None) -> None:
        now = time.monotonic()
        stats = self.gateway.emu.stats
        stats.heartbeats += 1
        if self._last_beat is not None:
            stats.max_heartbeat_gap = max(stats.max_heartbeat_gap, now - self._last_beat)
        self._last_beat = now
        if self.session and isinstance(seq, int) and seq > self.session.seq:
            self._misuse(4007, f"heartbeat with seq {seq}, beyond {self.session.seq}")
            return
        self._arm_watchdog()
        self.send(HEARTBEAT_ACK)
        self.gateway.changed.notify()

    def _arm_watchdog(self) -> None:
        if self._watchdog:
            self._watchdog.cancel()
        grace = self.gateway.config.heartbeat_interval * 1.5 + 0.5
        self._watchdog = asyncio.get_running_loop().call_later(
            grace, self._misuse, 4000, f"no heartbeat for {grace:.1f} s"
        )

    def _identify(self, data: dict[str, Any]) -> None:
        gateway = self.gateway
        if self.session is not None:
            self._misuse(4005, "identified twice")
            return
        gateway.emu.stats.identifies += 1
        try:
            token, intents = data["token"], int(data["intents"])
            shard = tuple(data.get("shard") or (0, 1))
            assert isinstance(data["properties"], dict) and len(shard) == 2
        except (KeyError, TypeError, ValueError, AssertionError):
            self._misuse(4002, "a malformed identify")
            return
        if token.removeprefix("Bot ") != gateway.config.token:
            gateway.emu.stats.bad_tokens += 1
            gateway.changed.notify()
            self.close(4004)
            return
        if intents & ~KNOWN_INTENTS:
            self._misuse(4013, f"unknown intents {intents:#x}")
            return
        if intents & PRIVILEGED & ~gateway.config.privileged_intents:
            self._misuse(4014, f"privileged intents that are not switched on ({intents:#x})")
            return
        gateway.open_session(self, intents, shard)

    def _resume(self, data: dict[str, Any]) -> None:
        gateway = self.gateway
        try:
            token, session_id, seq = data["token"], data["session_id"], int(data["seq"])
        except (KeyError, TypeError, ValueError):
            self._misuse(4002, "a malformed resume")
            return
        if token.removeprefix("Bot ") != gateway.config.token:
            self.close(4004)
            return
        session = gateway.resumable(session_id)
        if session is None:
            gateway.emu.stats.failed_resumes += 1
            self.send(INVALID_SESSION, False)
            return
        if seq > session.seq:
            self._misuse(4007, f"resume with seq {seq}, beyond {session.seq}")
            return
        gateway.resume_session(self, session, seq)


class Gateway:
    """All sessions, and the faults a test can cause."""

    def __init__(self, emu: Emulator):
        self.emu = emu
        self.config = emu.config
        self.sessions: dict[str, Session] = {}
        self.changed = Signal()
        self._ready_count = 0

    # -- connections and sessions ---------------------------------------------------

    async def serve(self, request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(max_msg_size=1 << 20, compress=False)
        await ws.prepare(request)
        compress = request.query.get("compress")
        if request.query.get("v") != "10":
            self.emu.violation("gateway", f"gateway version {request.query.get('v')!r} instead of 10")
            await ws.close(code=4012)
        elif request.query.get("encoding", "json") != "json" or compress not in TRANSPORTS:
            self.emu.violation("gateway", f"unsupported encoding or compression: {request.query_string}")
            await ws.close(code=4002)
        else:
            self.emu.stats.connections += 1
            await Connection(self, ws, request, TRANSPORTS[compress]()).run()
        return ws

    def open_session(self, connection: Connection, intents: int, shard: Any) -> None:
        world = self.emu.world
        self._ready_count += 1
        session = Session(f"session-{self._ready_count:04}", intents, shard, connection=connection)
        self.sessions[session.id] = session
        connection.session = session
        guilds = [
            g for g in world.guilds.values() if intents & GUILDS and session.serves(g.id) and world.bot.id in g.members
        ]
        session.dispatch(
            "READY",
            {
                "v": 10,
                "user": {**world.bot.payload(), "mfa_enabled": False, "verified": True, "email": None},
                "guilds": [{"id": g.id, "unavailable": True} for g in guilds],
                "session_id": session.id,
                "session_type": "normal",
                "resume_gateway_url": self.emu.gateway_url,
                "shard": list(shard),
                "application": {"id": world.application_id, "flags": 0},
                "user_settings": {}, "relationships": [], "private_channels": [], "presences": [],
                "guild_join_requests": [], "geo_ordered_rtc_regions": [], "auth": {}, "_trace": [],
            },
        )  # fmt: skip
        for guild in guilds:
            session.dispatch("GUILD_CREATE", guild.create_payload(world.bot))
        self.changed.notify()

    def resumable(self, session_id: str) -> Session | None:
        session = self.sessions.get(session_id)
        if session is None or not session.resumable:
            return None
        window = self.config.scaled(self.config.resume_window)
        if session.lost_at is not None and time.monotonic() - session.lost_at > window:
            return None
        return session

    def resume_session(self, connection: Connection, session: Session, seq: int) -> None:
        if session.connection is not None:
            session.connection.close(4000)
        session.connection, session.lost_at = connection, None
        connection.session = session
        for number, text in session.backlog:
            if number > seq:
                connection.send_text(text)
        self.emu.stats.resumes += 1
        session.dispatch("RESUMED", {"_trace": []})
        self.changed.notify()

    @property
    def online(self) -> list[Session]:
        return [s for s in self.sessions.values() if s.connection is not None]

    @property
    def connections(self) -> list[Connection]:
        return [s.connection for s in self.sessions.values() if s.connection is not None]

    # -- events ---------------------------------------------------------------------

    def dispatch(self, event: str, data: dict[str, Any], guild_id: str | None = None) -> None:
        """Send an event to every session that asked for it, connected or resumable."""
        intent = required_intent(event, in_guild=guild_id is not None)
        for session in self.sessions.values():
            if (session.connection is None and self.resumable(session.id) is None) or not session.serves(guild_id):
                continue
            if intent and not session.intents & intent:
                continue
            session.dispatch(event, self._redacted(session, event, data, guild_id))

    def _redacted(self, session: Session, event: str, data: dict[str, Any], guild_id: str | None) -> dict[str, Any]:
        """Blank other people's guild messages for a bot without the message-content intent."""
        if event not in ("MESSAGE_CREATE", "MESSAGE_UPDATE") or session.intents & MESSAGE_CONTENT or guild_id is None:
            return data
        return redacted(data, self.emu.world.bot.id)

    # -- faults ---------------------------------------------------------------------

    def drop(self, code: int | None = None, *, resumable: bool = True) -> None:
        """Close every connection, with a close code or (None) by cutting it; a bot has to resume."""
        for connection in self.connections:
            assert connection.session is not None
            connection.session.resumable = resumable
            if code is None:
                connection.abort()
            else:
                connection.close(code)

    def ask_reconnect(self) -> None:
        """Ask every connection to reconnect and resume (op 7)."""
        for connection in self.connections:
            connection.send(RECONNECT)

    def invalidate(self, *, resumable: bool = False) -> None:
        """Tell every connection that its session is invalid (op 9)."""
        for connection in self.connections:
            assert connection.session is not None
            connection.session.resumable = resumable
            connection.send(INVALID_SESSION, resumable)

    async def shutdown(self) -> None:
        """Close every connection because the server ends."""
        for connection in self.connections:
            await connection.ws.close(code=WSCloseCode.GOING_AWAY)
