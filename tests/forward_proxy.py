"""A small HTTP proxy on this machine that writes down what it is asked for: plain requests, and CONNECT."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

CHUNK_BYTES = 65_536
REQUEST = re.compile(rb"^((?:GET|POST|PUT|PATCH|DELETE|HEAD) (?:https?|wss?)://\S+) HTTP/1.1\r\n", re.MULTILINE)


class ForwardProxy:
    """Use as `with`; `asked` has the first line of every request that came through it."""

    def __init__(self, *, is_tunnel_only: bool = False, login: str = "") -> None:
        """Make one that takes everything.

        Args:
            is_tunnel_only: refuse whatever is not CONNECT, as company proxies do.
            login: `name:password` to ask for.
        """
        self.asked: list[str] = []
        self._is_tunnel_only = is_tunnel_only
        self._login = base64.b64encode(login.encode()) if login else b""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for each in (self._socket, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(5)

    def _start(self, call: object, *values: object) -> None:
        thread = threading.Thread(target=call, args=values, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            self._open.add(client)
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            first = client.recv(CHUNK_BYTES)
            method, target, _ = first.split(b"\r\n", 1)[0].decode().split(" ")
            if refusal := self._refusal(method, first):
                client.sendall(f"HTTP/1.1 {refusal}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
                client.shutdown(socket.SHUT_RDWR)
                return
            address = urlsplit(f"//{target}" if method == "CONNECT" else target)
            server = socket.create_connection((address.hostname or "", address.port or 80))
            self._open.add(server)
            if method == "CONNECT":
                self.asked.append(f"{method} {target}")
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                first = b""
            self._start(self._pipe, server, client)
            self._forward(client, server, first)

    def _refusal(self, method: str, head: bytes) -> str:
        if self._login and not re.search(rb"^Proxy-Authorization: Basic " + re.escape(self._login), head, re.M | re.I):
            return "407 Proxy Authentication Required"
        return "405 Method Not Allowed" if self._is_tunnel_only and method != "CONNECT" else ""

    def _forward(self, client: socket.socket, server: socket.socket, data: bytes) -> None:
        """Requests keep their absolute address, which servers have to accept."""
        while True:
            self.asked += [found.decode() for found in REQUEST.findall(data)]
            server.sendall(data)
            if not (data := client.recv(CHUNK_BYTES)):
                return

    def _pipe(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
