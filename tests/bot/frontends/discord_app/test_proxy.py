"""Discord is reached through the proxy of the config or of the environment: REST and gateway alike."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.config import DiscordConfig, proxy_of, without_credentials
from bot.errors import FrontendUnreachable
from bot.frontends.discord_app import preflight
from tests.bot.frontends.discord_app.conftest import Start
from tests.bot.frontends.web.proxies import free_port
from tests.certificates import make_certificate
from tests.discord_server import Discord
from tests.discord_server.gateway import PATH as GATEWAY
from tests.discord_server.server import Emulator
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


@pytest.mark.parametrize("name", ["ALL_PROXY", "HTTP_PROXY"])
async def test_socks_proxy_of_the_environment_is_said_and_stops_no_start(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    monkeypatch.setenv(name, "socks5h://me:hidden@127.0.0.1:9")
    async with start():
        pass
    assert "socks5h proxies are not supported: Discord is reached directly" in caplog.text
    assert "hidden" not in caplog.text


class SecureDiscord:
    """TLS before the emulator, as Discord has it: the only way there is a tunnel."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        trust = make_certificate(folder)
        self._keys = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._keys.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
        self.plain_port, self.port, self.served = free_port(), 0, 0
        monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", trust)
        monkeypatch.setattr(Discord, "api_base", property(lambda _: f"https://localhost:{self.port}/api/v10"))
        monkeypatch.setattr(Emulator, "gateway_url", property(lambda _: f"wss://localhost:{self.port}{GATEWAY}"))

    async def __aenter__(self) -> SecureDiscord:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._keys)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.served += 1
        there, back = await asyncio.open_connection("127.0.0.1", self.plain_port)
        await asyncio.gather(self._pipe(reader, back), self._pipe(there, writer))

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.close()


@pytest.mark.parametrize("login", ["", "me:hidden"])
async def test_discord_behind_tls_is_reached_through_a_tunnel_alone(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, login: str
) -> None:
    with ForwardProxy(is_tunnel_only=True, login=login) as proxy:
        url = proxy.url.replace("//", f"//{login}@") if login else proxy.url
        async with (
            SecureDiscord(tmp_path, monkeypatch) as secure,
            start(proxy=url, server={"port": secure.plain_port}) as stage,
        ):
            await stage.discord.wait_ready()
            config = DiscordConfig(api_url=stage.discord.api_base, proxy=url)
            seen = await preflight.probe(config, SecretStr(stage.discord.token))
        assert seen.guilds
        assert set(proxy.asked) == {f"CONNECT localhost:{secure.port}"}
        # The gateway may go on where REST began; of what arrived, everything came through the proxy.
        assert secure.served == len(proxy.asked) >= 2


async def test_proxy_that_refuses_is_said_without_its_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ForwardProxy(is_tunnel_only=True, login="me:right") as proxy:
        async with SecureDiscord(tmp_path, monkeypatch) as secure, Discord(port=secure.plain_port) as server:
            config = DiscordConfig(api_url=server.api_base, proxy=proxy.url.replace("//", "//me:hidden@"))
            with pytest.raises(FrontendUnreachable) as raised:
                await preflight.probe(config, SecretStr(server.token))
    assert f"the proxy {proxy.url} answers 407" in raised.value.reason
    assert "hidden" not in str(raised.value)


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
