"""The config file: TOML and environment → frozen sections, each handed to its own part.

`config.example.toml` is its documentation. Importing this module reads nothing; `load_config` does. The
token comes from the environment or from a file that the config names, never from the TOML itself.
"""

from __future__ import annotations

import codecs
import difflib
import json
import logging
import os
import re
import tomllib
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import platformdirs
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from bot.errors import ConfigError
from bot.text_files import read_file, read_text
from pipeline.catalog.models import AUTO, MODELS, find_model
from pipeline.config import WINDOWS_PATHS, PipelineConfig, UserPath, user_data_dir
from pipeline.errors import HomeUnknown, UnknownModel

log = logging.getLogger(__name__)

ENV_PREFIX: Final = "IMAGINE_BOT__"
TOKEN_ENV: Final = "DISCORD_TOKEN"
PASSWORD_ENV: Final = f"{ENV_PREFIX}CONSOLE__PASSWORD"
DISCORD_API_URL: Final = "https://discord.com/api/v10"
CONFIG_NAME: Final = "config.toml"
TOKENS_STAY_OUT: Final = (
    f"tokens never belong into this file: set {TOKEN_ENV}, or write it into a file of its own and name that in "
    "[discord] token_file"
)
SECRET_KEYS: Final = ("password", "proxy")  # an address may hold a password
TOO_DEEP: Final = "brackets are nested thousands deep, or a number has thousands of digits"
KEYS_EXPLAINED: Final = "config.example.toml explains every key"
SHOWN_CHARS: Final = 100
MAX_SECRET_BYTES: Final = 64 * 1024
MAX_CONFIG_BYTES: Final = 1024 * 1024
# A path without `..`, empty or doubled parts, behind a whole address or alone.
ROOT_PATH: Final = (
    r"(?:https?://(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?)?"
    r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*"
)
QUOTES: Final = ('""', "''", "``", "“”", "‘’", "<>")
# What pydantic's kinds of errors mean to somebody who writes TOML.
PLAIN: Final = {
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "string_type": "must be text in quotes",
    "path_type": "must be a path in quotes",
    "tuple_type": "must be a list, like [1, 2]",
    "model_type": "must be a section with keys of its own",
}
# Of the kinds above: those where pydantic would otherwise take "3" or true for a number, "no" or 0 for false.
TYPES_OF_TOML: Final = ("int_type", "float_type", "bool_type")


def default_data_dir() -> Path:
    """Database and pictures when the config names no folder: the user's data folder."""
    return user_data_dir()


