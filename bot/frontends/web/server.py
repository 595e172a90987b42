"""Starts and stops the page: the port, the password rule, and a thread with a loop of its own.

That loop answers at once, with the starting page, while another thread imports Gradio and builds the page: neither
`--help` nor Discord ever waits for it. Then the page takes over; requests that came for it meanwhile were held.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import shutil
import socket
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, cast

import uvicorn
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from bot.config import ConsoleConfig, Passwords
from bot.delivery.frontend import Frontend
from bot.errors import ConfigError, FrontendUnavailable
from bot.frontends.web.connections import BACKLOG, Connections, raise_file_limit, room_for
from bot.frontends.web.corner.handlers import CornerHandlers
from bot.frontends.web.corner.routes import Corner, corner_routes
from bot.frontends.web.cross_loop import Ask, bridge_to
from bot.frontends.web.frontend import WebFrontend
from bot.frontends.web.gradio_import import import_page
from bot.frontends.web.handlers import PageHandlers, PageSettings
from bot.frontends.web.identity import FRONTEND, is_loopback
from bot.frontends.web.protocol import KEEP_ALIVE_S, Connection
from bot.frontends.web.routes import routes
from bot.frontends.web.security.bodies import Events
from bot.frontends.web.security.gate import Gate
from bot.frontends.web.security.operators import Operators
from bot.frontends.web.security.origins import public_place
from bot.frontends.web.starting_page import starting_page
from bot.frontends.web.uploads import Uploads
from bot.requests.service import Service
from bot.store.key_value_store import SettingStore

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

log = logging.getLogger(__name__)

SECRET_SETTING: Final = "console.secret"  # makes addresses of pictures that nobody can guess
UPLOADS_FOLDER: Final = "uploads"
PORT_WAY_OUT: Final = "stop what uses it, or choose another with [console] port, or host"
# Whose word counts on where a request came from; the variable is uvicorn's, for a proxy on another machine.
TRUSTED_VARIABLE: Final = "FORWARDED_ALLOW_IPS"
TRUSTED: Final = "127.0.0.0/8,::1"
UNHEARD: Final = b"x-forwarded-for-unheard"
CLOSE_S: Final = 2  # open pages are cut off after this


def check_exposure(config: ConsoleConfig, password: SecretStr | None) -> None:
    """See that a page which others can reach asks for a password.

    Raises:
        ConfigError
    """
    if password is None and not is_loopback(config.host):
        problem = f"[console] host: {config.host} can be reached from other machines, and there is no password"
        way_out = 'set IMAGINE_BOT__CONSOLE__PASSWORD or [console] password_file, or go back to host = "127.0.0.1"'
        raise ConfigError([problem], way_out=way_out)
    origin = public_place(config.root_path).origin
    if password is None and origin is not None and not is_loopback(origin.host.strip("[]")):
        problem = f"[console] root_path: {origin} can be reached from other machines, and there is no password"
        raise ConfigError([problem], way_out="set IMAGINE_BOT__CONSOLE__PASSWORD or [console] password_file")


def listen(config: ConsoleConfig) -> tuple[socket.socket, str]:
    """Take the port of the page; the socket and the address that a browser opens.

    Raises:
        FrontendUnavailable: the port is taken, or the address is none of this machine's.
    """
    host, port = config.host, config.port
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        # Names that nobody can resolve have numbers of their own, which the system's list of errors does not know.
        reason = f"{host} port {port} cannot be used: {error.strerror or error}"
        raise FrontendUnavailable(FRONTEND, f"{reason}\n→ {PORT_WAY_OUT}") from error
    return listening, config.url(listening.getsockname()[1])


def make_empty(folder: Path) -> None:
    """Have an empty folder of ours under this name, whatever was there before. Blocks.

    Raises:
        FrontendUnavailable
    """
    try:
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)
        else:
            folder.unlink(missing_ok=True)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        way_out = f"move it away, and let this user write {folder.parent}"
        raise FrontendUnavailable(FRONTEND, f"{folder} cannot be used: {error.strerror}\n→ {way_out}") from error


def without_the_departed(app: ASGIApp) -> ASGIApp:
    """An app for which it is no error that somebody leaves in the middle of an upload."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(ClientDisconnect):
            await app(scope, receive, send)

    return answer


