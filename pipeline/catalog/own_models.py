"""The operator's own files → a `ModelCard`: that of the model they derive from, with files taken by reference.

What a file is says `layouts.py`; which card a variant is drawn with, the families. Text encoders and VAE that a file
lacks are looked for, nearest first; what is found nowhere stays what the card fetches. Must not know any one family.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from pipeline.catalog.architecture import Component, Feature, Kind
from pipeline.catalog.file_search import places_beside
from pipeline.catalog.layouts import identify
from pipeline.catalog.layouts.folders import INDEX_SUFFIX, shards_beside, shards_of_index
from pipeline.catalog.layouts.places import mismatch
from pipeline.catalog.model_card import ModelCard, ModelFile
from pipeline.catalog.parts import Layout, Part, PartKind
from pipeline.config import ModelEntry
from pipeline.spec import Sampler

_NAMELESS: Final = frozenset({"diffusion_pytorch_model", "model"})  # which diffusers and transformers call all files
_SHARD_ENDING: Final = re.compile(r"-\d{5}-of-\d{5}$")
_PART_FOLDERS: Final = frozenset({"transformer", "unet"})
_USUAL_NAMES: Final = {  # of files that hold one part, the first part of a name; others are asked after them
    PartKind.CLIP_L: "clip_l",
    PartKind.CLIP_G: "clip_g",
    PartKind.T5: "t5xxl",
    PartKind.QWEN3: "qwen",
    PartKind.VAE: "ae",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnModel:
    """A model of the operator's own.

    card: None if it cannot be drawn with; then `reason` goes on after its name, and `way_out` says what to do.
    layouts: what its files are, as far as they are there; of a model with a card, the transformer's first.
    notes: what is worth knowing.
    """

    entry: ModelEntry
    card: ModelCard | None = None
    layouts: tuple[Layout, ...] = ()
    reason: str = ""
    way_out: str = ""
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What people read."""
        return self.card.title if self.card is not None else self.entry.title or self.entry.name


class _Slot(NamedTuple):
    """A component of a card, and the transformer that it has to fit."""

    component: Component
    base: ModelCard
    denoiser: Part


def look_at(path: Path) -> Layout | str:
    """What a file or folder is, or why it cannot be looked at, as in "is not there"."""
    try:
        if not path.exists():
            return "is a link to a file that is gone" if path.is_symlink() else "is not there"
        if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
            return "may not be read by this user"
        return identify(path)
    except (OSError, ValueError) as error:  # the latter: of a name that no file can have
        reason = error.strerror or str(error) if isinstance(error, OSError) else "no file can have this name"
        return f"cannot be read: {reason}"


def make_own(entry: ModelEntry, bases: Mapping[str, ModelCard], *, elsewhere: Sequence[Path], forget: str) -> OwnModel:
    """Look at the files of an entry and make its card. Reads heads of files: milliseconds, once for each file.

    Args:
        bases: the card that a variant is drawn with, by the names of variants.
        elsewhere: files that were added with other models or by themselves, where text encoders and VAE may be found.
        forget: how a model is forgotten that its files make no more.
    """
    layouts, flaws = _looked_at(entry.files)
    denoisers = [layout for layout in layouts if layout.part(PartKind.DENOISER) is not None]
    if not denoisers:
        return _without_denoiser(entry, layouts, flaws, forget)
    layout = min(denoisers, key=lambda each: bool(_denoiser(each).lacks))  # of several, a whole one
    part = _denoiser(layout)
    if (base := bases.get(part.variant) or _oldest_of(part.architecture, bases)) is None:
        reason = f"is {layout.title}, which is recognised, but not drawn yet"
        return OwnModel(entry=entry, layouts=layouts, reason=reason, way_out=forget)
    if part.lacks:
        more_of_it = f" and {len(part.lacks) - 1} more" if len(part.lacks) > 1 else ""
        reason = f"needs {layout.path}, which lacks {part.lacks[0]}{more_of_it}"
        return OwnModel(
            entry=entry, layouts=layouts, reason=reason, way_out=f"bring back what is missing of it, or {forget}"
        )
    encoders, more = _looked_at(entry.text_encoders)
    vaes, most = _looked_at([] if entry.vae is None else [entry.vae])
    if flaws := [*flaws, *more, *most]:  # named files are wanted; another one in their place would be a surprise
        return OwnModel(entry=entry, layouts=layouts, reason=flaws[0], way_out=f"bring it back, or {forget}")
    files, notes = _files(
        base,
        layout,
        named={Kind.TEXT_ENCODER: encoders, Kind.VAE: vaes},
        beside=[each for each in layouts if each is not layout],
        elsewhere=elsewhere,
    )
    notes += [
        f"{each.path.name} is not used: there is a transformer already" for each in denoisers if each is not layout
    ]
    card = replace(
        base,
        name=entry.name,
        title=entry.title or title_of(layout.path),
        files=MappingProxyType(files),
        is_hidden=False,
        licence=(
            f"{base.licence}. A derivative of {base.title}, so its licence holds, unless the page that the file came "
            "from says otherwise"
        ),
        is_commercial=False,  # unless the entry says so: shapes do not tell what a file derives from
    )
    card, ignored = with_defaults(card, entry)
    others = tuple(each for each in layouts if each is not layout)
    return OwnModel(entry=entry, card=card, layouts=(layout, *others), notes=(*notes, *ignored))


