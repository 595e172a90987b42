"""Texts are found in every kind of file, and no file makes them long or their reading slow."""

from __future__ import annotations

import io
import struct
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pipeline.images.embedded_text import MAX_TEXT_BYTES, USER_COMMENT, embedded_texts

COMMENT = "a fox, 狐狸\nSteps: 20, Seed: 7"


def file_of(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, format=kind, **options)
    return buffer.getvalue()


def exif_of(comment: bytes = b"", make: str = "", model: str = "") -> Image.Exif:
    exif = Image.Exif()
    if comment:
        exif.get_ifd(0x8769)[0x9286] = comment
    if make:
        exif[0x010F], exif[0x0110] = make, model
    return exif


def png_of(*chunks: tuple[bytes, bytes]) -> bytes:
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, body in chunks:
        parts.append(struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body)))
    return b"".join(parts)


def test_texts_of_a_png_are_found_however_they_are_written() -> None:
    info = PngInfo()
    info.add_text("parameters", "a fox")
    info.add_text("packed", "x" * 5000, zip=True)
    info.add_itxt("wide", "狐狸")
    info.add_itxt("wide packed", "狐狸" * 3000, zip=True)
    texts = embedded_texts(file_of("PNG", pnginfo=info))
    assert texts == {"parameters": "a fox", "packed": "x" * 5000, "wide": "狐狸", "wide packed": "狐狸" * 3000}


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
@pytest.mark.parametrize(
    "comment",
    [
        b"UNICODE\0" + COMMENT.encode("utf-16-be"),
        b"UNICODE\0" + COMMENT.encode("utf-16-le"),
        b"\0" * 8 + COMMENT.encode(),
    ],
    ids=["big", "little", "utf-8"],
)
def test_comment_of_a_camera_is_found(kind: str, comment: bytes) -> None:
    assert embedded_texts(file_of(kind, exif=exif_of(comment))) == {USER_COMMENT: COMMENT}


def test_graph_in_a_webp_is_found() -> None:
    exif = exif_of(make='workflow:{"b": 2}', model='prompt:{"a": 1}')
    assert embedded_texts(file_of("WEBP", exif=exif)) == {"workflow": '{"b": 2}', "prompt": '{"a": 1}'}


def test_bomb_in_a_text_is_left_out() -> None:
    bomb = b"parameters\0\0" + zlib.compress(bytes(200 * 2**20), 9)
    assert embedded_texts(png_of((b"zTXt", bomb), (b"tEXt", b"a\0b"))) == {"a": "b"}
    assert embedded_texts(png_of((b"tEXt", b"a\0" + bytes(MAX_TEXT_BYTES + 1)))) == {}


def test_first_of_equal_names_counts_and_a_million_pieces_end() -> None:
    assert embedded_texts(png_of((b"tEXt", b"a\0first"), (b"tEXt", b"a\0second"))) == {"a": "first"}
    began = time.perf_counter()
    assert embedded_texts(png_of(*[(b"aaAa", b"")] * 300_000, (b"tEXt", b"a\0b"))) == {}
    assert embedded_texts(b"\xff\xd8" + b"\xff\xe2\0\2" * 300_000) == {}
    assert time.perf_counter() - began < 5


@given(
    st.sampled_from(
        [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe1\0\x20Exif\0\0II*\0", b"RIFF\0\0\0\0WEBPEXIF\x20\0\0\0"]
    ),
    st.binary(max_size=200),
)
def test_anything_can_be_read(head: bytes, rest: bytes) -> None:
    assert all(isinstance(part, str) for pair in embedded_texts(head + rest).items() for part in pair)
