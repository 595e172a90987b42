"""Which page a request comes from, and which one is ours: origins, and where a proxy shows the page to others.

An origin is compared whole, with the port that its scheme implies (RFC 6454, 4 and 5). What strangers say of a proxy
never counts here: the operator names it in `[console] root_path`. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from bot.frontends.web.security.paths import HOST

DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port of a page, as a browser puts them into `Origin`."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """What `Host` says of it."""
        return self.host if self.port == DEFAULT_PORTS[self.scheme] else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicPlace:
    """Where others find the page: below a path, and at an origin if the operator names one."""

    path: str = ""
    origin: Origin | None = None


HERE: Final = PublicPlace()


def public_place(root_path: str) -> PublicPlace:
    """What `[console] root_path`, which the config has checked, says: a path, or a whole address."""
    scheme, separator, rest = root_path.partition("://")
    if not separator:
        return PublicPlace(path=root_path)
    authority, slash, path = rest.partition("/")
    return PublicPlace(path=f"{slash}{path}", origin=read_origin(f"{scheme}://{authority}"))


def read_origin(text: str) -> Origin | None:
    """The origin that a header names; None if it names none, which "null" does as well."""
    scheme, _, authority = text.partition("://")
    if scheme not in DEFAULT_PORTS or re.fullmatch(HOST, authority, re.ASCII) is None:
        return None
    host, port = split_host(authority)
    return Origin(scheme, host, DEFAULT_PORTS[scheme] if port is None else port)


def split_host(text: str) -> tuple[str, int | None]:
    """Name, and port if there is one, of a `Host` that has the form of one."""
    name, _, port = text.rpartition(":")
    return (name.lower(), int(port)) if name and port.isdecimal() else (text.lower(), None)


def is_ours(origin: Origin, place: PublicPlace, *, host: str, scheme: str, is_same_to_browser: bool) -> bool:
    """Whether a request for `host` comes from this page itself.

    `scheme` is "https" only if somebody said so whom we believe; a proxy may speak TLS and not tell. It may also leave
    the port out of `host`, where the browser's own word is needed (`Sec-Fetch-Site: same-origin`, which no page can
    forge): the programs of other people on the proxy's machine have pages at the same name and other ports.
    """
    if origin == place.origin:
        return True
    name, port = split_host(host)
    if origin.host != name or (scheme == "https" and origin.scheme != "https"):
        return False
    if port is None and is_same_to_browser:
        return True
    return origin.port == (DEFAULT_PORTS[origin.scheme] if port is None else port)


def mismatch(origin: Origin, host: str) -> str:
    """Say what an operator has to know whose proxy makes our own page look like another one."""
    return (
        f"requests from other pages are refused: this one comes from a page at {origin}, and asks for {host}. "
        "If a proxy shows this page there, let it pass on Host as it came ($http_host in nginx), "
        "or set [console] root_path to the whole address"
    )
