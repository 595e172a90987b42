"""Discord's OpenAPI description: does a request obey it?

Owns the schemas and the explanation of what breaks them. Must not know the emulator's state; routes.py
finds the operation. The description is no part of this repository: see `find_openapi` in config.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from cachetools import LRUCache
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from tests.discord_server.errors import Problem
from tests.discord_server.routes import Operation, match

BASE_URI = "urn:discord-openapi"
REMEMBERED_BODIES = 500
URI_SCHEMES = {"http", "https", "attachment", "discord"}

formats = FormatChecker(formats=())


@formats.checks("uri")
def _is_uri(value: object) -> bool:
    if not isinstance(value, str):
        return True
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in URI_SCHEMES and bool(parts.netloc) and not re.search(r"\s", value)


@formats.checks("date-time", raises=ValueError)
def _is_datetime(value: object) -> bool:
    return not isinstance(value, str) or bool(datetime.fromisoformat(value))


@formats.checks("snowflake", raises=ValueError)
def _is_snowflake(value: object) -> bool:
    return not isinstance(value, (str, int)) or 0 <= int(value) < 2**64


class Spec:
    """The description, made ready for checks."""

    def __init__(self, document: dict[str, Any]) -> None:
        _relax(document)
        self.document = document
        resource = DRAFT202012.create_resource(document)
        self._registry: Registry[Any] = Registry().with_resource(BASE_URI, resource)
        self._validators: dict[str, Draft202012Validator] = {}
        self._bodies: LRUCache[tuple[str, str], list[Problem]] = LRUCache(REMEMBERED_BODIES)

    @classmethod
    def load(cls, path: Path) -> Spec:
        """Read the description from a file, once per process."""
        return _load(path)

    def describes(self, method: str, parts: tuple[str, ...]) -> bool:
        """Return whether Discord has this method at this path."""
        paths = self.document["paths"]
        return any(method.lower() in paths[template] for template, _ in match(list(paths), parts))

    def request_problems(self, op: Operation, query: dict[str, str], body: Any) -> list[Problem]:
        """Check what a request carries."""
        return [*self._parameter_problems(op, query), *self._body_problems(op, body)]

    def _parameter_problems(self, op: Operation, query: dict[str, str]) -> list[Problem]:
        shared = f"/paths/{_escape(op.template)}"  # parameters are described for the path or for the method
        of_path = self.document["paths"][op.template]
        counts = {
            shared: len(of_path.get("parameters", ())),
            _pointer(op): len(of_path[op.method.lower()].get("parameters", ())),
        }
        problems = []
        for pointer in (f"{place}/parameters/{i}" for place, count in counts.items() for i in range(count)):
            parameter = self._at(pointer)
            given = op.params if parameter["in"] == "path" else query
            name = parameter["name"]
            if name not in given:
                if parameter.get("required"):
                    problems.append(Problem((name,), "BASE_TYPE_REQUIRED", "This field is required"))
                continue
            errors = [self._problems(f"{pointer}/schema", value) for value in _readings(given[name])]
            if all(errors):
                problems += [Problem((name, *p.path), p.code, p.message) for p in errors[0]]
        return problems

    def _body_problems(self, op: Operation, body: Any) -> list[Problem]:
        described = self.document["paths"][op.template][op.method.lower()].get("requestBody")
        if described is None:
            return []
        if body is None and not described.get("required"):
            return []
        media = min(described["content"])  # application/json comes before the others; all mean the same
        # Every start of a bot sends the same commands, whose check takes a third of a second.
        key = (f"{_pointer(op)}/requestBody/content/{_escape(media)}/schema", json.dumps(body, sort_keys=True))
        if key not in self._bodies:
            self._bodies[key] = self._problems(key[0], body)
        return self._bodies[key]

    def response_problems(self, op: Operation, status: int, body: Any) -> list[Problem]:
        """Check an answer of the emulator's own."""
        responses = self.document["paths"][op.template][op.method.lower()]["responses"]
        described = responses.get(str(status))
        if described is None:
            return [Problem((), "UNDESCRIBED", f"the description has no {status} answer")]
        if "content" not in described:
            return [] if body is None else [Problem((), "UNDESCRIBED", f"a {status} answer has no body")]
        media = next(iter(described["content"]))
        return self._problems(f"{_pointer(op)}/responses/{status}/content/{_escape(media)}/schema", body)

    def _problems(self, pointer: str, value: Any) -> list[Problem]:
        validator = self._validators.get(pointer)
        if validator is None:
            schema = {"$ref": f"{BASE_URI}#{quote(pointer)}"}
            # A bot may send fewer kinds of URL than it gets.
            checker = None if "/responses/" in pointer else formats
            validator = Draft202012Validator(schema, registry=self._registry, format_checker=checker)
            self._validators[pointer] = validator
        return [_problem(leaf) for error in validator.iter_errors(value) for leaf in _leaves(error)]

    def _at(self, pointer: str) -> Any:
        node: Any = self.document
        for part in pointer.strip("/").split("/"):
            part = part.replace("~1", "/").replace("~0", "~")
            node = node[int(part)] if isinstance(node, list) else node[part]
        return node


