"""Starting the page: the port and the password rule."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

from bot.config import NO_PASSWORDS, ConsoleConfig
from bot.errors import ConfigError, ExitCode, FrontendUnavailable
from bot.frontends.web.server import WebServer, check_exposure, make_empty, with_what_proxies_say
from bot.requests.models import Models
from bot.store.key_value_store import SettingStore
from pipeline.catalog.models import DEMO, FAKE, ModelCard
from tests.network import ROOT


def console(settings: SettingStore, folder: Path, **config: Any) -> WebServer:
    service = cast("Any", SimpleNamespace(card=None))
    return WebServer(
        ConsoleConfig(**config), NO_PASSWORDS, service=service, settings=settings, data_dir=folder, release="test"
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.2", "pictures.example"])
def test_page_that_others_can_reach_needs_a_password(host: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_exposure(ConsoleConfig(host=host), None)
    assert host in str(caught.value) and "there is no password" in str(caught.value)
    assert "IMAGINE_BOT__CONSOLE__PASSWORD" in str(caught.value)
    check_exposure(ConsoleConfig(host=host), SecretStr("x"))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_page_of_this_machine_needs_none(host: str) -> None:
    check_exposure(ConsoleConfig(host=host), None)


@pytest.mark.parametrize(
    "root_path", ["https://pictures.example", "https://pictures.example/imagine", "http://[2001:db8::1]"]
)
def test_public_address_needs_a_password(root_path: str) -> None:
    with pytest.raises(ConfigError, match=r"root_path.*there is no password"):
        check_exposure(ConsoleConfig(root_path=root_path), None)
    check_exposure(ConsoleConfig(root_path=root_path), SecretStr("x"))


@pytest.mark.parametrize("root_path", ["", "/imagine", "https://localhost:8443/imagine", "https://[::1]"])
def test_address_of_this_machine_at_a_proxy_needs_none(root_path: str) -> None:
    check_exposure(ConsoleConfig(root_path=root_path), None)


@pytest.mark.parametrize(
    ("may_have_proxy", "peer", "told", "scheme", "address"),
    [
        (True, "127.0.0.1", {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https"}, "https", "192.0.2.7"),
        (True, "::1", {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https"}, "https", "192.0.2.7"),
        (True, "127.0.0.1", {"x-forwarded-for": "127.0.0.1, 192.0.2.7"}, "http", "192.0.2.7"),
        (True, "127.0.0.1", {"x-forwarded-proto": "gopher"}, "http", "127.0.0.1"),
        (True, "192.0.2.9", {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https"}, "http", "192.0.2.9"),
        (False, "127.0.0.1", {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https"}, "https", "127.0.0.1"),
        (False, "192.0.2.9", {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https"}, "http", "192.0.2.9"),
    ],
)
async def test_address_and_scheme_are_believed_of_a_proxy_that_may_be_there(
    may_have_proxy: bool, peer: str, told: dict[str, str], scheme: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    seen: list[Any] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append((scope["scheme"], scope["client"][0]))

    headers = [(name.encode(), value.encode()) for name, value in told.items()]
    scope = {"type": "http", "scheme": "http", "client": (peer, 5), "headers": headers}
    nobody: Any = None
    await with_what_proxies_say(app, may_have_proxy=may_have_proxy)(scope, nobody, nobody)
    assert seen == [(scheme, address)]


async def test_proxy_on_another_machine_is_believed_if_the_operator_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "192.0.2.9")
    seen: list[str] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["client"][0])

    nobody: Any = None
    for peer in ("192.0.2.9", "192.0.2.10"):
        scope = {"type": "http", "client": (peer, 5), "headers": [(b"x-forwarded-for", b"192.0.2.7")]}
        await with_what_proxies_say(app, may_have_proxy=True)({**scope, "scheme": "http"}, nobody, nobody)
    assert seen == ["192.0.2.7", "192.0.2.10"]


async def test_taken_port_is_a_clear_error(settings: SettingStore, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(FrontendUnavailable, match=rf"(?s)127.0.0.1 port {port} cannot be used: .*\[console\] port"):
            async with console(settings, tmp_path, port=port):
                raise AssertionError("it started")


async def test_address_of_another_machine_is_a_clear_error(settings: SettingStore, tmp_path: Path) -> None:
    page = console(settings, tmp_path)
    page._config = ConsoleConfig(host="198.51.100.7")
    with pytest.raises(FrontendUnavailable, match="choose another with"):
        async with page:
            raise AssertionError("it started")


async def test_host_that_nobody_can_resolve_is_a_clear_error(
    settings: SettingStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create_server(*_: object, **__: object) -> socket.socket:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "create_server", create_server)
    with pytest.raises(FrontendUnavailable, match="port 6006 cannot be used: Name or service not known"):
        async with console(settings, tmp_path):
            raise AssertionError("it started")


@pytest.mark.parametrize(
    "kind", ["nothing", "full folder", "file", "loop", "link to nothing", "link to a folder", "pipe"]
)
async def test_uploads_begin_with_an_empty_folder_whatever_was_there(
    settings: SettingStore, tmp_path: Path, kind: str
) -> None:
    place, elsewhere = tmp_path / "uploads", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept.txt").touch()
    match kind:
        case "full folder":
            place.mkdir()
            (place / "old.png").touch()
        case "file":
            place.touch()
        case "loop":
            place.symlink_to(place.name)
        case "link to nothing":
            place.symlink_to("nothing")
        case "link to a folder":
            place.symlink_to(elsewhere)
        case "pipe":
            os.mkfifo(place)
    async with console(settings, tmp_path, port=0):
        assert place.is_dir() and not place.is_symlink() and not list(place.iterdir())
    assert (elsewhere / "kept.txt").is_file()


def test_uploads_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FrontendUnavailable, match=r"uploads cannot be used: Not a directory\n→ move it away"):
        make_empty(tmp_path / "file" / "uploads")


async def test_page_that_is_built_while_the_service_stops_is_not_announced(
    settings: SettingStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with console(settings, tmp_path, port=0) as gradio_page:
        for is_accepting, lines in ((False, []), (True, [f"the page is at {gradio_page.url}"])):
            gradio_page._service.is_accepting = is_accepting
            gradio_page._announce()
            assert caplog.messages == lines


async def test_address_at_a_proxy_is_announced_as_well(
    settings: SettingStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for root_path, also in (("https://localhost/imagine", "https://localhost/imagine"), ("/imagine", "")):
        caplog.clear()
        async with console(settings, tmp_path, port=0, root_path=root_path) as gradio_page:
            gradio_page._service.is_accepting = True
            gradio_page._announce()
            (line,) = caplog.messages
        assert line.startswith(f"the page is at {gradio_page.url}") and (also or gradio_page.url) in line
        assert ("through its proxy" in line) == bool(also)


async def test_secret_of_the_pictures_addresses_is_kept(settings: SettingStore, tmp_path: Path) -> None:
    secrets = []
    for _ in range(2):
        async with console(settings, tmp_path, port=0) as gradio_page:
            assert gradio_page.url.startswith("http://127.0.0.1:")
            secrets.append(gradio_page._secret)
    assert secrets[0] == secrets[1] and len(secrets[0]) > 40


def mounted(card: ModelCard, uploads: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What Gradio is given to show."""
    import gradio

    from bot.frontends.web import gradio_page

    blocks: list[gradio.Blocks] = []
    monkeypatch.setattr(gradio, "mount_gradio_app", lambda _app, given, **_options: blocks.append(given))
    nobody = cast("Any", SimpleNamespace())
    gradio_page.mount(Starlette(), nobody, nobody, Models(usual=card), secret="x", uploads=uploads)
    return blocks[0]


