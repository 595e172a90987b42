"""Reference images: any picture becomes one that an engine accepts, or is refused."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.catalog.models import FAKE
from pipeline.engine import Reference, check_references
from pipeline.errors import InvalidSpec
from pipeline.images.init_image import MAX_RATIO
from pipeline.images.reference import MAX_REFERENCE_PIXELS, fit_reference, read_reference
from pipeline.spec import ImageOptions


def file_of(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **options)
    return buffer.getvalue()


def accept(reference: Reference) -> None:
    spec = FAKE.resolve(ImageOptions(prompt="a cat"), random_seed=1)
    check_references(replace(spec, references=reference.key), [reference])


@settings(max_examples=40, deadline=None)
@given(shorter=st.integers(1, 500), ratio=st.floats(1, MAX_RATIO), is_tall=st.booleans())
def test_every_size_fits(shorter: int, ratio: float, is_tall: bool) -> None:
    longer = int(shorter * ratio)
    size = (shorter, longer) if is_tall else (longer, shorter)
    reference = fit_reference(Image.new("RGB", size))
    accept(reference)
    assert reference.width * reference.height <= MAX_REFERENCE_PIXELS
    if shorter >= 160:
        assert reference.width / reference.height == pytest.approx(size[0] / size[1], rel=0.11)


@pytest.mark.parametrize(
    ("size", "fitted"),
    [
        ((1024, 1024), (1024, 1024)),
        ((512, 768), (512, 768)),
        ((4000, 3000), (1184, 880)),
        ((1, 1), (16, 16)),
        ((1025, 1023), (1024, 1024)),
        ((2896, 362), (2848, 368)),
    ],
)
def test_shape_is_kept_and_nothing_is_enlarged(size: tuple[int, int], fitted: tuple[int, int]) -> None:
    reference = fit_reference(Image.new("RGB", size))
    assert (reference.width, reference.height) == fitted


def test_fitting_picture_keeps_its_pixels() -> None:
    picture = Image.effect_noise((64, 48), 90).convert("RGB")
    assert fit_reference(picture).pixels == picture.tobytes()
    assert read_reference(file_of(picture)) == fit_reference(picture)


def test_file_is_read_as_a_starting_image_is() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90°
    reference = read_reference(file_of(Image.new("RGB", (64, 32), "red"), "JPEG", exif=exif))
    assert (reference.width, reference.height) == (32, 64)
    transparent = read_reference(file_of(Image.new("RGBA", (16, 16), (255, 0, 0, 0))))
    assert transparent.pixels == b"\xff" * (16 * 16 * 3)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        b"\x89PNG\r\n\x1a\n",
        file_of(Image.new("RGB", (90, 10))),
        file_of(Image.new("RGB", (9, 9)))[:-30],
    ],
)
def test_hostile_file_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidSpec):
        read_reference(data)
