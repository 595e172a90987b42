"""Discord is reached through the proxy of the config or of the environment: REST and gateway alike."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from bot.config import DiscordConfig, proxy_of, without_credentials
from bot.errors import FrontendUnreachable
from bot.frontends.discord_app import preflight
from tests.bot.frontends.discord_app.conftest import Start
from tests.discord_server import Discord
from tests.forward_proxy import ForwardProxy

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def proxy() -> Iterator[ForwardProxy]:
    with ForwardProxy() as proxy:
        yield proxy


async def test_rest_and_gateway_go_through_the_proxy_of_the_config(start: Start, proxy: ForwardProxy) -> None:
    async with start(proxy=proxy.url):
        pass
    assert any("/gateway/bot" in line for line in proxy.asked)
    assert any("PUT " in line and line.endswith("/commands") for line in proxy.asked)
    assert any("encoding=json" in line for line in proxy.asked), "the gateway"


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY"])
async def test_rest_and_gateway_go_through_the_proxy_of_the_environment(
    start: Start, proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, proxy.url)
    async with start():
        pass
    assert any("/gateway/bot" in line for line in proxy.asked)
    assert any("encoding=json" in line for line in proxy.asked), "the gateway"


async def test_check_goes_through_the_proxy(proxy: ForwardProxy) -> None:
    async with Discord() as server:
        config = DiscordConfig(api_url=server.api_base, proxy=proxy.url)
        await preflight.probe(config, SecretStr(server.token))
    assert any(line.endswith("/users/@me") for line in proxy.asked)


async def test_proxy_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Discord() as server:
        config = DiscordConfig(api_url=server.api_base, proxy="http://me:hidden@127.0.0.1:9")
        with pytest.raises(FrontendUnreachable) as raised:
            await preflight.probe(config, SecretStr(server.token))
    assert "127.0.0.1:9" in raised.value.reason
    assert "hidden" not in str(raised.value)


@pytest.mark.parametrize(
    ("api_url", "environment", "expected"),
    [
        ("https://discord.com/api/v10", {}, None),
        ("https://discord.com/api/v10", {"HTTPS_PROXY": "http://proxy:1"}, "http://proxy:1"),
        ("https://discord.com/api/v10", {"https_proxy": "proxy:1"}, "http://proxy:1"),
        ("https://discord.com/api/v10", {"HTTP_PROXY": "http://proxy:1"}, None),
        ("https://discord.com/api/v10", {"ALL_PROXY": "http://proxy:1"}, "http://proxy:1"),
        ("https://discord.com/api/v10", {"ALL_PROXY": "socks5h://proxy:1"}, None),
        ("https://discord.com/api/v10", {"HTTPS_PROXY": "http://a:1", "ALL_PROXY": "socks5h://b:1"}, "http://a:1"),
        ("https://discord.com/api/v10", {"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": "discord.com"}, None),
        ("https://discord.com/api/v10", {"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": "*"}, None),
        ("http://127.0.0.1:8/api", {"HTTP_PROXY": "http://proxy:1", "NO_PROXY": "localhost,127.0.0.1"}, None),
        ("http://127.0.0.1:8/api", {"HTTP_PROXY": "http://proxy:1"}, "http://proxy:1"),
    ],
)
def test_proxy_is_the_one_that_curl_would_take(
    monkeypatch: pytest.MonkeyPatch, api_url: str, environment: dict[str, str], expected: str | None
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_of(DiscordConfig(api_url=api_url)) == expected
    assert proxy_of(DiscordConfig(api_url=api_url, proxy="http://mine:2")) == "http://mine:2"


def test_credentials_of_a_proxy_are_not_shown() -> None:
    assert without_credentials("http://me:hidden@proxy:3128") == "http://proxy:3128"


@pytest.mark.parametrize(
    "proxy", ["socks5://proxy:1", "proxy:3128", "http://", "", "http://proxy:65536", "http://proxy:x", "http://["]
)
def test_what_is_no_http_proxy_is_refused(proxy: str) -> None:
    with pytest.raises(ValueError, match="SOCKS is not supported"):
        DiscordConfig(proxy=proxy)
