"""What a file of weights is, read from its head alone: family and variant, parts, how they are kept, what is missing.

`check`, `fetch`, `models`, the choice of a model and the engines use this one answer. No torch, milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.catalog.headers import Header, NotWeights, header_of
from pipeline.catalog.layouts.folders import weights_in
from pipeline.catalog.layouts.sections import sections_of
from pipeline.catalog.layouts.storage import storage_of
from pipeline.catalog.parts import Layout, Part, Refusal

__all__ = ["identify", "identify_files", "weights_in"]


def identify(path: Path) -> Layout:
    """Say what a file or a folder is. Never raises for what it holds: what is of no use has a `refusal`."""
    if path.is_dir():
        return identify_files(weights_in(path), path=path)
    return identify_files([path])


def identify_files(paths: Sequence[Path], *, path: Path | None = None) -> Layout:
    """Say what files are that belong together: the shards of one part.

    Args:
        path: what people call them; the first of them if it is not given.
    """
    path = path or paths[0]
    try:
        headers = [header_of(each) for each in paths]
    except NotWeights as error:
        return Layout(path=path, title=error.refusal.what, refusal=error.refusal)
    return _identified(path, headers)


def _identified(path: Path, headers: Sequence[Header]) -> Layout:
    hints = " ".join((path.name, *(str(value) for header in headers for value in header.metadata.values())))
    parts: list[Part] = []
    titles: list[str] = []
    for reader, tensors in sections_of(headers):
        finding = reader(tensors, hints)
        kept = storage_of(tensors)
        refusal = finding.refusal or (kept if isinstance(kept, Refusal) else None)
        if refusal is not None or isinstance(kept, Refusal) or finding.kind is None:
            return Layout(path=path, title=finding.title, refusal=refusal)
        titles.append(f"{finding.title}, {kept.precision}")
        parts.append(
            Part(
                kind=finding.kind,
                architecture=finding.architecture,
                variant=finding.variant,
                paths=tensors.paths,
                prefix=tensors.prefix,
                naming=finding.naming,
                storage=kept.storage,
                precision=kept.precision,
                lacks=finding.lacks,
            )
        )
    if not parts:
        refusal = Refusal(what="a file of unknown weights", reason="its names fit no model", instead="take another one")
        return Layout(path=path, title=refusal.what, refusal=refusal)
    return Layout(path=path, title="; ".join(titles), parts=tuple(parts))