def with_what_proxies_say(app: ASGIApp, *, may_have_proxy: bool) -> ASGIApp:
    """An app that hears of a proxy on this machine by which scheme and from which address it was asked.

    A page that is for this machine alone has everything from here: nobody chooses another address for themselves. The
    header gets another name then, by which the operator's corner still sees that there is a proxy.
    """
    trusted = os.environ.get(TRUSTED_VARIABLE, TRUSTED)
    told = cast("ASGIApp", ProxyHeadersMiddleware(cast("ASGI3Application", app), trusted_hosts=trusted))

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not may_have_proxy:
            headers = [(UNHEARD if name == b"x-forwarded-for" else name, value) for name, value in scope["headers"]]
            scope = {**scope, "headers": headers}
        await told(scope, receive, send)

    return answer


class PageServer(uvicorn.Server):
    """uvicorn, with connections that are bounded in number and time, and an app that may come to life meanwhile.

    `live` builds it, and ends when the event that it is given is set.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        listening: socket.socket,
        connections: Connections,
        live: Callable[[asyncio.Event], Coroutine[None, None, None]] | None = None,
    ) -> None:
        super().__init__(config)
        self._listening = listening
        self._connections = connections
        self._live = live
        self._is_over = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept, and have the app built."""
        await super().startup(sockets=[])
        self._listening.setblocking(False)
        self._accepting = asyncio.create_task(self._connections.accept(self._listening, self._connection))
        self._living = None if self._live is None else asyncio.create_task(self._live(self._is_over))

    def _connection(self) -> Connection:
        return Connection(
            self.config,
            self.server_state,
            self.lifespan.state,
            on_change=self._connections.note,
            on_end=self._connections.forget,
        )

    async def on_tick(self, counter: int) -> bool:
        """Look after the connections, ten times a second; whether to end."""
        for task in (self._accepting, self._living):
            if task is not None and task.done():
                task.result()  # raises: a page that accepts nobody is no page, nor is one that cannot be built
        if counter % 10 == 0:
            self._connections.sweep()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, and end what there is."""
        self._accepting.cancel()
        await asyncio.wait([self._accepting])
        self._listening.close()
        await super().shutdown(sockets)
        self._is_over.set()
        if self._living is not None:
            await asyncio.wait([self._living])
            if (error := self._living.exception()) is not None:
                log.error("the page did not end well: %s", type(error).__name__)


class WebServer:
    """The page; use as `async with`, on the service's loop."""

    def __init__(
        self,
        config: ConsoleConfig,
        passwords: Passwords,
        *,
        service: Service,
        settings: SettingStore,
        data_dir: Path,
        release: str,
    ) -> None:
        check_exposure(config, passwords.page)
        self.frontend: Frontend = WebFrontend()
        self._config = config
        self._place = public_place(config.root_path)
        self._passwords = passwords
        # Without a password it answers to the names of this machine alone.
        self._may_have_proxy = passwords.page is not None or bool(config.root_path)
        self._service = service
        self._settings = settings
        self._uploads = data_dir.resolve() / UPLOADS_FOLDER
        self._release = release
        self._server: PageServer | None = None
        self._close_gate: Callable[[], object] = lambda: None
        self._is_closed = False
        self._is_built = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Take the port; who connects now is served as soon as the page is built.

        Raises:
            FrontendUnavailable
        """
        await asyncio.to_thread(make_empty, self._uploads)  # what a person uploaded lives until it is queued
        self._socket, self.url = listen(self._config)
        self._connections = Connections(room_for(raise_file_limit()))
        self._secret = await self._settings.get(SECRET_SETTING) or secrets.token_urlsafe(32)
        await self._settings.set(SECRET_SETTING, self._secret)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the port back."""
        self._socket.close()

    async def wait_until_built(self) -> None:
        """Wait until the page can be used; what takes the interpreter for seconds should come after it."""
        await self._is_built.wait()

    async def run_until_closed(self) -> None:
        """Serve until cancelled.

        Raises:
            RuntimeError: the server ended by itself.
        """
        handlers = PageHandlers(
            self._service,
            PageSettings(
                secret=self._secret,
                people_per_address=self._config.people_per_address,
                release=self._release,
                root_path=self._place.path,
                has_corner=self._passwords.operator is not None or not self._may_have_proxy,
            ),
        )
        loop = asyncio.get_running_loop()
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=FRONTEND)
        self._say_built = partial(loop.call_soon_threadsafe, self._is_built.set)
        serving = loop.run_in_executor(thread, self._serve, handlers, bridge_to(loop))
        thread.shutdown(wait=False)
        try:
            await asyncio.shield(serving)
            raise RuntimeError("the page's server ended, and nobody asked for that")
        finally:
            self._is_closed = True
            if self._server is not None:
                self._server.should_exit = True
            self._close_gate()
            await asyncio.wait([serving])

    def _serve(self, handlers: PageHandlers, ask: Ask) -> None:
        uploads = Uploads(self._uploads)
        self._operators = Operators(self._passwords.operator, is_for_this_machine=not self._may_have_proxy)
        corner = CornerHandlers(
            self._service, people_per_address=self._config.people_per_address, release=self._release
        )
        parts = Corner(operators=self._operators, handlers=corner, root_path=self._place.path)
        our_routes = routes(handlers, ask, self._secret, uploads)
        our_routes |= corner_routes(parts, handlers, ask, self._secret)
        self._gate = Gate(starting_page, password=self._passwords.page, routes=our_routes, place=self._place)
        config = uvicorn.Config(
            with_what_proxies_say(without_the_departed(self._gate), may_have_proxy=self._may_have_proxy),
            proxy_headers=False,
            log_config=None,
            access_log=False,
            server_header=False,
            http="h11",
            ws="none",
            lifespan="off",
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=CLOSE_S,
        )
        live = partial(self._live, partial(self._build, handlers, ask, uploads))
        self._server = PageServer(config, self._socket, self._connections, live)
        if not self._is_closed:  # meanwhile
            asyncio.run(self._server.serve())

    def _build(self, handlers: PageHandlers, ask: Ask, uploads: Uploads) -> tuple[Starlette, Events]:
        """Import Gradio and make the page of it; blocks for seconds."""
        gradio_page = import_page(self._uploads)
        app = Starlette()
        models = self._service.models
        return app, gradio_page.mount(app, handlers, ask, models, secret=self._secret, uploads=uploads)

    async def _live(self, build: Callable[[], tuple[Starlette, Events]], is_over: asyncio.Event) -> None:
        """Build the page beside the loop, which answers meanwhile, and let requests to it until all is over."""
        loop = asyncio.get_running_loop()
        self._close_gate = partial(loop.call_soon_threadsafe, self._close)
        try:
            builder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="page builder")
            building = loop.run_in_executor(builder, build)
            builder.shutdown(wait=False)
            ending = asyncio.create_task(is_over.wait())
            both: list[asyncio.Future[Any]] = [building, ending]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                return  # an import cannot be stopped; nobody waits for it
            app, events = building.result()
            async with app.router.lifespan_context(app):
                self._gate.open(app, events)
                self._announce()
                self._say_built()
                await ending
        finally:
            self._close_gate = lambda: None

    def _close(self) -> None:
        self._gate.close()
        self._operators.close()

    def _announce(self) -> None:
        if self._service.is_accepting:  # else it was told to stop while the page was built
            elsewhere = f" and, through its proxy, at {self._config.root_path}" if self._place.origin else ""
            log.info("the page is at %s%s", self.url, elsewhere)
