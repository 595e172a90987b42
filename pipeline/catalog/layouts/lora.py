"""What a LoRA is, read from its head alone: who named its tensors, which family it was made for, its rank, its words.

A LoRA is taken whole or not at all, so whatever the side branch of a layer could not compute is refused here: LoHa,
LoKr, DoRA, changed biases, weights that are replaced. Says nothing of where its layers are in a model. No torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

from pipeline.catalog.headers import Container, Header, NotWeights, Stamp, header_of, stamp_of
from pipeline.catalog.headers.strangers import parts_beside
from pipeline.catalog.layouts.lora_bases import IN_NOTES_OF_FLUX, TITLES, base_of
from pipeline.catalog.layouts.lora_factors import Role, factor_of
from pipeline.catalog.layouts.lora_words import title_in, triggers_in
from pipeline.catalog.layouts.others import adapter_of
from pipeline.catalog.lora_card import KeyStyle
from pipeline.catalog.parts import Refusal

MOST_BYTES: Final = 4 * 2**30  # the largest in use, for FLUX.1 in float32, have 1.4 GB
MOST_RANK: Final = 512
_MOST_KEPT: Final = 1024
_FLOATS: Final = frozenset({"F16", "BF16", "F32", "F64"})
_KOHYA: Final = re.compile(r"lora_(?:unet|transformer|te\d?)_")
_COMFYUI: Final = re.compile(r"(?:model\.)?diffusion_model\.|text_encoders\.")
_DIFFUSERS: Final = re.compile(
    r"(?:base_model\.model\.)?(?:transformer|unet|text_encoder(?:_2)?)\.|base_model\.model\."
)
_OTHERS: Final = (  # by what is among the names: which kind of adapter it is
    (re.compile(r"\.hada_"), "a LoHa"),
    (re.compile(r"\.lokr_"), "a LoKr"),
    (re.compile(r"\.(?:oft_|glora_|a1\.|b1\.)"), "a LyCORIS adapter"),
    (re.compile(r"dora_scale|lora_magnitude_vector"), "a DoRA"),
    (re.compile(r"\.(?:diff|diff_b|set_weight)(?:\n|$)"), "a LoRA that replaces weights as well"),
    (re.compile(r"\.lora_[AB](?:\.default)?\.bias|\.lora_(?:down|up)\.bias"), "a LoRA that changes biases as well"),
    (re.compile(r"\.lora_mid\.weight"), "a LoRA of convolutions in three factors"),
    (re.compile(r"\.(?:ia3_l|on_input)(?:\.|\n|$)"), "an IA3"),
    (re.compile(r"\.lora_embedding_|(?:^|\n)bundle_emb\."), "a LoRA that brings words of its own as well"),
)
_WHOLE: Final = "only low-rank factors of linear and convolutional layers can be added, and never a part of a file"
_TAKE_PLAIN: Final = "take a plain LoRA of it, if its author offers one"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraHead:
    """What the head of a LoRA says.

    base: `Architecture.name` of the models that it was made for.
    rank: the largest of its ranks.
    title: as its author wrote it; "" if nobody did.
    triggers: words that call what it was trained on, as far as its notes tell.
    """

    base: str
    style: KeyStyle
    rank: int
    title: str = ""
    triggers: tuple[str, ...] = ()

    @property
    def base_title(self) -> str:
        """The family that it was made for, for people."""
        return TITLES[self.base]


@dataclass(slots=True)
class _Layer:
    """The factors of one layer: shapes, outermost first."""

    down: tuple[int, ...] = ()
    up: tuple[int, ...] = ()
    names: list[str] = field(default_factory=list)
    is_xlabs: bool = False


def lora_of(path: Path) -> LoraHead | Refusal | None:
    """Say what a file is as a LoRA. Milliseconds; kept until the file's size or time changes.

    Returns:
        A refusal if it cannot be drawn with or is no file of weights; None if it is one, but of something else.
    """
    try:
        stamp = stamp_of(path)
        if parts := parts_beside(path):
            reason = f"{parts[0].name} lies beside it"
            instead = "wait for it; delete that if it is left over"
            return Refusal(what="a file that is still being downloaded", reason=reason, instead=instead)
        return _read(path, stamp)
    except NotWeights as error:
        return error.refusal


@lru_cache(maxsize=_MOST_KEPT)
def _read(path: Path, stamp: Stamp) -> LoraHead | Refusal | None:
    """Raises NotWeights, which is not kept."""
    header = header_of(path)
    if adapter_of(header.tensors) is None:
        return None
    if header.container is not Container.SAFETENSORS:
        return _refused("a LoRA in a GGUF file", "its factors are no plain numbers", "take its .safetensors file")
    if stamp[0] > MOST_BYTES:
        reason = f"it has {stamp[0] / 1e9:.1f} GB, and at most {MOST_BYTES / 1e9:.1f} GB are read"
        return _refused("a LoRA that is too large", reason, "take one of a lower rank")
    if (other := _other_kind(header)) is not None:
        return other
    layers = _layers_of(header)
    return layers if isinstance(layers, Refusal) else _recognised(header, layers)


def _other_kind(header: Header) -> Refusal | None:
    text = "\n".join(header.tensors)
    what = next((what for pattern, what in _OTHERS if pattern.search(text)), None)
    return None if what is None else _refused(what, _WHOLE, _TAKE_PLAIN)


def _layers_of(header: Header) -> dict[str, _Layer] | Refusal:
    """The factors of every layer, by the layer's name in the file."""
    layers: dict[str, _Layer] = {}
    alphas = []
    for name, tensor in header.tensors.items():
        if (found := factor_of(name)) is not None and found.role is Role.ALPHA:
            alphas.append(found.layer)
            continue
        if found is None:
            return _refused("a LoRA with tensors of other kinds", f"{name[:80]} is none of its factors", _TAKE_PLAIN)
        if tensor.dtype not in _FLOATS:
            return _refused(f"a LoRA in {tensor.dtype}", "its factors are no plain numbers", _TAKE_PLAIN)
        layer = layers.setdefault(found.layer, _Layer())
        layer.names.append(name)
        layer.is_xlabs = found.is_xlabs
        if found.role is Role.DOWN:
            layer.down = tensor.shape
        else:
            layer.up = tensor.shape
    if loose := [name for name in alphas if name not in layers]:
        return _broken(f"{loose[0][:80]} has no factors")
    for name, layer in layers.items():
        if flaw := _flaw_of(layer):
            return _broken(f"{name[:80]} {flaw}")
    return layers


