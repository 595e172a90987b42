"""Which files of a folder belong together: shards, and the one of several precisions. No torch."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

WEIGHTS_SUFFIX: Final = ".safetensors"
INDEX_SUFFIX: Final = ".safetensors.index.json"
SHARD_NAME: Final = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.safetensors")
MOST_INDEX_BYTES: Final = 16 * 2**20
MOST_SHARDS: Final = 1000


def weights_in(folder: Path) -> list[Path]:
    """The files of weights of one part, in shard order; those that should be there, there or not.

    They are those that the folder's index lists, else those that their names count (`…-00001-of-00003`), else every
    safetensors file in it.
    """
    for index in sorted(folder.glob(f"*{INDEX_SUFFIX}")):
        shards = shards_of_index(index)
        return [folder / name for name in sorted(shards)] if shards else [index]
    names = {path.name for path in folder.glob(f"*{WEIGHTS_SUFFIX}")}
    for match in [match for name in names if (match := SHARD_NAME.fullmatch(name))]:
        count = min(int(match["count"]), MOST_SHARDS)
        names |= {f"{match['stem']}-{k:05}-of-{match['count']}{WEIGHTS_SUFFIX}" for k in range(1, count + 1)}
    return [folder / name for name in sorted(names)] or [folder / f"model{WEIGHTS_SUFFIX}"]


def shards_of_index(index: Path) -> set[str]:
    """The file names that a shard index lists; none if it makes no sense or leads out of its folder."""
    try:
        if index.stat().st_size > MOST_INDEX_BYTES:
            return set()
        content: Any = json.loads(index.read_bytes())
        names = set(content["weight_map"].values())
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return set()
    are_plain = all(isinstance(name, str) and Path(name).name == name for name in names)
    return names if are_plain else set()
