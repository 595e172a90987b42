"""Cuts the tensors of a file into parts, by names that only one kind of part has; whatever stands before them is its
prefix, so that `model.diffusion_model.`, `vae.` and prefixes that nobody has thought of yet all work.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pipeline.catalog.headers import Header
from pipeline.catalog.layouts import flux, stable_diffusion, text_encoders, vae, z_image
from pipeline.catalog.layouts.findings import Finding
from pipeline.catalog.layouts.tensors import Stored, Tensors

Reader = Callable[[Tensors, str], Finding]
# What begins the names of a part, and who reads it. The first that fits, counted from the left of a name.
_READERS: Final[Mapping[str, tuple[str, Reader]]] = {
    "flux_original": (r"double_blocks\.\d", flux.read_original),
    "flux_diffsynth": (r"blocks\.\d+\.(?:attn\.[ab]_to_|norm1_[ab]\.)", flux.read_diffsynth),
    "transformer": (r"(?:single_)?transformer_blocks\.\d", flux.read_diffusers),
    "z_image": (r"(?:noise|context)_refiner\.\d", z_image.read_z_image),
    "unet_original": (r"(?:input_blocks|output_blocks|middle_block)\.\d", stable_diffusion.read_original),
    "unet_diffusers": (r"(?:(?:down|up)_blocks\.\d|mid_block\.)", stable_diffusion.read_diffusers),
    "t5": (r"encoder\.block\.\d", text_encoders.read_t5),
    "t5_llama_cpp": (r"enc\.blk\.\d", text_encoders.read_t5_llama_cpp),
    "clip": (
        r"text_model\.(?:encoder|embeddings|final_layer_norm)\.|encoder\.layers\.\d+\.self_attn|embeddings\.token_emb",
        text_encoders.read_clip,
    ),
    "open_clip": (r"transformer\.resblocks\.\d", text_encoders.read_open_clip),
    "clip_diffsynth": (r"encoders\.\d+\.(?:attn\.to_|layer_norm1|fc1)", text_encoders.read_clip_diffsynth),
    "vision": (r"(?:vision_model|visual)\.", text_encoders.read_vision),
    "language": (r"(?:model\.layers\.\d+\.self_attn|blk\.\d+\.attn_)", text_encoders.read_language_model),
    "vae_original": (r"(?:encoder|decoder)\.(?:down|up|mid)\.", vae.read_original),
    "vae_diffusers": (r"(?:encoder|decoder)\.(?:(?:down|up)_blocks|mid_block)\.", vae.read_diffusers),
    "vae_diffsynth": (r"(?:encoder|decoder)\.blocks\.\d+\.conv", vae.read_diffsynth),
}
_ANCHOR: Final = re.compile(
    r"(?P<prefix>(?:[^.]+\.){0,8}?)(?:"
    + "|".join(f"(?P<{name}>{anchor})" for name, (anchor, _) in _READERS.items())
    + ")"
)


def sections_of(headers: Sequence[Header]) -> list[tuple[Reader, Tensors]]:
    """The parts that are in files that belong together, with who reads each."""
    stored = {name: Stored(info, header.path) for header in headers for name, info in header.tensors.items()}
    readers: dict[tuple[str, str], Reader] = {}
    for name in stored:
        if (match := _ANCHOR.match(name)) is not None and match.lastgroup is not None:
            readers.setdefault((match["prefix"], match.lastgroup), _READERS[match.lastgroup][1])
    prefixes = sorted({prefix for prefix, _ in readers}, key=len, reverse=True)
    contents: dict[str, dict[str, Stored]] = {prefix: {} for prefix in prefixes}
    for name, each in stored.items():
        prefix = next((prefix for prefix in prefixes if name.startswith(prefix)), None)
        if prefix is not None:
            contents[prefix][name.removeprefix(prefix)] = each
    return [
        (reader, Tensors(prefix, contents[prefix], headers)) for (prefix, _), reader in sorted(readers.items(), key=str)
    ]
