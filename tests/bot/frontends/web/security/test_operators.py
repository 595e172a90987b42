"""Who may enter the operator's corner, and who may not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr
from starlette.requests import HTTPConnection

from bot.frontends.web.security.admission import Admission, Verdict
from bot.frontends.web.security.operators import (
    COOKIE,
    MAX_PASSWORD_CHARS,
    MAX_SESSIONS,
    SESSION_S,
    Operators,
    Standing,
    cookie,
)
from tests.conftest import FrozenClock

HERE, THERE = "127.0.0.1", "198.51.100.7"


def asking(token: str = "", *, client: str | None = HERE, http: str = "1.1", **headers: str) -> HTTPConnection:
    named = {"host": "127.0.0.1:6006", **{name.replace("_", "-"): value for name, value in headers.items()}}
    if token:
        named["cookie"] = f"{COOKIE}={token}"
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": http,
        "client": None if client is None else (client, 1),
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
    }
    return HTTPConnection(scope)


async def _at_once(_seconds: float) -> None: ...


def guarded(clock: FrozenClock | None = None) -> Operators:
    password = SecretStr("geheim 密码")
    admission = Admission(password, name="operator's password", sleep=_at_once)
    options: dict[str, Any] = {} if clock is None else {"clock": clock}
    return Operators(password, is_for_this_machine=True, admission=admission, **options)


async def test_password_opens_it_for_one_browser_until_it_leaves() -> None:
    operators = guarded()
    assert operators.standing(asking()) is Standing.CLOSED
    token = await operators.enter("geheim 密码", address=THERE)
    assert isinstance(token, str) and len(token) > 40
    assert operators.standing(asking(token, client=THERE, x_forwarded_for=THERE)) is Standing.OPEN
    for other in ("", "x", f"{token}x", token[:-1], "\udcff"[:0]):
        assert operators.standing(asking(other)) is Standing.CLOSED
    operators.leave(asking(token))
    assert operators.standing(asking(token)) is Standing.CLOSED
    operators.leave(asking("nobody"))


@pytest.mark.parametrize("wrong", ["", "geheim", "geheim 密码 ", "\ud800", "x" * MAX_PASSWORD_CHARS, "x" * 10**6])
async def test_wrong_password_is_refused_and_noted_without_itself(wrong: str, caplog: pytest.LogCaptureFixture) -> None:
    operators = guarded()
    assert await operators.enter(wrong, address=THERE) is Verdict.REFUSED
    assert await operators.enter(wrong, address=THERE) is Verdict.REFUSED
    operators.close()
    assert caplog.messages == [
        f"a wrong operator's password from {THERE}",
        f"1 more wrong operator's passwords from {THERE}",
    ]


async def test_session_ends_in_time_and_the_oldest_gives_way(clock: FrozenClock) -> None:
    operators = guarded(clock)
    tokens = [await operators.enter("geheim 密码", address=HERE) for _ in range(MAX_SESSIONS + 1)]
    first, second, last = (str(tokens[index]) for index in (0, 1, -1))
    assert operators.standing(asking(first)) is Standing.CLOSED
    assert operators.standing(asking(second)) is operators.standing(asking(last)) is Standing.OPEN
    clock.advance(SESSION_S + 1)
    assert operators.standing(asking(last)) is Standing.CLOSED


@pytest.mark.parametrize("host", ["127.0.0.1:6006", "localhost:6006", "[::1]:6006", "127.0.0.1"])
@pytest.mark.parametrize("client", ["127.0.0.1", "::1", "127.0.0.2", "::ffff:127.0.0.1"])
def test_page_for_this_machine_alone_is_open_to_whoever_sits_there(host: str, client: str) -> None:
    operators = Operators(None, is_for_this_machine=True)
    assert operators.standing(asking(client=client, host=host)) is Standing.OPEN


STRANGERS: list[dict[str, Any]] = [
    {"client": THERE},
    {"client": "2001:db8::7"},
    {"client": None},
    {"client": "unknown"},
    {"http": "1.0"},
    {"host": "pictures.example"},
    {"host": "127.0.0.1.evil.example"},
    *({name: HERE} for name in ("x_forwarded_for", "x_forwarded_host", "forwarded", "via", "x_real_ip")),
    {"x_forwarded_for_unheard": HERE},
]


@pytest.mark.parametrize("stranger", STRANGERS)
def test_proxy_and_other_machines_find_nothing_there(stranger: dict[str, Any]) -> None:
    operators = Operators(None, is_for_this_machine=True)
    assert operators.standing(asking(**stranger)) is Standing.ABSENT


async def test_page_that_others_can_reach_has_no_corner_without_a_password_for_it() -> None:
    operators = Operators(None, is_for_this_machine=False)
    assert operators.standing(asking()) is operators.standing(asking("x")) is Standing.ABSENT
    assert await operators.enter("", address=HERE) is Verdict.REFUSED


def test_cookie_is_sent_to_the_corner_alone_and_no_script_reads_it() -> None:
    given = cookie("abc", root_path="/imagine", is_secure=True)
    assert given == f"{COOKIE}=abc; Path=/imagine/console/operator; HttpOnly; SameSite=Strict; Secure"
    assert "Max-Age=0" in cookie("", root_path="", is_secure=False)
