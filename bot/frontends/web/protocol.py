"""One connection to the page: strict about the head of a request, and about time.

uvicorn's h11 protocol, extended by what it lacks. A head that two programs could read differently is refused; head,
body and answer have to make progress, or the connection ends. How many there may be is `connections.py`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

MAX_HEAD_BYTES: Final = 64 * 1024
HEAD_S: Final = 10  # from the connection, or the end of the last answer, to the end of the next head
KEEP_ALIVE_S: Final = 5  # of them may pass without a byte after an answer
BODY_S: Final = 600  # the largest upload at 350 kbit/s
BODY_WINDOW_S: Final = 10
BODY_WINDOW_BYTES: Final = 40 * 1024  # at least, in every window
STUCK_S: Final = 30  # somebody who asked for something does not read it
LINGER_S: Final = 5  # the last bytes may still arrive, once the connection is being closed

_END_OF_HEAD: Final = re.compile(rb"\n\r?\n")
# A line break that is not CR LF, or a header that goes on in the next line: programs disagree about what they mean,
# RFC 9112, 2.2 and 5.2.
_AMBIGUOUS: Final = re.compile(rb"\r(?!\n)|(?<!\r)\n|\n[ \t]|\0")


class StrictParser(h11.Connection):
    """h11, which accepts some heads that a proxy in front may understand differently: request smuggling."""

    def next_event(self) -> Any:
        """What came, piece by piece.

        Raises:
            h11.RemoteProtocolError
        """
        received = self.trailing_data[0] if self.their_state is h11.IDLE else b""
        event = super().next_event()
        if isinstance(event, h11.Request) and (flaw := _flaw(event, received)):
            raise h11.RemoteProtocolError(flaw)
        return event


def _flaw(request: h11.Request, received: bytes) -> str | None:
    end = _END_OF_HEAD.search(received)
    head = received[: end.end()] if end else received
    names = {name for name, _ in request.headers}
    if len(head) > MAX_HEAD_BYTES:
        return "the head is too large"
    if _AMBIGUOUS.search(head):
        return "a line does not end with CR LF, or goes on in the next"
    if request.http_version not in {b"1.0", b"1.1"}:
        return "another version of HTTP"
    if b"transfer-encoding" in names and (b"content-length" in names or request.http_version == b"1.0"):
        return "two lengths of the body"  # RFC 9112, 6.1
    return None


class Connection(H11Protocol):
    """One connection, from `accept` to its end. `on_change` is called when it may have become idle, or busy."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        *,
        on_change: Callable[[Connection], object],
        on_end: Callable[[Connection], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(config, server_state, app_state)
        self.conn = StrictParser(h11.SERVER, MAX_HEAD_BYTES)
        self._on_change = on_change
        self._on_end = on_end
        self._clock = clock
        self.since = self._window_at = clock()
        self._phase: tuple[object, object] = (h11.IDLE, None)
        self._window_bytes = 0
        self._stuck_at: float | None = None
        self._closing_at: float | None = None

    # ── what it is doing ────────────────────────────────────────────────────────────────────────────

    @property
    def is_half_open(self) -> bool:
        """Whether no request ever came."""
        return self.cycle is None

    @property
    def is_answered(self) -> bool:
        """Whether every request that came has its answer."""
        return self.cycle is not None and self.cycle.response_complete

    @property
    def is_arriving(self) -> bool:
        """Whether the body of a request is on its way."""
        return self.conn.their_state is h11.SEND_BODY

    def is_overdue(self, now: float) -> bool:
        """Whether the other side took longer than it may for what it is doing. Ask about once a second."""
        if self.transport is None:
            return False
        if self.transport.is_closing():
            self._closing_at = now if self._closing_at is None else self._closing_at
            return now - self._closing_at > LINGER_S
        if self._stuck_at is not None and now - self._stuck_at > STUCK_S:
            return True
        if self.conn.their_state is h11.IDLE:
            return now - self.since > HEAD_S
        return self.is_arriving and self._is_slow(now)

    def _is_slow(self, now: float) -> bool:
        if now - self.since > BODY_S:
            return True
        if self.flow.read_paused:  # it is we who are slow
            self._window_at, self._window_bytes = now, 0
        elif now - self._window_at > BODY_WINDOW_S:
            if self._window_bytes < BODY_WINDOW_BYTES:
                return True
            self._window_at, self._window_bytes = now, 0
        return False

    def drop(self) -> None:
        """End it at once, whatever is under way."""
        if self.transport is not None:
            self.transport.abort()

    # ── what happens to it ──────────────────────────────────────────────────────────────────────────

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self._window_bytes += len(data)
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        super().connection_lost(exc)
        self._on_end(self)

    def pause_writing(self) -> None:
        """Remember since when nobody reads the answer."""
        self._stuck_at = self._clock()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Somebody reads."""
        self._stuck_at = None
        super().resume_writing()

    def shutdown(self) -> None:
        """Close it when what is under way has ended."""
        if self.transport.is_closing() or self.conn.our_state is h11.ERROR:
            self.drop()
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request; in the middle of an answer that can only be done by closing."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # the app may still be at it
            self.cycle.message_event.set()
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            super().send_400_response(msg)
        else:
            self.transport.close()

    def _should_upgrade(self) -> bool:
        return False  # there is nothing to change to: answered as any other request

    def _look(self) -> None:
        phase = (self.conn.their_state, self.cycle)
        if phase != self._phase:
            self._phase = phase
            self.since = self._window_at = self._clock()
            self._window_bytes = 0
        self._on_change(self)
