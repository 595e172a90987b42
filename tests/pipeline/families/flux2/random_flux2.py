"""A miniature of FLUX.2 [klein]: random weights in DiffSynth's own classes, written as the files that people have."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffsynth.models.flux2_dit import Flux2DiT
from diffsynth.models.flux2_vae import Flux2VAE
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from torch import Tensor

from pipeline.catalog.model_card import ModelCard, ModelFile
from pipeline.families.flux2.cards import FLUX2_KLEIN_4B
from pipeline.spec import Aspect
from tests.pipeline.families.random_qwen3 import WIDTH, llama_cpp_tensors, miniature_qwen3, tensors_of
from tests.pipeline.miniature_storage import write_gguf, write_safetensors

READ_LAYERS = 27
VAE_WIDTHS = (32, 32, 32, 64)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")
# What Qwen3's own template does with one message of a person.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Miniature:
    """A card whose files are nowhere yet, and DiffSynth's modules of its components."""

    card: ModelCard
    dit: Any
    vae: Any
    qwen3: Any


def make_miniature() -> Miniature:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        dit = Flux2DiT(
            num_layers=2,
            num_single_layers=3,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=3 * WIDTH,
            axes_dims_rope=(4, 4, 4, 4),
            guidance_embeds=False,
        )
        vae = Flux2VAE(block_out_channels=VAE_WIDTHS, layers_per_block=1)
        qwen3 = miniature_qwen3(num_hidden_layers=READ_LAYERS + 1)
        torch.manual_seed(3)
        with torch.no_grad():
            for name, parameter in (*dit.named_parameters(), *vae.named_parameters()):
                if name.endswith("running_var"):
                    parameter.copy_(0.5 + torch.rand_like(parameter))
                elif parameter.dim() == 1:  # ones and zeros would not show a tensor in the wrong place
                    parameter.add_(0.1 * torch.randn_like(parameter))
    for module in (dit, vae):
        module.eval().requires_grad_(False)
    return Miniature(card=small(), dit=dit, vae=vae, qwen3=qwen3)


def small() -> ModelCard:
    sizes = {Aspect.SQUARE: (64, 64), Aspect.WIDE: (96, 64), Aspect.PORTRAIT: (64, 96)}
    return replace(FLUX2_KLEIN_4B, sizes=sizes, bounds=replace(FLUX2_KLEIN_4B.bounds, min_side=32))


