"""`Finding`: what one set of tensors was recognised as."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.catalog.parts import Naming, PartKind, Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One part, or why it is none.

    title: for people, without its precision: "FLUX.1 [schnell] transformer".
    is_extra: it is nothing to speak of if there is something else in the file.
    """

    title: str
    kind: PartKind | None = None
    architecture: str = ""
    variant: str = ""
    naming: Naming = Naming.ORIGINAL
    width: int = 0
    reads: tuple[tuple[PartKind, int], ...] = ()
    lacks: tuple[str, ...] = ()
    refusal: Refusal | None = None
    is_extra: bool = False


def with_article(title: str) -> str:
    """A title as a noun phrase."""
    return f"{'an' if title.startswith(('SDXL', 'AuraFlow', 'OmniGen')) else 'a'} {title}"


def refused(what: str, reason: str, instead: str) -> Finding:
    """A finding that is of no use."""
    return Finding(title=what, refusal=Refusal(what=what, reason=reason, instead=instead))
