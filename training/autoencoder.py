"""Training of the VAE, the first of the two: crops of composed scenes, then whole ones.

No adversary and no perceptual network: on flat drawings absolute and gradient errors suffice (37.3 dB PSNR).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.demo.model import SmallVAEDecoder, SmallVAEEncoder
from training.clock import Clock, learning_rate, record
from training.networks import Networks
from training.scenes import Batch, compose
from training.sprites import SIZE_PX, Atlas

CROP_PX: Final = 128
CROP_SHARE: Final = 0.9  # of the time
KL_WEIGHT: Final = 5e-4
PEAK_RATE: Final = 1e-3
EVERY: Final = 100


def train(
    parts: Networks, atlas: Atlas, batches: Iterator[Batch], out: Path, *, seconds: float, device: str, rounds: int = 16
) -> float:
    """Train encoder and decoder in place, measure the latents' statistics, and return the PSNR in dB."""
    modules: tuple[SmallVAEEncoder, SmallVAEDecoder] = (parts.encoder, parts.decoder)
    weights = [weight for module in modules for weight in module.to(device).train().parameters()]
    for module in modules:
        module.scaling_factor.fill_(1.0)
        module.shift_factor.zero_()
    optimizer = torch.optim.AdamW(weights, lr=PEAK_RATE, betas=(0.9, 0.99), weight_decay=1e-4)
    clock, step = Clock(time.monotonic() + seconds), 0
    while (share := clock.share) < 1:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(PEAK_RATE, step, share)
        objects, grounds, _ = next(batches)
        if share < CROP_SHARE:
            picture = compose(atlas, crop(objects, CROP_PX / SIZE_PX), grounds, side_px=CROP_PX)
        else:
            whole = max(1, len(objects) // 4)  # the same number of pixels
            picture = compose(atlas, objects[:whole], grounds[:whole])
        loss = _loss(parts, picture, device)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        norm = torch.nn.utils.clip_grad_norm_(weights, 1.0)
        if torch.isfinite(norm):
            optimizer.step()
        step += 1
        if step % EVERY == 0:
            record(out, phase="vae", step=step, loss=loss.item(), share=share)
    return measure(parts, atlas, batches, device=device, rounds=rounds)


@torch.no_grad()
def measure(parts: Networks, atlas: Atlas, batches: Iterator[Batch], *, device: str, rounds: int) -> float:
    """Store mean and spread of every latent channel in the VAE; return the mean PSNR in dB."""
    latents, errors = [], []
    for _ in range(rounds):
        objects, grounds, _ = next(batches)
        picture = compose(atlas, objects[:16], grounds[:16]).to(device)
        mean, _ = moments(parts, picture)
        errors.append((parts.decoder(mean).clamp(-1, 1) - picture).pow(2).mean((1, 2, 3)))
        latents.append(mean)
    latent = torch.cat(latents)
    for module in (parts.encoder, parts.decoder):
        module.scaling_factor.copy_(1 / latent.std((0, 2, 3)).view(1, -1, 1, 1))
        module.shift_factor.copy_(latent.mean((0, 2, 3)).view(1, -1, 1, 1))
    return float((10 * torch.log10(4 / torch.cat(errors).clamp_min(1e-8))).mean())


def moments(parts: Networks, picture: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log-variance before scaling, (B, 16, H/8, W/8) each."""
    hidden = parts.encoder.conv_in(picture)
    for block in parts.encoder.blocks:
        hidden = block(hidden, None, None, None)[0]
    mean, spread = parts.encoder.conv_out(parts.encoder.conv_act(hidden)).chunk(2, dim=1)
    return mean, spread.clamp(-20, 10)


def crop(objects: Tensor, window: float) -> Tensor:
    """The same scenes through a window of `window` times the canvas, most often over their first object."""
    first = objects[:, 0]
    centre = first[:, 1:3] + (torch.rand(len(objects), 2) - 0.5) * first[:, 3:4]
    anywhere = torch.rand(len(objects), 1) < 0.25
    corner = (torch.where(anywhere, torch.rand(len(objects), 2), centre) - window / 2).clamp(0, 1 - window)
    seen = objects.clone()
    seen[:, :, 1:3] = (objects[:, :, 1:3] - corner[:, None]) / window
    seen[:, :, 3] = objects[:, :, 3] / window
    return seen


def _loss(parts: Networks, picture: Tensor, device: str) -> Tensor:
    with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
        mean, spread = moments(parts, picture)
        mean, spread = mean.float(), spread.float()
        drawn = parts.decoder(mean + torch.randn_like(mean) * (0.5 * spread).exp())
    error = drawn.float() - picture
    coarse = torch.stack([functional.avg_pool2d(error, side).abs().mean() for side in (2, 4, 8)]).sum()
    edges = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    divergence = 0.5 * (mean**2 + spread.exp() - 1 - spread).mean()
    loss: Tensor = error.abs().mean() + 0.5 * coarse + edges + 0.5 * error.pow(2).mean() + KL_WEIGHT * divergence
    return loss
