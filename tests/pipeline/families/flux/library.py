"""A FLUX.1 model of DiffSynth's own making: its converters, its pipeline, transformers' tokenizers.

Its modules have the sizes of the tensors, which is all that is ours in them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffsynth.pipelines.flux_image import FluxImagePipeline
from diffsynth.utils.state_dict_converters.flux_dit import FluxDiTStateDictConverter
from diffsynth.utils.state_dict_converters.flux_text_encoder_clip import FluxTextEncoderClipStateDictConverter
from diffsynth.utils.state_dict_converters.flux_text_encoder_t5 import FluxTextEncoderT5StateDictConverter
from diffsynth.utils.state_dict_converters.flux_vae import (
    FluxVAEDecoderStateDictConverter,
    FluxVAEEncoderStateDictConverter,
)
from safetensors.torch import load_file
from torch import Tensor

from pipeline.catalog import files
from pipeline.catalog.model_card import ModelCard
from pipeline.families.flux.sized import FLUX_MODULES

CONVERTERS: Mapping[str, Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]] = {
    "dit": FluxDiTStateDictConverter,
    "clip": FluxTextEncoderClipStateDictConverter,
    "t5": FluxTextEncoderT5StateDictConverter,
    "vae_decoder": FluxVAEDecoderStateDictConverter,
    "vae_encoder": FluxVAEEncoderStateDictConverter,
}


def library_module(name: str, paths: Sequence[Path]) -> Any:
    """A component, or a half of the VAE, from the files that Black Forest Labs published, in float32."""
    read = {tensor_name: tensor.float() for path in paths for tensor_name, tensor in load_file(path).items()}
    tensors = CONVERTERS[name](read)
    module = getattr(FLUX_MODULES, name)({each: tensor.shape for each, tensor in tensors.items()})
    module.load_state_dict(tensors)
    return module.eval().requires_grad_(False)


def library_pipeline(card: ModelCard, models_dir: Path) -> FluxImagePipeline:
    """All of them, on the CPU."""
    from transformers import CLIPTokenizer, T5TokenizerFast

    pipe = FluxImagePipeline(torch_dtype=torch.float32, device="cpu")
    for attribute, name in (
        ("dit", "dit"),
        ("text_encoder_1", "clip"),
        ("text_encoder_2", "t5"),
        ("vae_decoder", "vae_decoder"),
        ("vae_encoder", "vae_encoder"),
    ):
        paths = files.weights_of(card.files[name.partition("_")[0]], models_dir)
        setattr(pipe, attribute, library_module(name, paths))
    folders = [files.path_of(card.files[name], models_dir) for name in ("tokenizer_1", "tokenizer_2")]
    pipe.tokenizer_1 = CLIPTokenizer.from_pretrained(folders[0])
    pipe.tokenizer_2 = T5TokenizerFast.from_pretrained(folders[1])
    return pipe
