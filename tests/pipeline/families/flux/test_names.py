"""Names of tensors: what other programs call them → what DiffSynth's modules call them, at full size without values."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from diffsynth.models.flux_dit import FluxDiT
from diffsynth.models.flux_text_encoder_clip import FluxTextEncoderClip
from diffsynth.models.flux_vae import FluxVAEDecoder, FluxVAEEncoder
from diffsynth.utils.state_dict_converters import flux_dit, flux_text_encoder_clip, flux_vae
from torch import Tensor, nn

from pipeline.errors import GenerationFailed
from pipeline.families.flux import names
from pipeline.families.flux.sized import FLUX_MODULES, Make
from pipeline.runtime.t5_encoder import T5Encoder
from tests.pipeline.families.flux import random_flux
from tests.pipeline.families.flux.miniature_layouts import clip_as_open_clip, t5_as_llama_cpp, vae_as_diffusers
from tests.pipeline.families.flux.random_flux import FULL, Shapes

Tensors = Mapping[str, Tensor]
Rename = Callable[[Tensors], Mapping[str, Tensor]]
PUBLISHED = {
    "transformer": random_flux.dit_shapes(FULL),
    "T5": random_flux.t5_shapes(FULL),
    "CLIP": random_flux.clip_shapes(FULL),
    "VAE": random_flux.vae_shapes(FULL),
}
OURS: dict[str, tuple[str, Rename, Make, Callable[[], nn.Module]]] = {
    "transformer": ("transformer", names.transformer_weights, FLUX_MODULES.dit, FluxDiT),
    "T5": ("T5", names.t5_weights, FLUX_MODULES.t5, T5Encoder),
    "CLIP": ("CLIP", names.clip_weights, FLUX_MODULES.clip, FluxTextEncoderClip),
    "decoder": ("VAE", names.vae_decoder_weights, FLUX_MODULES.vae_decoder, FluxVAEDecoder),
    "encoder": ("VAE", names.vae_encoder_weights, FLUX_MODULES.vae_encoder, FluxVAEEncoder),
}
DIFFSYNTHS: dict[str, Rename] = {
    "transformer": flux_dit.FluxDiTStateDictConverter,
    "CLIP": flux_text_encoder_clip.FluxTextEncoderClipStateDictConverter,
    "decoder": flux_vae.FluxVAEDecoderStateDictConverter,
    "encoder": flux_vae.FluxVAEEncoderStateDictConverter,
}


def empty(shapes: Shapes) -> Tensors:
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def numbered(shapes: Shapes) -> Tensors:
    """Tensors that can be told apart, however they are named."""
    return {name: torch.full(shape, number, dtype=torch.int16) for number, (name, shape) in enumerate(shapes.items())}


def shapes_of(tensors: Tensors) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


@pytest.mark.parametrize("part", OURS)
def test_modules_have_the_sizes_that_are_published(part: str) -> None:
    published, rename, make, library = OURS[part]
    found = shapes_of(rename(empty(PUBLISHED[published])))
    with torch.device("meta"):
        made, wanted = make(found), library()
    assert shapes_of(dict(made.named_parameters())) == shapes_of(dict(wanted.named_parameters())) == found


@pytest.mark.parametrize("part", DIFFSYNTHS)
def test_tensors_get_the_names_that_diffsynth_gives_them(part: str) -> None:
    published, rename, _, _ = OURS[part]
    tensors = numbered({name: (2,) * len(shape) for name, shape in PUBLISHED[published].items()})
    found, wanted = rename(tensors), DIFFSYNTHS[part](tensors)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("part", OURS)
def test_names_of_the_module_stay_as_they_are(part: str) -> None:
    """As the demo has them."""
    published, rename, _, _ = OURS[part]
    prefix = f"{part}." if published == "VAE" else ""
    renamed = {f"{prefix}{name}": tensor for name, tensor in rename(empty(PUBLISHED[published])).items()}
    assert shapes_of(rename(renamed)) == {
        name.removeprefix(prefix): shape for name, shape in shapes_of(renamed).items()
    }


def test_what_diffusers_keeps_apart_is_joined_in_order() -> None:
    """Queries, keys, values and what follows them; and the halves of the last modulation change places."""
    at = "single_transformer_blocks.0"
    pieces = ("proj_mlp", "attn.to_v", "attn.to_k", "attn.to_q")
    parts = {f"{at}.{name}.weight": torch.full((1, 2), number) for number, name in enumerate(pieces)}
    (joined,) = names.transformer_weights(parts).values()
    assert joined[:, 0].tolist() == [3, 2, 1, 0]
    swapped = names.transformer_weights({"norm_out.linear.bias": torch.tensor([1, 2, 3, 4])})
    assert swapped["final_norm_out.linear.bias"].tolist() == [3, 4, 1, 2]
    del parts[f"{at}.attn.to_k.weight"]
    with pytest.raises(GenerationFailed, match=r"single_blocks\.0\.to_qkv_mlp\.weight"):
        names.transformer_weights(parts)


@pytest.mark.parametrize("half", ["decoder", "encoder"])
def test_autoencoder_of_diffusers_gets_the_names_that_diffsynth_gives_it(half: str) -> None:
    _, rename, _, _ = OURS[half]
    library = {
        "decoder": flux_vae.FluxVAEDecoderStateDictConverterDiffusers,
        "encoder": flux_vae.FluxVAEEncoderStateDictConverterDiffusers,
    }[half]
    tensors = vae_as_diffusers(numbered({name: (2,) * len(shape) for name, shape in PUBLISHED["VAE"].items()}))
    found, wanted = rename(tensors), library(tensors)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name].flatten(), wanted[name].flatten()) for name in wanted)
    assert shapes_of(rename(vae_as_diffusers(empty(PUBLISHED["VAE"])))) == shapes_of(rename(empty(PUBLISHED["VAE"])))


def test_clip_of_open_clip_is_the_one_of_transformers() -> None:
    published = numbered({name: (2,) * len(shape) for name, shape in PUBLISHED["CLIP"].items()})
    extra = {"logit_scale": torch.empty(()), "text_projection": torch.empty(2, 2)}
    found, wanted = names.clip_weights(clip_as_open_clip(published) | extra), names.clip_weights(published)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_t5_of_llama_cpp_is_the_one_of_transformers() -> None:
    renamed = t5_as_llama_cpp(empty(PUBLISHED["T5"]))
    assert "enc.blk.1.ffn_gate.weight" in renamed
    assert shapes_of(names.t5_weights(renamed)) == PUBLISHED["T5"]


@pytest.mark.parametrize("holds", [["shared"], ["encoder.embed_tokens"], ["shared", "encoder.embed_tokens"]])
def test_table_of_words_is_read_under_either_of_its_names(holds: list[str]) -> None:
    """ComfyUI's files have both; some have what no T5 encoder has."""
    tensors = {f"{name}.weight": torch.ones(2, 2) for name in holds}
    extra = {"logit_scale": torch.ones(()), "text_projection.weight": torch.ones(2, 2), "spiece_model": torch.ones(1)}
    assert list(names.t5_weights(tensors | extra)) == ["shared.weight"]


