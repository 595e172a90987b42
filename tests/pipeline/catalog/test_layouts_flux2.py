"""FLUX.2's files are told from FLUX.1's and from each other; what is not drawn is refused with its name and reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.catalog.layouts import identify, wrong_place
from pipeline.catalog.layouts.places import mismatch
from pipeline.catalog.models import FLUX1_DEV, FLUX2_KLEIN_4B
from pipeline.catalog.parts import Naming, PartKind
from tests.pipeline.catalog import miniature_headers as make
from tests.pipeline.families.flux2.random_flux2 import Miniature, make_miniature, original_transformer, original_vae
from tests.pipeline.families.random_qwen3 import WIDTH, tensors_of

FAMILY = "flux2-klein"
Shapes = dict[str, tuple[int, ...]]


@pytest.fixture(scope="module")
def miniature() -> Miniature:
    return make_miniature()


def shapes_of(tensors: dict[str, Tensor]) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def write(tmp_path: Path, shapes: Shapes, name: str = "x.safetensors") -> Path:
    return make.write_safetensors(tmp_path / name, shapes)


@pytest.mark.parametrize("naming", [Naming.ORIGINAL, Naming.DIFFUSERS])
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_transformer_is_whole_in_both_namings(
    tmp_path: Path, miniature: Miniature, naming: Naming, prefix: str
) -> None:
    tensors = dict(miniature.dit.state_dict())
    shapes = shapes_of(original_transformer(tensors) if naming is Naming.ORIGINAL else tensors)
    layout = identify(write(tmp_path, {f"{prefix}{name}": shape for name, shape in shapes.items()}))
    part = layout.part(PartKind.DENOISER)
    assert part is not None, layout.refusal
    assert (part.architecture, part.variant, part.naming) == (FAMILY, FLUX2_KLEIN_4B.name, naming)
    assert part.lacks == () and part.reads == ((PartKind.QWEN3, WIDTH),)
    assert wrong_place(layout, PartKind.DENOISER, architecture=FAMILY, variant=FLUX2_KLEIN_4B.name) is None
    refusal = wrong_place(layout, PartKind.DENOISER, architecture="flux")
    assert refusal is not None and refusal.reason == "it belongs to FLUX.2"
    for name in shapes:  # every tensor is missed
        lacking = identify(write(tmp_path, {each: shape for each, shape in shapes.items() if each != name}, "y"))
        part = lacking.part(PartKind.DENOISER)
        assert lacking.refusal is not None or (part is not None and part.lacks), name


@pytest.mark.parametrize("is_original", [False, True])
def test_vae_is_whole_in_both_namings_and_goes_with_no_other_family(
    tmp_path: Path, miniature: Miniature, is_original: bool
) -> None:
    tensors = dict(miniature.vae.state_dict())
    shapes = shapes_of(original_vae(tensors) if is_original else tensors)
    layout = identify(write(tmp_path, shapes))
    part = layout.part(PartKind.VAE)
    assert part is not None, layout.refusal
    assert (part.architecture, part.lacks) == (FAMILY, ())
    assert wrong_place(layout, PartKind.VAE, architecture=FAMILY) is None
    refusal = wrong_place(layout, PartKind.VAE, architecture=FLUX1_DEV.architecture.name)
    assert refusal is not None and refusal.reason == "it belongs to FLUX.2"
    for name in ("bn.running_mean", "bn.running_var"):
        part = identify(write(tmp_path, {each: shape for each, shape in shapes.items() if each != name}, "y")).part(
            PartKind.VAE
        )
        assert part is not None and part.lacks == (name,)
    uncounted = {each: shape for each, shape in shapes.items() if each != "bn.num_batches_tracked"}
    part = identify(write(tmp_path, uncounted, "z")).part(PartKind.VAE)
    assert part is not None and part.lacks == ()


def test_vae_of_flux1_does_not_go_with_it(tmp_path: Path) -> None:
    refusal = wrong_place(identify(write(tmp_path, make.vae())), PartKind.VAE, architecture=FAMILY)
    assert refusal is not None and refusal.reason == "it belongs to FLUX.1"


@pytest.mark.parametrize(
    ("changed", "name", "what"),
    [
        ({"img_in.weight": (4096, 128)}, "flux-2-klein-9b.safetensors", "FLUX.2 [klein] 9B"),
        ({"img_in.weight": (6144, 128)}, "flux2-dev.safetensors", "FLUX.2 [dev]"),
        ({"guidance_in.in_layer.weight": (32, 256)}, "x.safetensors", "FLUX.2 [dev]"),
        ({"img_in.weight": (32, 256)}, "x.safetensors", "a FLUX.2 transformer for another task"),
        ({}, "flux-2-klein-base-4b.safetensors", "FLUX.2 [klein] 4B Base"),
        ({}, "FLUX.2-Klein-Base-4B-Q4.safetensors", "FLUX.2 [klein] 4B Base"),
    ],
)
def test_other_models_of_the_family_are_refused_by_name(
    tmp_path: Path, miniature: Miniature, changed: Shapes, name: str, what: str
) -> None:
    shapes = shapes_of(original_transformer(dict(miniature.dit.state_dict())))
    refusal = identify(write(tmp_path, shapes | changed, name)).refusal
    assert refusal is not None and refusal.what == what
    assert refusal.reason and "klein] 4B" in refusal.instead


@pytest.mark.parametrize("is_distilled", [True, False])
def test_folder_of_the_undistilled_model_is_known_by_its_index(
    tmp_path: Path, miniature: Miniature, is_distilled: bool
) -> None:
    index = {"_class_name": "Flux2KleinPipeline", "is_distilled": is_distilled}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    (tmp_path / "transformer").mkdir()
    write(tmp_path / "transformer", shapes_of(dict(miniature.dit.state_dict())), "diffusion_pytorch_model.safetensors")
    layout = identify(tmp_path)
    assert (layout.refusal is None) == is_distilled


def test_text_encoder_of_another_size_is_refused(tmp_path: Path, miniature: Miniature) -> None:
    """As Qwen3-8B is, which klein 9B reads with."""
    shapes = shapes_of(tensors_of(miniature.qwen3))
    denoiser = identify(write(tmp_path, shapes_of(dict(miniature.dit.state_dict())))).part(PartKind.DENOISER)
    encoder = identify(write(tmp_path, shapes, "q")).part(PartKind.QWEN3)
    wide = {**shapes, "model.embed_tokens.weight": (300, 64)}
    wider = identify(write(tmp_path, wide, "w")).part(PartKind.QWEN3)
    assert denoiser is not None and encoder is not None and wider is not None
    assert mismatch(denoiser, encoder) is None
    refusal = mismatch(denoiser, wider)
    assert refusal is not None and refusal.reason == f"it gives 64 numbers where the transformer reads {WIDTH}"


def test_published_sizes_are_those_of_the_card() -> None:
    """3.9 billion weights, as DiffSynth makes klein 4B; counted without values."""
    from diffsynth.models.flux2_dit import Flux2DiT

    from pipeline.families.flux2.architecture import ATTENTION_WIDTH
    from pipeline.families.flux2.sizes import make_transformer

    published = {"joint_attention_dim": 7680, "num_attention_heads": 24, "num_layers": 5, "num_single_layers": 20}
    with torch.device("meta"):
        theirs = Flux2DiT(guidance_embeds=False, **published)
        ours = make_transformer({name: tuple(value.shape) for name, value in theirs.state_dict().items()})
    assert {name: value.shape for name, value in ours.state_dict().items()} == {
        name: value.shape for name, value in theirs.state_dict().items()
    }
    assert 3.8e9 < sum(weight.numel() for weight in ours.parameters()) < 3.9e9
    assert theirs.inner_dim == ATTENTION_WIDTH
