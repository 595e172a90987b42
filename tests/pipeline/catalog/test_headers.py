"""Heads of files: what is read of good ones, and what is said of files that only look like some."""

from __future__ import annotations

import json
import os
import struct
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.catalog.headers import Container, NotWeights, TensorInfo, header_of
from pipeline.catalog.layouts import identify
from tests.pipeline.catalog import miniature_headers as make


def refusal_of(path: Path) -> str:
    with pytest.raises(NotWeights) as caught:
        header_of(path)
    layout = identify(path)
    assert layout.refusal == caught.value.refusal
    assert str(path.parent) not in str(caught.value)
    return caught.value.refusal.what


def test_head_of_safetensors_tells_shapes_and_places(tmp_path: Path) -> None:
    tensors = {"a": ("F16", (2, 3)), "b": ("F8_E4M3", (4,))}
    path = make.write_safetensors(tmp_path / "x", tensors, metadata={"format": "pt"})
    head = header_of(path)
    assert (head.container, head.metadata) == (Container.SAFETENSORS, {"format": "pt"})
    start = path.stat().st_size - 16
    assert head.tensors == {
        "a": TensorInfo(dtype="F16", shape=(2, 3), start=start, size=12),
        "b": TensorInfo(dtype="F8_E4M3", shape=(4,), start=start + 12, size=4),
    }


def test_head_of_gguf_tells_shapes_and_places(tmp_path: Path) -> None:
    notes = {"general.name": "x", "n": 7, "words": ["a", "b"], "comfy.gguf.orig_shape.b": (2, 8, 16)}
    path = make.write_gguf(tmp_path / "x", {"a": (2, 64), "b": ("F32", (256,))}, metadata=notes)
    head = header_of(path)
    start = path.stat().st_size - 160 - 1024
    assert head.container is Container.GGUF
    assert head.tensors == {
        "a": TensorInfo(dtype="Q8_0", shape=(2, 64), start=start, size=136),
        "b": TensorInfo(dtype="F32", shape=(2, 8, 16), start=start + 160, size=1024),
    }
    assert (head.metadata["general.name"], head.metadata["n"]) == ("x", "7")


ZIP = b"PK\x03\x04\x00\x00\x08\x08" + b"\0" * 20
STRANGERS = [
    ("x.safetensors", b"", "an empty file"),
    ("x.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "a Git LFS pointer"),
    ("x.safetensors", b"\n<!DOCTYPE html><html>", "a web page"),
    ("x.gguf", b"\xef\xbb\xbf<html lang=en>", "a web page"),
    ("x.safetensors", b'{"error": "Access to model is restricted"}', "a text"),
    ("x.safetensors", "要求登录".encode(), "a text"),
    ("x.ckpt", ZIP + b"archive/data.pklPK", "a pickled checkpoint"),
    ("x.safetensors", ZIP + b"archive/data.pklPK", "a pickled checkpoint"),
    ("x.safetensors", b"\x80\x02}q\x00.", "a pickled checkpoint"),
    ("x.pt", os.urandom(64) + b"\xff", "a pickled checkpoint"),
    ("x.zip", ZIP + b"readme", "an archive"),
    ("x.onnx", b"\x08\x07\x12\x07pytorch" + bytes(64), "an ONNX model"),
    ("x.safetensors", bytes(10_000), "a file of zeros"),
    ("x.safetensors", b"\x89PNG\r\n\x1a\n" + bytes(64), "an image"),
    ("x.safetensors", struct.pack("<Q", 1000) + b"{", "a safetensors file that is cut off"),
    ("x.safetensors", struct.pack("<Q", 2) + b"[]", "a damaged safetensors file"),
    ("x.safetensors", struct.pack("<Q", 100_000) + b"[" * 100_000, "a damaged safetensors file"),
    ("x.safetensors", struct.pack("<Q", 2**62) + b"{}", "no file of weights"),
    ("x.gguf", b"GGUF" + struct.pack("<I", 3), "a damaged GGUF file"),
    ("x.gguf", b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "a GGUF file of version 1"),
    ("x.gguf", b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0), "a damaged GGUF file"),
    ("x.gguf", b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60), "a damaged GGUF file"),
    ("x.gguf", b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**60), "a damaged GGUF file"),
    ("x.gguf", b"GGUF\0\0\0\x03", "a GGUF file of version 50331648"),
]


