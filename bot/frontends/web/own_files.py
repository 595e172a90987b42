"""The files that the page brings along, `assets/`: scripts, styles and images, under addresses that name their content.

A browser keeps such a file for good: another version of any file changes the addresses of all. Read once, and pure
apart from that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "assets"
# In the order in which they are applied.
STYLES: Final[Sequence[Path]] = tuple(
    FOLDER / f"{name}.css" for name in ("page", "cards", "gallery", "dialogs", "form", "access", "away")
)
KINDS: Final = {".js": "text/javascript; charset=utf-8", ".webp": "image/webp", ".png": "image/png"}
CORNER_STYLE: Final = FOLDER / "operator.css"  # of the operator's corner, a page of its own
VERSION_CHARS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFile:
    """One file as it is answered with; `kind` is its media type."""

    content: bytes
    kind: str


@cache
def own_files() -> dict[str, OwnFile]:
    """Return what may be asked for, by name. Blocks the first time."""
    files = sorted(path for path in FOLDER.rglob("*") if path.suffix in KINDS)
    return {path.name: OwnFile(content=path.read_bytes(), kind=KINDS[path.suffix]) for path in files}


@cache
def version() -> str:
    """Return a name for the content of all files."""
    digest = hashlib.sha256()
    for name, file in own_files().items():
        digest.update(name.encode() + b"\0" + file.content)
    return digest.hexdigest()[:VERSION_CHARS]


def address_of(name: str) -> str:
    """Return the path of a file on the page."""
    return f"/console/assets/{version()}/{name}"


def starting_script() -> str:
    """Return the JavaScript that Gradio runs once the component is there: it loads `page.js`, and that the others.

    Gradio reads off this text which events the component may fire, so they are fired here.
    """
    return f"""
        const home = new URL(window.gradio_config.root || "/", location).pathname.replace(/\\/$/, "");
        const reuse = id => trigger("reuse", {{job_id: id}});
        const startFrom = image => trigger("start_from", image);
        import(home + "{address_of("page.js")}").then(page => page.start(element, {{reuse, startFrom}}));
    """
