"""Many pictures at once, on the schedule of DiffSynth's pipeline; contact sheets.

The product draws through that pipeline (`pipeline/flux`); this is for training, which wants hundreds of pictures
in seconds. Noise and schedule are the pipeline's, so a seed draws the same here and there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from diffsynth.diffusion import FlowMatchScheduler
from PIL import Image
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from training.networks import Networks, TextEncoders, rotary_table, velocity
from training.scenes import TEXT_LENGTH, TOKENIZER

BATCH: Final = 64
COLUMNS: Final = 21
CELL_PX: Final = 96


@torch.no_grad()
def draw(
    parts: Networks,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    device: str,
    steps: int = 8,
    guidance: float = 3.5,
    cfg_scale: float = 1.0,
) -> Tensor:
    """Pictures (prompt, 256, 256, RGB), uint8, CPU."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(TOKENIZER.parent)
    text = TextEncoders(parts.t5, parts.clip).to(device)
    rotary = rotary_table(parts.dit, 16, device)
    schedule = FlowMatchScheduler("FLUX.1")
    schedule.set_timesteps(steps)

    def encode(words: list[str]) -> tuple[Tensor, Tensor]:
        tokens = tokenizer(words, padding="max_length", truncation=True, max_length=TEXT_LENGTH, return_tensors="pt")
        both: tuple[Tensor, Tensor] = text(tokens.input_ids.to(device))
        return both

    pictures = []
    with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=device != "cpu"):
        for start in range(0, len(prompts), BATCH):
            chosen = list(prompts[start : start + BATCH])
            noise = [_noise(seed) for seed in seeds[start : start + BATCH]]
            latents, scale = torch.cat(noise).to(device), torch.full((len(chosen),), guidance, device=device)
            named, unnamed = encode(chosen), encode([""] * len(chosen)) if cfg_scale != 1 else None
            for timestep in schedule.timesteps:
                sigma = torch.full((len(chosen),), float(timestep) / 1000, device=device)
                moved = velocity(parts.dit, latents, sigma, named, scale, rotary).float()
                if unnamed is not None:
                    base = velocity(parts.dit, latents, sigma, unnamed, scale, rotary).float()
                    moved = base + cfg_scale * (moved - base)
                latents = schedule.step(moved, timestep, latents)
            drawn = torch.cat([parts.decoder(part) for part in torch.split(latents, 16)]).float().clamp(-1, 1)
            pictures.append(((drawn + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu())
    return torch.cat(pictures)


def contact_sheet(pictures: Tensor, path: Path, *, columns: int = COLUMNS) -> None:
    """Save (picture, H, W, RGB) side by side as a PNG with a palette."""
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * CELL_PX, rows * CELL_PX), "white")
    for number, picture in enumerate(pictures):
        cell = Image.fromarray(picture.numpy()).resize((CELL_PX, CELL_PX), Image.Resampling.LANCZOS)
        sheet.paste(cell, (number % columns * CELL_PX, number // columns * CELL_PX))
    sheet.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def _noise(seed: int) -> Tensor:
    return torch.randn((1, 16, 32, 32), generator=torch.Generator("cpu").manual_seed(seed))
