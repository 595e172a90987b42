"""Which files of a folder belong together: shards, the one of several precisions, the parts of a whole pipeline.

Sources: huggingface/diffusers:src/diffusers/pipelines/pipeline_loading_utils.py (variants, `model_index.json`);
huggingface/huggingface_hub (the folders of its cache). No torch.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

WEIGHTS_SUFFIXES: Final = (".safetensors", ".sft", ".gguf")
INDEX_SUFFIX: Final = ".safetensors.index.json"
SHARD_NAME: Final = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.safetensors|\.gguf)")
PIPELINE_INDEX: Final = "model_index.json"
PARTS: Final = ("transformer", "unet", "text_encoder", "text_encoder_2", "text_encoder_3", "vae")
_MOST_JSON_BYTES: Final = 16 * 2**20
_MOST_SHARDS: Final = 1000
_PLAIN_STEMS: Final = ("diffusion_pytorch_model", "model", "pytorch_model")
_VARIANT: Final = re.compile(r"\.(?:fp16|bf16|fp32|float16|bfloat16|ema|non_ema)(?=-\d{5}-of-|$)")


def read_json(path: Path) -> dict[str, Any]:
    """Read a small JSON file; empty if there is none, or if it makes no sense."""
    try:
        if not path.is_file() or path.stat().st_size > _MOST_JSON_BYTES:
            return {}
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def shards_beside(path: Path) -> list[Path]:
    """All shards of the one that a name says it is, there or not; the file itself if it is none."""
    match = SHARD_NAME.fullmatch(path.name)
    if match is None or not 0 < (count := int(match["count"])) <= _MOST_SHARDS:
        return [path]
    return [path.with_name(f"{match['stem']}-{k:05}-of-{match['count']}{match['suffix']}") for k in range(1, count + 1)]


def weights_in(folder: Path) -> list[Path]:
    """The files of weights of one part, in shard order; those that should be there, there or not.

    They are those that the folder's index lists, else those that their names count (`…-00001-of-00003`), else the one
    of several precisions that has no mark, else every file of weights. Empty if there is none.

    Raises:
        OSError: the folder cannot be read.
    """
    names = sorted(path.name for path in folder.iterdir())
    indices = sorted((name for name in names if name.endswith(INDEX_SUFFIX)), key=_plainness)
    listed = {index: shards_of_index(folder / index) for index in indices}
    whole = [index for index in indices if listed[index] and all((folder / name).exists() for name in listed[index])]
    candidates = [name for name in names if name.endswith(WEIGHTS_SUFFIXES)]
    singles = [name for name in candidates if SHARD_NAME.fullmatch(name) is None]
    if whole:
        return [folder / name for name in sorted(listed[whole[0]])]
    plain = [name for name in singles if _without_variant(name).split(".")[0] in _PLAIN_STEMS]
    if plain:
        return [folder / min(plain, key=_plainness)]
    if indices:
        return [folder / name for name in sorted(listed[indices[0]])] or [folder / indices[0]]
    shards = [name for name in candidates if name not in singles]
    if shards:
        return shards_beside(folder / min(shards, key=_plainness))
    return [folder / name for name in singles]


def shards_of_index(index: Path) -> set[str]:
    """The file names that a shard index lists; none if it makes no sense or leads out of its folder."""
    try:
        names = set(read_json(index)["weight_map"].values())
    except (KeyError, TypeError, AttributeError):
        return set()
    are_plain = all(isinstance(name, str) and Path(name).name == name and "\0" not in name for name in names)
    return names if are_plain and len(names) <= _MOST_SHARDS else set()


def names_in_shard(index: Path, shard: str) -> list[str]:
    """The tensors that an index says are in a shard."""
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict):
        return []
    return sorted(name for name, place in places.items() if place == shard and name.isprintable())


def snapshot_of(folder: Path) -> Path:
    """The files of a repository's folder in the cache of Hugging Face; the folder itself if it is none."""
    snapshots = folder / "snapshots"
    try:
        if not snapshots.is_dir():
            return folder
        revision = (
            (folder / "refs/main").read_text(encoding="utf-8").strip() if (folder / "refs/main").is_file() else ""
        )
        if revision and Path(revision).name == revision and (snapshots / revision).is_dir():
            return snapshots / revision
        return max((path for path in snapshots.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime_ns)
    except (OSError, ValueError):
        return folder


def _without_variant(name: str) -> str:
    stem = name.removesuffix(INDEX_SUFFIX)
    for suffix in WEIGHTS_SUFFIXES:
        stem = stem.removesuffix(suffix)
    return _VARIANT.sub("", stem)


def _plainness(name: str) -> tuple[bool, str]:
    """Sorts names without a mark of precision first."""
    return _VARIANT.search(name.removesuffix(INDEX_SUFFIX).removesuffix(".safetensors")) is not None, name
