"""Looks for what is left of somebody: in every file of a folder, its name too, in every way that text is written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path


def spellings(text: str) -> set[bytes]:
    """The bytes that a text may be stored as."""
    escaped = json.dumps(text)[1:-1]
    return {
        each.encode(encoding)
        for each in (text, text.lower(), text.upper(), escaped)
        for encoding in ("utf-8", "utf-16-le", "utf-16-be")
    }


def leftovers(folder: Path, texts: Iterable[str], contents: Iterable[bytes] = ()) -> list[str]:
    """Which files, by relative path, hold one of these texts or bytes."""
    wanted = {text: spellings(text) for text in texts} | {f"{content[:8]!r}…": {content} for content in contents}
    found = []
    for path in sorted(folder.rglob("*")):
        held = str(path.relative_to(folder)).encode() + (path.read_bytes() if path.is_file() else b"")
        found += [
            f"{path.relative_to(folder)}: {name}" for name, ways in wanted.items() if any(w in held for w in ways)
        ]
    return found
