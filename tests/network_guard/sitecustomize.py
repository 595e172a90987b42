"""Loaded by Python at the start of a process under test: refuses, and notes down, every way out of this machine."""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path
from typing import Any

_connect, _connect_ex, _sendto, _sendmsg, _getaddrinfo = (
    socket.socket.connect,
    socket.socket.connect_ex,
    socket.socket.sendto,
    socket.socket.sendmsg,
    socket.getaddrinfo,
)


def _check(address: Any) -> None:
    if not isinstance(address, tuple):
        return  # a Unix socket
    host = str(address[0])
    try:
        is_here = host in {"", "localhost"} or ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        is_here = False
    if not is_here:
        with Path(os.environ["NETWORK_GUARD_FILE"]).open("a") as file:
            file.write(f"{address}\n")
        raise ConnectionRefusedError(f"the test refuses {address}")


class _Guarded(socket.socket):
    def connect(self, address: Any) -> None:
        _check(address)
        _connect(self, address)

    def connect_ex(self, address: Any) -> int:
        _check(address)
        return _connect_ex(self, address)

    def sendto(self, data: Any, *rest: Any) -> int:
        _check(rest[-1])
        return _sendto(self, data, *rest)

    def sendmsg(self, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None, /) -> int:
        _check(address)
        return _sendmsg(self, buffers, ancdata, flags, *([] if address is None else [address]))


def _looking_up(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
    if host is not None:
        name = host.decode() if isinstance(host, bytes) else host
        try:
            ipaddress.ip_address(name.partition("%")[0])
        except ValueError:
            _check((name, port))
    return _getaddrinfo(host, port, *rest, **options)


socket.socket.connect = _Guarded.connect  # type: ignore[method-assign,assignment]
socket.socket.connect_ex = _Guarded.connect_ex  # type: ignore[method-assign]
socket.socket.sendto = _Guarded.sendto  # type: ignore[method-assign,assignment]
socket.socket.sendmsg = _Guarded.sendmsg  # type: ignore[method-assign,assignment]
socket.getaddrinfo = _looking_up


def tell() -> None:
    """Note down that somebody looks; a process that was forked with the guard in it says so itself."""
    if "NETWORK_GUARD_FILE" in os.environ:
        Path(os.environ["NETWORK_GUARD_FILE"]).with_suffix(".on").touch()


tell()
