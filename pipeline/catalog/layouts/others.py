"""Files that are no part of a model that is drawn here, known by names that nothing else has: adapters, ControlNets,
upscalers, and the transformers of other families.

Sources: comfyanonymous/ComfyUI:comfy/model_detection.py, comfy/controlnet.py; kohya-ss/sd-scripts:networks/;
huggingface/peft; XLabs-AI/x-flux; chaiNNer-org/spandrel (upscalers).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from pipeline.catalog.layouts.findings import Finding, refused, with_article

TAKE_KNOWN: Final = "take FLUX.1, FLUX.2 [klein] 4B, Z-Image-Turbo, Stable Diffusion 1.5 or SDXL"
_CHANGES: Final = "it changes a model and is none by itself"
_ADAPTER: Final = f"{_CHANGES}, and adapters of its kind are not used here"
_ADD_LORA: Final = "leave the model's own file in its place, and add the LoRA: imagine-bot models add FILE"
_ITS_MODEL: Final = "take the model that it was made for"
_FAMILY: Final = "its family is not drawn here"
_SHARE: Final = 4  # of its tensors: one in so many belongs to an adapter if a file is one

_LORA: Final = re.compile(
    r"lora_unet_|lora_te\d?_|lora_transformer_|lora_prior_"
    r"|[._]lora[._]?(?:A|B|down|up|embedding_A)\b|\.lora_[AB]\.|\.lora\.(?:down|up)\.|_lora\d?\.(?:down|up)\."
    r"|\.lora_linear_layer\.|\.lora_magnitude_vector|\.dora_scale"
)
_LYCORIS: Final = re.compile(
    r"\.(?:hada_w[12]_[ab]|hada_t[12]|lokr_w[12](?:_[ab])?|lokr_t2|oft_blocks|oft_diag|glora_|a1\.|b1\.|ia3_l\b)"
)
_DIFFERENCE: Final = re.compile(r"\.(?:diff|diff_b|set_weight)\n")


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of file.

    marks: texts that all are among its names, each of which begins and ends with a line end.
    """

    title: str
    reason: str
    instead: str
    marks: tuple[str, ...]


def _adapter(title: str, *marks: str) -> _Kind:
    return _Kind(title, _ADAPTER, _ITS_MODEL, marks)


def _family(title: str, *marks: str) -> _Kind:
    return _Kind(with_article(f"{title} transformer"), _FAMILY, TAKE_KNOWN, marks)


