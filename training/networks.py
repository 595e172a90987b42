"""The model's parts: new ones, their files, and one forward pass for training.

The classes are the product's (`pipeline.demo.model`); here is only what training needs beside them: first
weights, text encoders written out so that a CUDA graph can hold them, and a forward pass for whole batches.

Letters in shapes: B batch, T text tokens, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from pipeline.demo.model import (
    LATENT_CHANNELS,
    MAX_DISTANCE,
    VOCABULARY,
    SmallClip,
    SmallDiT,
    SmallT5,
    SmallVAEDecoder,
    SmallVAEEncoder,
)
from pipeline.runtime.t5_encoder import EPSILON, Block, RmsNorm, relative_buckets
from training.scenes import TEXT_LENGTH

T5_EOS = 1
GATES = ("norm1_a.linear", "norm1_b.linear", "norm.linear", "final_norm_out.linear", "final_proj_out")  # of the DiT


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """All parts. `text_modules` and `dit` are trained together, the VAE before them."""

    dit: SmallDiT
    t5: SmallT5
    clip: SmallClip
    encoder: SmallVAEEncoder
    decoder: SmallVAEDecoder

    def to(self, device: str) -> Networks:
        """Move every part, in place."""
        for part in (self.dit, self.t5, self.clip, self.encoder, self.decoder):
            part.to(device)
        self.clip.attn_mask = self.clip.attn_mask.to(device)
        return self


def new(*, seed: int = 0) -> Networks:
    """Parts with first weights. Blocks of the transformer start as the identity (adaLN-zero, arXiv 2212.09748)."""
    torch.manual_seed(seed)
    parts = Networks(
        dit=SmallDiT(), t5=SmallT5(), clip=SmallClip(), encoder=SmallVAEEncoder(), decoder=SmallVAEDecoder()
    )
    for name, module in [*parts.dit.named_modules(), *parts.clip.named_modules()]:
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if name.endswith(GATES):
                nn.init.zeros_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for embedder in (parts.dit.time_embedder, parts.dit.guidance_embedder):
        for layer in (0, 2):
            nn.init.normal_(embedder.timestep_embedder[layer].weight, std=0.02)
    _first_t5_weights(parts.t5)
    nn.init.normal_(parts.clip.token_embedding.weight, std=0.3)
    nn.init.normal_(parts.clip.position_embeds, std=0.05)
    with torch.no_grad():
        spread = parts.encoder.get_parameter("conv_out.bias")[LATENT_CHANNELS:]
        nn.init.constant_(spread, -4.0)  # little posterior noise at first
        for module in [*parts.encoder.modules(), *parts.decoder.modules()]:
            if hasattr(module, "conv2") and hasattr(module, "norm2"):  # residual blocks start near the identity
                module.conv2.weight.mul_(0.1)
                module.conv2.bias.zero_()
    return parts


def _first_t5_weights(t5: SmallT5) -> None:
    """T5's own (arXiv 1910.10683): spreads by the width of what goes in, and of one head for queries."""
    nn.init.normal_(t5.shared.weight)
    for name, weight in t5.named_parameters():
        part = name.split(".")[-2]
        if part in {"k", "v", "o", "wi_0", "wi_1", "wo"}:
            nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
        elif part == "q":
            heads = t5.get_parameter("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight").shape[1]
            nn.init.normal_(weight, std=(weight.shape[1] * weight.shape[0] / heads) ** -0.5)
        elif part == "relative_attention_bias":
            nn.init.normal_(weight, std=t5.shared.embedding_dim**-0.5)


def load(folder: Path) -> Networks:
    """Read weights laid out as in `pipeline/demo/weights`, as float32; parts whose files are missing are new."""
    parts = new()
    if (folder / "vae.safetensors").exists():
        vae = load_file(folder / "vae.safetensors")
        for prefix, part in (("encoder.", parts.encoder), ("decoder.", parts.decoder)):
            part.load_state_dict({k.removeprefix(prefix): v.float() for k, v in vae.items() if k.startswith(prefix)})
    if (folder / "dit").exists():
        parts.dit.load_state_dict(_float(*(load_file(path) for path in sorted((folder / "dit").glob("*.safetensors")))))
        # T5's table is stored once, under "shared"; the encoder holds it under a second name
        parts.t5.load_state_dict(_float(load_file(folder / "t5.safetensors")), strict=False)
        parts.clip.load_state_dict(_float(load_file(folder / "clip.safetensors")))
    return parts


def save(parts: Networks, folder: Path) -> None:
    """Write bf16 files of the names that `pipeline/catalog/layouts` knows, over those of before.

    Whoever is killed meanwhile leaves whole files.
    """
    (folder / "dit").mkdir(parents=True, exist_ok=True)
    vae = {f"encoder.{k}": v for k, v in parts.encoder.state_dict().items()}
    vae |= {f"decoder.{k}": v for k, v in parts.decoder.state_dict().items()}
    t5 = {k: v for k, v in parts.t5.state_dict().items() if k != "encoder.embed_tokens.weight"}
    dit = parts.dit.state_dict()
    size, half = 0, sum(tensor.numel() for tensor in dit.values()) // 2
    first: dict[str, Tensor] = {}
    for name, tensor in dit.items():
        if size > half:
            break
        first[name] = tensor
        size += tensor.numel()
    second = {name: tensor for name, tensor in dit.items() if name not in first}
    files: Mapping[str, Mapping[str, Tensor]] = {
        "dit/dit-00001-of-00002.safetensors": first,
        "dit/dit-00002-of-00002.safetensors": second,
        "t5.safetensors": t5,
        "clip.safetensors": parts.clip.state_dict(),
        "vae.safetensors": vae,
    }
    for name, weights in files.items():
        # the VAE's latent statistics are few and exact
        stored = {k: v.detach().cpu().to(v.dtype if "_factor" in k else torch.bfloat16) for k, v in weights.items()}
        fresh = (folder / name).with_suffix(".part")
        save_file({k: v.contiguous().clone() for k, v in stored.items()}, fresh, metadata={"format": "pt"})
        fresh.replace(folder / name)


