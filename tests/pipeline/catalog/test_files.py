"""Where model files lie, and what is said of files that are not usable."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.catalog.architecture import Architecture
from pipeline.catalog.files import Flaw, missing, path_of, weights_of
from pipeline.catalog.model_card import Bounds, ModelCard, ModelFile
from pipeline.catalog.models import DEMO, MAJICFLUS_V1
from pipeline.families.flux.architecture import FLUX
from pipeline.spec import Aspect
from tests.pipeline.catalog import miniature_headers as make

REPO = "owner/name"
FILES = {
    "dit": ModelFile(repo=REPO, path="dit.safetensors"),
    "t5": ModelFile(repo=REPO, path="t5/"),
    "tokenizer_1": ModelFile(repo=REPO, path="tokenizer/", needs=("tokenizer.json",)),
}
# One whose files may hold anything.
ANYTHING = replace(
    FLUX, components={name: replace(component, part=None) for name, component in FLUX.components.items()}
)


def card_of(files: dict[str, ModelFile], architecture: Architecture = ANYTHING) -> ModelCard:
    return ModelCard(
        name="model",
        title="Model",
        architecture=architecture,
        licence="none",
        licence_url="https://example.org",
        files=files,
        sizes={Aspect.SQUARE: (64, 64)},
        bounds=Bounds(min_side=16, max_pixels=2**14, max_ratio=4.0),
    )


CARD = card_of(FILES)


def safetensors(values: int = 4) -> bytes:
    header = json.dumps({"a": {"dtype": "U8", "shape": [values], "data_offsets": [0, values]}}).encode()
    return struct.pack("<Q", len(header)) + header + b"x" * values


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The repository's folder with every file of CARD, whole."""
    folder = tmp_path / REPO
    (folder / "t5").mkdir(parents=True)
    (folder / "tokenizer").mkdir()
    (folder / "dit.safetensors").write_bytes(safetensors())
    for number in (1, 2):
        (folder / f"t5/model-0000{number}-of-00002.safetensors").write_bytes(safetensors())
    weight_map = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "t5/model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (folder / "tokenizer/tokenizer.json").write_text("{}")
    return folder


def flaws(tmp_path: Path, card: ModelCard = CARD) -> dict[str, Flaw]:
    return {file.path.name: file.reason for file in missing(card, tmp_path)}


def test_whole_model_misses_nothing(folder: Path, tmp_path: Path) -> None:
    assert missing(CARD, tmp_path) == []


def test_shipped_model_misses_nothing(tmp_path: Path) -> None:
    assert missing(DEMO, tmp_path) == []


def test_absent_model_names_every_file(tmp_path: Path) -> None:
    found = missing(MAJICFLUS_V1, tmp_path)
    assert {file.reason for file in found} == {Flaw.ABSENT}
    assert tmp_path / "MAILAND/majicflus_v1/majicflus_v134.safetensors" in {file.path for file in found}
    assert len(found) == 4  # and no tokenizer: those are shipped


def test_files_lie_under_namespace_and_name(tmp_path: Path) -> None:
    assert path_of(FILES["dit"], tmp_path) == tmp_path / "owner" / "name" / "dit.safetensors"


@pytest.mark.parametrize("name", ["dit.safetensors", "tokenizer/tokenizer.json"])
def test_empty_file_is_named(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / name).write_bytes(b"")
    assert flaws(tmp_path) == {Path(name).name: Flaw.EMPTY}


@pytest.mark.parametrize("kept", [1, 7, 8, 20, -1])
def test_cut_weights_are_named(folder: Path, tmp_path: Path, kept: int) -> None:
    path = folder / "dit.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    assert flaws(tmp_path) == {"dit.safetensors": Flaw.NOT_WHOLE}


@pytest.mark.parametrize(
    "content",
    [
        b"\xff" * 64,
        struct.pack("<Q", 2**62) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 9) + b"not json!",
        struct.pack("<Q", 100_000) + b"[" * 100_000,
        safetensors() + b"trailing",
    ],
    ids=range(6),
)
def test_hostile_weights_are_named(folder: Path, tmp_path: Path, content: bytes) -> None:
    (folder / "dit.safetensors").write_bytes(content)
    assert flaws(tmp_path) == {"dit.safetensors": Flaw.NOT_WHOLE}


