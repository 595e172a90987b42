"""`run` over SSH prints the command for the tunnel, and nothing that somebody wrote into the environment."""

from __future__ import annotations

from typing import Any

import pytest

from bot.cli.over_ssh import tunnel_command
from bot.errors import ExitCode
from tests.bot.cli.command_line import invoke

PAGE = "http://127.0.0.1:6006"


@pytest.mark.parametrize(
    ("connection", "user", "page", "command"),
    [
        ("10.0.0.2 50000 10.0.0.1 22", "ann", PAGE, "ssh -L 6006:127.0.0.1:6006 ann@10.0.0.1"),
        ("fe80::2%eth0 1 fe80::1%$(id) 22", "ann", PAGE, "ssh -L 6006:127.0.0.1:6006 ann@fe80::1"),
        ("a b c d", "ann", "http://[::1]:7000", "ssh -L 7000:[::1]:7000 ann@SERVER"),
        ("10.0.0.2 50000 $(reboot) 22", "$(reboot)", PAGE, "ssh -L 6006:127.0.0.1:6006 USER@SERVER"),
        ("\x1b[31m", "a\nb", PAGE, "ssh -L 6006:127.0.0.1:6006 USER@SERVER"),
        ("1 2 3 " + "9" * 10**5, "-oProxyCommand=evil", PAGE, "ssh -L 6006:127.0.0.1:6006 USER@SERVER"),
        (" ", "ann", PAGE, "ssh -L 6006:127.0.0.1:6006 ann@SERVER"),
        ("10.0.0.2 50000 10.0.0.1 22", "ann", "http://localhost:80", "ssh -L 80:localhost:80 ann@10.0.0.1"),
        ("", "ann", PAGE, None),
        ("10.0.0.2 50000 10.0.0.1 22", "ann", "http://0.0.0.0:6006", None),
        ("10.0.0.2 50000 10.0.0.1 22", "ann", "http://192.168.0.9:6006", None),
        ("10.0.0.2 50000 10.0.0.1 22", "ann", "https://pictures.example/imagine", None),
        ("10.0.0.2 50000 10.0.0.1 22", "ann", "http://127.0.0.1:x", None),
    ],
)
def test_command_is_made_of_addresses_and_plain_names_only(
    connection: str, user: str, page: str, command: str | None
) -> None:
    assert tunnel_command({"SSH_CONNECTION": connection, "USER": user}, page) == command


@pytest.mark.usefixtures("clean_place", "clean_logging")
@pytest.mark.parametrize("is_ssh", [True, False])
def test_run_prints_it_once_the_page_is_there(monkeypatch: pytest.MonkeyPatch, is_ssh: bool) -> None:
    async def service(*_: object, say_page: Any, **__: object) -> ExitCode:
        say_page(PAGE)
        return ExitCode.OK

    monkeypatch.setattr("bot.app.run", service)
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    if is_ssh:
        monkeypatch.setenv("SSH_CONNECTION", "10.0.0.2 50000 10.0.0.1 22")
        monkeypatch.setenv("USER", "ann")
    said = invoke("run").stderr
    assert ("ssh -L 6006:127.0.0.1:6006 ann@10.0.0.1" in said) is is_ssh
