"""The names in files become those of our modules, whoever wrote them."""

from __future__ import annotations

from importlib import import_module

import pytest
import torch
from torch import Tensor

from pipeline.families.stable_diffusion.names import clip_converter, unet_converter, vae_converter
from tests.pipeline.families.stable_diffusion.random_sd import Miniature, make_sd15, make_sdxl, original

CONVERTERS = {"unet": unet_converter, "vae": vae_converter, "clip_l": clip_converter, "clip_g": clip_converter}
TABLES = "diffsynth.utils.state_dict_converters"


@pytest.fixture(scope="module", params=[make_sd15, make_sdxl])
def miniature(request: pytest.FixtureRequest) -> Miniature:
    made: Miniature = request.param()
    return made


def test_every_naming_becomes_the_same(miniature: Miniature) -> None:
    for component in miniature.modules:
        as_diffusers, as_original = miniature.tensors(component), original(component, miniature)
        converter = CONVERTERS[component]
        once, other = (converter(names)(dict(names)) for names in (as_diffusers, as_original))
        assert once.keys() == other.keys()
        assert all(torch.equal(once[name], other[name]) for name in once), component


@pytest.mark.parametrize(("table", "prefix"), [("sdxl", "model.diffusion_model."), ("sdxl_vae", "first_stage_model.")])
def test_names_of_sdxl_are_those_that_diffsynth_knows(table: str, prefix: str) -> None:
    theirs = {old.removeprefix(prefix): new for new, old in import_module(f"{TABLES}.{table}").rename_dict.items()}
    converter = unet_converter if table == "sdxl" else vae_converter
    convert = converter(theirs)
    for old, new in theirs.items():
        assert list(convert({old: torch.empty(0)})) == [new]


def test_attention_of_old_vaes_and_position_ids_are_understood() -> None:
    """diffusers wrote `query` before release 0.18, and transformers 4.30 wrote `position_ids`."""
    old = {f"encoder.mid_block.attentions.0.{name}.weight": torch.zeros(2, 2) for name in ("query", "proj_attn")}
    assert set(vae_converter(old)(old)) == {
        "encoder.mid_block.attentions.0.to_q.weight",
        "encoder.mid_block.attentions.0.to_out.0.weight",
    }
    clip: dict[str, Tensor] = {"embeddings.position_ids": torch.arange(3), "logit_scale": torch.ones(())}
    assert clip_converter(clip)(clip) == {}
