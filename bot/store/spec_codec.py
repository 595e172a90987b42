"""Stored specs: `ImageSpec` → JSON, and back from whatever an earlier or later release wrote.

The border is tolerant: reading never raises and knows no bounds, which are checked when a request is accepted. Rows
are not rewritten, so fields that this release does not know are kept for the one that wrote them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from bot.jobs import FailureCode
from pipeline import ImageSpec
from pipeline.spec import MAX_SEED, SPEC_VERSION, UPSCALE, Sampler

Fields = dict[str, Any]

# From each earlier version to the next; raise SPEC_VERSION only if a field changes its meaning.
_UPGRADES: Final[Mapping[int, Callable[[Fields], Fields]]] = {}
_NEUTRAL: Final[Mapping[str, str | int | float]] = {"str": "", "int": 0, "float": 0.0}
_MAX_INT: Final = 2**63 - 1  # larger ones are numbers that nobody ever stored


def encode(spec: ImageSpec) -> str:
    """One line of JSON with its version."""
    return spec.to_json()


def decode(text: object) -> tuple[ImageSpec, FailureCode | None]:
    """Read a stored spec, as far as it can be read.

    Returns:
        The spec, with neutral values in place of what is missing or of another type, and why this release cannot draw
        it: UNREADABLE if it is damaged, NEWER_RELEASE if it says something that only a later release knows.
    """
    fields = _parse(text)
    version = fields.pop("version", None)
    is_whole_number = isinstance(version, int) and not isinstance(version, bool)
    flaw = None if is_whole_number and 1 <= version <= SPEC_VERSION else FailureCode.UNREADABLE
    if is_whole_number and version > SPEC_VERSION:
        flaw = FailureCode.NEWER_RELEASE
    if flaw is None:
        for older in range(version, SPEC_VERSION):
            fields = _UPGRADES[older](fields)
    values: dict[str, str | int | float] = {}
    for field in dataclasses.fields(ImageSpec):
        value, kind = fields.pop(field.name, field.default), str(field.type)
        if kind == "float" and type(value) is int and abs(value) <= MAX_SEED:  # 3 for 3.0
            value = float(value)
        if type(value).__name__ == kind and not (kind == "int" and abs(value) > _MAX_INT):
            values[field.name] = _without_surrogates(value)
        else:
            values[field.name] = _NEUTRAL[kind]
            flaw = flaw or FailureCode.UNREADABLE
    if values["sampler"] not in ("", *Sampler) or values["upscale"] not in (0, UPSCALE):
        flaw = flaw or FailureCode.NEWER_RELEASE
    if any(fields.values()):  # an unknown field that is empty changes no picture
        flaw = flaw or FailureCode.NEWER_RELEASE
    return ImageSpec.accepted(**values), flaw


def _parse(text: object) -> Fields:
    try:
        fields = json.loads(text) if isinstance(text, str | bytes) else None
    except (ValueError, RecursionError):  # recursion: thousands of nested brackets
        fields = None
    return fields if isinstance(fields, dict) else {}


def _without_surrogates(value: Any) -> Any:
    """Half a character, which JSON may hold, can be neither stored nor sent."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
