"""The list of models and LoRAs that the operator added: names, titles, places of files, in one file in `models_dir`.

It holds references only; nothing here touches the files that it names. A damaged list stops nothing: what can be read
of it counts, `AddedModels.flaws` says the rest, and the next change puts it aside. Must not know what files are.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout
from pydantic import ValidationError

from pipeline.atomic_file import clear, write_atomically
from pipeline.config import LoraEntry, ModelEntry
from pipeline.errors import AddedModelsUnwritable

FILE_NAME: Final = "added-models.json"
MOST_BYTES: Final = 4 * 2**20
MOST_MODELS: Final = 1000
LOCK_S: Final = 5.0  # another command changes the list in milliseconds
_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedModels:
    """What was added.

    models: in the order in which they were added.
    loras: likewise.
    companions: files that belong to no model by themselves, such as text encoders; any model may take its parts there.
    flaws: what could not be read of the list.
    """

    models: tuple[ModelEntry, ...] = ()
    loras: tuple[LoraEntry, ...] = ()
    companions: tuple[Path, ...] = ()
    flaws: tuple[str, ...] = ()


NOTHING_ADDED: Final = AddedModels()


def list_path(models_dir: Path) -> Path:
    """Where the list is."""
    return models_dir / FILE_NAME


def stamp_of(models_dir: Path) -> tuple[int, int] | None:
    """What changes with the list; None if there is none."""
    try:
        state = list_path(models_dir).stat()
    except (OSError, ValueError):
        return None
    return state.st_mtime_ns, state.st_size


def read_added(models_dir: Path) -> AddedModels:
    """Read the list; whatever lies in its place, this raises nothing."""
    path = list_path(models_dir)
    try:
        if not path.is_file():  # opening a pipe would wait for whoever writes to it
            if not path.exists():
                return NOTHING_ADDED
            return AddedModels(flaws=(f"{path} is not a file, so models that were added are not known",))
        if path.stat().st_size > MOST_BYTES:
            return AddedModels(flaws=(f"{path} is too large to be the list of models that were added",))
        content = json.loads(path.read_bytes())
    except OSError as error:
        return AddedModels(flaws=(f"{path} cannot be read: {error.strerror or error}",))
    except (ValueError, RecursionError):
        return AddedModels(flaws=(f"{path} is damaged, so models that were added are not known: add them again",))
    return _read(content, path)


def change_added(models_dir: Path, change: Callable[[AddedModels], AddedModels]) -> Path | None:
    """Read, change and write the list, one process at a time.

    Returns:
        Where a list went that could not be read whole; None if it could.

    Raises:
        AddedModelsUnwritable
        Whatever `change` raises; nothing is written then.
    """
    path = list_path(models_dir)
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock"), timeout=LOCK_S):
            before = read_added(models_dir)
            after = change(before)
            if after == before:
                return None
            content = _written(path, after)
            aside = _put_aside(path) if before.flaws else None
            part = path.with_suffix(".part")
            clear(part)  # of a process that was killed
            with write_atomically(path, part=part) as file:
                file.write(content)
            return aside
    except Timeout as error:
        raise AddedModelsUnwritable(path, "another command is changing it; try again") from error
    except OSError as error:
        raise AddedModelsUnwritable(path, error.strerror or str(error)) from error


def _read(content: Any, path: Path) -> AddedModels:
    if not isinstance(content, dict) or not isinstance(content.get("models"), list):
        return AddedModels(flaws=(f"{path} is damaged, so models that were added are not known: add them again",))
    if content.get("version") != _VERSION:
        return AddedModels(flaws=(f"{path} was written by another release, so models that were added are not known",))
    models: dict[str, ModelEntry] = {}
    flaws = []
    for number, each in enumerate(content["models"][:MOST_MODELS], 1):
        try:
            entry = ModelEntry.model_validate(each)
        except (ValidationError, RecursionError):
            flaws.append(f"{path}: entry {number} is damaged, so that model is not known: add it again")
            continue
        if entry.name not in models and entry.files:
            models[entry.name] = entry
    loras, more_flaws = _read_loras(content.get("loras", []), path)
    listed = content.get("companions", [])
    companions = [Path(each) for each in listed if isinstance(each, str)] if isinstance(listed, list) else []
    return AddedModels(
        models=tuple(models.values()),
        loras=loras,
        companions=tuple(companions[:MOST_MODELS]),
        flaws=(*flaws, *more_flaws),
    )


def _read_loras(listed: Any, path: Path) -> tuple[tuple[LoraEntry, ...], list[str]]:
    """The LoRAs of a list, and what could not be read. Lists of earlier releases have none."""
    loras: dict[str, LoraEntry] = {}
    flaws = []
    for number, each in enumerate(listed[:MOST_MODELS] if isinstance(listed, list) else [None], 1):
        try:
            entry = LoraEntry.model_validate(each)
        except (ValidationError, RecursionError):
            flaws.append(f"{path}: LoRA {number} is damaged, so it is not known: add it again")
            continue
        loras.setdefault(entry.name, entry)
    return tuple(loras.values()), flaws


def _written(path: Path, added: AddedModels) -> bytes:
    """The list as it is kept.

    Raises:
        AddedModelsUnwritable: it would be too long to be read again.
    """
    content = {
        "version": _VERSION,
        "models": [entry.model_dump(mode="json", exclude_defaults=True) for entry in added.models],
        "loras": [entry.model_dump(mode="json", exclude_defaults=True) for entry in added.loras],
        "companions": [str(place) for place in added.companions],
    }
    written = json.dumps(content, indent=1).encode() + b"\n"  # ASCII: names of files may be no Unicode
    longest = max(len(added.models), len(added.loras), len(added.companions))
    if longest > MOST_MODELS or len(written) > MOST_BYTES:
        raise AddedModelsUnwritable(path, "these are more models than a list holds; forget some first, or add fewer")
    return written


def _put_aside(path: Path) -> Path:
    names = (f"{path.name}.damaged{number}" for number in itertools.chain([""], (f"-{n}" for n in itertools.count(2))))
    free = next(place for name in names if not (place := path.with_name(name)).exists())
    return path.replace(free)
