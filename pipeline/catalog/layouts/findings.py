"""`Finding`: what one set of tensors was recognised as."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.catalog.parts import Naming, PartKind, Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One part, or why it is none.

    title: for people, without its precision: "FLUX.1 [schnell] transformer".
    """

    title: str
    kind: PartKind | None = None
    architecture: str = ""
    variant: str = ""
    naming: Naming = Naming.ORIGINAL
    lacks: tuple[str, ...] = ()
    refusal: Refusal | None = None


def refused(what: str, reason: str, instead: str) -> Finding:
    """A finding that is of no use."""
    return Finding(title=what, refusal=Refusal(what=what, reason=reason, instead=instead))