def write_tokenizer(folder: Path) -> None:
    """One token for each byte, and the special ones."""
    letters = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(BPE(vocab=letters, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens([AddedToken(each, special=True) for each in SPECIAL])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": SPECIAL[0], "chat_template": CHAT_TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def write_folder(miniature: Miniature, models_dir: Path) -> ModelCard:
    """As it is published, in the folders of diffusers."""
    home = models_dir / str(miniature.card.files["dit"].repo)
    write_safetensors(home / "transformer/diffusion_pytorch_model.safetensors", miniature.dit.state_dict())
    write_safetensors(home / "vae/diffusion_pytorch_model.safetensors", miniature.vae.state_dict())
    write_safetensors(home / "text_encoder/model.safetensors", tensors_of(miniature.qwen3))
    write_tokenizer(home / "tokenizer")
    return miniature.card


def write_comfy(
    miniature: Miniature, folder: Path, *, gguf_type: str = "", dit: Mapping[str, Tensor] | None = None
) -> ModelCard:
    """As ComfyUI's folders have it: a file each, in Black Forest Labs' names; or GGUF files.

    Args:
        dit: the tensors of the transformer, if they are kept in another way.
    """
    tensors = original_transformer(miniature.dit.state_dict()) if dit is None else dit
    if gguf_type:
        paths = {
            "dit": write_gguf(folder / "flux-2-klein-4b.gguf", tensors, gguf_type),
            "qwen3": write_gguf(folder / "qwen3-4b.gguf", llama_cpp_tensors(miniature.qwen3), gguf_type, "qwen3"),
        }
    else:
        paths = {
            "dit": write_safetensors(folder / "flux-2-klein-4b.safetensors", tensors),
            "qwen3": write_safetensors(folder / "qwen_3_4b.safetensors", tensors_of(miniature.qwen3)),
        }
    paths["vae"] = write_safetensors(folder / "flux2-vae.safetensors", original_vae(miniature.vae.state_dict()))
    write_tokenizer(folder / "tokenizer")
    files = {name: ModelFile(path=path.name, place=path) for name, path in paths.items()}
    tokenizer = replace(miniature.card.files["tokenizer"], place=folder / "tokenizer")
    return replace(miniature.card, files={**files, "tokenizer": tokenizer})


def original_transformer(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """diffusers' names → Black Forest Labs'; queries, keys and values as one, the last modulation shift first."""
    words = {
        "x_embedder": "img_in", "context_embedder": "txt_in", "proj_out": "final_layer.linear",
        "time_guidance_embed.timestep_embedder.linear_1": "time_in.in_layer",
        "time_guidance_embed.timestep_embedder.linear_2": "time_in.out_layer",
        "attn.norm_q": "img_attn.norm.query_norm", "attn.norm_k": "img_attn.norm.key_norm",
        "attn.norm_added_q": "txt_attn.norm.query_norm", "attn.norm_added_k": "txt_attn.norm.key_norm",
        "attn.to_out.0": "img_attn.proj", "attn.to_add_out": "txt_attn.proj",
        "ff.linear_in": "img_mlp.0", "ff.linear_out": "img_mlp.2",
        "ff_context.linear_in": "txt_mlp.0", "ff_context.linear_out": "txt_mlp.2",
    }  # fmt: skip
    single = {
        "attn.norm_q": "norm.query_norm", "attn.norm_k": "norm.key_norm",
        "attn.to_qkv_mlp_proj": "linear1", "attn.to_out": "linear2",
    }  # fmt: skip
    joined = {"attn.to_q": "img", "attn.add_q_proj": "txt"}
    made = {}
    for name, value in tensors.items():
        owner = name.removesuffix(".weight")
        block = re.fullmatch(r"(single_)?transformer_blocks\.(\d+)\.(.+)", owner)
        if block is None:
            ours = owner.removesuffix("ear") if "modulation" in owner else words.get(owner, owner)
            if owner == "norm_out.linear":
                ours, value = "final_layer.adaLN_modulation.1", torch.cat(value.chunk(2)[::-1])
            made[f"{ours}.weight"] = value
            continue
        inner = block[3]
        if block[1]:
            end = "scale" if "norm" in inner else "weight"
            made[f"single_blocks.{block[2]}.{single[inner]}.{end}"] = value
        elif inner in joined:
            pieces = [tensors[f"transformer_blocks.{block[2]}.{inner.replace('q', each)}.weight"] for each in "qkv"]
            made[f"double_blocks.{block[2]}.{joined[inner]}_attn.qkv.weight"] = torch.cat(pieces)
        elif inner in words:
            end = "scale" if "norm" in inner else "weight"
            made[f"double_blocks.{block[2]}.{words[inner]}.{end}"] = value
    return made


def original_vae(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """diffusers' names → Black Forest Labs'; attention's products as convolutions."""
    words = (
        ("mid_block.resnets.0.", "mid.block_1."), ("mid_block.resnets.1.", "mid.block_2."),
        ("mid_block.attentions.0.", "mid.attn_1."), ("group_norm.", "norm."), ("to_q.", "q."), ("to_k.", "k."),
        ("to_v.", "v."), ("to_out.0.", "proj_out."), ("downsamplers.0.", "downsample."), ("upsamplers.0.", "upsample."),
        ("resnets.", "block."), ("down_blocks.", "down."), ("conv_shortcut.", "nin_shortcut."),
        ("conv_norm_out.", "norm_out."),
    )  # fmt: skip
    made = {}
    for name, value in tensors.items():
        new = re.sub(r"up_blocks\.(\d+)\.", lambda found: f"up.{len(VAE_WIDTHS) - 1 - int(found[1])}.", name)
        for old, word in words:
            new = new.replace(old, word)
        new = re.sub(r"^quant_conv", "encoder.quant_conv", re.sub(r"^post_quant_conv", "decoder.post_quant_conv", new))
        made[new] = value[:, :, None, None] if "attn_1" in new and value.dim() == 2 else value
    return made
