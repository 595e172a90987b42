"""Who is asking."""

from __future__ import annotations

import pytest
from starlette.requests import HTTPConnection

from bot.console.people import COOKIE, THIS_MACHINE, Visitor, is_loopback, new_token, visitor


def asks(host: str = "127.0.0.1", *, cookie: str = "", language: str = "", query: str = "") -> Visitor:
    headers = [(b"cookie", f"{COOKIE}={cookie}".encode()), (b"accept-language", language.encode())]
    scope = {"type": "http", "headers": headers, "client": (host, 5), "query_string": query.encode()}
    return visitor(HTTPConnection(scope), "secret")


def test_browser_is_one_person_wherever_it_is_and_its_cookie_is_not_stored() -> None:
    token = new_token()
    here, there = asks(cookie=token), asks("192.0.2.7", cookie=token)
    assert here.user == there.user != asks(cookie=new_token()).user
    assert token not in repr(here)


def test_scripts_are_the_person_of_their_address_and_it_is_not_stored() -> None:
    first, again, other = asks("192.0.2.7"), asks("192.0.2.7", cookie="forged"), asks("192.0.2.8")
    assert first.user == again.user != other.user
    assert first.origin != other.origin
    assert "192.0.2.7" not in repr(first)
    assert asks().origin == asks("::1").origin == THIS_MACHINE


@pytest.mark.parametrize(
    ("language", "query", "locale"),
    [("zh-CN,zh;q=0.9", "", "zh-CN"), ("en-GB", "lang=zh-TW", "zh-TW"), ("", "", ""), ("x" * 99, "", "x" * 35)],
)
def test_language_is_the_pages_else_the_browsers(language: str, query: str, locale: str) -> None:
    assert asks(language=language, query=query).locale == locale


@pytest.mark.parametrize(
    ("host", "is_here"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("LOCALHOST", True)]
    + [(host, False) for host in ("0.0.0.0", "::", "192.168.0.2", "example.org", "127.0.0.1.evil.example", "")],
)
def test_loopback_is_this_machine_and_nothing_else(host: str, is_here: bool) -> None:
    assert is_loopback(host) is is_here
