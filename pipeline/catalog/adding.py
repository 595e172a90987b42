"""`models add` and `models remove`: files and folders → entries of the list of added models and LoRAs.

Files that complete each other become one model; a folder is searched, and each transformer in it becomes a model.
Nothing is copied, moved or deleted: the list holds places. What files are says `layouts.py`.
"""

from __future__ import annotations

import itertools
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from pipeline.catalog.added_models import AddedModels, change_added
from pipeline.catalog.adding_loras import LoraAddition, LoraNaming, check_lora_name, with_loras
from pipeline.catalog.catalog import Catalog
from pipeline.catalog.file_search import PIPELINE_INDEX, search
from pipeline.catalog.layouts.folders import snapshot_of
from pipeline.catalog.layouts.lora import LoraHead, lora_of
from pipeline.catalog.own_models import has_part, look_at, title_of
from pipeline.catalog.parts import Layout, PartKind
from pipeline.config import MOST_FILES, ModelEntry
from pipeline.errors import NothingAdded, UnknownModel

NAME_CHARS: Final = 32  # of a name that is made of a file's, with room for a number


@dataclass(slots=True)
class Addition:
    """What became of files and folders.

    name, title: of the one model or LoRA, if they were given.
    new, changed, same: names of what is new, of what takes more files now, and of what was there before, as it is.
    companions: files without a transformer, from which other models may take their parts.
    loras: likewise, of LoRAs.
    refused: what is of no use, and why, as in "is a LoRA: …"; told of files and folders that were named, all of it.
    unreadable: folders that this user may not look into.
    is_cut_off: whether there was more than a search looks at.
    aside: where a damaged list of models went.
    """

    name: str | None = None
    title: str | None = None
    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    companions: list[Layout] = field(default_factory=list)
    loras: LoraAddition = field(default_factory=LoraAddition)
    lora_heads: dict[Path, LoraHead] = field(default_factory=dict)
    refused: dict[Path, str] = field(default_factory=dict)
    unreadable: list[Path] = field(default_factory=list)
    is_cut_off: bool = False
    aside: Path | None = None


def add_models(paths: Sequence[Path], catalog: Catalog, *, name: str | None, title: str | None) -> Addition:
    """Add what can be drawn with in files and folders to the list. Blocks while it looks at them.

    Args:
        name: of the one model that they hold; None: the name of its file, made unique.

    Raises:
        NothingAdded: nothing among them is of use, or the name does not do.
        AddedModelsUnwritable
    """
    found = Addition(name=name, title=title)
    named, searched = _look(paths, found)
    denoisers = [layout for layout in (*named, *searched) if has_part(layout, PartKind.DENOISER)]
    # The same model may lie in one folder in two layouts; other folders hold whatever somebody put there.
    whole = {layout.path for layout in denoisers if _is_pipeline(layout.path)}
    denoisers = [layout for layout in denoisers if not whole.intersection(layout.path.parents)]
    beside = [layout for layout in named if not has_part(layout, PartKind.DENOISER)]
    drawable = [layout for layout in denoisers if _is_drawn(layout, catalog, found)]
    others = [each for each in (*named, *searched) if not has_part(each, PartKind.DENOISER)]
    if not drawable and not others and not found.lora_heads:
        raise NothingAdded(_reasons(paths, found))
    count = len(drawable) + len(found.lora_heads)
    if count != 1 and (name is not None or title is not None):
        raise NothingAdded([f"a name and a title are for one model, and these are {count}"])
    if name is not None and drawable:
        _check_name(name, catalog, drawable[0])
    elif name is not None:
        check_lora_name(name)
    try:
        ModelEntry(name="x", title=title)
    except ValidationError as error:
        raise NothingAdded([f"the title {_reason(error)}"]) from error
    # Of several models, each takes what it needs.
    own_files = beside if len(drawable) == 1 and len(beside) < MOST_FILES else []
    found.companions = [each for each in others if each not in own_files]

    def change(added: AddedModels) -> AddedModels:
        models = list(added.models)
        for layout in drawable:
            files = (layout.path, *(each.path for each in own_files))
            _put(models, layout, files, catalog, found)
        naming = LoraNaming(
            name=name if found.lora_heads else None,
            title=title if found.lora_heads else None,
            taken={*catalog.built_in, *catalog.names, *(entry.name for entry in models)},
        )
        added, found.loras = with_loras(added, found.lora_heads, catalog.config, naming)
        known = {_real(path) for path in added.companions}
        loose = [each.path for each in found.companions if _real(each.path) not in known]
        return replace(added, models=tuple(models), companions=(*added.companions, *loose), flaws=())

    found.aside = change_added(catalog.config.models_dir, change)
    return found