@pytest.mark.parametrize("rename", [rename for _, rename, _, _ in OURS.values()])
def test_what_a_module_has_no_use_for_is_left_out(rename: Rename) -> None:
    strange = ("double_blocks.0.processor.ip.weight", "blocks.x.weight", "text_model.embeddings.position_ids", "a", "")
    assert rename({name: torch.ones(1) for name in strange}) == {}


@pytest.mark.parametrize(
    ("part", "changes", "said"),
    [
        ("transformer", {"x_embedder.weight": (3072, 384)}, "384 channels per patch"),
        ("transformer", {"single_blocks.0.norm_q_a.weight": (100,)}, "heads of 100"),
        ("transformer", {"single_blocks.0.norm_q_a.weight": (0,)}, "heads of 0"),
        ("transformer", {"context_embedder.weight": (3072,)}, r"context_embedder\.weight is \(3072,\)"),
        ("T5", {"encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": (8, 64)}, "8 distances"),
        ("T5", {"encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": (32, 0)}, "0 heads"),
        ("CLIP", {"token_embedding.weight": (49408, 100)}, "100 wide"),
        ("decoder", {"blocks.15.conv1.weight": (100, 256, 3, 3)}, "no multiples of 32"),
        ("encoder", {"blocks.0.conv1.weight": (0, 128, 3, 3)}, "no multiples of 32"),
    ],
)
def test_sizes_that_no_module_has_are_refused(part: str, changes: Shapes, said: str) -> None:
    published, rename, make, _ = OURS[part]
    shapes = shapes_of(rename(empty(PUBLISHED[published])))
    with torch.device("meta"), pytest.raises(GenerationFailed, match=said):
        make(shapes | changes)


@pytest.mark.parametrize("part", OURS)
def test_part_that_holds_nothing_is_refused(part: str) -> None:
    with pytest.raises(GenerationFailed, match="lacks"):
        OURS[part][2]({})


def test_number_of_a_block_that_cannot_be_makes_no_more_blocks() -> None:
    shapes = shapes_of(names.transformer_weights(empty(PUBLISHED["transformer"])))
    with torch.device("meta"):
        made = FLUX_MODULES.dit(shapes | {"blocks.99999999.attn.a_to_qkv.weight": (1, 1)})
    assert len(made.get_submodule("blocks")._modules) == FULL.joint_blocks + 1