class TextEncoders(nn.Module):
    """T5's ids (B, T) → (B, T, 256) and pooled (B, 128): what both encoders' own forward passes give.

    They share their pieces, so CLIP's ids follow from T5's. CLIP looks back only and is read at its end token:
    tokens after T are left out.
    """

    def __init__(self, t5: SmallT5, clip: SmallClip) -> None:
        super().__init__()
        self.t5, self.clip = t5, clip
        self.register_buffer("buckets", relative_buckets(TEXT_LENGTH, MAX_DISTANCE), persistent=False)
        self.register_buffer("mask", torch.full((TEXT_LENGTH, TEXT_LENGTH), -1e4).triu(1), persistent=False)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Encode both."""
        return self._sequence(ids), self._pooled(torch.where(ids == T5_EOS, VOCABULARY - 1, ids))

    def _sequence(self, ids: Tensor) -> Tensor:
        encoder = self.t5.encoder
        blocks = cast("Sequence[Block]", encoder.block)
        first = blocks[0].attention.SelfAttention
        bias = first.relative_attention_bias(self.buckets).permute(2, 0, 1)[None]
        hidden = self.t5.shared(ids)
        for block in blocks:
            attention, feed = block.attention.SelfAttention, block.feed.DenseReluDense
            normed = _rms_norm(hidden, block.attention.layer_norm)
            query, key, value = (
                project(normed).unflatten(-1, (first.heads, -1)).transpose(1, 2)
                for project in (attention.q, attention.k, attention.v)
            )
            mixed = functional.scaled_dot_product_attention(
                query, key, value, attn_mask=bias.to(query.dtype), scale=1.0
            )
            hidden = hidden + attention.o(mixed.transpose(1, 2).flatten(2))
            normed = _rms_norm(hidden, block.feed.layer_norm)
            hidden = hidden + feed.wo(functional.gelu(feed.wi_0(normed), approximate="tanh") * feed.wi_1(normed))
        return _rms_norm(hidden, encoder.final_layer_norm)

    def _pooled(self, ids: Tensor) -> Tensor:
        hidden = self.clip.token_embedding(ids) + self.clip.position_embeds[:, :TEXT_LENGTH]
        mask = self.mask.bfloat16() if torch.is_autocast_enabled(hidden.device.type) else self.mask
        for layer in self.clip.encoders:
            hidden = layer(hidden, attn_mask=mask)
        hidden = self.clip.final_layer_norm(hidden)
        pooled: Tensor = hidden[torch.arange(len(ids), device=ids.device), ids.argmax(-1)]
        return pooled


def rotary_table(dit: SmallDiT, grid: int, device: str, *, spacing: int = 1) -> Tensor:
    """The positions of T text tokens and `grid` × `grid` patches; the same for every sample.

    Patches that each stand for `spacing` × `spacing` of a larger picture's lie at the centres of those.
    """
    ids = torch.zeros(1, TEXT_LENGTH + grid * grid, 3, device=device)
    line = torch.arange(grid) * float(spacing) + (spacing - 1) / 2
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    ids[0, TEXT_LENGTH:, 1], ids[0, TEXT_LENGTH:, 2] = rows.flatten(), columns.flatten()
    table: Tensor = dit.pos_embedder(ids)
    return table


def velocity(
    dit: SmallDiT, latents: Tensor, sigma: Tensor, text: tuple[Tensor, Tensor], guidance: Tensor, rotary: Tensor
) -> Tensor:
    """noise − image, (B, 16, H, W), for noisy latents; DiffSynth's `model_fn_flux_image` without its options.

    sigma: (B,) in 0…1; guidance: (B,), as people give it.
    """
    sequence, pooled = text
    dtype = latents.dtype
    condition = dit.time_embedder(sigma * 1000, dtype) + dit.pooled_text_embedder(pooled)
    condition = condition + dit.guidance_embedder(guidance * 1000, dtype)
    height, width = latents.shape[-2:]
    image, words = dit.x_embedder(dit.patchify(latents)), dit.context_embedder(sequence)
    for block in dit.blocks:
        image, words = block(image, words, condition, rotary)
    image = torch.cat([words, image], dim=1)
    for block in dit.single_blocks:
        image, words = block(image, words, condition, rotary)
    image = dit.final_proj_out(dit.final_norm_out(image[:, words.shape[1] :], condition))
    latent: Tensor = dit.unpatchify(image, height, width)
    return latent


def _float(*files: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.float() for file in files for name, tensor in file.items()}


def _rms_norm(hidden: Tensor, norm: RmsNorm) -> Tensor:
    hidden = hidden.float()
    scale = torch.rsqrt(hidden.pow(2).mean(-1, keepdim=True) + EPSILON)
    normed: Tensor = norm.weight * (hidden * scale)
    return normed
