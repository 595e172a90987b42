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
