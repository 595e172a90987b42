"""Who is asking: a browser by its cookie, a script by its address. Pure.

A browser's cookie is a random number that only the browser keeps; the database knows its hash, and of an address
only a keyed hash. Requests from this machine have no address bound: everybody there is the operator's guest.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
from dataclasses import dataclass
from typing import Final

from starlette.requests import HTTPConnection

from bot.jobs import UserKey

FRONTEND: Final = "console"
COOKIE: Final = "imagine_bot"
LANGUAGE_COOKIE: Final = "imagine_bot_language"  # written by the page when somebody chooses one
HASH_CHARS: Final = 32
THIS_MACHINE: Final = "local"
NO_ADDRESS: Final = "an address that is none"  # as a proxy may say


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Somebody at the page. `origin` is their `neighbourhood`, hashed, or `THIS_MACHINE`."""

    user: UserKey
    origin: str
    locale: str


def visitor(request: HTTPConnection, secret: str) -> Visitor:
    """Return the sender of a request: the person of its cookie, else the user of scripts at its address."""
    host = request.client.host if request.client is not None else ""
    place = neighbourhood(host)
    is_here = place == THIS_MACHINE
    origin = THIS_MACHINE if is_here else keyed_hash(secret, place)
    token = request.cookies.get(COOKIE, "")
    if is_token(token):
        person = f"browser-{hashlib.sha256(token.encode()).hexdigest()[:HASH_CHARS]}"
    else:
        person = f"address-{THIS_MACHINE if is_here else keyed_hash(secret, host)}"
    # The page asks in the language that it is written in; everything else by the header.
    locale = request.query_params.get("lang") or locale_of(request)
    return Visitor(user=UserKey(frontend=FRONTEND, id=person), origin=origin, locale=locale.strip()[:35])


def locale_of(request: HTTPConnection) -> str:
    """Return what somebody reads: what they chose on the page, else what their browser prefers."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    return chosen or request.headers.get("accept-language", "").partition(",")[0]


def new_token() -> str:
    """Make the cookie of a new person."""
    return secrets.token_urlsafe(32)


def is_token(text: str) -> bool:
    """Whether a cookie can be one of ours."""
    return re.fullmatch(r"[\w-]{43}", text, re.ASCII) is not None


def keyed_hash(secret: str, text: str) -> str:
    """Return a name for `text` that cannot be made or guessed without the secret."""
    return hmac.new(secret.encode(), text.encode(), "sha256").hexdigest()[:HASH_CHARS]


def network_of(host: str) -> str:
    """Return the network of one household: an IPv4 address, or the /64 prefix of an IPv6 address."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return NO_ADDRESS
    if isinstance(address, ipaddress.IPv6Address) and not address.is_loopback:
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((int(address), 64), strict=False))
    return str(address)


def neighbourhood(host: str) -> str:
    """Return the group whose connections, uploads and pictures count together: this machine, or a network."""
    network = network_of(host)
    return THIS_MACHINE if is_loopback(host) or is_loopback(network) else network


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach, or be, this address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
