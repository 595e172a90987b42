"""Reads the config: TOML, then the environment → `Config`. Finds all problems at once.

`messages.py` words the problems; `credentials.py` reads the secrets.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import platformdirs
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bot.config.messages import (
    ENV_PREFIX,
    KEYS_EXPLAINED,
    TOO_DEEP,
    did_you_mean,
    entry_line,
    problem_line,
    table_lines,
)
from bot.config.preset_section import LIKE, PresetConfig
from bot.config.sections import Config, RoleConfig
from bot.errors import ConfigError
from bot.text_files import read_file
from pipeline.config import WINDOWS_PATHS, LoraEntry, ModelEntry
from pipeline.errors import HomeUnknown

CONFIG_NAME: Final = "config.toml"
# Sections that are lists, each part of [pipeline]: the keys of an entry, what they are called, and one of them.
LISTS: Final[dict[str, tuple[type[BaseModel], str, str]]] = {
    "models": (ModelEntry, "own models", "model"),
    "loras": (LoraEntry, "LoRAs", "LoRA"),
}
# Sections with names of the operator's in theirs: what each holds, and how that name is written.
TABLES: Final[dict[str, tuple[type[BaseModel], str]]] = {
    "roles": (RoleConfig, "the ids of roles, like [roles.123456789012345678]"),
    "presets": (PresetConfig, f"the names of presets, {LIKE}"),
}
IN_THE_FILE: Final = {
    **{name: f"{title} are named in the file, as [[{name}]]" for name, (_, title, _) in LISTS.items()},
    "roles": "roles are named in the file, as [roles.123456789012345678]",
    "presets": "presets are named in the file, as [presets.night]",
}
MAX_CONFIG_BYTES: Final = 1024 * 1024
# Errors that only strict validation reports: otherwise "3" or true is accepted as a number, "no" or 0 as false.
TYPES_OF_TOML: Final = ("int_type", "float_type", "bool_type")


def default_config_paths() -> tuple[Path, Path]:
    """Return where a config file is looked for: the working folder, then the user's config folder."""
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
    problems = _unknown_env_keys(os.environ) + _move_lists(values, path)
    try:
        problems += _take_out_wrong_types(values, path)
        config = Config(**values)
    except ValidationError as error:
        problems += [line for details in error.errors() for line in _problems(details, path)]
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


def near_misses(environ: Mapping[str, str]) -> list[str]:
    """Return a line for each variable that looks like ours but lacks the two underscores before section and key.

    Such variables do not stop the start, because they may belong to another program.
    """
    stem = ENV_PREFIX.rstrip("_")
    return [
        f"{name} sets nothing; keys are set as {ENV_PREFIX}SECTION__KEY, with two underscores each time"
        for name in environ
        if name.upper().startswith(f"{stem}_") and not name.upper().startswith(ENV_PREFIX)
    ]


def _read_toml(path: Path) -> dict[str, Any]:
    """Parse a config file. The reader of pydantic-settings would skip a missing file and wait for a pipe.

    Raises:
        ConfigError
    """
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
    """Remove numbers and switches of the wrong type from `values`. Returns a line about each.

    Keys that the environment sets are skipped: its values win, and are converted from text.
    """
    problems = []
    for name, section in _sections().items():
        if not isinstance(given := values.get(name), dict):
            continue
        given = {key: value for key, value in given.items() if _env_name(name, key) is None}
        for details in _wrong_types(section, given):
            details["loc"] = (name, *details["loc"])
            problems += _problems(details, path)
            _take_out(values, details["loc"])
    for table, (section, _) in TABLES.items():
        named = values.get(table)
        for name, given in named.items() if isinstance(named, dict) else ():
            for details in _wrong_types(section, given) if isinstance(given, dict) else ():
                key = str(details["loc"][0])
                details["loc"] = (table, name, *details["loc"])
                problems += _problems(details, path)
                given.pop(key, None)
    return problems


def _wrong_types(section: type[BaseModel], given: Mapping[str, Any]) -> list[ErrorDetails]:
    try:
        section.model_validate_json(_json(given), strict=True)
    except ValidationError as error:
        return [details for details in error.errors() if details["type"] in TYPES_OF_TOML]
    return []


def _take_out(values: dict[str, Any], place: Sequence[int | str]) -> None:
    """Remove a value from its section, with all of its list, if it stands in one; from its own section in a list."""
    owner, key = values[str(place[0])], str(place[1])
    if key in LISTS and len(place) > 3:
        owner, key = owner[key][place[2]], str(place[3])
    owner.pop(key, None)


def _move_lists(values: dict[str, Any], path: Path | None) -> list[str]:
    """Bring `[[models]]` and `[[loras]]` to where the parts of the program look for them, in `[pipeline]`.

    Returns a line about each that cannot be moved.
    """
    return [line for name in LISTS for line in _move(name, values, path)]


def _move(name: str, values: dict[str, Any], path: Path | None) -> list[str]:
    _, title, one = LISTS[name]
    pipeline = values.get("pipeline", {})
    entries = values.pop(name, [])
    if isinstance(pipeline, dict) and name in pipeline:
        del pipeline[name]
        return [f"{path}: [pipeline] {name}: {title} are sections of their own: write [[{name}]]"]
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        return [f"{path}: [{name}]: must be written with two brackets, [[{name}]], once for each {one}"]
    if isinstance(pipeline, dict) and entries:
        values["pipeline"] = {**pipeline, name: entries}
    return []


def _problems(details: ErrorDetails, path: Path | None) -> list[str]:
    """Return the lines about a validation error; more than one only about roles and presets."""
    source = str(path or "config")
    if (table := details["loc"][0] if details["loc"] else None) in TABLES:
        section, names = TABLES[str(table)]
        return table_lines(details, source=source, known=list(section.model_fields), names=names)
    for name, (section, _, _) in LISTS.items():
        if details["loc"][:2] == ("pipeline", name):
            return [entry_line(details, name, source=source, known=list(section.model_fields))]
    place = tuple(str(part) for part in details["loc"][:2])
    return [problem_line(details, source=_env_name(*place) or source, known=_known_keys(place[:-1]))]


def _json(value: object) -> str:
    """Return parsed TOML as JSON.

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
        return [*_sections(), *IN_THE_FILE]
    section = _sections().get(place[0])
    return [key for key in section.model_fields if key not in LISTS] if section is not None and len(place) == 1 else []


def _env_name(*place: str) -> str | None:
    """Return the name of the variable that sets this section or key, as spelled in the environment; None if unset."""
    wanted = (ENV_PREFIX + "__".join(place)).upper()
    return next((name for name in os.environ if name.upper() == wanted), None)


def _unknown_env_keys(environ: Mapping[str, str]) -> list[str]:
    """Return a line about each variable that names no section or no key; pydantic-settings would ignore it."""
    problems = []
    for name in environ:
        if not name.upper().startswith(ENV_PREFIX):
            continue
        section, _, key = name[len(ENV_PREFIX) :].lower().partition("__")
        if section in IN_THE_FILE:
            problems.append(f"{name}: {IN_THE_FILE[section]}")
        elif section not in _sections():
            problems.append(f"{name}: unknown section {section!r}{did_you_mean(section, _known_keys(()))}")
        elif not key:
            problems.append(f"{name}: names no key; write {ENV_PREFIX}{section.upper()}__KEY")
    return problems
