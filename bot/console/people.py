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
HASH_CHARS: Final = 32
THIS_MACHINE: Final = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Somebody at the page. `origin` is their address, hashed, or `THIS_MACHINE`."""

    user: UserKey
    origin: str
    locale: str


def visitor(request: HTTPConnection, secret: str) -> Visitor:
    """Who sent this request: the person of its cookie, else whoever uses scripts at its address."""
    host = request.client.host if request.client is not None else ""
    origin = THIS_MACHINE if is_loopback(host) else keyed_hash(secret, host)
    token = request.cookies.get(COOKIE, "")
    if is_token(token):
        person = f"browser-{hashlib.sha256(token.encode()).hexdigest()[:HASH_CHARS]}"
    else:
        person = f"address-{origin}"
    # The page asks in the language that it is written in; everything else by the header.
    locale = request.query_params.get("lang") or request.headers.get("accept-language", "").partition(",")[0]
    return Visitor(user=UserKey(frontend=FRONTEND, id=person), origin=origin, locale=locale.strip()[:35])


def new_token() -> str:
    """A person who was never here before."""
    return secrets.token_urlsafe(32)


def is_token(text: str) -> bool:
    """Whether a cookie can be one of ours."""
    return re.fullmatch(r"[\w-]{43}", text, re.ASCII) is not None


def keyed_hash(secret: str, text: str) -> str:
    """A name for `text` that nobody without the secret can make or guess."""
    return hmac.new(secret.encode(), text.encode(), "sha256").hexdigest()[:HASH_CHARS]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach, or be, this address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
