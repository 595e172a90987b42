"""`wrong_place`: whether a file is what belongs in a place, which is another question than what it is."""

from __future__ import annotations

from collections.abc import Mapping
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
    if layout.refusal is not None:
        return layout.refusal
    part = layout.part(wanted)
    belongs = f"put {_with_article(wanted, architecture)} there"
    if part is None:
        return Refusal(
            what=with_article(layout.title), reason=f"it holds no {_word(wanted, architecture)}", instead=belongs
        )
    family = _SAME_VAE.get(architecture, architecture) if wanted is PartKind.VAE else architecture
    if wanted not in _SHARED and family not in ("", part.architecture):
        reason = f"it belongs to {FAMILIES.get(part.architecture, part.architecture)}"
        return Refusal(what=with_article(layout.title), reason=reason, instead=belongs)
    if wanted is PartKind.DENOISER and variant and part.variant not in ("", variant):
        reason = f"it is drawn with in another way than {variant}"
        return Refusal(
            what=with_article(layout.title),
            reason=reason,
            instead=f"put {variant} there, or add it as a model of its own",
        )
    return incomplete(layout, part)


def incomplete(layout: Layout, part: Part) -> Refusal | None:
    """Say what a part lacks; None if it is whole."""
    if not part.lacks:
        return None
    more = f" and {len(part.lacks) - 1} more" if len(part.lacks) > 1 else ""
    return Refusal(what=with_article(layout.title), reason=f"it lacks {part.lacks[0]}{more}", instead=FETCH_AGAIN)


def _word(kind: PartKind, architecture: str) -> str:
    if kind is PartKind.DENOISER:
        return "UNet" if architecture in ("sd15", "sdxl") else "transformer"
    return str(kind)


def _with_article(kind: PartKind, architecture: str) -> str:
    family = FAMILIES.get(architecture, "")
    return f"the {_word(kind, architecture)}{f' of {family}' if family else ''}"
