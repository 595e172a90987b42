"""The sections of the config file: keys, defaults, bounds. Frozen; each part of the program receives only its own.

`config.example.toml` is their documentation. Reads nothing: see `loading.py`.

Longer than other files on purpose: every key is here, in the order of the example.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from bot.config.messages import ENV_PREFIX, did_you_mean
from bot.config.preset_section import PresetConfig, PresetName, check_names
from bot.config.spans import check_some_left, check_time, check_zone, read_span
from pipeline.catalog.catalog import Catalog
from pipeline.catalog.models import MODELS, catalog_of, find_model
from pipeline.config import AUTO, ModelEntry, PipelineConfig, UserPath, check_path, user_data_dir
from pipeline.errors import UnknownModel
from pipeline.spec import MAX_STEPS

DISCORD_API_URL: Final = "https://discord.com/api/v10"
# A path without `..`, empty or doubled parts, behind a whole address or alone.
ROOT_PATH: Final = (
    r"(?:https?://(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?)?"
    r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*"
)


def default_data_dir() -> Path:
    """Return the user's data folder, for database and images if the config names none."""
    return user_data_dir()


def _is_http(text: str) -> bool:
    if not text.isprintable() or " " in text:  # which `urlsplit` takes out in part
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is no number, or a bracket is not closed
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
    alert_channel: int | None = Field(
        None, ge=1, description="id of the channel that is told of troubles; unset = none"
    )