_CONTROL: Final = "it steers a model by a second image, which is not offered here"
# The first that fits counts.
_KINDS: Final[tuple[_Kind, ...]] = (
    *(
        _Kind("a ControlNet", _CONTROL, _ITS_MODEL, (mark,))
        for mark in (
            "input_hint_block.",
            "controlnet_cond_embedding.",
            "controlnet_blocks.",
            "controlnet_down_blocks.",
            "controlnet_x_embedder.",
            "controlnet_mode_embedder.",
            "\ncontrol_model.",
            "\nlllite_",
            "\ncontrolnet_double_blocks.",
            "\ncontrol_layers.",
        )
    ),
    _Kind("a T2I adapter", _CONTROL, _ITS_MODEL, ("\nbody.0.in_conv.",)),
    _Kind("a T2I adapter", _CONTROL, _ITS_MODEL, ("\nadapter.body.",)),
    *(
        _adapter("an IP-Adapter", mark)
        for mark in ("\nimage_proj.", "\nip_adapter.", "ip_adapter_double_stream", "\nip_adapter_proj_model.")
    ),
    _adapter("PuLID", "\npulid_"),
    _adapter("a motion module of AnimateDiff", "motion_modules."),
    _Kind(
        "FLUX.1 Redux [dev]",
        "it turns an image into something like a prompt, which is not offered here",
        "take FLUX.1 [dev]",
        ("redux_up.",),
    ),
    _family("Chroma", "distilled_guidance_layer."),
    _family("HunyuanVideo", "individual_token_refiner"),
    _family("HunyuanVideo", "\ncontext_embedder.token_refiner."),
    _family("Stable Diffusion 3", "joint_blocks."),
    _family("AuraFlow", "\njoint_transformer_blocks."),
    _family("Stable Diffusion 3", "pos_embed.proj.", ".attn.add_q_proj.", "context_embedder."),
    _family("Qwen-Image", ".img_mod.1.", ".txt_mod.1."),
    _family("HiDream", "double_stream_blocks.", "caption_projection."),
    _family("AuraFlow", "double_layers."),
    _family("Wan", "head.modulation"),
    _family("Wan", ".attn2.norm_added_k.", "condition_embedder."),
    _family("Wan", "\nscale_shift_table\n", "condition_embedder."),
    _family("Sana", ".conv_inverted."),
    _family("LTX-Video", "patchify_proj."),
    _family("LTX-Video", "adaln_single.", "proj_in.weight\n", "attn1.norm_q."),
    _family("PixArt", "adaln_single."),
    _family("PixArt", "t_block.1."),
    _family("PixArt", "\ny_embedder.y_embedding"),
    _family("Cosmos", "adaln_modulation_cross_attn."),
    _family("Mochi", "t5_yproj."),
    _family("HunyuanDiT", "mlp_t5.0."),
    _family("Stable Cascade", "clip_txt_mapper."),
    _family("Stable Cascade", "clip_txt_pooled_mapper."),
    _family("Stable Cascade", "\nclip_mapper."),
    _family("Stable Audio", "transformer.rotary_pos_emb.inv_freq"),
    _family("Kolors", "encoder_hid_proj.weight"),
    _family("OmniGen", "llm.layers."),
    _Kind("the VAE of Wan or Qwen-Image", "it goes with them only", TAKE_KNOWN, ("decoder.middle.0.residual.0.gamma",)),
    *(
        _Kind(
            "a tiny autoencoder (TAESD)",
            "it is for previews; whole images need the VAE itself",
            "take ae.safetensors for FLUX.1, or the VAE of the Stable Diffusion model",
            marks,
        )
        for marks in (("encoder.layers.0.", "decoder.layers.0."), ("\n3.conv.0.weight", "\n1.weight"))
    ),
    *(
        _Kind("an upscaler", "it enlarges images and draws none", TAKE_KNOWN, (mark,))
        for mark in (
            "\nmodel.1.sub.0.RDB1.",
            "\nbody.0.rdb1.conv1.",
            "RDB_trunk.0.",
            "residual_group.blocks.0.",
            "\nparams_ema.",
            "\nbody.0.body.0.conv",
        )
    ),
    _Kind("a hypernetwork", _ADAPTER, _ITS_MODEL, ("\nhypernetwork",)),
)


def other_kind(names: Collection[str]) -> Finding | None:
    """Say what a file is if it is of a kind that is never drawn with; None if it may be of use."""
    text = "\n" + "\n".join(names) + "\n"
    if (adapter := _adapter_of(names, text)) is not None:
        return adapter
    for kind in _KINDS:
        if all(mark in text for mark in kind.marks):
            return refused(kind.title, kind.reason, kind.instead)
    return _embedding(names)


def adapter_of(names: Collection[str]) -> Finding | None:
    """Say what a file is if it is a LoRA, or of a kind like it; None if it is something else."""
    return _adapter_of(names, "\n" + "\n".join(names) + "\n")


def _adapter_of(names: Collection[str], text: str) -> Finding | None:
    if ".qweight\n" in text:  # weights in 4 bits, which have a low-rank part beside them
        return None
    for title, pattern in (("LoRA", _LORA), ("LyCORIS adapter", _LYCORIS), ("LoRA with full differences", _DIFFERENCE)):
        if len(pattern.findall(text)) * _SHARE >= len(names) > 0:
            told = (_CHANGES, _ADD_LORA) if title == "LoRA" else (_ADAPTER, _ITS_MODEL)
            return refused(f"a {title} for {_family_of(text)}", *told)
    return None


def _family_of(text: str) -> str:
    """Which family an adapter is for."""
    for title, marks in (
        ("FLUX.1", ("double_blocks", "single_transformer_blocks", "single_blocks")),
        ("SDXL", ("lora_te2_", "lora_te1_", "text_encoder_2.", "add_embedding", "label_emb", "input_blocks_4_1_")),
        ("Stable Diffusion", ("lora_te_", "lora_unet_", "down_blocks", "input_blocks")),
    ):
        if any(mark in text for mark in marks):
            return title
    return "some model"


def _embedding(names: Collection[str]) -> Finding | None:
    """A textual inversion: a handful of vectors for one word."""
    is_one = bool(names) and all(
        name in ("emb_params", "clip_l", "clip_g", "t5", "t5xxl") or name.startswith(("string_to_param", "<"))
        for name in names
    )
    if not is_one:
        return None
    return refused("a textual-inversion embedding", "it is one word for a model and no model", _ITS_MODEL)
