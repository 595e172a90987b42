"""What is said of files of weights: which part of which model they are, how they are kept, what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.catalog.layouts import identify
from pipeline.catalog.parts import Naming, Part, PartKind
from tests.pipeline.catalog import miniature_headers as make

DEMO = Path(__file__).parents[3] / "pipeline/demo/weights"


def part_of(path: Path, kind: PartKind = PartKind.DENOISER) -> Part:
    layout = identify(path)
    assert layout.refusal is None
    part = layout.part(kind)
    assert part is not None
    return part


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model.", "diffusion_model.", "model.", "a.b."])
def test_transformer_is_known_under_any_prefix(tmp_path: Path, prefix: str) -> None:
    part = part_of(make.write_safetensors(tmp_path / "x", make.below(prefix, make.flux())))
    assert (part.architecture, part.variant, part.naming) == ("flux", "flux1-dev", Naming.ORIGINAL)
    assert (part.prefix, part.precision, part.lacks) == (prefix, "bf16", ())


@pytest.mark.parametrize("shapes", [make.flux(guidance=False), make.flux_diffusers(guidance=False)])
def test_transformer_without_guidance_is_schnell(tmp_path: Path, shapes: make.Shapes) -> None:
    layout = identify(make.write_safetensors(tmp_path / "x", shapes))
    assert layout.title == "FLUX.1 [schnell] transformer, bf16"
    assert layout.parts[0].variant == "flux1-schnell"


def test_shards_are_one_part(tmp_path: Path) -> None:
    paths = make.write_shards(tmp_path, make.flux_diffusers(), 3)
    part = part_of(tmp_path)
    assert (part.variant, part.naming, part.paths, part.lacks) == ("flux1-dev", Naming.DIFFUSERS, tuple(paths), ())


@pytest.mark.parametrize(
    ("shapes", "kind", "architecture", "naming"),
    [
        (make.t5(), PartKind.T5, "flux", Naming.TRANSFORMERS),
        (make.clip(), PartKind.CLIP_L, "sd15", Naming.TRANSFORMERS),
        (make.vae(), PartKind.VAE, "flux", Naming.ORIGINAL),
        (make.vae(latent=4), PartKind.VAE, "sd15", Naming.ORIGINAL),
        (make.vae_diffusers(), PartKind.VAE, "flux", Naming.DIFFUSERS),
        (make.vae_diffusers(latent=4), PartKind.VAE, "sd15", Naming.DIFFUSERS),
    ],
)
def test_text_encoders_and_vaes_are_known(
    tmp_path: Path, shapes: make.Shapes, kind: PartKind, architecture: str, naming: Naming
) -> None:
    part = part_of(make.write_safetensors(tmp_path / "x", shapes), kind)
    assert (part.architecture, part.naming, part.lacks) == (architecture, naming, ())


@pytest.mark.parametrize(
    ("name", "kind"),
    [("dit", PartKind.DENOISER), ("clip", PartKind.CLIP_L), ("t5", PartKind.T5), ("vae", PartKind.VAE)],
)
def test_shipped_files_are_known(name: str, kind: PartKind) -> None:
    part = part_of(DEMO / (name if name == "dit" else f"{name}.safetensors"), kind)
    assert (part.architecture, part.precision, part.lacks) == ("flux", "bf16", ())


@pytest.mark.parametrize(
    "name", ["final_layer.linear.weight", "double_blocks.0.txt_mlp.2.bias", "single_blocks.1.norm.key_norm.scale"]
)
def test_missing_tensors_are_named(tmp_path: Path, name: str) -> None:
    part = part_of(make.write_safetensors(tmp_path / "x", make.without(make.flux(), [name])))
    assert part.lacks == (name,)


def test_missing_block_is_named(tmp_path: Path) -> None:
    shapes = {name: shape for name, shape in make.flux(double=3).items() if "double_blocks.1." not in name}
    assert "double_blocks.1.img_mod.lin.weight" in part_of(make.write_safetensors(tmp_path / "x", shapes)).lacks