@lru_cache(maxsize=4)
def _load(path: Path) -> Spec:
    return Spec(json.loads(Path(path).read_text(encoding="utf-8")))


def _relax(document: dict[str, Any]) -> None:
    """Accept what the service accepts beyond its description.

    Snowflakes may be sent as numbers (attachment placeholders are documented as
    `"id": 0`), and default_member_permissions as a string (that is how it is documented).
    """
    schemas = document["components"]["schemas"]
    schemas["SnowflakeType"].update({"type": ["string", "integer"], "minimum": 0})
    for name, schema in schemas.items():
        if name.startswith("ApplicationCommand") and "Request" in name:
            permissions = schema.get("properties", {}).get("default_member_permissions")
            if permissions is not None:
                permissions.update({"type": ["integer", "string", "null"], "pattern": "^[0-9]+$"})
    _drop_redundant(document)


def _drop_redundant(node: Any) -> None:
    """Drop the `allOf` beside each `enum`: it only repeats it, at a high cost per check."""
    if isinstance(node, dict):
        if "enum" in node and "allOf" in node:
            del node["allOf"]
        node = node.values()
    elif not isinstance(node, list):
        return
    for child in node:
        _drop_redundant(child)


def _escape(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


def _pointer(op: Operation) -> str:
    return f"/paths/{_escape(op.template)}/{op.method.lower()}"


def _readings(text: str) -> list[Any]:
    """Return what a query string's text may stand for."""
    readings: list[Any] = [text]
    if text.lower() in ("true", "false", "1", "0"):
        readings.append(text.lower() in ("true", "1"))
    if re.fullmatch(r"-?\d+", text):
        readings.append(int(text))
    return readings


def _leaves(error: ValidationError) -> Iterable[ValidationError]:
    """Return the errors that explain a failed union: those of the branch the value was meant for."""
    if error.validator not in ("oneOf", "anyOf") or not error.context:
        return [error]
    branches: dict[Any, list[ValidationError]] = {}
    for sub in error.context:
        branches.setdefault(sub.schema_path[0], []).append(sub)

    def distance(errors: list[ValidationError]) -> tuple[int, int, int]:
        own_type = sum(not e.path and e.validator == "type" for e in errors)
        discriminator = sum(list(e.path) == ["type"] for e in errors)
        return own_type, discriminator, len(errors)

    best = min(branches.values(), key=distance)
    return [leaf for sub in best for leaf in _leaves(sub)]


def _problem(error: ValidationError) -> Problem:
    path, limit = tuple(error.absolute_path), error.validator_value
    match error.validator:
        case "required":
            missing = error.message.split("'")[1]  # one error per missing property
            return Problem((*path, missing), "BASE_TYPE_REQUIRED", "This field is required")
        case "maxLength":
            return Problem(path, "BASE_TYPE_MAX_LENGTH", f"Must be {limit} or fewer in length.")
        case "minLength":
            return Problem(path, "BASE_TYPE_MIN_LENGTH", f"Must be {limit} or more in length.")
        case "maxItems":
            return Problem(path, "BASE_TYPE_MAX_LENGTH", f"Must be {limit} or fewer in length.")
        case "minItems":
            return Problem(path, "BASE_TYPE_MIN_LENGTH", f"Must be {limit} or more in length.")
        case "maximum":
            return Problem(path, "NUMBER_TYPE_MAX", f"Value should be less than or equal to {limit}.")
        case "minimum":
            return Problem(path, "NUMBER_TYPE_MIN", f"Value should be greater than or equal to {limit}.")
        case "enum" | "const" | "oneOf":
            return Problem(path, "BASE_TYPE_CHOICES", f"{_short(error.instance)} is not an allowed value.")
        case "format" if limit == "uri":
            return Problem(path, "URL_TYPE_INVALID_URL", f"Not a well formed URL: {_short(error.instance)}")
        case "type":
            return Problem(path, "BASE_TYPE_BAD_TYPE", f"{_short(error.instance)} is not of type {limit}.")
        case _:
            return Problem(
                path,
                "BASE_TYPE_INVALID",
                f"{_short(error.instance)} fails {error.validator} {_short(limit)}.",
            )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