class ConsoleConfig(Section):
    """`[console]`: the local web page."""

    enabled: bool = Field(False, description="show the page beside Discord too; without a token it always is")
    host: Annotated[str, AfterValidator(_host)] = Field(
        "127.0.0.1", min_length=1, description="address to listen on; any but this machine's needs a password"
    )
    port: int = Field(6006, ge=0, le=65_535, description="port to listen on; 0 = any free one")
    password: SecretStr | None = Field(None, min_length=1, description="asked of everybody who opens the page")
    password_file: UserPath | None = Field(None, description="file holding the password, if password is not set")
    operator_password: SecretStr | None = Field(
        None, min_length=1, description="asked of whoever opens the operator's corner of the page"
    )
    operator_password_file: UserPath | None = Field(
        None, description="file holding the operator's password, if operator_password is not set"
    )
    root_path: Annotated[str, AfterValidator(_root_path)] = Field(
        "",
        description="where a proxy shows the page: a path, or a whole address; empty = at no path, or without a proxy",
    )
    people_per_address: int = Field(5, ge=1, le=10_000, description="one address may have as much as so many people")

    def url(self, port: int) -> str:
        """Return the address for a browser. `port` is the port in use, since the configured one may be 0."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{port}"


class LimitsConfig(Section):
    """`[limits]`: how much may wait, and how much one person may ask."""

    max_waiting: int = Field(30, ge=1, le=10_000, description="jobs waiting in total")
    max_active_per_user: int = Field(3, ge=1, le=1000, description="jobs waiting + running per person")
    max_images_per_day: int = Field(50, ge=1, le=100_000, description="images per person in 24 hours")
    cooldown_s: int = Field(
        5, ge=0, le=86_400, description="seconds between two requests of one person while something waits"
    )
    max_pixel_steps: int = Field(52_428_800, ge=1, description="pixels × steps of one job; default = 1024² × 50")


class RoleConfig(Section):
    """`[roles.<role id>]`: what members with a role may; a value that is left out is that of everybody."""

    max_images_per_day: int | None = Field(None, ge=1, le=100_000, description="images per person in 24 hours")
    max_active: int | None = Field(None, ge=1, le=1000, description="jobs waiting + running per person")
    max_steps: int | None = Field(None, ge=1, le=MAX_STEPS, description="steps of one image")
    models: tuple[str, ...] | None = Field(None, description="names of the models to draw with; unset = all")

    @field_validator("models")
    @classmethod
    def _are_some(cls, models: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if models is not None and not models:
            raise ValueError("must name a model; leave the key out to allow all of them")
        return models


def _role_id(text: object) -> int:
    if isinstance(text, int):
        return text
    if not isinstance(text, str) or not re.fullmatch(r"[1-9][0-9]{0,18}", text, re.ASCII) or int(text) >= 2**63:
        raise ValueError("must be the id of a role, like [roles.123456789012345678]")
    return int(text)


RoleId = Annotated[int, BeforeValidator(_role_id)]


class HoursConfig(Section):
    """`[hours]`: when nothing is drawn."""

    quiet: tuple[str, ...] = Field((), max_length=50, description="spans of every day in which no image is begun")
    timezone: Annotated[str, AfterValidator(check_zone)] | None = Field(
        None,
        description="time zone of these spans, and of times and days that people type; unset = that of this machine",
    )

    @field_validator("quiet")
    @classmethod
    def _are_spans(cls, quiet: tuple[str, ...]) -> tuple[str, ...]:
        check_some_left([read_span(text) for text in quiet])
        return quiet


class WorkerConfig(Section):
    """`[worker]`: how long a job may take and what happens when it does not end well."""

    job_timeout_s: int = Field(1800, ge=1, le=86_400, description="seconds after which a running job is failed")
    stop_grace_s: int = Field(10, ge=1, le=3600, description="seconds to wait for a stopped job to come out")
    max_attempts: int = Field(2, ge=1, le=10, description="starts of one job, crashes included")
    max_failures_in_a_row: int = Field(3, ge=1, le=100, description="engine failures until the queue pauses itself")
    idle_unload_min: int = Field(
        0, ge=0, le=10_080, description="minutes without an image after which the model leaves memory; 0 = never"
    )


class DeliveryConfig(Section):
    """`[delivery]`: how often status messages change and how long delivery of a result is retried."""

    card_interval_s: float = Field(4.0, ge=0.05, le=60, description="seconds between two edits of one card")
    retry_first_s: float = Field(2.0, gt=0, le=600, description="seconds until the first new try; doubles each time")
    retry_max_s: float = Field(
        300.0, gt=0, le=3600, validate_default=True, description="longest pause between two tries, in seconds"
    )
    give_up_after_s: int = Field(86_400, ge=1, description="seconds after which a result is only told on request")

    @field_validator("retry_max_s")
    @classmethod
    def _is_no_shorter_than_the_first(cls, longest: float, info: ValidationInfo) -> float:
        first = info.data.get("retry_first_s", 0.0)  # absent if invalid itself
        if longest < first:
            raise ValueError(f"must be at least retry_first_s, which is {first:g}")
        return longest


class ModerationConfig(Section):
    """`[moderation]`: what happens to images that should not be there."""

    remove_with_message: bool = Field(
        True, description="remove an image for good if a moderator deletes its message; false = only the message goes"
    )
    image_check: tuple[str, ...] = Field(
        (), description="program and arguments that look at each PNG before it is shown; its path is added"
    )
    image_check_timeout_s: float = Field(30.0, gt=0, le=600, description="seconds after which the check has failed")
    on_check_error: Literal["block", "allow"] = Field("block", description="what a check that failed does to the image")

    @field_validator("image_check")
    @classmethod
    def _names_a_program(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if words and (not words[0].strip() or any("\0" in word for word in words)):
            raise ValueError("must begin with the name of a program")
        if words:
            check_path(words[0])
        return words


class StorageConfig(Section):
    """`[storage]`: where things lie and for how long."""

    data_dir: UserPath = Field(
        default_factory=default_data_dir,
        validate_default=True,
        description="folder of the database, the images and what is kept of prompts",
    )
    history_days: int = Field(90, ge=1, le=36_500, description="days until a job and its image are deleted")
    min_free_mib: int = Field(500, ge=0, description="free disk space below which nothing new is accepted, in MiB")


class BackupConfig(Section):
    """`[backup]`: the nightly backup."""

    folder: UserPath | None = Field(None, description="folder of the nightly backups; unset = none is made")
    at: Annotated[str, AfterValidator(check_time)] = Field("04:00", description="time of day, by the clock of [hours]")
    keep: int = Field(7, ge=1, le=1000, description="how many nightly backups are kept")
    images: bool = Field(True, description="copy the images, too; false = the database alone")


_DEMANDS_MODELS: Final = ContextVar("_DEMANDS_MODELS", default=True)


@contextmanager
def unknown_models_allowed() -> Iterator[None]:
    """Let a config name models that are not there, for commands that may add them."""
    token = _DEMANDS_MODELS.set(False)
    try:
        yield
    finally:
        _DEMANDS_MODELS.reset(token)


class ModelConfig(PipelineConfig):
    """`[pipeline]` and `[[models]]`, restricted to known models: `PipelineConfig` itself stands below the catalogue."""

    @field_validator("models")
    @classmethod
    def _are_of_known_names(cls, models: tuple[ModelEntry, ...], info: ValidationInfo) -> tuple[ModelEntry, ...]:
        for entry in models:
            if entry.files and _is_built_in(entry.name):
                raise ValueError(f"must have names of their own: {entry.name!r} is a model of this program")
        if "models_dir" in info.data and not _may_be_unknown(catalog := _catalog(info, ())):  # else invalid itself
            names = [*MODELS, *catalog.entries]
            for entry in models:
                if not entry.files and entry.name not in names and not _is_built_in(entry.name):
                    hint = did_you_mean(entry.name, names)
                    raise ValueError(f"must have files, or be models that are there: {entry.name!r} is neither{hint}")
        return models

    @field_validator("model")
    @classmethod
    def _is_known(cls, name: str, info: ValidationInfo) -> str:
        if name == AUTO or _is_built_in(name) or not {"models_dir", "models"} <= info.data.keys():
            return name
        catalog = _catalog(info, info.data["models"])
        names = catalog.names
        if name not in names and not _may_be_unknown(catalog):
            raise ValueError(f"must be the name of a model{did_you_mean(name, [AUTO, *names])}")
        return name


def _is_built_in(name: str) -> bool:
    try:
        return find_model(name).name == name
    except UnknownModel:
        return False


def _may_be_unknown(catalog: Catalog) -> bool:
    """Whether a name may be of a model that was added; of a damaged list nobody knows, and it stops nothing."""
    return bool(catalog.added.flaws) or not _DEMANDS_MODELS.get()


def _catalog(info: ValidationInfo, models: tuple[ModelEntry, ...]) -> Catalog:
    """The models that are known if these are configured; their files are not looked at."""
    return catalog_of(PipelineConfig(models_dir=info.data["models_dir"], models=models))


def _check_models(named: Iterable[tuple[str, str]], info: ValidationInfo) -> None:
    """Check that models are known, each with the place that names it.

    Raises:
        ValueError: with a line about each that is not.
    """
    pipeline = info.data.get("pipeline")  # absent if invalid itself
    if pipeline is None or _may_be_unknown(catalog := catalog_of(pipeline)):
        return
    known = list(dict.fromkeys([*MODELS, *catalog.names]))
    problems = [
        f"{place}: {name!r} is no model here{did_you_mean(name, known)}"
        for place, name in named
        if name not in known and not _is_built_in(name)
    ]
    if problems:
        raise ValueError("\n".join(problems))


class TranslatorConfig(Section):
    """`[translator]`: prompts put into English, for models that read nothing else."""

    enabled: bool = Field(True, description="translate, if the files are there")
    path: UserPath | None = Field(None, description="folder of a Qwen3 language model; unset = the one that is fetched")


class LogConfig(Section):
    """`[log]`: what is written to standard output."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severity shown; prompts are logged at debug only"
    )
    format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto = readable on a terminal, JSON otherwise"
    )