def remove_model(name: str, catalog: Catalog) -> Sequence[Path]:
    """Forget a model or a LoRA of the list; its files stay where they are, and are returned.

    Raises:
        UnknownModel: it is not on the list.
        AddedModelsUnwritable
    """
    removed: list[Path] = []

    def change(added: AddedModels) -> AddedModels:
        removed.extend(path for entry in added.models if entry.name == name for path in entry.files)
        if removed:
            return replace(added, models=tuple(entry for entry in added.models if entry.name != name))
        removed.extend(entry.file for entry in added.loras if entry.name == name)
        if not removed:
            known = [*(entry.name for entry in added.models), *(entry.name for entry in added.loras)]
            raise UnknownModel(name, known)
        return replace(added, loras=tuple(entry for entry in added.loras if entry.name != name))

    change_added(catalog.config.models_dir, change)
    return tuple(removed)


def _look(paths: Iterable[Path], found: Addition) -> tuple[list[Layout], list[Layout]]:
    """What files are that were named, and those that a search came upon; each only once."""
    named: list[Layout] = []
    searched: list[Layout] = []
    claimed: set[str] = set()
    for path in paths:
        path = _absolute(path)
        is_searched = _is_searched(path)
        places = [path]
        if is_searched:
            result = search(path)
            places = result.places
            found.unreadable += result.unreadable
            found.is_cut_off |= result.is_cut_off
        for place in places:
            seen = _flaw_of_name(place) or look_at(place)
            if isinstance(seen, str):
                found.refused[place] = seen
            elif seen.refusal is not None:
                head = lora_of(place) if place.is_file() else None
                if isinstance(head, LoraHead):
                    found.lora_heads[place] = head
                    continue
                refusal = head or seen.refusal
                found.refused[place] = f"is {refusal.what}: {refusal.reason}; {refusal.instead}"
            elif not claimed >= (files := {_real(file) for part in seen.parts for file in part.paths}):
                claimed |= files
                (searched if is_searched else named).append(seen)
        if is_searched and not places and path not in found.unreadable:
            found.refused[path] = "holds no file of weights: no .safetensors or .gguf, there or below"
    return named, searched


def _absolute(path: Path) -> Path:
    with suppress(RuntimeError):  # no home is known for ~
        path = path.expanduser()
    return Path(os.path.abspath(path))  # noqa: PTH100 - `resolve` would follow links into a cache


def _is_searched(path: Path) -> bool:
    """Whether something is a folder that holds more than one model, for all that is known."""
    try:
        return path.is_dir() and not (path / PIPELINE_INDEX).is_file()
    except OSError:
        return False


def _is_pipeline(path: Path) -> bool:
    """Whether something is the folder of one whole model, as diffusers saves it."""
    try:
        return path.is_dir() and (snapshot_of(path) / PIPELINE_INDEX).is_file()
    except OSError:
        return False


def _flaw_of_name(path: Path) -> str:
    """Why a place cannot be noted, as in "must be shorter"; "" if it can."""
    try:
        ModelEntry(name="x", files=(path,))
    except ValidationError as error:
        return f"{_reason(error)}; rename it"
    return ""


def _is_drawn(layout: Layout, catalog: Catalog, found: Addition) -> bool:
    part = layout.part(PartKind.DENOISER)
    assert part is not None
    names = {card.architecture.name for card in catalog.bases.values()}
    if part.architecture in names and not part.lacks:
        return True
    lacking = f"lacks {', '.join(part.lacks)}" if part.lacks else "is not drawn yet"
    found.refused[layout.path] = f"is {layout.title}, which {lacking}"
    return False