def test_cut_json_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "tokenizer/tokenizer.json").write_text('{"model": ')
    assert flaws(tmp_path) == {"tokenizer.json": Flaw.NOT_WHOLE}


def test_shard_of_the_index_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "t5/model-00002-of-00002.safetensors").unlink()
    assert flaws(tmp_path) == {"model-00002-of-00002.safetensors": Flaw.ABSENT}


def test_shard_is_missed_without_an_index_too(folder: Path, tmp_path: Path) -> None:
    (folder / "t5/model.safetensors.index.json").unlink()
    assert flaws(tmp_path) == {}
    (folder / "t5/model-00001-of-00002.safetensors").unlink()
    assert flaws(tmp_path) == {"model-00001-of-00002.safetensors": Flaw.ABSENT}


@pytest.mark.parametrize(
    "index",
    ["", "{", "[]", "{}", '{"weight_map": {}}', '{"weight_map": {"a": "../x"}}', '{"weight_map": {"a": [1]}}'],
)
def test_index_without_sense_is_named(folder: Path, tmp_path: Path, index: str) -> None:
    (folder / "t5/model.safetensors.index.json").write_text(index)
    assert set(flaws(tmp_path)) == {"model.safetensors.index.json"}


def test_files_outside_the_index_are_not_loaded(folder: Path, tmp_path: Path) -> None:
    (folder / "t5/model.fp16.safetensors").write_bytes(safetensors())
    assert [path.name for path in weights_of(FILES["t5"], tmp_path)] == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]


def test_partial_downloads_are_not_loaded(folder: Path, tmp_path: Path) -> None:
    (folder / "t5/model.safetensors.index.json").unlink()
    for suffix in (".incomplete", "_0_1023", ".rejected"):
        (folder / f"t5/model-00001-of-00002.safetensors{suffix}").write_bytes(b"part")
    assert len(weights_of(FILES["t5"], tmp_path)) == 2


def test_pickled_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "model.ckpt").write_bytes(b"\x80\x04.")
    card = card_of({"dit": ModelFile(repo=REPO, path="model.ckpt")})
    (flaw,) = missing(card, tmp_path)
    assert (flaw.reason, flaw.path.name) == (Flaw.WRONG, "model.ckpt")
    assert flaw.told.startswith("is a pickled checkpoint: ")


def test_folder_in_place_of_a_file_is_absent(folder: Path, tmp_path: Path) -> None:
    (folder / "dit.safetensors").unlink()
    (folder / "dit.safetensors").mkdir()
    assert flaws(tmp_path) == {"dit.safetensors": Flaw.ABSENT}


@pytest.mark.parametrize(
    "suffix", [".aria2", ".crdownload", ".incomplete", ".part", ".xltd", ".baiduyun.p.downloading"]
)
@pytest.mark.parametrize("name", ["dit.safetensors", "tokenizer/tokenizer.json", "t5/model-00002-of-00002.safetensors"])
def test_file_beside_a_part_of_its_download_is_not_whole(folder: Path, tmp_path: Path, name: str, suffix: str) -> None:
    (folder / f"{name}{suffix}").touch()
    assert flaws(tmp_path) == {Path(name).name: Flaw.UNFINISHED}


def many_tensors(count: int, values: int, *, zeros: int) -> bytes:
    """Weights whose last `zeros` bytes were reserved and never written."""
    entries = {
        f"t{number:03}": {"dtype": "U8", "shape": [values], "data_offsets": [number * values, (number + 1) * values]}
        for number in range(count)
    }
    header = json.dumps({"__metadata__": {"format": "pt"}, **entries}).encode()
    return struct.pack("<Q", len(header)) + header + b"x" * (count * values - zeros) + bytes(zeros)


@pytest.mark.parametrize(
    ("count", "values", "zeros", "flaw"),
    [
        (1, 4, 4, Flaw.ZEROS),
        (1, 3000, 1000, Flaw.ZEROS),
        (4, 1000, 1000, Flaw.ZEROS),
        (4, 1000, 4000, Flaw.ZEROS),  # nothing but the header has arrived
        (100, 200_000, 10**6, Flaw.ZEROS),
        (1, 20_000_000, 10**6, Flaw.ZEROS),
        (1, 20_000_000, 10_000, None),  # rows of a table that nothing uses
        (4, 1000, 0, None),
        (100, 200_000, 0, None),
        (100, 200_000, 40, None),
    ],
)
def test_weights_that_end_in_zeros_are_not_whole(
    folder: Path, tmp_path: Path, count: int, values: int, zeros: int, flaw: Flaw | None
) -> None:
    (folder / "dit.safetensors").write_bytes(many_tensors(count, values, zeros=zeros))
    assert flaws(tmp_path) == ({"dit.safetensors": flaw} if flaw else {})