@pytest.mark.parametrize(("name", "content", "what"), STRANGERS, ids=range(len(STRANGERS)))
def test_files_that_are_no_weights_are_told_by_their_content(
    tmp_path: Path, name: str, content: bytes, what: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert refusal_of(tmp_path / name) == what


def test_good_weights_with_the_suffix_of_a_pickle_are_weights(tmp_path: Path) -> None:
    assert header_of(make.write_safetensors(tmp_path / "x.ckpt", make.t5())).tensors


@pytest.mark.parametrize("kept", [1, 7, 8, 20, -1])
@pytest.mark.parametrize("is_gguf", [False, True])
def test_cut_file_is_told(tmp_path: Path, kept: int, is_gguf: bool) -> None:
    path = tmp_path / "x"
    make.write_gguf(path, make.t5()) if is_gguf else make.write_safetensors(path, make.t5())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(NotWeights) as caught:
        header_of(path)
    assert caught.value.is_damaged or kept < 8


ENTRY = {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    "entry",
    [
        [],
        {"dtype": 7},
        ENTRY | {"shape": [-4]},
        ENTRY | {"shape": [4.0]},
        ENTRY | {"shape": [True, 4]},
        ENTRY | {"shape": [2**62, 2**62]},
        ENTRY | {"shape": [2**47, 0], "data_offsets": [0, 0]},
        ENTRY | {"shape": [1] * 99},
        ENTRY | {"shape": "abcd"},
        ENTRY | {"data_offsets": [4, 0]},
        ENTRY | {"data_offsets": [0, 5]},
        ENTRY | {"data_offsets": [1, 5]},
        ENTRY | {"data_offsets": [0]},
        ENTRY | {"data_offsets": None},
        ENTRY | {"dtype": "F32"},
    ],
)
def test_entries_without_sense_are_told(tmp_path: Path, entry: object) -> None:
    head = json.dumps({"a": entry}).encode()
    (tmp_path / "x").write_bytes(struct.pack("<Q", len(head)) + head + b"xxxx")
    assert "safetensors file" in refusal_of(tmp_path / "x")


def test_tensors_that_overlap_are_told(tmp_path: Path) -> None:
    head = json.dumps({"a": ENTRY, "b": ENTRY}).encode()
    (tmp_path / "x").write_bytes(struct.pack("<Q", len(head)) + head + b"xxxx")
    assert refusal_of(tmp_path / "x") == "a damaged safetensors file"


def test_places_that_are_no_files_are_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    whats = [refusal_of(tmp_path / name) for name in ("pipe", "link", "circle", "gone", "n" * 300, "\0")]
    assert whats == [
        "a pipe or a device",
        "a broken link",
        "a file that cannot be read",
        "no file",
        "a file that cannot be read",
        "a file that cannot be read",
    ]


@pytest.mark.parametrize("unit", [b"[],", b"{},", b'"a",', b"1,"])
def test_hostile_head_takes_little_memory(tmp_path: Path, unit: bytes) -> None:
    text = b'{"a":[' + unit * (2**23 // len(unit))
    (tmp_path / "x").write_bytes(struct.pack("<Q", len(text)) + text)
    tracemalloc.start()
    refusal_of(tmp_path / "x")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * len(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
ENTRIES = st.dictionaries(
    st.sampled_from(
        [*list(make.flux())[:4], *list(make.t5())[:4], "x.weight", "x.comfy_quant", "x.weight.absmax", "", "."]
    ),
    st.fixed_dictionaries(
        {"dtype": st.sampled_from(["BF16", "U8", "X", ""]) | JSON, "shape": JSON, "data_offsets": JSON}
    )
    | JSON,
    max_size=4,
)


def _safetensors(head: object, tail: bytes) -> bytes:
    text = json.dumps(head).encode("utf-8", errors="surrogatepass")
    return struct.pack("<Q", len(text)) + text + tail


WHOLE = b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + make.gguf_text("a") + make.gguf_value([1, 2]) + make.gguf_text("t")


@settings(max_examples=60, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
@given(
    st.binary(max_size=200)
    | st.builds(_safetensors, ENTRIES | JSON, st.binary(max_size=64))
    | st.builds(lambda tail: b"GGUF\x03\0\0\0" + tail, st.binary(max_size=200))
    | st.builds(lambda cut, tail: WHOLE[:cut] + tail, st.integers(0, len(WHOLE)), st.binary(max_size=64)),
    st.sampled_from(["x.safetensors", "x.gguf", "x.ckpt"]),
)
def test_no_bytes_lead_astray(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    layout = identify(path)
    assert (layout.refusal is None) == bool(layout.parts)
    try:
        head = header_of(path)
    except NotWeights:
        return
    assert all(each.start + each.size <= len(content) for each in head.tensors.values())


@settings(max_examples=40, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=4), st.integers(0, 1))
def test_no_change_of_good_files_leads_astray(tmp_path: Path, changes: list[tuple[int, int]], kind: int) -> None:
    path = tmp_path / "x"
    writers = (make.write_safetensors, make.write_gguf)
    content = bytearray(writers[kind](path, make.t5(blocks=1, width=32)).read_bytes())
    for place, value in changes:
        content[place] = value
    path.write_bytes(bytes(content))
    layout = identify(path)
    assert (layout.refusal is None) == bool(layout.parts)
