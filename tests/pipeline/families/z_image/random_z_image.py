"""A miniature of Z-Image-Turbo: random weights in DiffSynth's own classes, written as the files that people have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffsynth.models.z_image_dit import ZImageDiT
from torch import Tensor, nn

from pipeline.catalog.model_card import ModelCard, ModelFile
from pipeline.families.flux.names import vae_decoder_weights, vae_encoder_weights
from pipeline.families.flux.sized import FLUX_MODULES
from pipeline.families.z_image.cards import Z_IMAGE_TURBO
from pipeline.spec import Aspect
from tests.pipeline.families.flux.random_flux import Sizes, vae_shapes
from tests.pipeline.families.qwen_tokenizer import WORDS, write_qwen_tokenizer
from tests.pipeline.families.random_qwen3 import WIDTH, llama_cpp_tensors, miniature_qwen3, tensors_of
from tests.pipeline.miniature_storage import write_gguf, write_safetensors

DIM, HEADS = 96, 3
VAE_SIZES = Sizes(vae_widths=(32, 32, 32, 64))
JOINT = ".attention.qkv."


@dataclass(frozen=True, slots=True, kw_only=True)
class Miniature:
    """DiffSynth's modules, and the VAE's tensors in the names of Black Forest Labs."""

    dit: Any
    qwen3: Any
    vae: Mapping[str, Tensor]

    def vae_halves(self) -> tuple[nn.Module, nn.Module]:
        """DiffSynth's decoder and encoder."""
        halves = []
        for convert, make in (
            (vae_decoder_weights, FLUX_MODULES.vae_decoder),
            (vae_encoder_weights, FLUX_MODULES.vae_encoder),
        ):
            tensors = convert(self.vae)
            half = make({name: tuple(value.shape) for name, value in tensors.items()})
            half.load_state_dict(tensors)
            halves.append(half.eval().requires_grad_(False))
        return halves[0], halves[1]


def make_transformer(dim: int = DIM, heads: int = HEADS, layers: int = 2, text_width: int = WIDTH) -> Any:
    """DiffSynth's transformer, of small sizes; norms and biases are no ones and zeros."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(4)
        dit = ZImageDiT(
            dim=dim,
            n_layers=layers,
            n_refiner_layers=1,
            n_heads=heads,
            n_kv_heads=heads,
            cap_feat_dim=text_width,
            axes_dims=[dim // heads // 16 * axis for axis in (4, 6, 6)],
        )
        for name, parameter in dit.named_parameters():
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
            elif name.endswith("pad_token"):
                parameter.copy_(torch.randn_like(parameter))
    return dit.eval().requires_grad_(False)


def make_miniature() -> Miniature:
    generator = torch.Generator().manual_seed(7)
    vae = {}
    for name, shape in vae_shapes(VAE_SIZES).items():
        value = torch.randn(shape, generator=generator)
        spread = torch.Size(shape[1:]).numel() ** -0.5 if len(shape) > 1 else 0.1
        vae[name] = spread * value + (len(shape) == 1 and name.endswith("weight"))
    return Miniature(dit=make_transformer(), qwen3=miniature_qwen3(vocab_size=WORDS), vae=vae)


def lumina(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The names of a transformer as ComfyUI and GGUF files have them: queries, keys and values joined."""
    found: dict[str, Tensor] = {}
    words = (
        ("all_x_embedder.2-1.", "x_embedder."),
        ("all_final_layer.2-1.", "final_layer."),
        (".attention.to_out.0.", ".attention.out."),
        (".attention.norm_q.", ".attention.q_norm."),
        (".attention.norm_k.", ".attention.k_norm."),
    )
    for name, value in tensors.items():
        new = name
        for old, word in words:
            new = new.replace(old, word)
        if ".attention.to_q." in new:
            pieces = [tensors[name.replace(".to_q.", f".to_{each}.")] for each in "qkv"]
            found[new.replace(".attention.to_q.", JOINT)] = torch.cat(pieces)
        elif ".attention.to_" not in new:
            found[new] = value
    return found


def small(card: ModelCard = Z_IMAGE_TURBO) -> ModelCard:
    """The card with sizes that are drawn in a blink."""
    sizes = {Aspect.SQUARE: (64, 64), Aspect.WIDE: (96, 64)}
    return replace(card, sizes=sizes, bounds=replace(card.bounds, min_side=32), needs_gpu=False, packed_gb=0)


def write_folder(miniature: Miniature, folder: Path) -> ModelCard:
    """As the publishers' repository has it, but that the VAE has Black Forest Labs' names; the parts in shards."""
    home = folder / "Tongyi-MAI/Z-Image-Turbo"
    dit = dict(miniature.dit.state_dict())
    names = sorted(dit)
    for number, part in enumerate((names[: len(names) // 2], names[len(names) // 2 :]), 1):
        path = home / f"transformer/diffusion_pytorch_model-{number:05}-of-00002.safetensors"
        write_safetensors(path, {name: dit[name] for name in part})
    write_safetensors(home / "text_encoder/model.safetensors", tensors_of(miniature.qwen3))
    write_safetensors(home / "vae/diffusion_pytorch_model.safetensors", miniature.vae)
    write_qwen_tokenizer(home / "tokenizer")
    return small()


def write_comfyui(miniature: Miniature, folder: Path) -> ModelCard:
    """Split files as ComfyUI's users have them."""
    home = folder / "some/body"
    write_safetensors(home / "z_image_turbo_bf16.safetensors", lumina(miniature.dit.state_dict()))
    write_safetensors(home / "qwen_3_4b.safetensors", tensors_of(miniature.qwen3))
    return _with_files(miniature, home, "z_image_turbo_bf16.safetensors", "qwen_3_4b.safetensors")


def write_gguf_files(miniature: Miniature, folder: Path, types: str = "F32") -> ModelCard:
    """GGUF files, of ComfyUI-GGUF and of llama.cpp; pad tokens without their first dimension, as some have them."""
    home = folder / "some/body"
    tensors = lumina(miniature.dit.state_dict())
    tensors |= {name: value[0] for name, value in tensors.items() if name.endswith("pad_token")}
    write_gguf(home / "z_image_turbo.gguf", tensors, types, arch="lumina2")
    write_gguf(home / "Qwen3-4B.gguf", llama_cpp_tensors(miniature.qwen3), types, arch="qwen3")
    return _with_files(miniature, home, "z_image_turbo.gguf", "Qwen3-4B.gguf")


def _with_files(miniature: Miniature, home: Path, dit: str, qwen3: str) -> ModelCard:
    write_safetensors(home / "ae.safetensors", miniature.vae)
    write_qwen_tokenizer(home / "tokenizer")
    card, repo = small(), "some/body"
    paths = {"dit": dit, "qwen3": qwen3, "vae": "ae.safetensors", "tokenizer": "tokenizer/"}
    return replace(card, files={name: ModelFile(repo=repo, path=path) for name, path in paths.items()})