def with_defaults(card: ModelCard, entry: ModelEntry) -> tuple[ModelCard, list[str]]:
    """A card with the defaults of an entry, and what was ignored of them because the model has no such thing."""
    changed: dict[str, object] = {}
    ignored = []
    samplers = card.samplers
    if entry.sampler is not None and entry.sampler in samplers:
        samplers = (entry.sampler, *(each for each in samplers if each is not entry.sampler))
    wanted: dict[str, tuple[str, object, bool]] = {
        "steps": ("default_steps", entry.steps, True),
        "guidance": ("guidance", entry.guidance, card.guidance > 0),
        "cfg_scale": ("cfg_scale", entry.cfg_scale, Feature.CFG in card.supports),
        "negative_prompt": ("negative_prompt", entry.negative_prompt, Feature.NEGATIVE_PROMPT in card.supports),
        "clip_skip": ("clip_skip", entry.clip_skip, card.clip_skip > 0),
        "sampler": ("samplers", None if entry.sampler is None else samplers, _offers(card, entry.sampler)),
        "title": ("title", entry.title, True),
        "licence": ("licence", entry.licence, True),
        "licence_url": ("licence_url", entry.licence_url, True),
        "commercial": ("is_commercial", entry.commercial, True),
    }
    for key, (field, value, is_of_use) in wanted.items():
        if value is not None and is_of_use:
            changed[field] = value
        elif value is not None:
            ignored.append(f"{key} is ignored: {card.title} has no such setting")
    return replace(card, **changed), ignored  # type: ignore[arg-type]  # each of its field's own type


def title_of(path: Path) -> str:
    """What a file is called if nobody said: its name; of what diffusers wrote, that of its folder."""
    if _SHARD_ENDING.sub("", path.stem) in _NAMELESS:
        path = path.parent
    if path.name in _PART_FOLDERS:
        path = path.parent
    if path.parent.name == "snapshots" and (repo := path.parent.parent.name).startswith("models--"):
        return repo.rpartition("--")[2]
    name = path.name if path.is_dir() else _SHARD_ENDING.sub("", path.stem)
    return "".join(character if character.isprintable() else "?" for character in name)[:80].strip() or "model"


def has_part(layout: Layout, kind: PartKind) -> bool:
    """Whether something holds a part that can be used."""
    return layout.refusal is None and layout.part(kind) is not None


def _denoiser(layout: Layout) -> Part:
    part = layout.part(PartKind.DENOISER)
    assert part is not None
    return part


def _offers(card: ModelCard, sampler: Sampler | None) -> bool:
    return sampler in card.samplers


def _looked_at(paths: Iterable[Path]) -> tuple[tuple[Layout, ...], list[str]]:
    """What files are, and a sentence about each that is of no use."""
    layouts, flaws = [], []
    for path in paths:
        seen = look_at(path.absolute())
        if isinstance(seen, str):
            flaws.append(f"needs {path}, which {seen}")
        elif seen.refusal is not None:
            flaws.append(f"needs {path}, which is {seen.refusal.what}: {seen.refusal.reason}; {seen.refusal.instead}")
        else:
            layouts.append(seen)
    return tuple(layouts), flaws


def _without_denoiser(entry: ModelEntry, layouts: tuple[Layout, ...], flaws: list[str], forget: str) -> OwnModel:
    if flaws:
        return OwnModel(entry=entry, layouts=layouts, reason=flaws[0], way_out=f"bring it back, or {forget}")
    held = ", ".join(f"{each.path.name} is {each.title}" for each in layouts)
    reason = f"has no transformer or UNet among its files{f': {held}' if held else ''}"
    return OwnModel(entry=entry, layouts=layouts, reason=reason, way_out="name the file of the model itself as well")


