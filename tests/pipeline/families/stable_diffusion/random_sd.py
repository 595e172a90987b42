"""Miniatures of SD 1.5 and SDXL: random weights in DiffSynth's own classes, written as the files that people have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffsynth.models.stable_diffusion_text_encoder import SDTextEncoder
from diffsynth.models.stable_diffusion_unet import UNet2DConditionModel
from diffsynth.models.stable_diffusion_vae import StableDiffusionVAE
from diffsynth.models.stable_diffusion_xl_text_encoder import SDXLTextEncoder2
from diffsynth.models.stable_diffusion_xl_unet import SDXLUNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn

from pipeline.catalog.model_card import ModelCard, ModelFile
from pipeline.families.stable_diffusion.cards import SD15, SDXL
from pipeline.spec import Aspect

WORDS = 49408  # of the tokenizer that ships
CLIP = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 1,
    "vocab_size": WORDS,
}
SD15_WIDTHS = (32, 64, 64, 64)
SDXL_WIDTHS = (32, 64, 128)
VAE_WIDTHS = (32, 32, 64, 64)
FOLDERS = {"unet": "unet", "clip_l": "text_encoder", "clip_g": "text_encoder_2", "vae": "vae"}
PREFIXES = {
    "sd15": {"unet": "model.diffusion_model.", "clip_l": "cond_stage_model.transformer.", "vae": "first_stage_model."},
    "sdxl": {
        "unet": "model.diffusion_model.",
        "clip_l": "conditioner.embedders.0.transformer.",
        "clip_g": "conditioner.embedders.1.model.",
        "vae": "first_stage_model.",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Miniature:
    """A card whose files are nowhere yet, and DiffSynth's modules of its components."""

    card: ModelCard
    modules: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.card.architecture.name

    def tensors(self, component: str) -> dict[str, Tensor]:
        """As diffusers and transformers name them."""
        tensors = self.modules[component].state_dict()
        return {name.removeprefix("model."): value.contiguous() for name, value in tensors.items()}


def sd15_unet() -> nn.Module:
    unet: nn.Module = UNet2DConditionModel(block_out_channels=SD15_WIDTHS, cross_attention_dim=64)
    return unet


def sdxl_unet() -> nn.Module:
    unet: nn.Module = SDXLUNet2DConditionModel(
        block_out_channels=SDXL_WIDTHS,
        attention_head_dim=[1, 1, 2],
        transformer_layers_per_block=[1, 1, 2],
        cross_attention_dim=128,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 64,
    )
    return unet


def small_vae() -> nn.Module:
    vae: nn.Module = StableDiffusionVAE(block_out_channels=VAE_WIDTHS)
    return vae


def make_sd15(seed: int = 1) -> Miniature:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        modules = {"unet": sd15_unet(), "clip_l": SDTextEncoder(**CLIP), "vae": small_vae()}
    return Miniature(card=small(SD15), modules=varied(modules))


def make_sdxl(seed: int = 2) -> Miniature:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        modules = {
            "unet": sdxl_unet(),
            "clip_l": SDTextEncoder(**CLIP),
            "clip_g": SDXLTextEncoder2(**CLIP, projection_dim=64),
            "vae": small_vae(),
        }
        modules["vae"].scaling_factor = 0.13025
    return Miniature(card=small(SDXL), modules=varied(modules))