def _is_http(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # its port is none, or its brackets are not closed
        return False


def _http_url(text: str) -> str:
    if not _is_http(text):
        raise ValueError("must be an address like https://host/path")
    return text.rstrip("/")


def _host(text: str) -> str:
    try:
        text.encode("idna")
    except UnicodeError as error:
        raise ValueError("must be the name or the number of an address") from error
    if not text.isprintable():
        raise ValueError("must be the name or the number of an address")
    return text


def _proxy_url(text: str) -> str:
    if not _is_http(text):
        raise ValueError("must be an address like http://host:3128; SOCKS is not supported")
    return text


def _root_path(text: str) -> str:
    text = text.removesuffix("/")
    match = re.fullmatch(ROOT_PATH, text, re.ASCII)
    if match is None or int(match["port"] or 80) not in range(1, 65_536):
        raise ValueError("must be a path like /imagine, or a whole address like https://pictures.example/imagine")
    return text


class Section(BaseModel):
    """Base of the sections: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DiscordConfig(Section):
    """`[discord]`: which Discord, and where on it."""

    token_file: UserPath | None = Field(None, description="file holding the bot token, if DISCORD_TOKEN is not set")
    api_url: Annotated[str, AfterValidator(_http_url)] = Field(
        DISCORD_API_URL, description="address of the REST API; the gateway is asked from it"
    )
    proxy: Annotated[str, AfterValidator(_proxy_url)] | None = Field(
        None, description="HTTP proxy to reach Discord and the models' hub through; unset = HTTPS_PROXY, if that is set"
    )
    allowed_guilds: tuple[int, ...] = Field((), description="server ids to serve; empty = all it was invited to")
    allowed_channels: tuple[int, ...] = Field((), description="channel ids to serve; empty = all it can see")


class ConsoleConfig(Section):
    """`[console]`: the local web page."""

    enabled: bool = Field(False, description="show the page beside Discord too; without a token it always is")
    host: Annotated[str, AfterValidator(_host)] = Field(
        "127.0.0.1", min_length=1, description="address to listen on; any but this machine's needs a password"
    )
    port: int = Field(6006, ge=0, le=65_535, description="port to listen on; 0 = any free one")
    password: SecretStr | None = Field(None, min_length=1, description="asked of everybody who opens the page")
    password_file: UserPath | None = Field(None, description="file holding the password, if password is not set")
    root_path: Annotated[str, AfterValidator(_root_path)] = Field(
        "",
        description="where a proxy shows the page: a path, or a whole address; empty = at no path, or without a proxy",
    )
    people_per_address: int = Field(5, ge=1, le=10_000, description="one address may have as much as so many people")

    def url(self, port: int) -> str:
        """What a browser opens; `port` is the one that was taken, since the configured one may be 0."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{port}"


class LimitsConfig(Section):
    """`[limits]`: how much may wait, and how much one person may ask."""

    max_waiting: int = Field(30, ge=1, le=10_000, description="jobs waiting in total")
    max_active_per_user: int = Field(3, ge=1, le=1000, description="jobs waiting + running per person")
    max_images_per_day: int = Field(50, ge=1, le=100_000, description="pictures per person in 24 hours")
    cooldown_s: int = Field(5, ge=0, le=86_400, description="seconds between two requests of one person")
    max_pixel_steps: int = Field(52_428_800, ge=1, description="pixels × steps of one job; default = 1024² × 50")


class WorkerConfig(Section):
    """`[worker]`: how long a job may take and what happens when it does not end well."""

    job_timeout_s: int = Field(1800, ge=1, le=86_400, description="seconds after which a running job is failed")
    stop_grace_s: int = Field(10, ge=1, le=3600, description="seconds to wait for a stopped job to come out")
    max_attempts: int = Field(2, ge=1, le=10, description="starts of one job, crashes included")
    max_failures_in_a_row: int = Field(3, ge=1, le=100, description="engine failures until the queue pauses itself")


class DeliveryConfig(Section):
    """`[delivery]`: how often cards change and how long a result is offered."""

    card_interval_s: float = Field(4.0, ge=0.05, le=60, description="seconds between two edits of one card")
    retry_first_s: float = Field(2.0, gt=0, le=600, description="seconds until the first new try; doubles each time")
    retry_max_s: float = Field(
        300.0, gt=0, le=3600, validate_default=True, description="longest pause between two tries, in seconds"
    )
    give_up_after_s: int = Field(86_400, ge=1, description="seconds after which a result is only told on request")

    @field_validator("retry_max_s")
    @classmethod
    def _is_no_shorter_than_the_first(cls, longest: float, info: ValidationInfo) -> float:
        first = info.data.get("retry_first_s", 0.0)  # absent if it is a problem itself
        if longest < first:
            raise ValueError(f"must be at least retry_first_s, which is {first:g}")
        return longest


class StorageConfig(Section):
    """`[storage]`: where things lie and for how long."""

    data_dir: UserPath = Field(
        default_factory=default_data_dir,
        validate_default=True,
        description="folder of the database, the pictures and what is kept of prompts",
    )
    history_days: int = Field(90, ge=1, le=36_500, description="days until a job and its picture are deleted")
    min_free_mib: int = Field(500, ge=0, description="free disk space below which nothing new is accepted, in MiB")


class ModelConfig(PipelineConfig):
    """`[pipeline]`, with a model that exists: the machine room's own section cannot know the cards."""

    @field_validator("model")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            return name if name == AUTO else find_model(name).name
        except UnknownModel as error:
            raise ValueError(f"must be the name of a model{_did_you_mean(name, [AUTO, *MODELS])}") from error


class LogConfig(Section):
    """`[log]`: what is written to standard output."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severity shown; prompts are logged at debug only"
    )
    format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto = readable on a terminal, JSON otherwise"
    )


class _Environment(EnvSettingsSource):
    """Values from the environment; what should be JSON and is not is left to the section's own check."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except (ValueError, RecursionError):
            return value


class Config(BaseSettings):
    """The whole config. Each part of the program receives only its own section."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=ENV_PREFIX, env_nested_delimiter="__", env_ignore_empty=True
    )

    discord: DiscordConfig = DiscordConfig()
    console: ConsoleConfig = ConsoleConfig()
    limits: LimitsConfig = LimitsConfig()
    worker: WorkerConfig = WorkerConfig()
    delivery: DeliveryConfig = DeliveryConfig()
    storage: StorageConfig = Field(default_factory=StorageConfig)
    pipeline: ModelConfig = Field(default_factory=ModelConfig)
    log: LogConfig = LogConfig()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment over file; no `.env`, no secrets folder: fewer places to look."""
        return _Environment(settings_cls), init_settings


def default_config_paths() -> tuple[Path, Path]:
    """Where a config file is looked for: the working folder, then the user's config folder."""
    try:
        users = Path(platformdirs.user_config_dir("imagine-bot", appauthor=False))
    except (RuntimeError, KeyError, OSError):  # without a home folder there is none for the config either
        return Path(CONFIG_NAME), Path(CONFIG_NAME)
    return Path(CONFIG_NAME), users / CONFIG_NAME


def load_config(path: Path | None = None) -> tuple[Config, Path | None]:
    """Read `path`, or the first default place that has a file, or nothing; then the environment.

    Returns:
        The config and the file it came from, None if there was no file.

    Raises:
        ConfigError: the file cannot be read, or has unknown keys, wrong types or values out of range: all
            of them, each with file, section, key and the nearest valid key.
    """
    if path is None:
        path = next((each for each in default_config_paths() if os.path.isfile(each)), None)  # noqa: PTH113 - as below
    values = {} if path is None else _read_toml(path)
    problems = _unknown_env_keys(os.environ)
    try:
        problems += _take_out_wrong_types(values, path)
        config = Config(**values)
    except ValidationError as error:
        problems += [_problem(details, path) for details in error.errors()]
    except HomeUnknown as error:
        way_out = f"set HOME, or {ENV_PREFIX}STORAGE__DATA_DIR and {ENV_PREFIX}PIPELINE__MODELS_DIR, to folders"
        raise ConfigError(
            ["no home folder is known for this user, and folders are there by default"], way_out=way_out
        ) from error
    except (RecursionError, OverflowError) as error:
        raise ConfigError([f"{path or 'the environment'}: {TOO_DEEP}"], way_out=KEYS_EXPLAINED) from error
    if problems:
        raise ConfigError(problems)
    return config, path


def load_token(config: DiscordConfig) -> SecretStr | None:
    """The bot token from the environment, else from `discord.token_file`; None if neither is set.

    What people copy along with it is taken off: quotes, `Bot `, `DISCORD_TOKEN=`.

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


def _checked_token(token: str, place: str, *, way_out: str) -> SecretStr:
    """What no header of a request can hold, like a line break, is told here, not by a traceback of the first one."""
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError([f"{place} holds characters that no token has"], way_out=way_out)
    return SecretStr(token)


def proxy_of(config: DiscordConfig) -> str | None:
    """The proxy that Discord is reached through: the config's, else the environment's, as `curl` would take it."""
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
    """An address to be shown."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def load_password(config: ConsoleConfig) -> SecretStr | None:
    """The password of the page from the config or the environment, else from `console.password_file`; None if unset.

    Quotes in the file belong to it.

    Raises:
        ConfigError: the file cannot be read, is empty, or holds more than a line; or the password is not UTF-8.
    """
    if config.password is not None:
        try:
            return SecretStr(read_text(config.password.get_secret_value()))
        except UnicodeError as error:
            raise ConfigError([f"{PASSWORD_ENV}: is not UTF-8 text"], way_out="use another password") from error
    if config.password_file is None:
        return None
    way_out = f"put the password, and nothing else, into the file, or set {PASSWORD_ENV}"
    return SecretStr(_read_secret(config.password_file, "[console] password_file", way_out=way_out))


def _bare_token(text: str) -> str:
    """A token without what is copied along with it, in whatever order."""
    text = text.strip("\ufeff \t\r\n")
    while True:
        bare = re.sub(rf"^(?:export\s+)?{TOKEN_ENV}\s*[=:]\s*|^Bot\s+", "", text, flags=re.IGNORECASE)
        if any(len(bare) >= 2 and (bare[0], bare[-1]) == tuple(pair) for pair in QUOTES):
            bare = bare[1:-1]
        bare = bare.strip()
        if bare == text:
            return text
        text = bare


def _read_secret(path: Path, key: str, *, way_out: str) -> str:
    """The one line of text that a file holds, however an editor has encoded it; what it holds is never shown."""

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
    """UTF-8, or UTF-16 as Windows' editors and PowerShell write it; None if it is neither."""
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


def looks_like_token(token: SecretStr) -> bool:
    """Whether the text has the three dotted parts of a Discord bot token."""
    return re.fullmatch(r"[\w-]{20,}\.[\w-]{4,}\.[\w-]{20,}", token.get_secret_value()) is not None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        content = read_file(path, most_bytes=MAX_CONFIG_BYTES)
        if len(content) > MAX_CONFIG_BYTES:
            raise ConfigError([f"{path}: has more than {MAX_CONFIG_BYTES // 1024} KiB"], way_out=KEYS_EXPLAINED)
        text = content.decode("utf-8-sig")  # Windows editors like to add a byte-order mark
        return tomllib.loads(re.sub(r"\r\n?", "\n", text))
    except FileNotFoundError as error:
        way_out = "correct the path, or leave it out: without a file everything has a default"
        raise ConfigError([f"{path}: there is no such file"], way_out=way_out) from error
    except (OSError, UnicodeDecodeError) as error:
        if os.path.isdir(path):  # noqa: PTH112 - raises nothing; Windows says "permission denied"
            raise ConfigError([f"{path}: is a folder"], way_out=f"name a file: {path / CONFIG_NAME}") from error
        way_out = "name a file that this user may read" if isinstance(error, OSError) else "save the file as UTF-8"
        raise ConfigError([f"{path}: cannot be read: {_reason(error)}"], way_out=way_out) from error
    except tomllib.TOMLDecodeError as error:
        is_about_backslashes = any(words in str(error) for words in ("hex value", "Unescaped", "escape"))
        way_out = WINDOWS_PATHS if is_about_backslashes else ""
        raise ConfigError([f"{path}: is not valid TOML: {error}"], way_out=way_out) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError([f"{path}: is not valid TOML: {TOO_DEEP}"], way_out=KEYS_EXPLAINED) from error


def _take_out_wrong_types(values: dict[str, Any], path: Path | None) -> list[str]:
    """A line about every number or switch in the file that is of another type, and thereby none in `values` any more.

    The environment has text only, so its values are converted, and win: what it sets is not looked at here.
    """
    problems = []
    for name, section in _sections().items():
        if not isinstance(given := values.get(name), dict):
            continue
        given = {key: value for key, value in given.items() if _env_name(name, key) is None}
        try:
            section.model_validate_json(_json(given), strict=True)
        except ValidationError as error:
            for details in error.errors():
                if details["type"] in TYPES_OF_TOML:
                    details["loc"] = (name, *details["loc"])
                    problems.append(_problem(details, path))
                    values[name].pop(str(details["loc"][1]), None)
    return problems


def _json(value: object) -> str:
    """JSON of what TOML gave.

    Raises:
        OverflowError: with a number of more digits than Python writes.
    """
    try:
        return json.dumps(value, default=str)
    except ValueError as error:
        raise OverflowError from error


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "it is not UTF-8 text"


def _sections() -> dict[str, type[BaseModel]]:
    return {
        name: field.annotation
        for name, field in Config.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    }


def _known_keys(place: tuple[str, ...]) -> list[str]:
    if not place:
        return list(_sections())
    section = _sections().get(place[0])
    return list(section.model_fields) if section is not None and len(place) == 1 else []


def _did_you_mean(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"


def _problem(details: ErrorDetails, path: Path | None) -> str:
    """One line about one validation error: where it is, what is wrong, what was meant."""
    *section, key = [str(part) for part in details["loc"][:2]]
    source = _env_name(*section, key) or str(path or "config")
    where = f"{source}: [{section[0]}] {key}" if section else f"{source}: [{key}]"
    if details["type"] == "extra_forbidden":
        if "token" in key.lower():
            return f"{where}: {TOKENS_STAY_OUT}"
        kind = "key" if section else "section"
        return f"{where}: unknown {kind}{_did_you_mean(key, _known_keys(tuple(section)))}"
    entry = f"entry {int(details['loc'][2]) + 1} " if details["type"] in PLAIN and len(details["loc"]) > 2 else ""
    rule, separator, hint = _in_plain_words(details).partition("; ")
    shown = "this one" if key in SECRET_KEYS else _shown(details["input"])
    return f"{where}: {entry}{rule}, not {shown}{separator}{hint}"


def _env_name(*place: str) -> str | None:
    """The variable that sets this section or key, as it is written in the environment; None if there is none."""
    wanted = (ENV_PREFIX + "__".join(place)).upper()
    return next((name for name in os.environ if name.upper() == wanted), None)


def _in_plain_words(details: ErrorDetails) -> str:
    """What a value must be, in the words of a config file rather than of pydantic."""
    bounds = details.get("ctx", {})
    match details["type"]:
        case "greater_than_equal":
            return f"must be at least {bounds['ge']}"
        case "greater_than":
            return f"must be more than {bounds['gt']}"
        case "less_than_equal":
            return f"must be at most {bounds['le']}"
        case kind if kind in PLAIN:
            return PLAIN[kind]
    message = details["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return f"{message[0].lower()}{message[1:]}"


def _shown(value: object) -> str:
    """The value as the operator wrote it, unless it is a token that landed in the wrong place."""
    if isinstance(value, str) and looks_like_token(SecretStr(value)):
        return "this token"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"


def near_misses(environ: Mapping[str, str]) -> list[str]:
    """Variables that look like ours and set nothing, since two underscores go before section and key; a line each.

    No reason to refuse the start: they may belong to whatever starts the program.
    """
    stem = ENV_PREFIX.rstrip("_")
    return [
        f"{name} sets nothing; keys are set as {ENV_PREFIX}SECTION__KEY, with two underscores each time"
        for name in environ
        if name.upper().startswith(f"{stem}_") and not name.upper().startswith(ENV_PREFIX)
    ]


def _unknown_env_keys(environ: Mapping[str, str]) -> list[str]:
    """Overrides that pydantic-settings would silently ignore: a section that does not exist."""
    problems = []
    for name in environ:
        if not name.upper().startswith(ENV_PREFIX):
            continue
        section, _, key = name[len(ENV_PREFIX) :].lower().partition("__")
        if section not in _sections():
            problems.append(f"{name}: unknown section {section!r}{_did_you_mean(section, _known_keys(()))}")
        elif not key:
            problems.append(f"{name}: names no key; write {ENV_PREFIX}{section.upper()}__KEY")
    return problems