class _Environment(EnvSettingsSource):
    """Values from the environment. Invalid JSON is passed on as text for the section to reject."""

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
    hours: HoursConfig = HoursConfig()
    worker: WorkerConfig = WorkerConfig()
    delivery: DeliveryConfig = DeliveryConfig()
    moderation: ModerationConfig = ModerationConfig()
    storage: StorageConfig = Field(default_factory=StorageConfig)
    backup: BackupConfig = BackupConfig()
    pipeline: ModelConfig = Field(default_factory=ModelConfig)
    translator: TranslatorConfig = TranslatorConfig()
    log: LogConfig = LogConfig()
    roles: Mapping[RoleId, RoleConfig] = Field(default_factory=dict)
    presets: Mapping[PresetName, PresetConfig] = Field(default_factory=dict)

    @field_validator("roles")
    @classmethod
    def _have_known_models(cls, roles: Mapping[int, RoleConfig], info: ValidationInfo) -> Mapping[int, RoleConfig]:
        named = [(f"[roles.{role}] models", name) for role, config in roles.items() for name in config.models or ()]
        _check_models(named, info)
        return roles

    @field_validator("presets")
    @classmethod
    def _can_be_told_apart(
        cls, presets: Mapping[str, PresetConfig], info: ValidationInfo
    ) -> Mapping[str, PresetConfig]:
        check_names(list(presets))
        named = [(f"[presets.{name}] model", each.model) for name, each in presets.items()]
        _check_models([(place, model) for place, model in named if model is not None], info)
        return presets

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the environment over the file; read no `.env` and no secrets folder."""
        return _Environment(settings_cls), init_settings