def test_weights_without_tensors_end_in_nothing(folder: Path, tmp_path: Path) -> None:
    (folder / "dit.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")
    assert flaws(tmp_path) == {}


def test_text_that_ends_in_zeros_is_not_whole(folder: Path, tmp_path: Path) -> None:
    (folder / "merges.txt").write_bytes(b"a b\n" + bytes(1000))
    card = card_of({"tokenizer_1": ModelFile(repo=REPO, path="./", needs=("merges.txt",))})
    assert flaws(tmp_path, card) == {"merges.txt": Flaw.ZEROS}


def place(tmp_path: Path, tensors: make.Tensors, name: str = "flux1-dev.safetensors") -> ModelCard:
    """The card of a FLUX.1 [dev] that is one file, with these tensors in its place."""
    make.write_safetensors(tmp_path / REPO / name, tensors)
    return card_of({"dit": ModelFile(repo=REPO, path=name)}, FLUX)


def test_transformer_in_its_place_is_good(tmp_path: Path) -> None:
    assert missing(place(tmp_path, make.flux()), tmp_path) == []


def test_checkpoint_serves_every_component(tmp_path: Path) -> None:
    make.write_safetensors(tmp_path / REPO / "all.safetensors", make.checkpoint_flux())
    one = ModelFile(repo=REPO, path="all.safetensors")
    assert missing(card_of(dict.fromkeys(("dit", "clip", "t5", "vae"), one), FLUX), tmp_path) == []


@pytest.mark.parametrize(
    ("tensors", "told"),
    [
        (make.lora("lora_unet_double_blocks_0_img_attn_proj"), "is a LoRA for FLUX.1: "),
        (make.flux(guidance=False), "is a FLUX.1 [schnell] transformer, bf16: it is drawn"),
        (make.flux(token=384), "is FLUX.1 Fill [dev]: "),
        (make.t5(), "is a T5 text encoder, bf16: it holds no transformer; put the transformer of FLUX.1 there"),
        (make.unet(), "is a Stable Diffusion 1.5 UNet, bf16: it belongs to Stable Diffusion 1.5"),
        (make.without(make.flux(), ["img_in.weight"]), "is a FLUX.1 [dev] transformer, bf16: it lacks img_in.weight"),
        (
            make.replaced(make.flux(), ("qweight", "I8"), ("wscales", "BF16")),
            "is a FLUX.1 [dev] transformer in SVDQuant",
        ),
    ],
)
def test_file_that_does_not_belong_there_is_named_for_what_it_is(
    tmp_path: Path, tensors: make.Tensors, told: str
) -> None:
    (flaw,) = missing(place(tmp_path, tensors), tmp_path)
    assert flaw.reason is Flaw.WRONG
    assert flaw.told.startswith(told)


def test_gguf_in_the_place_of_a_transformer_is_good_until_it_is_cut_or_hollow(tmp_path: Path) -> None:
    card = card_of({"dit": ModelFile(repo=REPO, path="x.gguf")}, FLUX)
    path = make.write_gguf(tmp_path / REPO / "x.gguf", make.flux(width=256, double=1, single=1), dtype="Q4_K")
    content = path.read_bytes()
    assert missing(card, tmp_path) == []
    path.write_bytes(content[:-1000])
    assert flaws(tmp_path, card) == {"x.gguf": Flaw.NOT_WHOLE}
    path.write_bytes(content[:-100_000] + bytes(100_000))
    assert flaws(tmp_path, card) == {"x.gguf": Flaw.ZEROS}


def test_text_encoder_of_another_size_is_named(tmp_path: Path) -> None:
    shapes = make.flux(text=24, pooled=16) | make.t5(width=24) | make.clip(width=32)
    make.write_safetensors(tmp_path / REPO / "x.safetensors", shapes)
    (flaw,) = missing(
        card_of(dict.fromkeys(("dit", "clip", "t5"), ModelFile(repo=REPO, path="x.safetensors")), FLUX), tmp_path
    )
    assert flaw.told.startswith("is a CLIP-L text encoder of another size: it gives 32 numbers")
