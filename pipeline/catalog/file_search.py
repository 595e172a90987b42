"""Finding files of weights in folders that other programs filled, without following them for ever.

ComfyUI, Forge and A1111 keep one folder per kind of file; the cache of Hugging Face keeps links; diffusers keeps one
folder per part of a model. What a file is says `layouts.py`; this module only finds what may be one. No torch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pipeline.catalog.files import UNSAFE_SUFFIXES

SUFFIXES: Final = frozenset({".safetensors", ".sft", ".gguf"})
MAX_DEPTH: Final = 6  # the cache of Hugging Face has five: hub, repository, snapshots, revision, part
MOST_ENTRIES: Final = 50_000  # that are looked at
MOST_FOUND: Final = 1000
PIPELINE_INDEX: Final = "model_index.json"  # of a folder that holds a whole model, as diffusers writes it
_SHARD: Final = re.compile(r".+-\d{5}-of-\d{5}\.safetensors")
# What the folders of ComfyUI, Forge and A1111 are called that hold transformers and whole checkpoints, and those beside
# them that hold text encoders and VAEs. Sources: comfyanonymous/ComfyUI:folder_paths.py,
# lllyasviel/stable-diffusion-webui-forge:modules_forge/main_entry.py, AUTOMATIC1111:modules/paths_internal.py.
_MODEL_FOLDERS: Final = frozenset({"checkpoints", "diffusion_models", "unet", "stable-diffusion"})
_COMPANION_FOLDERS: Final = ("text_encoders", "text_encoder", "clip", "vae", "checkpoints", "stable-diffusion")
_DIFFUSERS_FOLDERS: Final = ("text_encoder", "text_encoder_2", "vae")
_IGNORED_FOLDERS: Final = frozenset({"blobs", "node_modules", "site-packages", "__pycache__"})


@dataclass(slots=True)
class Found:
    """What a search came upon.

    places: files, or folders that hold the whole of a model, or a part of one in several files.
    unreadable: folders that this user may not look into.
    is_cut_off: whether there was more than a search looks at.
    """

    places: list[Path] = field(default_factory=list)
    unreadable: list[Path] = field(default_factory=list)
    is_cut_off: bool = False


def search(folder: Path, *, max_depth: int = MAX_DEPTH) -> Found:
    """List what may be weights in a folder and those below it, in the order of names. Blocks."""
    found = Found()
    seen = {os.path.realpath(folder)}
    left = MOST_ENTRIES
    waiting = [(folder, 0)]
    while waiting:
        place, depth = waiting.pop()
        try:
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError:
            found.unreadable.append(place)
            continue
        left -= len(entries)
        if left < 0 or len(found.places) > MOST_FOUND:
            found.is_cut_off = True
            break
        files = [Path(entry.path) for entry in entries if _is_file(entry)]
        if any(path.name == PIPELINE_INDEX or is_shard(path) for path in files):
            found.places.append(place)
        found.places += _new((path for path in files if _may_be_weights(path)), seen)
        folders = [Path(entry.path) for entry in entries if _is_folder(entry) and _is_worth_it(entry.name)]
        if depth >= max_depth:
            found.is_cut_off |= max_depth == MAX_DEPTH and bool(folders)
        else:
            waiting += [(path, depth + 1) for path in reversed(list(_new(iter(folders), seen)))]
    return found


def places_beside(path: Path) -> Iterator[Path]:
    """Where text encoders and VAE for a transformer usually lie: in its folder, and in those beside it."""
    home = path.parent
    roots = [parent.parent for parent in path.parents if parent.name.lower() in _MODEL_FOLDERS][:1]
    names: list[tuple[Path, tuple[str, ...]]] = [(root, _COMPANION_FOLDERS) for root in roots]
    if not roots or home.name.lower() not in _MODEL_FOLDERS:
        names.append((home, _DIFFUSERS_FOLDERS))
    for root, wanted in names:
        for folder in _folders_called(root, wanted):
            if wanted == _DIFFUSERS_FOLDERS:
                yield folder
            yield from search(folder, max_depth=2).places
    yield from search(home, max_depth=0).places


def is_shard(path: Path) -> bool:
    """Whether a file is one of several that belong together, as its name says."""
    return _SHARD.fullmatch(path.name) is not None


def _may_be_weights(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES | UNSAFE_SUFFIXES and not is_shard(path)


def _new(paths: Iterator[Path], seen: set[str]) -> Iterator[Path]:
    """Those that are no other name of one that was found before: links may be many, and lead in a circle."""
    for path in paths:
        real = os.path.realpath(path)
        if real not in seen:
            seen.add(real)
            yield path


def _folders_called(root: Path, names: tuple[str, ...]) -> list[Path]:
    try:
        folders = {entry.name.lower(): Path(entry.path) for entry in os.scandir(root) if _is_folder(entry)}
    except OSError:
        return []
    return [folders[name] for name in names if name in folders]


def _is_worth_it(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _IGNORED_FOLDERS


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
