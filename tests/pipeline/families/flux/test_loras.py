"""LoRAs on FLUX.1: as if they were merged into the weights, in every way of writing, and gone without a trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pipeline.catalog import files
from pipeline.catalog.lora_card import KeyStyle, LoraCard
from pipeline.families.flux.architecture import cost
from pipeline.families.flux.cards import FLUX1_DEV
from pipeline.families.flux.loras import transformer_names
from pipeline.families.flux.transformer import Transformer
from pipeline.runtime.prompt_cache import PromptEmbeddingCache
from pipeline.streaming.lora_names import DENOISER_PREFIXES
from pipeline.streaming.lora_parts import part_of
from pipeline.streaming.lora_placement import LoraPlacement
from pipeline.streaming.lora_product import add_linear_side
from pipeline.streaming.quantization import Format, QuantizedLinear
from pipeline.streaming.residency import Residency
from tests.pipeline.families.flux.miniature_layouts import dit_as_diffusers, write
from tests.pipeline.families.flux.random_flux import Sizes, clip_shapes, dit_shapes, t5_shapes
from tests.pipeline.families.flux.test_transformer import CPU, checkpoint, equal, ring_for, run
from tests.pipeline.families.lora_files import Pairs, merged, random_pairs, tensors_of, write_lora

BOUND = 2e-5  # of the norm of what is computed, in float32
SIZES = Sizes()
COST = cost(64, 64, 3)
PUBLISHED = {name.removesuffix(".weight"): shape for name, shape in dit_shapes(SIZES).items() if len(shape) == 2}
XLABS = {
    "qkv_lora1": "img_attn.qkv",
    "qkv_lora2": "txt_attn.qkv",
    "proj_lora1": "img_attn.proj",
    "proj_lora2": "txt_attn.proj",
}
READERS = {"lora_te1_": clip_shapes(SIZES), "lora_te3_": t5_shapes(SIZES)}


@pytest.fixture(scope="module")
def path(miniature_dir: Path) -> Path:
    (path,) = files.weights_of(FLUX1_DEV.files["dit"], miniature_dir)
    return path


def read(path: Path, weight_format: Format = Format.FLOAT32) -> Transformer:
    transformer = checkpoint("dit", [path]).streamed(Transformer, weight_format, CPU)
    transformer.place()
    return transformer


def placement_on(transformer: Transformer) -> LoraPlacement:
    from pipeline.families.flux.loras import pieces_of

    part = part_of(transformer, DENOISER_PREFIXES, transformer_names, cut=pieces_of)
    residency = Residency(transformer, budget=None, cost=None)
    return LoraPlacement({"dit": part}, residency, PromptEmbeddingCache(), forget=transformer.predict.forget)


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    return random_pairs(PUBLISHED)


@pytest.fixture(scope="module")
def lora(pairs: Pairs, tmp_path_factory: pytest.TempPathFactory) -> LoraCard:
    folder = tmp_path_factory.mktemp("loras")
    return write_lora(folder / "ink.safetensors", tensors_of(pairs, KeyStyle.COMFYUI, "diffusion_model."))


def error(found: list[Tensor], wanted: list[Tensor]) -> float:
    return max(float((a - b).norm() / b.norm()) for a, b in zip(found, wanted, strict=True))


def test_lora_on_every_layer_is_as_if_it_were_merged(path: Path, pairs: Pairs, lora: LoraCard, tmp_path: Path) -> None:
    """Embedders, modulation, fused layers and the head included; on resident and on streamed blocks."""
    write(tmp_path / "merged.safetensors", merged(load_file(path), pairs), torch.float32)
    wanted = run(read(tmp_path / "merged.safetensors"))
    transformer = read(path)
    plain = run(transformer)
    placement = placement_on(transformer)
    placement.use([(lora, 1.0)], COST)
    resident = run(transformer)
    assert error(resident, wanted) < BOUND < 1e-2 < error(resident, plain)
    transformer.place(["blocks.1"], ring=ring_for(transformer, 2))
    assert equal(run(transformer), resident)
    placement.use([], COST)
    assert equal(run(transformer), plain)
    placement.use([(lora, 1.0)], COST)
    assert equal(run(transformer), resident)


@pytest.mark.parametrize(
    "layer", ["double_blocks.0.img_mod.lin", "single_blocks.1.modulation.lin", "vector_in.in_layer"]
)
def test_what_is_computed_once_per_image_is_changed_and_changed_back(
    path: Path, pairs: Pairs, tmp_path: Path, layer: str
) -> None:
    one = {layer: pairs[layer]}
    card = write_lora(tmp_path / "one.safetensors", tensors_of(one, KeyStyle.KOHYA, "lora_unet_"))
    write(tmp_path / "merged.safetensors", merged(load_file(path), one), torch.float32)
    transformer = read(path)
    plain = run(transformer)
    placement = placement_on(transformer)
    placement.use([(card, 1.0)], COST)
    changed = run(transformer)
    assert error(changed, run(read(tmp_path / "merged.safetensors"))) < BOUND
    assert not equal(changed, plain)
    placement.use([], COST)
    assert equal(run(transformer), plain)


@pytest.mark.parametrize("weight_format", [Format.INT8, Format.FLOAT8])
def test_on_8_bits_it_is_the_base_and_the_branch(
    path: Path, pairs: Pairs, lora: LoraCard, weight_format: Format
) -> None:
    """Every layer inside blocks: what it computes with the LoRA is what it computes without, and the branch's part."""
    transformer = read(path, weight_format)
    plain = run(transformer)
    placement = placement_on(transformer)
    names = {module: name for name, module in transformer.layers.items()}
    weights = {name: module.weight.clone() for name, module in transformer.layers.items()}
    product = QuantizedLinear._product
    placement.use([(lora, 1.0)], COST)
    checked: set[str] = set()

    def compare(module: Any, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        (x,) = inputs
        base = product(module, x)
        wanted = add_linear_side(base.clone(), x, module.side)
        assert torch.equal(out, wanted) and not torch.equal(out, base)
        checked.add(names[module])

    inside = [module for module in transformer.layers.values() if isinstance(module, QuantizedLinear)]
    hooks = [module.register_forward_hook(compare) for module in inside]
    run(transformer)
    for hook in hooks:
        hook.remove()
    unpacked = {names[module] for module in inside} - checked
    assert unpacked == {names[module] for module in inside if "norm" in names[module]}  # modulation
    placement.use([], COST)
    assert all(torch.equal(transformer.layers[name].weight, weight) for name, weight in weights.items())
    assert equal(run(transformer), plain)


def as_diffusers(pairs: Pairs) -> Pairs:
    """The same LoRA in diffusers' names, which keep query, key and value apart."""
    found: Pairs = {}
    for number in range(len(pairs)):
        marked = {
            f"{layer}.weight": torch.cat([up, torch.full((len(up), 1), float(each == number))], 1)
            for each, (layer, (_, up)) in enumerate(pairs.items())
        }
        (down, _) = list(pairs.values())[number]
        for name, rows in dit_as_diffusers(marked).items():
            if bool(rows[0, -1]):
                found[name.removesuffix(".weight")] = down, rows[:, :-1].contiguous()
    return found


def test_one_lora_in_three_ways_of_writing_computes_the_same(path: Path, pairs: Pairs, tmp_path: Path) -> None:
    ways = [
        tensors_of(pairs, KeyStyle.COMFYUI, "diffusion_model."),
        tensors_of(pairs, KeyStyle.COMFYUI, ""),
        tensors_of(pairs, KeyStyle.KOHYA, "lora_unet_"),
        tensors_of(as_diffusers(pairs), KeyStyle.DIFFUSERS, "transformer."),
        tensors_of(as_diffusers(pairs), KeyStyle.KOHYA, "lora_transformer_"),
        {
            name.replace("lora_A", "lora.down").replace("lora_B", "lora.up"): tensor
            for name, tensor in tensors_of(as_diffusers(pairs), KeyStyle.DIFFUSERS, "transformer.").items()
        },
    ]
    assert "transformer.single_transformer_blocks.1.proj_mlp.lora_A.weight" in ways[3]
    transformer = read(path)
    placement = placement_on(transformer)
    found = []
    for number, tensors in enumerate(ways):
        placement.use([(write_lora(tmp_path / f"{number}.safetensors", tensors), 1.0)], COST)
        found.append(run(transformer))
    assert all(equal(each, found[0]) for each in found)


def test_several_at_once_are_their_sum(path: Path, tmp_path: Path) -> None:
    weights = (0.75, -0.5, 1.5)
    some = {name: shape for number, (name, shape) in enumerate(PUBLISHED.items()) if number % 3}
    each = [random_pairs(shapes, rank=rank, seed=rank) for shapes, rank in ((PUBLISHED, 4), (some, 7), (PUBLISHED, 40))]
    tensors = load_file(path)
    for pairs, weight in zip(each, weights, strict=True):
        tensors = merged(tensors, pairs, scale=weight)
    write(tmp_path / "merged.safetensors", tensors, torch.float32)
    cards = [
        write_lora(tmp_path / f"{number}.safetensors", tensors_of(pairs, KeyStyle.KOHYA, "lora_unet_", alpha=None))
        for number, pairs in enumerate(each)
    ]
    transformer = read(path)
    plain = run(transformer)
    placement = placement_on(transformer)
    placement.use(list(zip(cards, weights, strict=True)), COST)
    assert error(run(transformer), run(read(tmp_path / "merged.safetensors"))) < BOUND
    placement.use([], COST)
    assert equal(run(transformer), plain)


def test_xlabs_names_change_what_its_attention_processors_changed(path: Path, tmp_path: Path) -> None:
    """Queries, keys and values of single blocks are the first rows of what the checkpoint has as one layer."""
    width = PUBLISHED["single_blocks.0.linear2"][0]
    shapes = {
        "single_blocks.1.linear1": (3 * width, width),
        "single_blocks.1.linear2": PUBLISHED["single_blocks.1.linear2"],
    }
    shapes |= {f"double_blocks.0.{each}": PUBLISHED[f"double_blocks.0.{each}"] for each in XLABS.values()}
    pairs = random_pairs(shapes)
    tensors = load_file(path)
    down, up = pairs["single_blocks.1.linear1"]
    rest = PUBLISHED["single_blocks.1.linear1"][0] - len(up)
    whole = {**pairs, "single_blocks.1.linear1": (down, torch.cat([up, torch.zeros(rest, up.shape[1])]))}
    write(tmp_path / "merged.safetensors", merged(tensors, whole, scale=1.0), torch.float32)
    names = {f"double_blocks.0.{ours}": f"double_blocks.0.processor.{theirs}" for theirs, ours in XLABS.items()}
    names |= {
        f"single_blocks.1.linear{n}": f"single_blocks.1.processor.{each}_lora" for n, each in ((1, "qkv"), (2, "proj"))
    }
    written: dict[str, Tensor] = {}
    for layer, (down, up) in pairs.items():
        written |= {f"{names[layer]}.down.weight": down, f"{names[layer]}.up.weight": up}
    transformer = read(path)
    plain = run(transformer)
    placement = placement_on(transformer)
    placement.use([(write_lora(tmp_path / "xlabs.safetensors", written), 1.0)], COST)
    found = run(transformer)
    assert error(found, run(read(tmp_path / "merged.safetensors"))) < BOUND < 1e-2 < error(found, plain)
    placement.use([], COST)
    assert equal(run(transformer), plain)
