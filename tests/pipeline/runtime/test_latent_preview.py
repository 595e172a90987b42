"""Previews: the shade of each latent channel is found by decoding flat latents once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipeline.catalog.architecture import Latent
from pipeline.runtime import latent_preview
from pipeline.runtime.latent_preview import Previewer

SHADES = torch.tensor([[0.5, 0.0, -0.25], [0.0, 0.25, 0.0]])  # (channels, RGB)


def decode(latents: Tensor) -> Tensor:
    """A linear autoencoder that enlarges eightfold and darkens its edges, as zero padding does."""
    colours = torch.einsum("bchw,cr->brhw", latents, SHADES) + 0.1
    pictures = colours.repeat_interleave(8, 2).repeat_interleave(8, 3)
    pictures[:, :, :4] = pictures[:, :, -4:] = -1
    return pictures


@pytest.mark.parametrize("side", [64, 24])  # as in the product, and as in the tests of engines
def test_colour_is_that_of_the_decoded_latents(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latent_preview, "FLAT_PX", side)
    seen: list[tuple[int, ...]] = []

    def counting(latents: Tensor) -> Tensor:
        seen.append(tuple(latents.shape))
        return decode(latents)

    preview = Previewer(counting, Latent(channels=2, factor=8))
    assert seen == [(5, 2, side // 8, side // 8)]
    latents = torch.tensor([[1.0, -0.5], [0.5, 1.0]]).reshape(1, 2, 1, 2)
    picture = preview(latents)
    colours = latents[0, :, 0].T @ SHADES + 0.1  # (pixel, RGB)
    wanted = ((colours + 1) * 127.5).round().to(torch.uint8)
    assert (picture.width, picture.height) == (2, 1)
    assert picture.pixels == wanted.numpy().tobytes()


def test_channels_that_were_packed_into_one_place_share_their_shade() -> None:
    """Two channels of 2 × 2 neighbours each: the mean of their colours is one pixel of the preview."""
    seen: list[int] = []

    def unpacking(latents: Tensor) -> Tensor:
        seen.append(len(latents))
        return decode(torch.nn.functional.pixel_shuffle(latents, 2))

    preview = Previewer(unpacking, Latent(channels=8, factor=16, alike=4))
    assert seen == [5]
    latents = torch.randn(1, 8, 3, 5, generator=torch.Generator().manual_seed(1))
    mean = torch.nn.functional.pixel_shuffle(latents, 2).unflatten(2, (3, 2)).unflatten(4, (5, 2)).mean((3, 5))
    colours = torch.einsum("bchw,cr->hwr", mean, SHADES) + 0.1
    wanted = ((colours + 1) * 127.5).clamp(0, 255)
    shown = torch.tensor(list(preview(latents).pixels)).reshape(3, 5, 3)
    assert float((shown - wanted).abs().max()) <= 1
