"""The config file: TOML and environment → frozen sections, each handed to its own part.

sections.py     what can be set, with defaults and bounds
preset_section.py  presets for everybody
spans.py        spans of the day and time zones, as they are written there
loading.py      `load_config`: file and environment, all problems at once
credentials.py  the bot token, the page's passwords, the proxy
messages.py     the wording of problems
preflight.py    what `check` reports about the config

`config.example.toml` is its documentation. Importing this package reads nothing; `load_config` does.
"""

from bot.config.credentials import (
    NO_PASSWORDS,
    Passwords,
    load_passwords,
    load_token,
    proxy_of,
    token_refused,
    without_credentials,
)
from bot.config.loading import MAX_CONFIG_BYTES, default_config_paths, load_config, near_misses
from bot.config.messages import ENV_PREFIX, OPERATOR_PASSWORD_ENV, PASSWORD_ENV, TOKEN_ENV, looks_like_token
from bot.config.preset_section import PresetConfig
from bot.config.sections import (
    DISCORD_API_URL,
    BackupConfig,
    Config,
    ConsoleConfig,
    DeliveryConfig,
    DiscordConfig,
    HoursConfig,
    LimitsConfig,
    LogConfig,
    ModerationConfig,
    RoleConfig,
    StorageConfig,
    TranslatorConfig,
    WorkerConfig,
)

__all__ = [
    "DISCORD_API_URL",
    "ENV_PREFIX",
    "MAX_CONFIG_BYTES",
    "NO_PASSWORDS",
    "OPERATOR_PASSWORD_ENV",
    "PASSWORD_ENV",
    "TOKEN_ENV",
    "BackupConfig",
    "Config",
    "ConsoleConfig",
    "DeliveryConfig",
    "DiscordConfig",
    "HoursConfig",
    "LimitsConfig",
    "LogConfig",
    "ModerationConfig",
    "Passwords",
    "PresetConfig",
    "RoleConfig",
    "StorageConfig",
    "TranslatorConfig",
    "WorkerConfig",
    "default_config_paths",
    "load_config",
    "load_passwords",
    "load_token",
    "looks_like_token",
    "near_misses",
    "proxy_of",
    "token_refused",
    "without_credentials",
]