def _put(models: list[ModelEntry], layout: Layout, files: tuple[Path, ...], catalog: Catalog, found: Addition) -> None:
    """Add one model, or to one that is there the files that it has not."""
    real = _identity(layout)
    configured = {entry.name for entry in catalog.config.models if entry.files}
    known_as = {_identity(own.layouts[0]): own.entry.name for own in catalog.own if own.layouts}
    if known_as.get(real) in configured:
        _demand_same_name(found, known_as[real])
        found.same.append(known_as[real])
        return
    for number, entry in enumerate(models):
        if known_as.get(real) != entry.name and _real(entry.files[0]) != _real(layout.path):
            continue
        _demand_same_name(found, entry.name)
        known = set(map(_real, entry.files))
        more = tuple(path for path in files[1:] if _real(path) not in known)[: MOST_FILES - len(entry.files)]
        models[number] = entry.model_copy(update={"files": (*entry.files, *more), "title": found.title or entry.title})
        (found.same if models[number] == entry else found.changed).append(entry.name)
        return
    taken = {*catalog.built_in, *catalog.names, *(entry.name for entry in models)}
    if found.name in taken:  # by another command, since `_check_name`
        raise NothingAdded([_taken(found.name)])
    name = found.name or unique_name(title_of(layout.path), layout, taken)
    entry = ModelEntry(name=name, files=files, title=found.title)
    models.append(entry)
    found.new.append(entry.name)


def _demand_same_name(found: Addition, name: str) -> None:
    """Raises NothingAdded: a known model was given another name."""
    if found.name not in (None, name):
        way = f"forget it first: imagine-bot models remove {name}"
        raise NothingAdded([f"this model is there already, as {name}; to name it {found.name}, {way}"])


def _taken(name: str) -> str:
    return f"there is a model {name!r} already; choose another name"


def unique_name(title: str, layout: Layout, taken: Iterable[str]) -> str:
    """A name that people can type, made of a file's: its letters, digits, dots and dashes, and a number if needed."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    stem = re.sub(r"[^a-z0-9.]+", "-", plain)[:NAME_CHARS].strip("-.")
    part = layout.part(PartKind.DENOISER)
    stem = stem or (part.variant if part is not None else "") or "model"
    stem = stem if _is_name(stem) else f"my-{stem}"
    names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
    return next(name for name in names if name not in taken and _is_name(name))


def _reason(error: ValidationError) -> str:
    return error.errors()[0]["msg"].removeprefix("Value error, ").partition(";")[0]


def _is_name(name: str) -> bool:
    try:
        ModelEntry(name=name)
    except ValidationError:
        return False
    return True


def _check_name(name: str, catalog: Catalog, layout: Layout) -> None:
    """Raises NothingAdded: the name is taken, or does not do."""
    if not _is_name(name):
        example = unique_name(name, layout, ())
        raise NothingAdded(
            [f"a name is up to 40 small letters, digits, dots and dashes, not {name!r}; for example {example}"]
        )
    own = next((each for each in catalog.own if each.entry.name == name), None)
    is_same = own is not None and bool(own.layouts) and _identity(own.layouts[0]) == _identity(layout)
    if name in catalog.built_in or (own is not None and not is_same):
        raise NothingAdded([_taken(name)])


def _reasons(paths: Sequence[Path], found: Addition) -> list[str]:
    told = [f"{path} {reason}" for path, reason in found.refused.items()]
    told += [f"{path} may not be read by this user" for path in found.unreadable]
    most = 20
    more = [f"and {len(told) - most} more"] if len(told) > most else []
    return told[:most] + more or [f"{path} holds nothing" for path in paths]


def _identity(layout: Layout) -> str:
    """What two names of one transformer have in common: its first file."""
    part = layout.part(PartKind.DENOISER)
    return _real(layout.path if part is None else part.paths[0])


def _real(path: Path) -> str:
    return os.path.normcase(os.path.realpath(path))
