"""The ladder gives the best file that fits, and keeps the text in it while it can."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from bot.frontends.discord_app import attachments
from pipeline.engine import GeneratedImage
from pipeline.images.png_metadata import encode_png
from pipeline.spec import ImageSpec


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "1.png"
    text = PngImagePlugin.PngInfo()
    text.add_itxt("parameters", "一只熊猫\nSeed: 7")
    Image.effect_noise((256, 256), 60).convert("RGB").save(path, compress_level=0, pnginfo=text)
    return path


def test_small_enough_original_goes_as_it_is(picture: Path) -> None:
    upload = attachments.fit(picture, limit_bytes=2**20)
    assert upload.body == picture.read_bytes() and upload.format is None


def test_packed_png_keeps_pixels_and_text(picture: Path) -> None:
    upload = attachments.fit(picture, limit_bytes=2**20, rung=1)
    assert len(upload.body) < picture.stat().st_size and upload.format is None
    with Image.open(io.BytesIO(upload.body)) as packed, Image.open(picture) as original:
        assert packed.tobytes() == original.tobytes()
        assert packed.text == {"parameters": "一只熊猫\nSeed: 7"}


@pytest.mark.parametrize("rung", range(attachments.LAST_RUNG + 1))
def test_mark_that_a_model_made_it_stays_on_every_rung(tmp_path: Path, spec: ImageSpec, rung: int) -> None:
    drawn = GeneratedImage(
        pixels=bytes(64 * 64 * 3), width=64, height=64, spec=spec, encode_s=0, denoise_s=0, decode_s=0, peak_mib=None
    )
    (tmp_path / "1.png").write_bytes(encode_png(drawn, "imagine-bot"))
    upload = attachments.fit(tmp_path / "1.png", limit_bytes=2**20, rung=rung)
    with Image.open(io.BytesIO(upload.body)) as sent:
        assert b"digitalsourcetype/trainedAlgorithmicMedia" in sent.info["xmp"]


def test_every_rung_is_smaller_than_the_one_above(picture: Path) -> None:
    sizes = [
        len(attachments.fit(picture, limit_bytes=2**30, rung=rung).body) for rung in range(attachments.LAST_RUNG + 1)
    ]
    assert sizes == sorted(sizes, reverse=True)


def test_first_rung_that_fits_is_taken(picture: Path) -> None:
    best = attachments.fit(picture, limit_bytes=2**30, rung=3)
    assert attachments.fit(picture, limit_bytes=len(best.body)).rung == 3


def test_last_rung_is_half_empty_handed_but_never_fails(picture: Path) -> None:
    upload = attachments.fit(picture, limit_bytes=1)
    assert (upload.rung, upload.format) == (attachments.LAST_RUNG, "WebP 64 × 64")


@pytest.mark.parametrize("rung", [0, 1, 2])
@pytest.mark.parametrize("body", [b"", b"no picture", None], ids=["empty", "text", "truncated"])
def test_broken_picture_is_told_from_a_file_that_is_gone(picture: Path, body: bytes | None, rung: int) -> None:
    picture.write_bytes(picture.read_bytes()[:5000] if body is None else body)
    with pytest.raises(attachments.BrokenPicture):
        attachments.fit(picture, limit_bytes=2**30, rung=rung)


def test_file_that_is_gone_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        attachments.fit(tmp_path / "gone.png", limit_bytes=1)
