"""`models add` and `models remove` for LoRAs: files → entries of the list, beside the added models.

What a LoRA is says `layouts/lora.py`. Nothing is copied, moved or deleted.
"""

from __future__ import annotations

import itertools
import os
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from pipeline.catalog.added_models import AddedModels
from pipeline.catalog.layouts.lora import LoraHead
from pipeline.catalog.loras import own_loras
from pipeline.config import LoraEntry, PipelineConfig
from pipeline.errors import NothingAdded

_NAME_CHARS: Final = 32  # of a name that is made of a file's, with room for a number


@dataclass(slots=True)
class LoraAddition:
    """What became of LoRAs, by name: what is new, and what was there before."""

    new: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraNaming:
    """What the one LoRA is to be called, if somebody says, and the names that are taken by models."""

    name: str | None = None
    title: str | None = None
    taken: Collection[str] = ()


def check_lora_name(name: str) -> None:
    """Raises NothingAdded: a name for a LoRA does not do."""
    try:
        LoraEntry(name=name, file=Path("x"))
    except ValidationError as error:
        example = unique_lora_name(name, ())
        says = f"a name is up to 40 small letters, digits, dots, dashes and underscores, not {name!r}"
        raise NothingAdded([f"{says}; for example {example}"]) from error


def with_loras(
    added: AddedModels, heads: Mapping[Path, LoraHead], config: PipelineConfig, naming: LoraNaming
) -> tuple[AddedModels, LoraAddition]:
    """Return the list with the LoRAs in files, each once, and what became of them.

    Raises:
        NothingAdded: the name is taken.
    """
    known = {_real(own.entry.file): own.entry.name for own in own_loras(config)}
    known |= {_real(entry.file): entry.name for entry in added.loras}
    entries, done = list(added.loras), LoraAddition()
    for path in heads:
        if (name := known.get(_real(path))) is not None:
            if naming.name not in (None, name):
                way = f"forget it first: imagine-bot models remove {name}"
                raise NothingAdded([f"this LoRA is there already, as {name}; to name it {naming.name}, {way}"])
            done.same.append(name)
            continue
        taken = {*naming.taken, *known.values()}
        if naming.name in taken:
            raise NothingAdded([f"there is {naming.name!r} already; choose another name"])
        name = naming.name or unique_lora_name(path.stem, taken)
        entries.append(LoraEntry(name=name, file=path, title=naming.title))
        known[_real(path)] = name
        done.new.append(name)
    return replace(added, loras=tuple(entries)), done


def unique_lora_name(stem: str, taken: Iterable[str]) -> str:
    """A name that people can type, made of a file's, with a number if needed."""
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9._]+", "-", plain)[:_NAME_CHARS].strip("-._") or "lora"
    names = itertools.chain([base], (f"{base}-{number}" for number in itertools.count(2)))
    return next(name for name in names if name not in taken and name != "none")


def _real(path: Path) -> str:
    return os.path.normcase(os.path.realpath(path))
