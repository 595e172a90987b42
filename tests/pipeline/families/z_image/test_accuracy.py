"""What 8 bits cost a step of Z-Image: rotated integers are near, floats are not, so they are not chosen by themselves.

The weights have outliers where trained transformers have them: a few inputs of every block's last products.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.catalog.layouts import identify
from pipeline.catalog.parts import PartKind
from pipeline.families.z_image.names import make_transformer, transformer_weights
from pipeline.families.z_image.transformer import Transformer, random_text
from pipeline.streaming.checkpoint_files import CheckpointFiles
from pipeline.streaming.conversion import Conversion
from pipeline.streaming.quantization import FLOAT8, Format
from tests.pipeline.families.flux.accuracy import OUTLIER_FACTOR, OUTLIER_SHARE
from tests.pipeline.families.z_image import random_z_image
from tests.pipeline.miniature_storage import write_safetensors

OUTLIER_LAYERS = (".attention.to_out.0.weight", ".feed_forward.w2.weight")
TIMESTEPS = (1000.0, 300.0)


def weights() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(9)
    found = {}
    for name, value in random_z_image.make_transformer(dim=192, heads=3, layers=2).state_dict().items():
        if value.dim() == 2 and not name.endswith("pad_token"):
            value = torch.randn(value.shape, generator=generator) * value.shape[1] ** -0.5
        if name.endswith(OUTLIER_LAYERS):
            count = max(1, round(OUTLIER_SHARE * value.shape[1]))
            value[:, torch.randperm(value.shape[1], generator=generator)[:count]] *= OUTLIER_FACTOR
        found[name] = value
    return found


def predictions(path: Path, weight_format: Format) -> list[Tensor]:
    part = identify(path).part(PartKind.DENOISER)
    assert part is not None
    source = CheckpointFiles(part)
    groups = Conversion(source, transformer_weights).groups
    shapes = {name: shape for group in groups for name, shape in group.makes.items()}
    transformer = Transformer.read(
        source,
        lambda: make_transformer(shapes),
        convert=transformer_weights,
        weight_format=weight_format,
        dtype=torch.float32,
        device="cpu",
    )
    transformer.place()
    text = transformer.refine(random_text(transformer.module))
    latents = torch.randn(1, 16, 16, 16, generator=torch.Generator().manual_seed(2))
    return [transformer.predict(latents, torch.tensor(timestep), text) for timestep in TIMESTEPS]


@pytest.fixture(scope="module")
def error_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Format, bool], float]:
    """The worst relative error of a step, L2, of a format; or of plain casts to 8-bit floats, without scales."""
    folder = tmp_path_factory.mktemp("accuracy")
    tensors = weights()
    path = write_safetensors(folder / "z_image_turbo.safetensors", tensors)
    cast = {
        name: value.to(FLOAT8).float() if value.dim() == 2 and ("layers." in name or "refiner." in name) else value
        for name, value in tensors.items()
    }
    plain = write_safetensors(folder / "z_image_turbo_fp8.safetensors", cast)
    exact = predictions(path, Format.FLOAT32)

    def error(weight_format: Format, is_plain: bool = False) -> float:
        found = predictions(plain if is_plain else path, weight_format)
        return max(float((each - wanted).norm() / wanted.norm()) for each, wanted in zip(found, exact, strict=True))

    return error


def test_integers_are_several_times_nearer_than_floats_of_8_bits(error_of: Callable[..., float]) -> None:
    integers, floats = error_of(Format.INT8), error_of(Format.FLOAT8)
    plain = error_of(Format.FLOAT32, is_plain=True)
    assert 0 < integers < 0.03
    assert floats > 1.5 * integers
    assert plain > 1.5 * integers
    assert error_of(Format.FLOAT32) == 0
