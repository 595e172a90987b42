"""Pictures as PNG files with their spec inside."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.engine import GeneratedImage
from pipeline.images.png_metadata import MAX_TEXT_BYTES, SPEC_KEYWORD, encode_png, read_spec
from pipeline.spec import ImageSpec, clean_prompt

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def an_image(prompt: str = "a red apple") -> GeneratedImage:
    spec = ImageSpec(prompt=prompt, seed=7, steps=20, width=32, height=16, guidance=3.5, cfg_scale=2.5, model="demo")
    pixels = bytes(range(256)) * 6
    return GeneratedImage(
        pixels=pixels, width=32, height=16, spec=spec, encode_s=0, denoise_s=0, decode_s=0, peak_mib=None
    )


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def our_text(text: bytes, compressed: bytes = b"\0") -> bytes:
    return chunk(b"iTXt", SPEC_KEYWORD.encode() + b"\0" + compressed + b"\0" + b"\0" + b"\0" + text)


@given(st.text(min_size=1, max_size=2000).map(clean_prompt).filter(bool))
def test_spec_survives_the_file(prompt: str) -> None:
    image = an_image(prompt)
    assert read_spec(encode_png(image, "imagine-bot")) == image.spec


def test_pixels_survive_the_file() -> None:
    image = an_image()
    with Image.open(io.BytesIO(encode_png(image, "imagine-bot"))) as picture:
        assert picture.size == (32, 16)
        assert picture.tobytes() == image.pixels


def test_other_tools_find_the_parameters() -> None:
    with Image.open(io.BytesIO(encode_png(an_image("一只熊猫"), "imagine-bot 0.1"))) as picture:
        assert picture.info["parameters"] == (
            "一只熊猫\nSteps: 20, Sampler: Euler, CFG scale: 2.5, Distilled CFG Scale: 3.5, Seed: 7, "
            "Size: 32x16, Model: demo"
        )
        assert picture.info["Software"] == "imagine-bot 0.1"


@pytest.mark.parametrize(
    "png",
    [
        b"",
        b"not a picture",
        SIGNATURE,
        SIGNATURE + b"\xff\xff\xff\xff" + b"iTXt",
        SIGNATURE + struct.pack(">I", 2**31) + b"iTXt" + b"x" * 100,
        SIGNATURE + our_text(b"{"),
        SIGNATURE + our_text(b"\xff\xfe"),
        SIGNATURE + our_text(zlib.compress(b"{}"), compressed=b"\1"),
        SIGNATURE + our_text(b"[" * (MAX_TEXT_BYTES + 1)),
        SIGNATURE + our_text(b"[" * 50_000),
        SIGNATURE + chunk(b"iTXt", b""),
        SIGNATURE + chunk(b"IEND", b""),
    ],
    ids=range(12),
)
def test_file_without_a_readable_spec_gives_none(png: bytes) -> None:
    assert read_spec(png) is None


@given(st.binary(max_size=400).map(lambda noise: SIGNATURE + noise) | st.binary(max_size=400))
def test_noise_gives_none(png: bytes) -> None:
    assert read_spec(png) is None


def test_cut_file_is_read_as_far_as_it_goes() -> None:
    png = encode_png(an_image(), "imagine-bot")
    for length in range(len(png)):
        assert read_spec(png[:length]) in (None, an_image().spec)
