"""What a file of weights is, read from its head alone: family and variant, parts, how they are kept, what is missing.

`check`, `fetch`, `models`, the choice of a model and the engines use this one answer. No torch, milliseconds.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.catalog.parts import Layout, Refusal


def identify(path: Path) -> Layout:
    """Say what a file or a folder is. Never raises for what it holds: what is of no use has a `refusal`."""
    return Layout(
        path=path,
        title="a file",
        refusal=Refusal(what="a file", reason="nothing is known about it", instead="take another one"),
    )
