"""The bot token, the page's passwords and the proxy. Secrets come from the environment or from files of their own.

The content of a secret file is never shown, not even in an error.
"""

from __future__ import annotations

import codecs
import logging
import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from pydantic import SecretStr

from bot.config.messages import OPERATOR_PASSWORD_ENV, PASSWORD_ENV, TOKEN_ENV
from bot.config.sections import ConsoleConfig, DiscordConfig
from bot.errors import ConfigError
from bot.text_files import read_file, read_text

log = logging.getLogger(__name__)

MAX_SECRET_BYTES: Final = 64 * 1024
QUOTES: Final = ('""', "''", "``", "“”", "‘’", "<>", "「」", "«»")
AROUND: Final = "\ufeff\u200b\u2060 \t\r\n,;"
# No token holds a space, a colon or an equals sign.
BEFORE: Final = re.compile(r"^(?:(?:export|set)\s+|\$env:)?\w{1,40}\s*[=:]\s*|^(?:Bot|Bearer)\s+", re.IGNORECASE)


def load_token(config: DiscordConfig) -> SecretStr | None:
    """Return the bot token from the environment, else from `discord.token_file`; None if neither is set.

    Removes what people copy along with it: quotes, `Bot `, the name of a variable and `=` or `:`, a comma.

    Raises:
        ConfigError: the file cannot be read, is empty, or holds more than a token.
    """
    if token := _bare_token(os.environ.get(TOKEN_ENV, "")):
        return _checked_token(token, TOKEN_ENV, way_out=f"set {TOKEN_ENV} to the token, and nothing else")
    if config.token_file is None:
        return None
    way_out = f"put the token, and nothing else, into the file, or set {TOKEN_ENV}"
    key = "[discord] token_file"
    token = _bare_token(_read_secret(config.token_file, key, way_out=way_out))
    if not token:
        raise ConfigError([f"{key}: {config.token_file} holds no token"], way_out=way_out)
    return _checked_token(token, f"{key}: {config.token_file}", way_out=way_out)


def token_refused(config: DiscordConfig) -> str:
    """Return what to do about a token that Discord refuses, with the place where it is corrected."""
    is_variable = config.token_file is None or bool(os.environ.get(TOKEN_ENV, "").strip())
    place = f"set {TOKEN_ENV} to the new one" if is_variable else f"write the new one into {config.token_file}"
    return f"reset the token on the Bot page of https://discord.com/developers/applications, and {place}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passwords:
    """The passwords of the local page: for everybody who opens it, and for its operator's corner; None if unset."""

    page: SecretStr | None = None
    operator: SecretStr | None = None


NO_PASSWORDS: Final = Passwords()


def load_passwords(config: ConsoleConfig) -> Passwords:
    """Return the passwords of the page, each from config or environment, else from its file.

    Quotes in a file belong to the password.

    Raises:
        ConfigError: a file cannot be read, is empty, or holds more than a line; or a password is not UTF-8.
    """
    return Passwords(
        page=_load_password(config.password, config.password_file, "password", PASSWORD_ENV),
        operator=_load_password(
            config.operator_password, config.operator_password_file, "operator_password", OPERATOR_PASSWORD_ENV
        ),
    )


def _load_password(given: SecretStr | None, file: Path | None, key: str, variable: str) -> SecretStr | None:
    if given is not None:
        try:
            return SecretStr(read_text(given.get_secret_value()))
        except UnicodeError as error:
            raise ConfigError([f"{variable}: is not UTF-8 text"], way_out="use another password") from error
    if file is None:
        return None
    way_out = f"put the password, and nothing else, into the file, or set {variable}"
    return SecretStr(_read_secret(file, f"[console] {key}_file", way_out=way_out))


def proxy_of(config: DiscordConfig) -> str | None:
    """Return the proxy for Discord: from the config, else from the environment by the rules of `curl`."""
    if config.proxy is not None:
        return config.proxy
    address = urlsplit(config.api_url)
    named = getproxies_environment()
    proxy = named.get(address.scheme) or named.get("all")
    if not proxy or proxy_bypass(address.hostname or ""):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if urlsplit(proxy).scheme not in {"http", "https"}:
        log.warning("%s proxies are not supported: Discord is reached directly", urlsplit(proxy).scheme)
        return None
    return proxy


def without_credentials(address: str) -> str:
    """Return an address without user name and password, for display."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _checked_token(token: str, place: str, *, way_out: str) -> SecretStr:
    """Reject characters that no HTTP header can hold, such as line breaks, before the first request fails on them."""
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError([f"{place} holds characters that no token has"], way_out=way_out)
    return SecretStr(token)


def _bare_token(text: str) -> str:
    """Return a token without what was copied along with it, in any order."""
    text = text.strip(AROUND)
    while True:
        bare = BEFORE.sub("", text)
        if any(len(bare) >= 2 and (bare[0], bare[-1]) == tuple(pair) for pair in QUOTES):
            bare = bare[1:-1]
        bare = bare.strip(AROUND)
        if bare == text:
            return text
        text = bare


def _read_secret(path: Path, key: str, *, way_out: str) -> str:
    """Return the single line of a secret file, in any common encoding. Errors never show its content."""

    def flaw(what: str) -> ConfigError:
        return ConfigError([f"{key}: {what}"], way_out=way_out)

    try:
        content = read_file(path, most_bytes=MAX_SECRET_BYTES)
    except (OSError, ValueError) as error:  # the latter: of a name that no file can have
        reason = error.strerror or str(error) if isinstance(error, OSError) else "no file can have this name"
        raise flaw(f"cannot read {path}: {reason}") from error
    if len(content) > MAX_SECRET_BYTES:
        raise flaw(f"{path} has more than {MAX_SECRET_BYTES // 1024} KiB")
    text = _decoded(content)
    if text is None:
        raise flaw(f"cannot read {path}: it is not UTF-8 text")
    lines = [line for line in text.strip("\ufeff").splitlines() if line.strip()]
    if not lines:
        raise flaw(f"{path} is empty")
    if len(lines) > 1:
        raise flaw(f"{path} holds {len(lines)} lines")
    secret = lines[0].strip()
    if any(unicodedata.category(character) == "Cc" for character in secret):
        raise flaw(f"{path} holds control characters")
    return secret


def _decoded(content: bytes) -> str | None:
    """Decode UTF-8, or UTF-16 as Windows editors and PowerShell write it. Returns None if it is neither."""
    encoding = "utf-8-sig"
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif len(content) > 1 and len(content) % 2 == 0 and not any(content[1::2]):
        encoding = "utf-16-le"
    elif len(content) > 1 and len(content) % 2 == 0 and not any(content[::2]):
        encoding = "utf-16-be"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None
