"""What `check` finds of the page: its port and its password."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from bot.config import ConsoleConfig
from bot.findings import Finding, Mark
from bot.frontends.web.preflight import preflight

pytestmark = pytest.mark.usefixtures("clean_place", "clean_logging")


def look(config: ConsoleConfig, *, is_running: bool) -> Finding:
    [finding] = preflight(config, is_running=is_running)
    return finding


def test_page_is_judged_like_a_start_of_it(clean_place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = ConsoleConfig(port=taken.getsockname()[1])
        finding = look(busy, is_running=False)
        assert (finding.mark, "[console] port" in finding.way_out) == (Mark.PROBLEM, True)
        assert look(busy, is_running=True).mark is Mark.OK
    assert look(busy, is_running=False).mark is Mark.OK
    open_to_all = look(ConsoleConfig(host="0.0.0.0", port=0), is_running=False)
    assert (open_to_all.mark, "no password" in open_to_all.text) == (Mark.PROBLEM, True)
    (clean_place / "password.txt").write_text("geheim\n")
    guarded = ConsoleConfig(host="0.0.0.0", port=0, password_file=Path("password.txt"))
    finding = look(guarded, is_running=False)
    assert (finding.mark, finding.text.endswith("with a password")) == (Mark.OK, True)
    assert look(ConsoleConfig(password_file=Path("none.txt")), is_running=False).mark is Mark.PROBLEM
    finding = look(ConsoleConfig(root_path="https://pictures.example"), is_running=True)
    assert (finding.mark, "no password" in finding.text) == (Mark.PROBLEM, True)
    finding = look(ConsoleConfig(root_path="/imagine"), is_running=True)
    assert (finding.mark, finding.text.endswith("shown by a proxy at /imagine")) == (Mark.OK, True)


def test_local_page_is_shown_as_a_link() -> None:
    assert look(ConsoleConfig(), is_running=True).text == "the page: http://127.0.0.1:6006"
    assert look(ConsoleConfig(port=0), is_running=True).text == "the page: 127.0.0.1, any free port"
