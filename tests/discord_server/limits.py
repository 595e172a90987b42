"""Documented limits that Discord's OpenAPI description does not carry, as pure functions.

Owns the rules for messages, suggestions and commands; those for components are in components.py. Must not
know requests: a function takes JSON and returns the rules it breaks. Source: Discord's documentation
(message, application-commands) and, for the codes, bug reports.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any

from tests.discord_server.errors import Problem

Json = dict[str, Any]
Path = tuple[str | int, ...]

ATTACHMENT = "attachment://"  # begins the URL of a file sent along
CONTENT = 2000
EMBED_TEXT = 6000
ALT_TEXT = 1024
MENTIONED_IDS = 100
CHOICE_TEXT = 100
COMMAND_TEXT = 8000
CHAT_INPUT = 1  # the type of slash commands; menus are those of users (2) and messages (3)
COMMANDS = {CHAT_INPUT: 100, 2: 15, 3: 15}  # of a scope, by type
INT53 = 2**53 - 1

SUB_COMMAND, SUB_COMMAND_GROUP, STRING, INTEGER = 1, 2, 3, 4


def too_long(path: Path, limit: int) -> Problem:
    return Problem(path, "BASE_TYPE_MAX_LENGTH", f"Must be {limit} or fewer in length.")


def required(path: Path) -> Problem:
    return Problem(path, "BASE_TYPE_REQUIRED", "This field is required")


# -- messages -----------------------------------------------------------------------


def message_problems(fields: Json) -> Iterator[Problem]:
    """Check a message as it would be after the request: content, embeds, alt texts and allowed mentions."""
    if len(fields.get("content") or "") > CONTENT:
        yield too_long(("content",), CONTENT)
    embeds = fields.get("embeds") or []
    if embed_text(embeds) > EMBED_TEXT:
        text = f"Embed size exceeds maximum size of {EMBED_TEXT}"
        yield Problem(("embeds",), "MAX_EMBED_SIZE_EXCEEDED", text)
    for i, embed in enumerate(embeds):
        for j, item in enumerate(embed.get("fields") or []):
            for name in ("name", "value"):
                if not (item.get(name) or "").strip():
                    yield required(("embeds", i, "fields", j, name))
    for i, attachment in enumerate(fields.get("attachments") or []):
        if len(attachment.get("description") or "") > ALT_TEXT:
            yield too_long(("attachments", i, "description"), ALT_TEXT)
    yield from _mention_problems(fields.get("allowed_mentions") or {})


def _mention_problems(allowed: Json) -> Iterator[Problem]:
    for kind in ("users", "roles"):
        ids = allowed.get(kind) or []
        if ids and kind in (allowed.get("parse") or []):
            text = f'parse:["{kind}"] and {kind}: [ids...] are mutually exclusive.'
            yield Problem(("allowed_mentions",), "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", text)
        if len(ids) > MENTIONED_IDS:
            yield too_long(("allowed_mentions", kind), MENTIONED_IDS)


def embed_text(embeds: list[Json]) -> int:
    """Return the number of characters that count towards the limit of all embeds together."""
    total = 0
    for embed in embeds:
        texts = [embed.get("title"), embed.get("description")]
        texts += [(embed.get("footer") or {}).get("text"), (embed.get("author") or {}).get("name")]
        for item in embed.get("fields") or []:
            texts += [item.get("name"), item.get("value")]
        total += sum(len(t.strip()) for t in texts if t)
    return total


# -- autocomplete -------------------------------------------------------------------


def choice_problems(choices: list[Json], option_type: int, path: Path) -> Iterator[Problem]:
    """Check the values a command or an autocomplete offers for an option."""
    for i, choice in enumerate(choices):
        value, here = choice["value"], (*path, i, "value")
        if option_type == STRING:
            if not isinstance(value, str):
                yield Problem(here, "STRING_TYPE_CONVERT", f"Could not interpret {value!r} as string.")
            elif not 1 <= len(value) <= CHOICE_TEXT:
                text = f"Must be between 1 and {CHOICE_TEXT} in length."
                yield Problem(here, "BASE_TYPE_BAD_LENGTH", text)
        elif isinstance(value, bool) or not isinstance(value, (int, float)):
            yield Problem(here, "NUMBER_TYPE_COERCE", f"Value {value!r} is not a number.")
        elif option_type == INTEGER and (value != int(value) or abs(value) > INT53):
            yield Problem(here, "NUMBER_TYPE_COERCE", f"Value {value!r} is not int.")


# -- application commands -----------------------------------------------------------


def command_set_problems(commands: list[Json]) -> Iterator[Problem]:
    """Check all commands of a scope, as sent together."""
    seen: set[tuple[int, str]] = set()
    for i, command in enumerate(commands):
        kind = command.get("type") or CHAT_INPUT
        if kind == CHAT_INPUT:
            yield from _name_problems(command, (i,))
            if not command.get("description"):
                yield required((i, "description"))
        else:
            yield from _menu_problems(command, (i,))
        if (kind, command["name"]) in seen:
            text = "Application command names must be unique"
            yield Problem((i, "name"), "APPLICATION_COMMANDS_DUPLICATE_NAME", text)
        seen.add((kind, command["name"]))
        yield from _option_problems(command.get("options") or [], (i, "options"), depth=0)
        if _text_length(command) > COMMAND_TEXT:
            text = f"Command exceeds maximum size ({COMMAND_TEXT})"
            yield Problem((i,), "APPLICATION_COMMAND_TOO_LARGE", text)


def _menu_problems(command: Json, path: Path) -> Iterator[Problem]:
    """Check the entry of a message's or user's menu: a name in any letters, and nothing else."""
    names: dict[Path, str] = {("name",): command["name"]}
    names |= {("name_localizations", k): v for k, v in (command.get("name_localizations") or {}).items()}
    for where, name in names.items():
        if not (1 <= len(name) <= 32 and name.strip()):
            code = "APPLICATION_COMMAND_INVALID_NAME"
            yield Problem(path + where, code, f"Command name is invalid: {name!r}")
    for unwanted in ("description", "description_localizations", "options"):
        if command.get(unwanted):
            text = f"Context menu commands have no {unwanted}"
            yield Problem((*path, unwanted), "APPLICATION_COMMAND_CONTEXT_MENU_FIELD", text)


def _option_problems(options: list[Json], path: Path, depth: int) -> Iterator[Problem]:
    if len({o["type"] in (SUB_COMMAND, SUB_COMMAND_GROUP) for o in options}) > 1:
        text = "Sub-commands and their groups are mutually exclusive to all other types"
        yield Problem(path, "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", text)
    optional_seen = False
    names: set[str] = set()
    for i, option in enumerate(options):
        here, kind = (*path, i), option["type"]
        yield from _name_problems(option, here)
        if option["name"] in names:
            text = "Option names must be unique"
            yield Problem((*here, "name"), "APPLICATION_COMMAND_OPTIONS_NAME_INVALID", text)
        names.add(option["name"])
        if kind in (SUB_COMMAND, SUB_COMMAND_GROUP):
            if depth > 1 or (kind == SUB_COMMAND_GROUP and depth > 0):
                code = "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID"
                yield Problem((*here, "type"), code, "Too deeply nested")
            yield from _option_problems(option.get("options") or [], (*here, "options"), depth + 1)
            continue
        if option.get("required") and optional_seen:
            text = "Required options must be placed before non-required options"
            yield Problem(here, "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", text)
        optional_seen = optional_seen or not option.get("required")
        if option.get("choices"):
            if option.get("autocomplete"):
                text = "Autocomplete and choices are mutually exclusive"
                yield Problem(here, "APPLICATION_COMMAND_AUTOCOMPLETE_CHOICES", text)
            yield from choice_problems(option["choices"], kind, (*here, "choices"))
        for low, high in (("min_value", "max_value"), ("min_length", "max_length")):
            if option.get(low) is not None and option.get(high) is not None and option[low] > option[high]:
                yield Problem((*here, low), "BASE_TYPE_BAD_INTEGER", f"{low} is more than {high}")


def _name_problems(item: Json, path: Path) -> Iterator[Problem]:
    """Check a name. Those in other languages obey the same rule, which catches many a translation."""
    names: dict[Path, str] = {("name",): item["name"]}
    names |= {("name_localizations", k): v for k, v in (item.get("name_localizations") or {}).items()}
    for where, name in names.items():
        letters = all(c in "-_'" or unicodedata.category(c)[0] in "LNM" for c in name)
        if not (1 <= len(name) <= 32 and letters and name == name.lower()):
            code = "APPLICATION_COMMAND_INVALID_NAME"
            yield Problem(path + where, code, f"Command name is invalid: {name!r}")


def _text_length(item: Json) -> int:
    """Count a command's text; of the translations the longest counts."""

    def longest(name: str) -> int:
        texts = [item.get(name) or "", *(item.get(f"{name}_localizations") or {}).values()]
        return max(map(len, texts))

    own = longest("name") + longest("description")
    for choice in item.get("choices") or []:
        own += len(choice["name"]) + (len(choice["value"]) if isinstance(choice["value"], str) else 0)
    return own + sum(_text_length(o) for o in item.get("options") or [])
