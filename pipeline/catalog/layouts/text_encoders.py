"""Text encoders: T5, CLIP-L, CLIP-G and Qwen3, in the spellings that people have on disk.

Sources: huggingface/transformers (T5EncoderModel, CLIPTextModel); mlfoundations/open_clip;
ggml-org/llama.cpp:gguf-py/gguf/tensor_mapping.py;
modelscope/DiffSynth-Studio:diffsynth/models/flux_text_encoder_clip.py.
"""

from __future__ import annotations

from typing import Final

from pipeline.catalog.layouts.findings import Finding
from pipeline.catalog.layouts.templates import Template
from pipeline.catalog.layouts.tensors import Tensors
from pipeline.catalog.parts import Naming, PartKind

T5: Final = Template(
    rest=(
        "shared.weight|encoder.embed_tokens.weight",
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        "encoder.final_layer_norm.weight",
    ),
    blocks=(
        (
            "encoder.block.#.",
            (
                *(f"layer.0.SelfAttention.{each}.weight" for each in "qkvo"),
                "layer.0.layer_norm.weight",
                *(f"layer.1.DenseReluDense.{each}.weight" for each in ("wi_0", "wi_1", "wo")),
                "layer.1.layer_norm.weight",
            ),
        ),
    ),
    needs=("encoder.block.#.",),
)
CLIP: Final = Template(
    rest=(
        "text_model.embeddings.token_embedding.weight",
        "text_model.embeddings.position_embedding.weight",
        "text_model.final_layer_norm",
    ),
    blocks=(
        (
            "text_model.encoder.layers.#.",
            (
                *(f"self_attn.{each}_proj" for each in ("q", "k", "v", "out")),
                "layer_norm1",
                "layer_norm2",
                "mlp.fc1",
                "mlp.fc2",
            ),
        ),
    ),
    needs=("text_model.encoder.layers.#.",),
)
CLIP_DIFFSYNTH: Final = Template(
    rest=("token_embedding.weight", "=position_embeds", "final_layer_norm"),
    blocks=(
        (
            "encoders.#.",
            (
                *(f"attn.to_{each}" for each in ("q", "k", "v", "out")),
                "layer_norm1",
                "layer_norm2",
                "fc1",
                "fc2",
            ),
        ),
    ),
    needs=("encoders.#.",),
)


def read_t5(tensors: Tensors, _hints: str) -> Finding:
    """T5's encoder; its decoder, if there is one, is not looked at."""
    return Finding(
        title="T5 text encoder",
        kind=PartKind.T5,
        architecture="flux",
        naming=Naming.TRANSFORMERS,
        lacks=T5.lacks(tensors.names),
    )


def read_clip(tensors: Tensors, _hints: str) -> Finding:
    """A CLIP text encoder under transformers' names."""
    return Finding(
        title="CLIP-L text encoder",
        kind=PartKind.CLIP_L,
        architecture="sd15",
        naming=Naming.TRANSFORMERS,
        lacks=CLIP.lacks(tensors.names),
    )


def read_clip_diffsynth(tensors: Tensors, _hints: str) -> Finding:
    """The demo's CLIP."""
    return Finding(
        title="demo CLIP text encoder",
        kind=PartKind.CLIP_L,
        architecture="flux",
        variant="demo",
        naming=Naming.DIFFSYNTH,
        lacks=CLIP_DIFFSYNTH.lacks(tensors.names),
    )
