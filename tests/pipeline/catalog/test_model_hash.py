"""The hash of a model's file is found once, and never costs a read again while the file stays as it is."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.catalog import fetch_record, model_hash
from pipeline.catalog.fetch_record import FetchedFile, FetchRecord
from pipeline.catalog.model_card import ModelFile
from pipeline.catalog.model_hash import MAX_KEPT, ModelHashes, Part, learn, lora_hashes, weights_file
from pipeline.catalog.models import DEMO, FAKE, FLUX1_DEV
from pipeline.config import LoraEntry, PipelineConfig
from pipeline.images.png_metadata import FileHashes, parameters
from pipeline.sealed_files import write_sealed
from pipeline.spec import ImageOptions
from tests.pipeline.catalog.miniature_loras import write_lora

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "packed" / "model_hashes.json"


def test_file_is_read_once_by_all_processes(weights: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = ModelHashes(place)
    assert hashes.known(weights) == ""
    assert hashes.find(weights) == hashes.known(weights) == SHA256
    monkeypatch.setattr(model_hash, "_sha256", None)
    assert ModelHashes(place).find(weights) == hashes.find(weights) == SHA256


def test_changed_file_is_not_known_by_its_old_hash(weights: Path, place: Path) -> None:
    hashes = ModelHashes(place)
    hashes.find(weights)
    weights.write_bytes(CONTENT[::-1])
    os.utime(weights, ns=(1, 1))
    assert hashes.known(weights) == ""
    assert hashes.find(weights) == hashlib.sha256(CONTENT[::-1]).hexdigest()


def test_hash_of_the_hub_is_kept_without_reading_the_file(weights: Path, place: Path) -> None:
    ModelHashes(place).remember(weights, "AB" * 32)
    assert ModelHashes(place).known(weights) == "ab" * 32
    for nonsense in ("", "ab", "../x", "é" * 64):
        ModelHashes(place).remember(weights, nonsense)
    assert ModelHashes(place).known(weights) == "ab" * 32


def test_processes_add_to_what_others_know(weights: Path, place: Path) -> None:
    first, second = ModelHashes(place), ModelHashes(place)
    other = weights.with_name("other.safetensors")
    other.write_bytes(b"x")
    assert (first.known(weights), second.known(weights)) == ("", "")
    first.find(weights)
    second.find(other)
    assert ModelHashes(place).known(weights) and ModelHashes(place).known(other)


def test_reading_stops_when_told_and_leaves_nothing(weights: Path, place: Path) -> None:
    hashes = ModelHashes(place)
    assert hashes.find(weights, lambda: True) == hashes.known(weights) == ""


def test_file_that_cannot_be_read_has_no_hash(tmp_path: Path, place: Path) -> None:
    hashes = ModelHashes(place)
    for path in (tmp_path / "gone", tmp_path):
        assert (hashes.find(path), hashes.known(path)) == ("", "")
    hashes.remember(tmp_path / "gone", SHA256)
    assert hashes.known(tmp_path / "gone") == ""


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"a": 1}', b'{"a": [1, 2]}', b'{"a": ["x", 2, "y"]}', b"[" * 10**5]
)
def test_damaged_notes_count_as_none(weights: Path, place: Path, content: bytes) -> None:
    place.parent.mkdir()
    write_sealed(place, content)
    assert ModelHashes(place).find(weights) == SHA256
    place.write_bytes(content)
    assert ModelHashes(place).find(weights) == SHA256


def test_folder_that_cannot_be_written_costs_only_the_memory_of_it(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    hashes = ModelHashes(tmp_path / "file" / "model_hashes.json")
    assert hashes.find(weights) == hashes.known(weights) == SHA256


def test_notes_stay_bounded(weights: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_hash, "MAX_KEPT", 2)
    assert MAX_KEPT > 2
    paths = [weights.with_name(f"{number}.safetensors") for number in range(3)]
    hashes = ModelHashes(place)
    for path in paths:
        path.write_bytes(CONTENT)
        hashes.find(path)
    assert [bool(ModelHashes(place).known(path)) for path in paths] == [False, True, True]


def test_notes_of_many_long_paths_stay_readable(weights: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_hash, "_MAX_BYTES", 2048)
    hashes = ModelHashes(place)
    paths = [weights.with_name(f"{number}{'x' * 200}") for number in range(5)]
    for path in paths:
        path.write_bytes(CONTENT)
        hashes.find(path)
    known = [bool(ModelHashes(place).known(path)) for path in paths]
    assert known[-1] and not known[0]


def test_hash_that_was_noted_when_a_file_was_fetched_counts_until_the_file_is_written_to(
    tmp_path: Path, place: Path
) -> None:
    card = replace(FLUX1_DEV, files={"dit": ModelFile(repo="a/b", path="c.safetensors")})
    path = tmp_path / "a/b/c.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    now = int(time.time())
    noted = FetchedFile(size_bytes=len(CONTENT), sha256="ab" * 32, fetched_at=now + 1)
    fetch_record.write(path.parent, "a/b", FetchRecord(revision="master", files={"c.safetensors": noted}))
    hashes = ModelHashes(place)
    learn(hashes, card, tmp_path)
    assert hashes.known(path) == "ab" * 32
    os.utime(path, (now + 9, now + 9))
    learn(hashes, card, tmp_path)
    assert hashes.known(path) == SHA256
    learn(hashes, DEMO, tmp_path)  # which has none


def test_file_that_was_moved_over_a_fetched_one_is_read(tmp_path: Path, place: Path) -> None:
    card = replace(FLUX1_DEV, files={"dit": ModelFile(repo="a/b", path="c.safetensors")})
    path = tmp_path / "a/b/c.safetensors"
    path.parent.mkdir(parents=True)
    noted = FetchedFile(size_bytes=len(CONTENT), sha256="ab" * 32, fetched_at=int(time.time()) - 9)
    fetch_record.write(path.parent, "a/b", FetchRecord(revision="master", files={"c.safetensors": noted}))
    other = tmp_path / "older"
    other.write_bytes(CONTENT)
    os.utime(other, (1_000, 1_000))
    other.rename(path)
    hashes = ModelHashes(place)
    learn(hashes, card, tmp_path)
    assert hashes.known(path) == SHA256


def test_model_is_known_by_the_one_file_of_its_transformer(tmp_path: Path) -> None:
    expected = tmp_path / "black-forest-labs/FLUX.1-dev/flux1-dev.safetensors"
    assert weights_file(FLUX1_DEV, tmp_path) == expected
    sharded = replace(FLUX1_DEV, files={"dit": ModelFile(repo="a/b", path="transformer/")})
    assert [weights_file(card, tmp_path) for card in (sharded, DEMO, FAKE)] == [None, None, None]


ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of "abc" (FIPS 180-4, example B.1)


def lora_of_three_bytes(path: Path, **notes: str) -> Path:
    header = {"__metadata__": notes, "a.lora_down.weight": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]}}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"abc")
    return path


def test_lora_is_known_by_its_tensors_whatever_its_notes_say(tmp_path: Path) -> None:
    hashes = ModelHashes(tmp_path / "hashes.json")
    for number, notes in enumerate(({}, {"ss_tag_frequency": "{}"}, {"sshs_model_hash": "nonsense"})):
        path = lora_of_three_bytes(tmp_path / f"{number}.safetensors", **notes)
        assert hashes.find(path, part=Part.TENSORS) == ABC
        assert hashes.find(path) != ABC == ModelHashes(tmp_path / "hashes.json").known(path, part=Part.TENSORS)
    noted = lora_of_three_bytes(tmp_path / "noted.safetensors", sshs_model_hash="A" * 64)
    assert hashes.find(noted, part=Part.TENSORS) == "a" * 64


@pytest.mark.parametrize("content", [b"", b"abc", struct.pack("<Q", 2**62) + b"{}", struct.pack("<Q", 100) + b"{}"])
def test_lora_that_is_damaged_has_no_hash(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    assert ModelHashes(tmp_path / "hashes.json").find(path, part=Part.TENSORS) == ""


def test_png_names_the_hash_of_a_lora_as_automatic1111_reads_it(tmp_path: Path) -> None:
    file = write_lora(tmp_path / "ink.safetensors")
    content = file.read_bytes()
    expected = hashlib.sha256(content[8 + int.from_bytes(content[:8], "little") :]).hexdigest()
    config = PipelineConfig(models_dir=tmp_path, loras=(LoraEntry(name="ink", file=file),))
    hashes = ModelHashes(tmp_path / "hashes.json")
    spec = replace(FLUX1_DEV.resolve(ImageOptions(prompt="a fox"), random_seed=1), loras="ink:0.8")
    assert "Lora hashes" not in parameters(spec, hashes=FileHashes("", lora_hashes(hashes, spec, config)))
    hashes.find(file, part=Part.TENSORS)
    text = parameters(spec, hashes=FileHashes("", lora_hashes(hashes, spec, config)))
    assert f'Lora hashes: "ink: {expected[:12]}"' in text and text.startswith("a fox <lora:ink:0.8>\n")
