"""How DiffSynth recognises the demo's files: entries for its table of checkpoints. Plain data, no torch.

`model_hash` is DiffSynth's `hash_model_file`: an md5 over names and shapes, so new weights of the same sizes
keep it. A test compares these with the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_CONVERTERS: Final = "diffsynth.utils.state_dict_converters"

LAYOUTS: Final[tuple[Mapping[str, Any], ...]] = (
    {
        "model_hash": "baf6b079d7a08effec6ed2fe0de7e447",
        "model_name": "flux_dit",
        "model_class": "pipeline.demo.model.SmallDiT",
        "extra_kwargs": {"trained_patches": 16},  # 256 px
    },
    {
        "model_hash": "6c77cad23644b46cf1aa1baef881c5ce",
        "model_name": "flux_text_encoder_t5",
        "model_class": "pipeline.demo.model.SmallT5",
        "state_dict_converter": f"{_CONVERTERS}.flux_text_encoder_t5.FluxTextEncoderT5StateDictConverter",
    },
    {
        "model_hash": "9dc46761a0f57e1f93966477824bb4cd",
        "model_name": "flux_text_encoder_clip",
        "model_class": "pipeline.demo.model.SmallClip",
    },
    {
        "model_hash": "d1524d16ac885de30abde463894f8e46",
        "model_name": "flux_vae_decoder",
        "model_class": "pipeline.demo.model.SmallVAEDecoder",
        "state_dict_converter": "pipeline.demo.layouts.decoder_weights",
    },
    {
        "model_hash": "d1524d16ac885de30abde463894f8e46",
        "model_name": "flux_vae_encoder",
        "model_class": "pipeline.demo.model.SmallVAEEncoder",
        "state_dict_converter": "pipeline.demo.layouts.encoder_weights",
    },
)


def decoder_weights(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Pick the decoder's tensors out of the VAE's file."""
    return _below("decoder.", weights)


def encoder_weights(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Pick the encoder's tensors out of the VAE's file."""
    return _below("encoder.", weights)


def _below(prefix: str, weights: Mapping[str, Any]) -> dict[str, Any]:
    # DiffSynth hands over a lazy map whose iteration gives names only; reading a value loads it.
    return {name.removeprefix(prefix): weights[name] for name in weights if name.startswith(prefix)}