@pytest.mark.parametrize("card", [DEMO, FAKE])
async def test_page_of_the_demo_alone_says_what_it_knows(
    card: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = str(mounted(card, tmp_path, monkeypatch).get_config_file())
    assert ("console-prompt-demo" in shown) == (card is DEMO)


async def test_idle_page_does_not_look_for_work_all_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bot.frontends.web import gradio_page

    queue = mounted(DEMO, tmp_path, monkeypatch)._queue
    loop = queue.start_processing.__func__.__code__.co_names
    assert "sleep_when_free" in loop, "Gradio no longer sleeps for as long as that says"
    assert queue.sleep_when_free == gradio_page.POLL_S >= 0.02


def test_open_page_without_a_password_refuses_to_start_and_the_password_is_never_shown(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[console]\nhost = "0.0.0.0"\n[storage]\ndata_dir = "data"\n[pipeline]\nmodel = "fake"\n')
    command = [sys.executable, "-m", "bot", "run"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == ExitCode.USAGE
    assert "can be reached from other machines" in done.stderr
    (tmp_path / "password.txt").write_text(" \n")
    config.write_text('[console]\nhost = "0.0.0.0"\npassword_file = "password.txt"\npassword = 1234\n')
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == ExitCode.USAGE
    assert "password: must be text in quotes" in done.stderr and "1234" not in done.stderr
