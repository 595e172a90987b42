"""Which part of which files each component of a model is read from, or why a file is not what belongs in its place.

The loaders of `families/` read what `parts_of` found, and `check` says what it found wrong, so that no file is called
good which is refused later. Reads heads only. No torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.catalog import files
from pipeline.catalog.layouts import identify, identify_files
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.parts import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """A file that is not what belongs in its place.

    what: it is, as a noun phrase.
    reason: why it cannot be used there.
    instead: what to do.
    """

    path: Path
    what: str
    reason: str
    instead: str

    def __str__(self) -> str:
        """Say all of it in one sentence."""
        return f"{self.path.name} is {self.what}: {self.reason}; {self.instead}"


def parts_of(card: ModelCard, models_dir: Path) -> tuple[dict[str, Part], list[Misfit]]:
    """Look into the files of a card: the part that each component is read from, and what is not what belongs there.

    Files that are absent are misfits, so see `files.missing` first.
    """
    parts: dict[str, Part] = {}
    misfits: list[Misfit] = []
    for name, file in card.files.items():
        component = card.architecture.components[name]
        if component.part is None:
            continue
        paths = files.weights_of(file, models_dir)
        layout = identify(paths[0]) if len(paths) == 1 else identify_files(paths)
        part = layout.part(component.part)
        refusal = files.refusal_of(layout, component, card.architecture)
        if part is not None and refusal is None:
            parts[name] = part
        elif refusal is not None:
            path, what, reason = layout.path, refusal.what, refusal.reason
            misfits.append(Misfit(path=path, what=what, reason=reason, instead=refusal.instead))
    return parts, misfits
