"""Who is asking."""

from __future__ import annotations

import pytest
from starlette.requests import HTTPConnection

from bot.frontends.web.identity import (
    COOKIE,
    THIS_MACHINE,
    Visitor,
    is_loopback,
    neighbourhood,
    network_of,
    new_token,
    visitor,
)


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


def test_neighbours_in_an_ipv6_network_share_its_bounds_and_stay_persons_of_their_own() -> None:
    first, other, far = asks("2001:db8::1"), asks("2001:db8::2"), asks("2001:db8:0:1::1")
    assert first.origin == other.origin != far.origin
    assert first.user != other.user
    assert asks("::ffff:192.0.2.7").origin == asks("192.0.2.7").origin


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


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("evil\nline", "an address that is none"),
        ("", "an address that is none"),
    ],
)
def test_neighbours_are_told_apart_by_what_a_provider_gives_them(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("host", "place"),
    [
        ("127.0.0.1", "local"), ("127.9.9.9", "local"), ("::1", "local"), ("::ffff:127.0.0.1", "local"),
        ("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"), ("2001:db8::1:2:3:4", "2001:db8::/64"),
        ("2001:db8:0:0:9::", "2001:db8::/64"), ("fe80::1%eth0", "fe80::/64"), ("a socket", "an address that is none"),
    ],
)  # fmt: skip
def test_addresses_that_one_machine_has_count_as_one(host: str, place: str) -> None:
    assert neighbourhood(host) == place
