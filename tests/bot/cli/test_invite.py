"""`imagine-bot invite`: the link, and where the id in it comes from."""

from __future__ import annotations

import pytest

from bot.errors import ExitCode
from tests.bot.cli.command_line import BOT_TOKEN, invoke

pytestmark = pytest.mark.usefixtures("clean_place", "clean_logging")
INVITE = (
    "https://discord.com/oauth2/authorize?client_id=123456789012345678"
    "&scope=bot+applications.commands&permissions=274878024704\n"
)


def test_invite_asks_for_exactly_what_is_needed() -> None:
    """View Channel, Send Messages (also in threads), Embed Links, Attach Files, Read Message History."""
    assert sum(1 << bit for bit in (10, 11, 14, 15, 16, 38)) == 274878024704
    assert invoke("invite", "--application-id", "123456789012345678").stdout == INVITE


def test_invite_reads_the_application_from_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", BOT_TOKEN)
    result = invoke("invite")
    assert result.stdout == INVITE
    assert BOT_TOKEN not in result.output


@pytest.mark.parametrize("token", ["", "é.x.y", "not-a-token", "YWJj.x.y"])
def test_invite_without_an_id_says_where_to_find_it(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", token)
    result = invoke("invite")
    assert result.exit_code == ExitCode.USAGE
    assert "--application-id" in result.stderr
