"""Packing that was interrupted goes on where it was, if what is there is what was written; else it starts over."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file

from pipeline.streaming import packed_cache
from pipeline.streaming.block_packing import Packed
from pipeline.streaming.packed_cache import open_packed
from tests.pipeline.streaming.test_packed_cache import BLOCKS, CONTENTS, HEAD, Packing, holds_what_was_written, opened

NAMES = list(BLOCKS)
Damage = Callable[[Path, Path], object]  # to the part and to the journal


class Interrupted(Packing):
    """Contents that end in the middle."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def __call__(self, done: Collection[str]) -> Iterator[Packed]:
        for number, packed in enumerate(super().__call__(done)):
            if number == self.after:
                self.stop()
            yield packed

    def stop(self) -> None:
        raise KeyboardInterrupt


class Hanging(Interrupted):
    """Contents that say so in the middle, and wait to be killed."""

    def stop(self) -> None:
        print("here", flush=True)  # noqa: T201
        sys.stdin.read()


def interrupt(path: Path, after: int = 2, packing: Packing | None = None) -> Packing:
    packing = packing or Interrupted(after)
    with pytest.raises(KeyboardInterrupt):
        opened(path, packing)
    return packing


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_packing_that_was_killed_goes_on_after_the_blocks_that_are_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "flux.safetensors"
    code = "import sys; from pathlib import Path; from tests.pipeline.streaming.test_packing_resumed import *; "
    with subprocess.Popen(
        [sys.executable, "-c", code + "opened(Path(sys.argv[1]), Hanging(2))", str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.kill()
    assert left_in(tmp_path) == {"flux.part", "flux.journal", "flux.lock"}
    caplog.set_level("INFO")
    packing = Packing()
    assert holds_what_was_written(opened(path, packing))
    assert packing.made == NAMES[2:]
    assert left_in(tmp_path) == {"flux.safetensors", "flux.lock"}
    assert "packing flux goes on: 2 of 3 blocks are there" in caplog.messages
    assert "packed flux: its weights differ by 50 % (root mean square)" in caplog.messages  # all three blocks count


def test_packing_may_be_interrupted_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "flux.safetensors"
    assert [interrupt(path, 1).made for _ in range(2)] == [NAMES[:2], NAMES[1:]]
    packing = Packing()
    assert holds_what_was_written(opened(path, packing))
    assert packing.made == NAMES[2:]
    assert holds_what_was_written(load_file(path))  # type: ignore[arg-type]


def cut(size: int) -> Callable[[Path], object]:
    return lambda path: os.truncate(path, size)


def flip(place: int) -> Callable[[Path], object]:
    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[place] ^= 1
        path.write_bytes(data)

    return damage


def replaced(text: str, by: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(path.read_text().replace(text, by))


def a_link(path: Path) -> None:
    path.rename(path.with_suffix(".elsewhere"))
    path.symlink_to(path.with_suffix(".elsewhere"))


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


PART: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "is cut off in the second block": (cut(HEAD + 1000), NAMES[1:]),
    "is cut off in the first block": (cut(HEAD + 1), NAMES),
    "is empty": (cut(0), NAMES),
    "is longer than it should be": (cut(HEAD + 2**23), NAMES[2:]),
    "has another bit in the first block": (flip(HEAD), [NAMES[0], *NAMES[2:]]),
    "has another bit in the second block": (flip(HEAD + 5000), NAMES[1:]),
    "has another bit in its head, which is written last": (flip(3), NAMES[2:]),
    "is gone": (Path.unlink, NAMES),
    "is a link": (a_link, NAMES),
    "is a pipe": (a_pipe, NAMES),
}
JOURNAL: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "is gone": (Path.unlink, NAMES),
    "is empty": (cut(0), NAMES),
    "is of something else": (flip(0), NAMES),
    "is a pipe": (a_pipe, NAMES),
    "is huge": (cut(2**30), NAMES),
    "is no text": (lambda path: path.write_bytes(b"\xff" * 100), NAMES),
    "is cut off in its last line": (lambda path: os.truncate(path, path.stat().st_size - 9), NAMES[1:]),
    "has another checksum": (replaced('"crc32": "', '"crc32": "0'), NAMES),
    "has a loss that is no number": (replaced('"lost": 1.0', '"lost": NaN'), NAMES),
    "has numbers for texts": (replaced('"block": "', '"block": 5, "block2": "'), NAMES),
    "is nested deeply": (replaced('{"block"', "[" * 10_000), NAMES),
    "names a block that is not there": (replaced('"block": "blocks.0"', '"block": "blocks.7"'), NAMES[1:]),
}


@pytest.mark.skipif(os.name != "posix", reason="Windows has other links and no pipes in folders")
@pytest.mark.parametrize(
    ("suffix", "damage", "made"),
    [(".part", *each) for each in PART.values()] + [(".journal", *each) for each in JOURNAL.values()],
    ids=[f"part {name}" for name in PART] + [f"journal {name}" for name in JOURNAL],
)
def test_only_what_is_there_to_the_last_bit_is_used_again(
    tmp_path: Path, suffix: str, damage: Callable[[Path], object], made: list[str]
) -> None:
    path = tmp_path / "flux.safetensors"
    opened(tmp_path / "whole.safetensors", Packing())
    interrupt(path)
    damage(path.with_suffix(suffix))
    packing = Packing()
    assert holds_what_was_written(opened(path, packing))
    assert packing.made == made
    assert path.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert not path.with_suffix(".part").exists() and not path.with_suffix(".journal").exists()


def test_part_of_another_source_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "flux.safetensors"
    interrupt(path)
    packing = Packing()
    assert holds_what_was_written(open_packed(path, BLOCKS, "a newer source", packing))
    assert packing.made == NAMES


def test_packing_that_fails_leaves_nothing(tmp_path: Path) -> None:
    class Failing(Interrupted):
        def stop(self) -> None:
            raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        opened(tmp_path / "flux.safetensors", Failing(2))
    assert left_in(tmp_path) == {"flux.lock"}


def test_part_counts_as_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "flux.safetensors"
    interrupt(path)
    left = sum(len(CONTENTS[name]) for name in NAMES[2:])
    usage = packed_cache.shutil.disk_usage(tmp_path)._replace(free=left + packed_cache.SPARE_BYTES)
    monkeypatch.setattr(packed_cache.shutil, "disk_usage", lambda _path: usage)
    assert holds_what_was_written(opened(path, Packing()))
