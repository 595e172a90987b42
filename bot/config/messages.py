"""The wording of config problems: where, what is wrong, what was probably meant. English only.

Pure: knows no section and reads nothing. Names of keys come in as parameters.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Final

from pydantic import SecretStr
from pydantic_core import ErrorDetails

ENV_PREFIX: Final = "IMAGINE_BOT__"
TOKEN_ENV: Final = "DISCORD_TOKEN"
PASSWORD_ENV: Final = f"{ENV_PREFIX}CONSOLE__PASSWORD"
OPERATOR_PASSWORD_ENV: Final = f"{ENV_PREFIX}CONSOLE__OPERATOR_PASSWORD"
TOKENS_STAY_OUT: Final = (
    f"a token does not belong in this file: set {TOKEN_ENV}, or write it into a file of its own and name that in "
    "[discord] token_file"
)
SECRET_KEYS: Final = ("password", "operator_password", "proxy")  # the address of a proxy may contain a password
TOO_DEEP: Final = "brackets are nested thousands deep, or a number has thousands of digits"
KEYS_EXPLAINED: Final = "config.example.toml explains every key"
SHOWN_CHARS: Final = 100
# Pydantic's error types in the terms of TOML.
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


def problem_line(details: ErrorDetails, *, source: str, known: Sequence[str]) -> str:
    """Return one line about a validation error: where it is, what is wrong, what was probably meant.

    Args:
        source: the file or the variable that the value came from.
        known: the names that are possible in its place.
    """
    *section, key = [str(part) for part in details["loc"][:2]]
    where = f"{source}: [{section[0]}] {key}" if section else f"{source}: [{key}]"
    if details["type"] == "extra_forbidden":
        if "token" in key.lower():
            return f"{where}: {TOKENS_STAY_OUT}"
        kind = "key" if section else "section"
        return f"{where}: unknown {kind}{did_you_mean(key, known)}"
    entry = f"entry {int(details['loc'][2]) + 1} " if details["type"] in PLAIN and len(details["loc"]) > 2 else ""
    rule, separator, hint = _in_plain_words(details).partition("; ")
    shown = "this one" if key in SECRET_KEYS else _shown(details["input"])
    return f"{where}: {entry}{rule}, not {shown}{separator}{hint}"


def entry_line(details: ErrorDetails, name: str, *, source: str, known: Sequence[str]) -> str:
    """Return one line about a validation error in an entry of `[[models]]` or `[[loras]]`; `known` are its keys."""
    match details["loc"][2:]:
        case (int(number), str(key), *inner):
            where = f"{source}: [[{name}]] number {number + 1}, {key}"
        case (int(number),):  # of keys that do not go together
            where, key, inner = f"{source}: [[{name}]] number {number + 1}", "", []
        case _:
            where, key, inner = f"{source}: [[{name}]]", "", []
    if details["type"] == "extra_forbidden":
        return f"{where}: unknown key{did_you_mean(key, known)}"
    if details["type"] == "missing":
        return f"{where}: must be there, for example {key} = 'my-{name[:-1]}'"
    rule, separator, hint = _in_plain_words(details).partition("; ")
    entry = f"entry {int(inner[0]) + 1} " if inner and isinstance(inner[0], int) else ""
    shown = f", not {_shown(details['input'])}" if key else ""
    return f"{where}: {entry}{rule}{shown}{separator}{hint}"


def table_lines(details: ErrorDetails, *, source: str, known: Sequence[str], names: str) -> list[str]:
    """Return lines about a validation error in sections like `[roles.…]`.

    Args:
        source: the file that they came from.
        known: their keys.
        names: what stands behind the dot.
    """
    table = details["loc"][0]
    match details["loc"][1:]:
        case ():
            if details["type"] == "value_error":  # of names and models, which names the section itself
                return [f"{source}: {line}" for line in details["msg"].removeprefix("Value error, ").split("\n")]
            return [f"{source}: [{table}]: must be sections with {names}"]
        case (name, "[key]"):
            return [f"{source}: [{table}.{name}]: {_in_plain_words(details)}"]
        case (name,):
            return [f"{source}: [{table}.{name}]: {_in_plain_words(details)}, not {_shown(details['input'])}"]
    _, name, *place = details["loc"]
    return [problem_line({**details, "loc": (f"{table}.{name}", *place)}, source=source, known=known)]


def did_you_mean(key: str, known: Sequence[str]) -> str:
    """Return the end of a sentence about an unknown name: the nearest known one, or all of them."""
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"


def _in_plain_words(details: ErrorDetails) -> str:
    """Return what a value must be, in terms of a config file rather than of pydantic."""
    bounds = details.get("ctx", {})
    match details["type"]:
        case "greater_than_equal":
            return f"must be at least {bounds['ge']}"
        case "greater_than":
            return f"must be more than {bounds['gt']}"
        case "less_than_equal":
            return f"must be at most {bounds['le']}"
        case "too_long":
            return f"must have at most {bounds['max_length']} entries"
        case "string_too_long":
            return f"must have at most {bounds['max_length']} characters"
        case kind if kind in PLAIN:
            return PLAIN[kind]
    message = details["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return f"{message[0].lower()}{message[1:]}"


def _shown(value: object) -> str:
    """Return the value as written, unless it is a token in the wrong place."""
    if isinstance(value, str) and looks_like_token(SecretStr(value)):
        return "this token"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"


def looks_like_token(token: SecretStr) -> bool:
    """Return whether the text has the three dotted parts of a Discord bot token."""
    return re.fullmatch(r"[\w-]{20,}\.[\w-]{4,}\.[\w-]{20,}", token.get_secret_value()) is not None
