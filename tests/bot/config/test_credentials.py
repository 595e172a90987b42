"""The bot token and the page's password: where they come from, what is taken off, and that they are never shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.config import (
    OPERATOR_PASSWORD_ENV,
    PASSWORD_ENV,
    TOKEN_ENV,
    Config,
    ConsoleConfig,
    DiscordConfig,
    Passwords,
    load_config,
    load_passwords,
    load_token,
    looks_like_token,
)
from bot.errors import ConfigError

BOT_TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GaBcDe.abcdefghijklmnopqrstuvwxyz0123456789AB"

pytestmark = pytest.mark.usefixtures("clean_place")


def test_the_token_comes_from_the_environment_first(clean_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = clean_place / "token.txt"
    file.write_text("from-file\n")
    config = DiscordConfig(token_file=file)
    assert load_token(config) == SecretStr("from-file")
    monkeypatch.setenv(TOKEN_ENV, " from-environment ")
    assert load_token(config) == SecretStr("from-environment")


@pytest.mark.parametrize("content", ["two words of text", "a\x00b", "a\u2028b", "Bot a b"])
def test_more_than_a_token_is_told_and_not_shown(
    clean_place: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    file = clean_place / "token.txt"
    file.write_text(content)
    with pytest.raises(ConfigError, match=r"token\.txt holds") as raised:
        load_token(DiscordConfig(token_file=file))
    assert content not in str(raised.value)
    if "\0" not in content:
        monkeypatch.setenv(TOKEN_ENV, content)
        with pytest.raises(ConfigError, match=TOKEN_ENV):
            load_token(DiscordConfig())


def test_without_token_there_is_none() -> None:
    assert load_token(DiscordConfig()) is None


@pytest.mark.parametrize("content", [None, "", "  \n"])
def test_a_token_file_that_holds_none_is_a_problem(clean_place: Path, content: str | None) -> None:
    file = clean_place / "token.txt"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=r"token_file[^→]*→ put the token, and nothing else"):
        load_token(DiscordConfig(token_file=file))


@pytest.mark.parametrize(
    "content",
    [
        BOT_TOKEN.encode(),
        f"{BOT_TOKEN}\n".encode(),
        f"\r\n {BOT_TOKEN}\r\n\r\n".encode(),
        f"\ufeff{BOT_TOKEN}\n".encode(),
        BOT_TOKEN.encode("utf-16"),
        f"\ufeff{BOT_TOKEN}\r\n".encode("utf-16-be"),
        f"{BOT_TOKEN}\r\n".encode("utf-16-le"),
        f'"{BOT_TOKEN}"'.encode(),
        f"'{BOT_TOKEN}'\n".encode(),
        f"“{BOT_TOKEN}”".encode(),
        f"Bot {BOT_TOKEN}".encode(),
        f"bot {BOT_TOKEN}".encode(),
        f'DISCORD_TOKEN="{BOT_TOKEN}"\n'.encode(),
        f"export DISCORD_TOKEN={BOT_TOKEN}\n".encode(),
        f'DISCORD_TOKEN = "Bot {BOT_TOKEN}"\n'.encode("utf-16"),
        f"discord_token: {BOT_TOKEN}".encode(),
        f"BOT_TOKEN={BOT_TOKEN}".encode(),
        f"set DISCORD_TOKEN={BOT_TOKEN}\r\n".encode(),
        f'$env:DISCORD_TOKEN = "{BOT_TOKEN}"'.encode(),
        f"Authorization: Bot {BOT_TOKEN}".encode(),
        f"\u200b{BOT_TOKEN}\u200b".encode(),
        f'"{BOT_TOKEN}",\n'.encode(),
    ],
)
def test_a_token_is_read_whatever_was_copied_along(clean_place: Path, content: bytes) -> None:
    file = clean_place / "token.txt"
    file.write_bytes(content)
    assert load_token(DiscordConfig(token_file=file)) == SecretStr(BOT_TOKEN)


@pytest.mark.parametrize(
    "text", [f'"{BOT_TOKEN}"', f"Bot {BOT_TOKEN}", f"DISCORD_TOKEN={BOT_TOKEN}", f"\ufeff{BOT_TOKEN}\r"]
)
def test_a_token_in_the_environment_is_read_in_the_same_way(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(TOKEN_ENV, text)
    assert load_token(DiscordConfig()) == SecretStr(BOT_TOKEN)


FLAWED = [
    (b"\0" * 40, "control characters"),
    (b"secret-part\0other", "control characters"),
    (b"secret-part\x1b[0m", "control characters"),
    (b"\x89PNG\r\n\x1a\n\xff\xfe\xfd", "not UTF-8 text"),
    ("sécret-part".encode("latin-1"), "not UTF-8 text"),
    (b"secret-part\nsecond line\n", "holds 2 lines"),
    (b"secret-part" * 10_000, "more than 64 KiB"),
    (b"\xef\xbb\xbf\n", "is empty"),
    (b"\xff\xfe", "is empty"),
    (b"\xff\xfes", "not UTF-8 text"),
]


@pytest.mark.parametrize(("content", "says"), FLAWED)
def test_the_flaw_of_a_secret_file_is_named_and_never_shown(clean_place: Path, content: bytes, says: str) -> None:
    file = clean_place / "secret.txt"
    file.write_bytes(content)
    for load in (
        lambda: load_token(DiscordConfig(token_file=file)),
        lambda: load_passwords(ConsoleConfig(password_file=file)),
        lambda: load_passwords(ConsoleConfig(operator_password_file=file)),
    ):
        with pytest.raises(ConfigError) as caught:
            load()
        assert says in str(caught.value) and "nothing else" in caught.value.way_out
        assert "secret-part" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [("DISCORD_TOKEN=\n", "no token"), ('""', "no token"), ("a b.c.d", "no token has"), ("é.x.y", "no token has")],
)
def test_what_cannot_be_a_token_is_named(clean_place: Path, content: str, says: str) -> None:
    file = clean_place / "token.txt"
    file.write_text(content, "utf-8")
    with pytest.raises(ConfigError, match=says):
        load_token(DiscordConfig(token_file=file))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_password_is_read_as_it_is(clean_place: Path, encoding: str) -> None:
    """Its quotes, and words like those before a token, belong to it."""
    file = clean_place / "password.txt"
    for password in ("hunter 2", '"quoted"', "Bot me", "密码"):
        file.write_bytes(f"{password}\r\n".encode(encoding))
        both = ConsoleConfig(password_file=file, operator_password_file=file)
        assert load_passwords(both) == Passwords(page=SecretStr(password), operator=SecretStr(password))


def test_a_password_or_token_that_is_no_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_ENV, "secret\udcff")
    with pytest.raises(ConfigError, match=f"^{PASSWORD_ENV}: is not UTF-8 text\n→ use another password$"):
        load_passwords(load_config()[0].console)
    monkeypatch.delenv(PASSWORD_ENV)
    monkeypatch.setenv(OPERATOR_PASSWORD_ENV, "secret\udcff")
    with pytest.raises(ConfigError, match=f"^{OPERATOR_PASSWORD_ENV}: is not UTF-8 text"):
        load_passwords(load_config()[0].console)
    monkeypatch.setenv(TOKEN_ENV, "secret\udcff")
    with pytest.raises(ConfigError, match=f"^{TOKEN_ENV} holds characters that no token has"):
        load_token(DiscordConfig())


def test_a_password_is_read_as_utf8_whatever_the_locale() -> None:
    as_ascii = SecretStr("密码".encode().decode("ascii", "surrogateescape"))
    password = load_passwords(ConsoleConfig(password=as_ascii)).page
    assert password is not None and password.get_secret_value() == "密码"


def test_a_token_prints_as_stars() -> None:
    assert BOT_TOKEN not in repr(SecretStr(BOT_TOKEN))
    assert BOT_TOKEN not in str(Config())


@pytest.mark.parametrize(
    ("text", "is_one"),
    [(BOT_TOKEN, True), ("", False), ("hello", False), ("123456789012345678", False), (f"Bot {BOT_TOKEN}", False)],
)
def test_what_looks_like_a_token(text: str, is_one: bool) -> None:
    assert looks_like_token(SecretStr(text)) is is_one