def _oldest_of(architecture: str, bases: Mapping[str, ModelCard]) -> ModelCard | None:
    """The card for a variant that the header does not tell: the first of its architecture."""
    return next((card for card in bases.values() if card.architecture.name == architecture), None)


def _files(
    base: ModelCard,
    layout: Layout,
    *,
    named: Mapping[Kind, Sequence[Layout]],
    beside: Sequence[Layout],
    elsewhere: Sequence[Path],
) -> tuple[dict[str, ModelFile], list[str]]:
    """Where each component of a card is read from, and what is to be said about that.

    Named overrides come first; then the file itself, those that were added with it, those added before, and those in
    the folders around it. What none of them holds is what the base card fetches.
    """
    files: dict[str, ModelFile] = {}
    notes: list[str] = []
    denoiser = _denoiser(layout)
    idle = list(named.get(Kind.TEXT_ENCODER, ()))
    for name, file in base.files.items():
        component = base.architecture.components[name]
        if (kind := component.part) is None:
            files[name] = file.fallback or file
            continue
        if component.kind is Kind.TRANSFORMER:  # never another one, which would draw under this model's name
            files[name] = _taken_from(denoiser)
            continue
        slot = _Slot(component, base, denoiser)
        wanted = named.get(component.kind, ())
        holder = next((each for each in wanted if has_part(each, kind)), None)
        part = None if holder is None else holder.part(kind)
        idle = [each for each in idle if each is not holder]
        if part is None and wanted and component.kind is Kind.VAE:
            notes.append(f"{wanted[0].path} is ignored: it holds no {kind}")
        part = part or _part_of(layout, slot) or _first_part(beside, slot)
        if part is None:
            part = _nearest(slot, elsewhere) or _nearest(slot, _around(layout.path))
        files[name] = file if part is None else _taken_from(part)
    notes += [f"{each.path} is ignored: it holds no text encoder that is needed beside the others" for each in idle]
    return files, notes


def _taken_from(part: Part) -> ModelFile:
    """Where a part is read from: its file, which stands for all shards that its name counts, else what lists them."""
    first, paths = part.paths[0].absolute(), {path.absolute() for path in part.paths}
    if paths <= set(shards_beside(first)):
        return ModelFile(path=first.name, place=first)
    for index in sorted(first.parent.glob(f"*{INDEX_SUFFIX}")):
        if paths <= {index.with_name(name) for name in shards_of_index(index)}:
            return ModelFile(path=index.name, place=index)
    return ModelFile(path=f"{first.parent.name}/", place=first.parent)


def _around(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from places_beside(path)
    else:
        yield from (place for place in places_beside(path) if place != path)


def _nearest(slot: _Slot, places: Iterable[Path]) -> Part | None:
    """The part of a component in files that were not named for this model; the usual name first, then the largest."""
    found = []
    for place in places:
        seen = look_at(place)
        if isinstance(seen, Layout) and (part := _part_of(seen, slot)) is not None:
            found.append((_rank(seen, part), part))
    return min(found, key=lambda each: each[0])[1] if found else None


def _rank(layout: Layout, part: Part) -> tuple[bool, bool, int, str]:
    """Small is better. A larger file keeps its weights more exactly, and all are packed to the same size in the end."""
    stem = part.paths[0].stem.lower()
    usual = _USUAL_NAMES.get(part.kind, "")
    size = sum(_size(path) for path in part.paths)
    return layout.part(PartKind.DENOISER) is not None, not stem.startswith(usual), -size, str(part.paths[0])


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _first_part(layouts: Iterable[Layout], slot: _Slot) -> Part | None:
    return next((part for each in layouts if (part := _part_of(each, slot)) is not None), None)


def _part_of(layout: Layout, slot: _Slot) -> Part | None:
    """What a layout holds of a component, if it is of use there."""
    component, base, denoiser = slot
    if component.part is None or layout.refusal is not None or (part := layout.part(component.part)) is None:
        return None
    if part.lacks or component.architecture not in ("", part.architecture):
        return None
    is_of_variant = part.variant in ("", base.architecture.variant)
    return part if is_of_variant and mismatch(denoiser, part) is None else None
