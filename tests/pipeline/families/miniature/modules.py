"""The modules of the miniature family. Letters in shapes: B batch, T text tokens, N image tokens, C channels."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import gelu, pixel_shuffle, pixel_unshuffle, scaled_dot_product_attention

from tests.pipeline.families.miniature.architecture import CARD, LATENT, WIDTH

STAGES = 4
LAYERS = 2


class Stage(nn.Module):
    """A block that looks at the image and the text at once, (B, N, C) and (B, T, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.look = nn.Linear(WIDTH, 3 * WIDTH)
        self.read = nn.Linear(WIDTH, 2 * WIDTH)
        self.grow = nn.Linear(WIDTH, 2 * WIDTH)
        self.fold = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        query, *own = self.look(self.norm(image)).chunk(3, -1)
        key, value = (torch.cat(pair, 1) for pair in zip(own, self.read(text).chunk(2, -1), strict=True))
        image = image + scaled_dot_product_attention(query, key, value)
        return image + self.fold(gelu(self.grow(self.norm(image))))


class Denoiser(nn.Module):
    """Latents (B, 4, H, W), text (B, T, C) and a time in 0…1 → velocity."""

    def __init__(self) -> None:
        super().__init__()
        self.inlet = nn.Linear(LATENT.channels, WIDTH)
        self.clock = nn.Linear(1, WIDTH)
        self.stages = nn.ModuleList(Stage() for _ in range(STAGES))
        self.outlet = nn.Linear(WIDTH, LATENT.channels)

    def forward(self, latents: Tensor, text: Tensor, time: Tensor) -> Tensor:
        height, width = latents.shape[2:]
        image = self.inlet(latents.flatten(2).mT) + self.clock(time[:, None])[:, None]
        for stage in self.stages:
            image = stage(image, text)
        return self.outlet(image).mT.unflatten(2, (height, width))


class Layer(nn.Module):
    """A block of the text encoder, (B, T, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.grow = nn.Linear(WIDTH, 2 * WIDTH)
        self.fold = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, text: Tensor) -> Tensor:
        return text + self.fold(gelu(self.grow(text.roll(1, 1))))


class Reader(nn.Module):
    """Bytes of a prompt, (B, T) → (B, T, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.letters = nn.Embedding(256, WIDTH)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))

    def forward(self, letters: Tensor) -> Tensor:
        text: Tensor = self.letters(letters)
        for layer in self.layers:
            text = layer(text)
        return text


class Decoder(nn.Module):
    """Latents (B, 4, H, W) → image (B, 3, 4 H, 4 W)."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Conv2d(LATENT.channels, 3 * LATENT.factor**2, 3, padding=1)

    def forward(self, latents: Tensor) -> Tensor:
        return pixel_shuffle(self.last(latents), LATENT.factor)


class Encoder(nn.Module):
    """Image (B, 3, H, W) → latents (B, 4, H / 4, W / 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3 * LATENT.factor**2, LATENT.channels, 1)

    def forward(self, image: Tensor) -> Tensor:
        latents: Tensor = self.first(pixel_unshuffle(image, LATENT.factor))
        return latents


class Autoencoder(nn.Module):
    """Both in one file."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder, self.encoder = Decoder(), Encoder()


def write_random_miniature(models_dir: Path) -> None:
    """Write the files of the card with random weights, the same each time."""
    state = torch.get_rng_state()
    torch.manual_seed(1)
    for name, module in (("denoiser", Denoiser()), ("reader", Reader()), ("autoencoder", Autoencoder())):
        path = models_dir / str(CARD.files[name].repo) / CARD.files[name].path
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(module.state_dict(), path)
    torch.set_rng_state(state)
