"""Whatever lies where packed weights should: it is told from what was written, and written again."""

from __future__ import annotations

import json
import os
import random
import struct
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file

from pipeline.catalog.parts import Naming, Part, PartKind
from pipeline.errors import GenerationFailed
from pipeline.streaming import packed_cache
from pipeline.streaming.block_packing import ALIGN, Block, Loss, Packed
from pipeline.streaming.checkpoint_files import CheckpointFiles
from pipeline.streaming.packed_cache import PackedFile, open_packed, read_packed

BLOCKS = {name: Block(name=name, entries=(), size=size) for name, size in (("", 256), ("blocks.0", 2**21), ("t", 512))}
CONTENTS = {
    name: torch.frombuffer(bytearray(random.Random(name).randbytes(block.size)), dtype=torch.uint8)
    for name, block in BLOCKS.items()
}
HEAD = len(packed_cache.head_of(BLOCKS, "source", "0" * 24))
TOTAL = HEAD + sum(block.size for block in BLOCKS.values())


class Packing:
    """Contents that count how often they are asked for."""

    def __init__(self) -> None:
        self.times = 0
        self.made: list[str] = []

    def __call__(self, done: Collection[str]) -> Iterator[Packed]:
        self.times += 1
        for name, data in CONTENTS.items():
            if name not in done:
                self.made.append(name)
                yield Packed(BLOCKS[name], data, Loss(1.0, 4.0))


@pytest.fixture
def packing() -> Packing:
    return Packing()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("packed") / "flux.safetensors"
    opened(path, Packing())
    return path.read_bytes()


def opened(path: Path, packing: Packing) -> PackedFile:
    return open_packed(path, BLOCKS, "source", packing)


def checked(path: Path, packing: Packing) -> PackedFile:
    """As an engine does: where a block is wrong, the file is deleted and opened anew."""
    for _ in range(2):
        packed = opened(path, packing)
        packed.check()
        packed.wait(None)
        if packed.flaw is None:
            return packed
        packed.abandon()
        packed.discard()
    raise AssertionError(packed.flaw)


def holds_what_was_written(packed: PackedFile) -> bool:
    return packed.keys() == BLOCKS.keys() and all(torch.equal(packed[name], CONTENTS[name]) for name in BLOCKS)


def test_file_is_one_that_any_tool_can_read(tmp_path: Path, packing: Packing) -> None:
    packed = checked(tmp_path / "flux.safetensors", packing)
    assert holds_what_was_written(packed)
    assert holds_what_was_written(load_file(tmp_path / "flux.safetensors"))  # type: ignore[arg-type]
    with safe_open(tmp_path / "flux.safetensors", framework="pt") as file:
        assert file.metadata().keys() == {"source", "crc32"}
    assert all(packed[name].data_ptr() % ALIGN == 0 for name in BLOCKS)
    assert packing.times == 1


def header(text: bytes, length: int | None = None) -> Callable[[bytes], bytes]:
    """In place of the one that was written."""

    def damage(data: bytes) -> bytes:
        return struct.pack("<Q", len(text) if length is None else length) + text + data[HEAD:]

    return damage


def length(number: int) -> Callable[[bytes], bytes]:
    return lambda data: struct.pack("<Q", number) + data[8:]


def changed(change: Callable[[dict[str, object]], object]) -> Callable[[bytes], bytes]:
    """A header of the same length that says something else."""

    def damage(data: bytes) -> bytes:
        facts = json.loads(data[8:HEAD])
        change(facts)
        return data[:8] + json.dumps(facts).encode().ljust(HEAD - 8)[: HEAD - 8] + data[HEAD:]

    return damage


def zeros(start: int, end: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:start] + bytes(end - start) + data[end:]