def _flaw_of(layer: _Layer) -> str:
    """Why the factors of a layer make no sense, as in "lacks one of them"; "" if they do."""
    if len(layer.names) != 2 or not layer.down or not layer.up:
        return "has not the two factors that a layer needs"
    if len(layer.down) not in (2, 4) or len(layer.down) != len(layer.up) or not all((*layer.down, *layer.up)):
        return "has factors that are no matrices"
    if layer.down[0] != layer.up[1]:
        return f"has factors of rank {layer.down[0]} and {layer.up[1]}"
    if layer.down[0] > MOST_RANK:
        return f"has rank {layer.down[0]}, and at most {MOST_RANK} is computed with"
    return ""


def _recognised(header: Header, layers: Mapping[str, _Layer]) -> LoraHead | Refusal:
    styles = {_style_of(name) for name in layers}
    if len(styles) > 1:
        return _broken("its layers are named in more than one way")
    shapes = {plain_name(name): (layer.down[1], layer.up[0]) for name, layer in layers.items()}
    if len(shapes) < len(layers):
        return _broken("it names a layer twice")
    is_xlabs = any(layer.is_xlabs for layer in layers.values())
    base = base_of(shapes, {**header.metadata, **IN_NOTES_OF_FLUX} if is_xlabs else header.metadata)
    if isinstance(base, Refusal):
        return base
    return LoraHead(
        base=base,
        style=styles.pop(),
        rank=max(layer.down[0] for layer in layers.values()),
        title=title_in(header.metadata),
        triggers=triggers_in(header.metadata),
    )


def plain_name(layer: str) -> str:
    """The name of a layer with underscores for dots, as kohya writes it, without what says whose model it is.

    Text encoders begin with `te_`, `te1_` or `te2_`.
    """
    if (kohya := _KOHYA.match(layer)) is not None:
        kind = kohya[0].removeprefix("lora_")
        return (kind if kind.startswith("te") else "") + layer[kohya.end() :]
    for pattern, plain in (
        (r"(?:base_model\.model\.)?text_encoder_2\.|text_encoders\.clip_g\.(?:transformer\.)?", "te2_"),
        (r"(?:base_model\.model\.)?text_encoder\.|text_encoders\.clip_l\.(?:transformer\.)?", "te1_"),
        (r"text_encoders\.\w+\.(?:transformer\.)?", "te3_"),
        (rf"(?:{_COMFYUI.pattern}|{_DIFFUSERS.pattern})", ""),
    ):
        if (found := re.match(pattern, layer)) is not None:
            return plain + layer[found.end() :].replace(".", "_")
    return layer.replace(".", "_")


def _style_of(layer: str) -> KeyStyle:
    if _KOHYA.match(layer):
        return KeyStyle.KOHYA
    if _COMFYUI.match(layer):
        return KeyStyle.COMFYUI
    if _DIFFUSERS.match(layer):
        return KeyStyle.DIFFUSERS
    is_original = layer.startswith(("double_blocks.", "single_blocks.", "layers.", "input_blocks.", "output_blocks."))
    return KeyStyle.COMFYUI if is_original else KeyStyle.DIFFUSERS


def _broken(reason: str) -> Refusal:
    return _refused("a LoRA that is not whole", reason, "fetch it again, or take another version of it")


def _refused(what: str, reason: str, instead: str) -> Refusal:
    return Refusal(what=what, reason=reason, instead=instead)
