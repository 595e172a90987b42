"""Which handler answers which request.

Owns the table of routes and what travels with a request through the checks. Must not know what the
handlers do; they register themselves in rest.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from tests.discord_server.messages import Upload
    from tests.discord_server.server import Emulator

Answer = tuple[int, Any]  # status and JSON; None is no body
Handler = Callable[["Call"], Answer]
HANDLERS: dict[str, Handler] = {}  # by operation name, such as "GET /users/@me"
TOKENLESS: set[str] = set()  # operations whose path holds its own secret


@dataclass(frozen=True)
class Operation:
    """One method of one described path, with the parameters found in a real path."""

    method: str
    template: str
    params: dict[str, str]

    @property
    def name(self) -> str:
        return f"{self.method} {self.template}"

    @property
    def needs_auth(self) -> bool:
        return self.name not in TOKENLESS


@dataclass
class Call:
    """One HTTP request on its way through the checks."""

    emu: Emulator
    request: web.Request
    path: str  # below /api/v10
    op: Operation | None = None
    body: Any = None
    files: dict[int, Upload] = field(default_factory=dict)

    @property
    def params(self) -> dict[str, str]:
        assert self.op is not None
        return self.op.params

    @property
    def query(self) -> dict[str, str]:
        return dict(self.request.query)

    def flag(self, name: str) -> bool:
        """Return whether a yes-or-no parameter of the query says yes."""
        return self.query.get(name, "").lower() in ("true", "1")


def route(*operations: str, needs_auth: bool = True) -> Callable[[Handler], Handler]:
    """Register the decorated function as the handler of these operations."""

    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(operations, handler))
        if not needs_auth:
            TOKENLESS.update(operations)
        return handler

    return register


def find(method: str, parts: tuple[str, ...]) -> Operation | None:
    """Return the emulated operation a request means."""
    templates = (name.removeprefix(f"{method} ") for name in HANDLERS if name.startswith(f"{method} "))
    best = next(match(templates, parts), None)
    return Operation(method, *best) if best else None


def match(templates: Iterator[str] | list[str], parts: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (template, parameters) of those that fit a path, the most literal first."""

    def parameters(template: str) -> dict[str, str] | None:
        wanted = template.strip("/").split("/")
        pairs = list(zip(wanted, parts, strict=False))
        if len(wanted) != len(parts) or any(w != p for w, p in pairs if not w.startswith("{")):
            return None
        return {w[1:-1]: p for w, p in pairs if w.startswith("{")}

    found = [(t, params) for t in templates if (params := parameters(t)) is not None]
    yield from sorted(found, key=lambda pair: [w.startswith("{") for w in pair[0].strip("/").split("/")])
