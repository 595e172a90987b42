"""Whether somebody brings a password: strangers wait before it is compared, people who were let in before do not.

The wait grows with the number of those who wait, at one address and everywhere, up to a bound: a guesser slows down
strangers a little and locks out nobody. If too many wait at one address, the oldest there are sent away: somebody's
only try is newer than most of a guesser's. Runs on the page's loop; knows no paths and no people, only their labels.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import math
import secrets
import time
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Final

from cachetools import LRUCache
from pydantic import SecretStr

from bot.frontends.web.identity import network_of

log = logging.getLogger(__name__)

WAIT_S: Final = 0.5
MAX_WAIT_S: Final = 2.0
WAITING_HERE: Final = 8  # as many more at one address wait half a second longer each
WAITING_ANYWHERE: Final = 64
MAX_WAITING_HERE: Final = 128  # if more come to one address, the oldest are sent away
MAX_KNOWN: Final = 10_000
LINE_EVERY_S: Final = 60
MAX_ADDRESSES: Final = 1000  # that have lines of their own in the log
OTHERS: Final = "other addresses"


class Verdict(Enum):
    """What came of it."""

    ADMITTED = auto()
    REFUSED = auto()
    TOO_MANY = auto()


class Admission:
    """Compares passwords with one, slowly; `name` is what the log calls it."""

    def __init__(
        self,
        password: SecretStr,
        *,
        name: str = "password",
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key = secrets.token_bytes(32)
        self._expected = self._digest(password.get_secret_value().encode())
        self._name = name
        self._sleep = sleep
        self._clock = clock
        self._known: LRUCache[str, None] = LRUCache(MAX_KNOWN)  # whoever brought it last time
        self._waiting: dict[str, dict[asyncio.Timeout, None]] = {}  # by network; the oldest first
        self._wrong: dict[str, tuple[float, int]] = {}  # by network: when a line was written, how many came since

    async def judge(self, authorization: str | None, *, token: str, address: str) -> Verdict:
        """Decide about one request.

        Args:
            authorization: the header, if there is one.
            token: what only this browser knows, or "". Whoever has none is known by the address.
            address: where the request comes from.
        """
        if authorization is None:
            return Verdict.REFUSED
        network = network_of(address)
        who = f"token {self._digest(token.encode()).hex()}" if token else f"network {network}"
        if who in self._known and self._matches(_password_in(authorization)):
            self._remember(who)
            return Verdict.ADMITTED
        # One wrong guess and one is a stranger again: else whoever shares an address could guess without waiting.
        self._known.pop(who, None)
        verdict = await self.compare(_password_in(authorization), address=address)
        if verdict is Verdict.ADMITTED:
            self._remember(who)
        return verdict

    async def compare(self, given: bytes | None, *, address: str) -> Verdict:
        """Decide about a password, None being no password at all, after the wait that every stranger has."""
        network = network_of(address)
        if not await self._has_waited(network):
            return Verdict.TOO_MANY
        if not self._matches(given):
            self._note_wrong(network)
            return Verdict.REFUSED
        return Verdict.ADMITTED

    def introduce(self, token: str) -> None:
        """A browser that was let in gets this token: it need not wait again."""
        self._remember(f"token {self._digest(token.encode()).hex()}")

    def _remember(self, who: str) -> None:
        """Somebody brought the password."""
        self._known[who] = None

    async def _has_waited(self, network: str) -> bool:
        """Wait; whether to the end, and not until too many newer ones came."""
        here = self._waiting.setdefault(network, {})
        crowd = len(here) / WAITING_HERE + sum(map(len, self._waiting.values())) / WAITING_ANYWHERE
        if len(here) >= MAX_WAITING_HERE:
            oldest = next(iter(here))
            del here[oldest]
            oldest.reschedule(asyncio.get_running_loop().time())
        try:
            async with asyncio.timeout(None) as place:
                here[place] = None
                await self._sleep(min(MAX_WAIT_S, WAIT_S * (1 + crowd)))
        except TimeoutError:
            return False
        finally:
            here.pop(place, None)
            if not here and self._waiting.get(network) is here:
                del self._waiting[network]
        return True

    def _matches(self, given: bytes | None) -> bool:
        is_equal = hmac.compare_digest(self._digest(given or b""), self._expected)
        return is_equal and given is not None

    def _digest(self, text: bytes) -> bytes:
        return hmac.new(self._key, text, hashlib.sha256).digest()

    def _note_wrong(self, network: str) -> None:
        """Write a line at once, but one for each address and minute; those left out are counted in the next."""
        self.tell_wrong(since=self._clock() - LINE_EVERY_S)
        if network not in self._wrong and len(self._wrong) >= MAX_ADDRESSES:
            network = OTHERS
        if network in self._wrong:
            said_at, unsaid = self._wrong[network]
            self._wrong[network] = (said_at, unsaid + 1)
        else:
            log.warning("a wrong %s from %s", self._name, network)
            self._wrong[network] = (self._clock(), 0)

    def tell_wrong(self, *, since: float = math.inf) -> None:
        """Say how many more came from those addresses whose last line is older than `since`."""
        while self._wrong and (network := next(iter(self._wrong))) and self._wrong[network][0] <= since:
            _, unsaid = self._wrong.pop(network)
            if unsaid:
                log.warning("%s more wrong %ss from %s", unsaid, self._name, network)


def _password_in(authorization: str) -> bytes | None:
    """Return the password of a header as browsers send it (RFC 7617); None if there is none in it."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        _, _, given = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except (ValueError, binascii.Error):
        return None
    return given if scheme.lower() == "basic" else None
