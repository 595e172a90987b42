"""`wrong_place`: whether a file is what belongs in a place, which is another question than what it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from pipeline.catalog.headers import FETCH_AGAIN
from pipeline.catalog.layouts.findings import with_article
from pipeline.catalog.parts import Layout, Part, PartKind, Refusal

FAMILIES: Final[Mapping[str, str]] = MappingProxyType(
    {"flux": "FLUX.1", "sd15": "Stable Diffusion 1.5", "sdxl": "SDXL", "z-image": "Z-Image", "flux2-klein": "FLUX.2"}
)
# Parts that several families share are told by the oldest of them.
_SHARED: Final = frozenset({PartKind.CLIP_L, PartKind.CLIP_G, PartKind.T5, PartKind.QWEN3})
_SAME_VAE: Final[Mapping[str, str]] = MappingProxyType({"sdxl": "sd15"})  # the same shapes


def wrong_place(layout: Layout, wanted: PartKind, *, architecture: str = "", variant: str = "") -> Refusal | None:
    """Say why a file cannot be read as a part of a model; None if it can.

    Args:
        architecture: of the model; "" if any will do.
        variant: of a denoiser; "" if any will do.
    """
    word = _word(wanted, architecture)
    of_family = f" of {FAMILIES[architecture]}" if architecture in FAMILIES else ""
    belongs = f"put the {word}{of_family} there"
    if (refusal := layout.refusal) is not None:
        return replace(refusal, instead=f"{refusal.instead}; {belongs}")
    reason = None
    part = layout.part(wanted)
    family = _SAME_VAE.get(architecture, architecture) if wanted is PartKind.VAE else architecture
    if part is None:
        reason = f"it holds no {word}"
    elif wanted not in _SHARED and family not in ("", part.architecture):
        reason = f"it belongs to {FAMILIES.get(part.architecture, part.architecture)}"
    elif wanted is PartKind.DENOISER and variant and part.variant not in ("", variant):
        reason = f"it is drawn with in another way than {variant}"
    elif part.lacks:
        more = f" and {len(part.lacks) - 1} more" if len(part.lacks) > 1 else ""
        reason, belongs = f"it lacks {part.lacks[0]}{more}", f"{FETCH_AGAIN}; {belongs}"
    return None if reason is None else Refusal(what=with_article(layout.title), reason=reason, instead=belongs)


def mismatch(denoiser: Part, encoder: Part) -> Refusal | None:
    """Say why a denoiser cannot read what a text encoder gives; None if it can, or if no header tells."""
    wanted = dict(denoiser.reads).get(encoder.kind, 0)
    if 0 in (wanted, encoder.width) or wanted == encoder.width:
        return None
    word = _word(PartKind.DENOISER, denoiser.architecture)
    return Refusal(
        what=f"a {encoder.kind} of another size",
        reason=f"it gives {encoder.width} numbers where the {word} reads {wanted}",
        instead=f"take the {encoder.kind} that {FAMILIES.get(denoiser.architecture, 'the model')} was trained with",
    )


def _word(kind: PartKind, architecture: str) -> str:
    if kind is PartKind.DENOISER:
        return "UNet" if architecture in ("sd15", "sdxl") else "transformer"
    return str(kind)