def swapped(data: bytes) -> bytes:
    """Two pages of a block."""
    start = HEAD + 4096
    return data[:start] + data[start + 4096 : start + 8192] + data[start : start + 4096] + data[start + 8192 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _data: b"",
    "one byte": lambda _data: b"\x80",
    "half a length": lambda data: data[:5],
    "length 0": length(0),
    "length 2^63": length(2**63),
    "length 2^64 - 1": length(2**64 - 1),
    "length 2^40": length(2**40),
    "length of the file": length(TOTAL),
    "header alone": lambda data: data[:HEAD],
    "no JSON": header(b"\xff" * (HEAD - 8)),
    "a list": header(b"[]".ljust(HEAD - 8)),
    "a number": header(b"1e999".ljust(HEAD - 8)),
    "null": header(b"null".ljust(HEAD - 8)),
    "nested deeply": header(b'{"a":' * 100_000),
    "nested as deeply as there is room": header(b"[" * (HEAD - 8)),
    "no blocks": changed(lambda facts: [facts.pop(name) for name in BLOCKS]),
    "no metadata": changed(lambda facts: facts.pop("__metadata__")),
    "checksums of another length": changed(lambda facts: facts.update(__metadata__={"source": "source", "crc32": "0"})),
    "checksums that are none": changed(lambda facts: facts.update(__metadata__={"source": "source", "crc32": None})),
    "a name twice": lambda data: data.replace(b'"t": {', b'"":  {'),
    "offsets that overlap": changed(lambda facts: facts["t"].update(data_offsets=[0, 512])),  # type: ignore[attr-defined]
    "another checkpoint": lambda data: data.replace(b'"source": "source"', b'"source": "others"'),
    "cut off by a byte": lambda data: data[:-1],
    "cut off in the middle": lambda data: data[: TOTAL // 2],
    "a byte too many": lambda data: data + b"x",
    "zeros as long as the file": zeros(0, TOTAL),
    "a header of zeros": zeros(0, HEAD),
    "all blocks zeros": zeros(HEAD, TOTAL),
    "the last block zeros": zeros(TOTAL - 512, TOTAL),
    "a page of zeros": zeros(HEAD + 8192, HEAD + 12288),
    "two pages swapped": swapped,
    "a bit in the first byte": lambda data: data[:HEAD] + bytes([data[HEAD] ^ 1]) + data[HEAD + 1 :],
    "a bit in the last byte": lambda data: data[:-1] + bytes([data[-1] ^ 128]),
    "a checksum": changed(lambda facts: facts.update(__metadata__={"source": "source", "crc32": "0" * 24})),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_file_is_written_again(
    tmp_path: Path, packing: Packing, written: bytes, damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "flux.safetensors"
    path.write_bytes(damage(written))
    assert path.read_bytes() != written
    assert holds_what_was_written(checked(path, packing))
    assert packing.times == 1
    assert path.read_bytes() == written


@given(data=st.data())
@settings(max_examples=200)
def test_no_damage_goes_unnoticed_and_none_does_more_than_that(
    tmp_path_factory: pytest.TempPathFactory, written: bytes, data: st.DataObject
) -> None:
    damaged = bytearray(written)
    for _ in range(data.draw(st.integers(1, 3))):
        where = st.integers(0, 8) | st.integers(0, HEAD) | st.integers(0, TOTAL)
        start = min(data.draw(where), len(damaged))
        end = min(start + data.draw(st.integers(0, 9) | st.integers(0, TOTAL)), len(damaged))
        damaged[start:end] = data.draw(st.binary(max_size=16) | st.just(bytes(end - start)))
    path = tmp_path_factory.mktemp("fuzzed") / "flux.safetensors"
    path.write_bytes(damaged)
    packing = Packing()
    assert holds_what_was_written(checked(path, packing))
    assert path.read_bytes() == written
    assert packing.times == (damaged != written)
    path.unlink()


def a_folder(path: Path) -> None:
    path.mkdir()
    (path / "file").touch()


def a_loop(path: Path) -> None:
    path.symlink_to(path)


def a_link_to_nothing(path: Path) -> None:
    path.symlink_to("nowhere")


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.skipif(os.name != "posix", reason="Windows has other links and no pipes in folders")
@pytest.mark.parametrize("put", [a_folder, a_loop, a_link_to_nothing, a_pipe])
@pytest.mark.parametrize("name", ["flux.safetensors", "flux.part"])
def test_something_else_in_its_place_makes_room(
    tmp_path: Path, packing: Packing, put: Callable[[Path], None], name: str
) -> None:
    put(tmp_path / name)
    assert holds_what_was_written(checked(tmp_path / "flux.safetensors", packing))
    assert {path.name for path in tmp_path.iterdir()} == {"flux.safetensors", "flux.lock"}


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="this user may read everything")
def test_file_that_may_not_be_read_is_written_again(tmp_path: Path, packing: Packing, written: bytes) -> None:
    path = tmp_path / "flux.safetensors"
    path.write_bytes(written)
    path.chmod(0)
    assert holds_what_was_written(checked(path, packing))
    assert packing.times == 1


@pytest.mark.parametrize("fault", [lambda path: os.truncate(path, HEAD), lambda path: os.utime(path, (1, 1))])
def test_file_that_is_changed_while_it_is_mapped_is_noticed_without_touching_it(
    tmp_path: Path, packing: Packing, fault: Callable[[Path], None]
) -> None:
    """Touching what was cut off would end the process."""
    path = tmp_path / "flux.safetensors"
    packed = checked(path, packing)
    fault(path)
    assert packed.flaw is not None
    packed.discard()
    assert holds_what_was_written(checked(path, packing))


def test_file_that_is_cut_off_before_it_is_checked_is_damaged(tmp_path: Path, packing: Packing) -> None:
    packed = opened(tmp_path / "flux.safetensors", packing)
    os.truncate(tmp_path / "flux.safetensors", TOTAL - 1)
    packed.check()
    packed.wait(None)
    packed.discard()
    assert not (tmp_path / "flux.safetensors").exists()


def test_file_that_another_process_has_written_meanwhile_is_left_to_it(
    tmp_path: Path, packing: Packing, written: bytes
) -> None:
    path, new = tmp_path / "flux.safetensors", tmp_path / "new"
    packed = opened(path, packing)
    new.write_bytes(written)
    new.replace(path)
    packed.check()
    packed.wait(None)
    assert packed.flaw is not None
    packed.discard()
    assert path.read_bytes() == written
    assert holds_what_was_written(checked(path, packing))
    assert packing.times == 1


@pytest.mark.skipif(os.name != "posix", reason="Windows deletes no file that is in use")
def test_file_that_was_deleted_serves_until_the_next_start(tmp_path: Path, packing: Packing) -> None:
    packed = checked(tmp_path / "flux.safetensors", packing)
    (tmp_path / "flux.safetensors").unlink()
    assert packed.flaw is None
    assert holds_what_was_written(packed)


def test_check_that_nobody_waits_for_ends(tmp_path: Path, packing: Packing) -> None:
    packed = opened(tmp_path / "flux.safetensors", packing)
    packed.abandon()
    packed.check()
    assert packed.wait(None)
    assert packed.flaw is None


def test_disk_that_gives_no_more_while_it_is_checked_is_a_flaw(
    tmp_path: Path, packing: Packing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> str:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(PackedFile, "_checksum", fail)
    packed = opened(tmp_path / "flux.safetensors", packing)
    packed.check()
    packed.wait(None)
    assert packed.flaw is not None and "Input/output error" in packed.flaw


def test_file_of_the_release_before_is_written_again(tmp_path: Path, packing: Packing, written: bytes) -> None:
    """It has no checksums."""
    facts = json.loads(written[8:HEAD])
    del facts["__metadata__"]["crc32"]
    text = json.dumps(facts).encode()
    path = tmp_path / "flux.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + written[HEAD:])
    assert read_packed(path, BLOCKS, "source") is None
    assert holds_what_was_written(checked(path, packing))


@pytest.mark.parametrize("start", [b"", b"\x08", struct.pack("<Q", 2**63), struct.pack("<Q", 2**30), b"\xff" * 64])
def test_damaged_checkpoint_is_said_and_takes_no_memory(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(start)
    with pytest.raises(GenerationFailed, match=r"model\.safetensors"):
        CheckpointFiles(Part(kind=PartKind.DENOISER, architecture="flux", paths=(path,), naming=Naming.ORIGINAL))
