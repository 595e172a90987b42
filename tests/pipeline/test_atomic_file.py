"""A file appears whole or not at all, whatever happens while it is written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline import atomic_file
from pipeline.atomic_file import write_atomically


def write(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    with write_atomically(path, part=path.with_suffix(".part"), mode=mode) as file:
        file.write(content)


def test_the_name_is_taken_at_the_end_only(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with write_atomically(path, part=tmp_path / "part") as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError("full"), KeyboardInterrupt(), ValueError()])
def test_what_was_there_stays_if_anything_goes_wrong(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file"
    write(path, b"old")
    with pytest.raises(type(error)), write_atomically(path, part=tmp_path / "part") as file:
        file.write(b"new")
        raise error
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_left_if_the_disk_refuses_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(atomic_file.os, "fsync", refuse)
    with pytest.raises(OSError, match="disk is full"):
        write(tmp_path / "file", b"new")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_that_name_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    (path / "something").mkdir(parents=True)
    write(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_part_that_exists_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"somebody else's")
    with pytest.raises(FileExistsError):
        write(tmp_path / "file", b"new")
    assert (tmp_path / "file.part").read_bytes() == b"somebody else's"


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_permissions_hold_from_the_first_moment(tmp_path: Path) -> None:
    part = tmp_path / "part"
    with write_atomically(tmp_path / "file", part=part, mode=0o600):
        assert part.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
