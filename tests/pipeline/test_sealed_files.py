"""A file of a cache is what was written, or it is not there; whatever lies in its place makes room."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sealed_files import read_sealed, write_sealed

CONTENT = b"what was\nmade\x00 once"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@given(content=st.binary())
def test_content_is_read_as_it_was_written(folder: Path, content: bytes) -> None:
    write_sealed(folder / "a", content)
    assert read_sealed(folder / "a", 1000) == content
    assert [path.name for path in folder.iterdir()] == ["a"]


@given(start=st.integers(0, 100), size=st.integers(0, 100), other=st.binary(max_size=100))
def test_no_damage_goes_unnoticed(folder: Path, start: int, size: int, other: bytes) -> None:
    write_sealed(folder / "a", CONTENT)
    whole = (folder / "a").read_bytes()
    damaged = whole[:start] + other + whole[start + size :]
    (folder / "a").write_bytes(damaged)
    assert read_sealed(folder / "a", 1000) == (CONTENT if damaged == whole else None)


def test_file_of_another_name_is_not_taken_for_this_one(tmp_path: Path) -> None:
    write_sealed(tmp_path / "a", CONTENT)
    (tmp_path / "a").rename(tmp_path / "b")
    assert read_sealed(tmp_path / "b", 1000) is None
    assert read_sealed(tmp_path / "a", 1000) is None


def test_file_that_is_far_too_large_is_not_read(tmp_path: Path) -> None:
    write_sealed(tmp_path / "a", bytes(1001))
    assert read_sealed(tmp_path / "a", 1000) is None


def a_folder(path: Path) -> None:
    (path / "folder").mkdir(parents=True)


def a_loop(path: Path) -> None:
    path.symlink_to(path)


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.skipif(os.name != "posix", reason="Windows has other links and no pipes in folders")
@pytest.mark.parametrize("put", [a_folder, a_loop, a_pipe])
@pytest.mark.parametrize("name", ["a", "a.part"])
def test_something_else_in_its_place_makes_room(tmp_path: Path, put: Callable[[Path], None], name: str) -> None:
    put(tmp_path / name)
    assert read_sealed(tmp_path / "a", 1000) is None
    write_sealed(tmp_path / "a", CONTENT, mode=0o600)
    assert read_sealed(tmp_path / "a", 1000) == CONTENT
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert len(list(tmp_path.iterdir())) == 1
