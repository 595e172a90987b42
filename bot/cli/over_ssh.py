"""What `run` says on a server without a screen: the command that brings the local page to one's own computer.

Knows that it was started over SSH from `SSH_CONNECTION`, which anybody can set to anything: only what is an address
and a plain name gets into the command, which is made to be copied.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

NAME: Final = re.compile(r"[a-z_][a-z0-9_-]{0,31}", re.ASCII)


def tunnel_command(environ: Mapping[str, str], page: str) -> str | None:
    """Return the `ssh -L …` that leads to a page of this machine.

    None if this is no SSH session, or the page is not on this machine's own address.

    Args:
        page: the address of the page, like http://127.0.0.1:6006.
    """
    if not environ.get("SSH_CONNECTION"):
        return None
    try:
        place = urlsplit(page)
        port, host = place.port, place.hostname or ""
    except ValueError:
        return None
    if port is None or not _is_own(host):
        return None
    return f"ssh -L {port}:{f'[{host}]' if ':' in host else host}:{port} {_server(environ)}"


def _is_own(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _server(environ: Mapping[str, str]) -> str:
    """Who logged in where, as far as that can be told from four words: two addresses, each with its port."""
    words = environ["SSH_CONNECTION"].split()
    user = environ.get("USER", "")
    user = user if NAME.fullmatch(user) else "USER"
    try:
        # A link-local address has a scope, which may hold any character and means nothing elsewhere.
        server = str(ipaddress.ip_address(words[2].partition("%")[0])) if len(words) == 4 else "SERVER"
    except ValueError:
        server = "SERVER"
    return f"{user}@{server}"
