"""The config file: TOML and environment → frozen sections, each handed to its own part.

`config.example.toml` is its documentation. Importing this package reads nothing; `load_config` does.
"""

from bot.config.loading import (
    DISCORD_API_URL,
    ENV_PREFIX,
    MAX_CONFIG_BYTES,
    PASSWORD_ENV,
    TOKEN_ENV,
    Config,
    ConsoleConfig,
    DeliveryConfig,
    DiscordConfig,
    LimitsConfig,
    LogConfig,
    StorageConfig,
    WorkerConfig,
    default_config_paths,
    load_config,
    load_password,
    load_token,
    looks_like_token,
    near_misses,
    proxy_of,
    without_credentials,
)

__all__ = [
    "DISCORD_API_URL",
    "ENV_PREFIX",
    "MAX_CONFIG_BYTES",
    "PASSWORD_ENV",
    "TOKEN_ENV",
    "Config",
    "ConsoleConfig",
    "DeliveryConfig",
    "DiscordConfig",
    "LimitsConfig",
    "LogConfig",
    "StorageConfig",
    "WorkerConfig",
    "default_config_paths",
    "load_config",
    "load_password",
    "load_token",
    "looks_like_token",
    "near_misses",
    "proxy_of",
    "without_credentials",
]
