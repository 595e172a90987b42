"""Who may enter the operator's corner: whoever brings its password, or, on a page for this machine alone, anybody here.

The password of the page does not open it, since a whole team may know that one. Without a password of its own the
corner exists only if the page has neither a password nor a `root_path`, and only for requests that come straight from
this machine: what a proxy adds to a request, or how it speaks, gives it away. Knows no jobs.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from enum import Enum, auto
from typing import Final

from cachetools import TTLCache
from pydantic import SecretStr
from starlette.requests import HTTPConnection

from bot.clock import Clock
from bot.frontends.web.identity import THIS_MACHINE, is_loopback, neighbourhood
from bot.frontends.web.security.admission import Admission, Verdict
from bot.frontends.web.security.origins import split_host

COOKIE: Final = "imagine_bot_operator"
PLACE: Final = "/console/operator"  # below it alone the browser sends the cookie
SESSION_S: Final = 12 * 3600
MAX_SESSIONS: Final = 100
MAX_PASSWORD_CHARS: Final = 1024
# What proxies add to a request: RFC 7239, RFC 9110 (7.6.3), and what nginx's examples use.
OF_PROXIES: Final = re.compile(r"x-forwarded-.*|forwarded|via|x-real-ip", re.DOTALL)


class Standing(Enum):
    """What the corner is to whoever asks."""

    ABSENT = auto()  # there is none
    CLOSED = auto()  # it asks for its password
    OPEN = auto()


class Operators:
    """Whoever was let into the corner. Sessions end with the process, or after `SESSION_S`."""

    def __init__(
        self,
        password: SecretStr | None,
        *,
        is_for_this_machine: bool,
        admission: Admission | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        """Make the door.

        Args:
            password: of the operator; None if there is none.
            is_for_this_machine: the page has neither a password of its own nor a proxy that the config knows of.
            admission: what compares with `password`, for tests.
        """
        self._admission = admission
        if password is not None and admission is None:
            self._admission = Admission(password, name="operator's password")
        self._is_for_this_machine = is_for_this_machine
        self._sessions: TTLCache[str, None] = TTLCache(MAX_SESSIONS, SESSION_S, timer=clock)

    @property
    def asks(self) -> bool:
        """Whether there is a password, and so something to leave."""
        return self._admission is not None

    def standing(self, request: HTTPConnection) -> Standing:
        """Return what the corner is to the sender of a request that has passed the gate."""
        if self._admission is not None:
            is_in = _digest(request.cookies.get(COOKIE, "")) in self._sessions
            return Standing.OPEN if is_in else Standing.CLOSED
        return Standing.OPEN if self._is_for_this_machine and is_straight_from_here(request) else Standing.ABSENT

    async def enter(self, password: str, *, address: str) -> str | Verdict:
        """Compare a password after the wait of every stranger; the token of a session, or why there is none."""
        if self._admission is None:
            return Verdict.REFUSED
        given = password.encode("utf-8", "surrogatepass") if len(password) <= MAX_PASSWORD_CHARS else None
        verdict = await self._admission.compare(given, address=address)
        if verdict is not Verdict.ADMITTED:
            return verdict
        token = secrets.token_urlsafe(32)
        self._sessions[_digest(token)] = None
        return token

    def leave(self, request: HTTPConnection) -> None:
        """End the session of a request."""
        self._sessions.pop(_digest(request.cookies.get(COOKIE, "")), None)

    def close(self) -> None:
        """Say what is left to say of wrong passwords."""
        if self._admission is not None:
            self._admission.tell_wrong()


def is_straight_from_here(request: HTTPConnection) -> bool:
    """Whether a request comes from this machine, for one of its own names, and shows no trace of a proxy.

    Browsers speak HTTP/1.1; proxies that are not told otherwise may speak 1.0 and add nothing.
    """
    host, _ = split_host(request.headers.get("host", ""))
    return (
        request.client is not None
        and neighbourhood(request.client.host) == THIS_MACHINE
        and is_loopback(host.strip("[]"))
        and request.scope.get("http_version") == "1.1"
        and not any(OF_PROXIES.fullmatch(name) for name in request.headers)
    )


def cookie(token: str, *, root_path: str, is_secure: bool) -> str:
    """Return the header that gives a browser a session, or takes it away if `token` is empty."""
    age = "" if token else "; Max-Age=0"
    secure = "; Secure" if is_secure else ""
    return f"{COOKIE}={token}; Path={root_path}{PLACE}{age}; HttpOnly; SameSite=Strict{secure}"


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