def varied(modules: Mapping[str, nn.Module]) -> Mapping[str, nn.Module]:
    """Norms and biases that are no ones and zeros, or a tensor in the wrong place would change nothing."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(3)
        for module in modules.values():
            module.eval().requires_grad_(False)
            for parameter in module.parameters():
                if parameter.dim() == 1:
                    parameter.add_(0.1 * torch.randn_like(parameter))
    return modules


def small(card: ModelCard) -> ModelCard:
    sizes = {Aspect.SQUARE: (128, 128), Aspect.WIDE: (192, 128)}
    bounds = replace(card.bounds, min_side=64)
    return replace(
        card, sizes=sizes, scales={next(iter(card.scales)): 0.75, **dict([*card.scales.items()][1:])}, bounds=bounds
    )


def write_folder(miniature: Miniature, folder: Path) -> ModelCard:
    """As `save_pretrained` of diffusers does, but for its configs, which hold nothing that shapes do not tell."""
    paths = {}
    for component in miniature.modules:
        name = "diffusion_pytorch_model" if component in ("unet", "vae") else "model"
        paths[component] = f"{FOLDERS[component]}/{name}.safetensors"
        path = folder / "test" / "folder" / paths[component]
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(miniature.tensors(component), path)
    return with_files(miniature.card, "test/folder", paths)


def write_single_file(miniature: Miniature, folder: Path, *, dtype: torch.dtype = torch.float32) -> ModelCard:
    """As Stability and CompVis published their models, with what else is in their files."""
    prefixes = PREFIXES[miniature.name]
    tensors: dict[str, Tensor] = {"model_ema.decay": torch.ones(()), "betas": torch.ones(1000)}
    for component, prefix in prefixes.items():
        for name, value in original(component, miniature).items():
            tensors[prefix + name] = value.to(dtype) if value.is_floating_point() else value
    path = folder / "test" / "single" / "model.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)
    return with_files(miniature.card, "test/single", dict.fromkeys(prefixes, path.name))


def with_files(card: ModelCard, repo: str, paths: Mapping[str, str]) -> ModelCard:
    files = {name: ModelFile(repo=repo, path=path) for name, path in paths.items()}
    return replace(card, files={**card.files, **files})


def original(component: str, miniature: Miniature) -> dict[str, Tensor]:
    """The tensors of a component in the names of those who published it."""
    tensors = miniature.tensors(component)
    if component == "unet":
        return {original_unet_name(name, miniature.modules["unet"]): value for name, value in tensors.items()}
    if component == "vae":
        return original_vae(tensors)
    if component == "clip_l":
        return tensors | {"text_model.embeddings.position_ids": torch.arange(77)[None]}
    return open_clip(tensors)


def original_unet_name(name: str, unet: Any) -> str:
    """`down_blocks.1.resnets.0.norm1.weight` → `input_blocks.4.0.in_layers.0.weight`."""
    per_level = len(unet.down_blocks[0].resnets)
    words = {
        "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
        "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
    }  # fmt: skip
    ends = {
        "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
        "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
        "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
    }  # fmt: skip
    start, _, end = name.rpartition(".")
    if start in ends:
        return f"{ends[start]}.{end}"
    found = re.fullmatch(r"(down|mid|up)_blocks?(?:\.(\d+))?\.(\w+)\.(\d+)\.(.+)", name)
    assert found is not None, name
    side, kind, number, inside = found[1], found[3], int(found[4]), found[5]
    level = int(found[2] or 0)
    if kind == "resnets":
        start, _, end = inside.rpartition(".")
        inside = f"{words[start]}.{end}"
    if side == "mid":
        return f"middle_block.{2 * number if kind == 'resnets' else 1}.{inside}"
    if side == "down":
        first = 1 + level * (per_level + 1)
        if kind == "downsamplers":
            return f"input_blocks.{first + per_level}.0.op.{end}"
        return f"input_blocks.{first + number}.{int(kind == 'attentions')}.{inside}"
    first = level * (per_level + 1)
    if kind == "upsamplers":
        has_attention = hasattr(unet.up_blocks[level], "attentions")
        return f"output_blocks.{first + per_level}.{1 + has_attention}.conv.{end}"
    return f"output_blocks.{first + number}.{int(kind == 'attentions')}.{inside}"


def original_vae(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`decoder.up_blocks.0.resnets.0…` → `decoder.up.3.block.0…`; attention's products as convolutions."""
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
        made[new] = value[:, :, None, None] if "attn_1" in new and value.dim() == 2 else value
    return made


def open_clip(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """transformers' names → OpenCLIP's; query, key and value in one, the projection transposed."""
    ends = {
        "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
        "text_model.embeddings.position_embedding.weight": "positional_embedding",
        "text_model.final_layer_norm.weight": "ln_final.weight",
        "text_model.final_layer_norm.bias": "ln_final.bias",
    }
    words = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
             "self_attn.out_proj": "attn.out_proj"}  # fmt: skip
    made = {ends[name]: value for name, value in tensors.items() if name in ends}
    made["text_projection"] = tensors["text_projection.weight"].t().contiguous()
    made["logit_scale"] = torch.ones(())
    for name, value in tensors.items():
        if not (found := re.fullmatch(r"text_model\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)", name)):
            continue
        layer = f"transformer.resblocks.{found[1]}"
        if found[2] in words:
            made[f"{layer}.{words[found[2]]}.{found[3]}"] = value
        elif found[2] == "self_attn.q_proj":
            pieces = [tensors[name.replace("q_proj", f"{part}_proj")] for part in "qkv"]
            made[f"{layer}.attn.in_proj_{found[3]}"] = torch.cat(pieces)
    return made
