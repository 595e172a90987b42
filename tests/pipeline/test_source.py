"""Pictures from strangers: read safely or refused, and nothing of the file goes on but its pixels."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline import source
from pipeline.engine import check_source
from pipeline.errors import InvalidSpec
from pipeline.models import DEMO, FAKE
from pipeline.source import MAX_SOURCE_BYTES, read_source, resolve_with_source, source_png
from pipeline.spec import DEFAULT_STRENGTH, Aspect, ImageOptions

PROMPT = ImageOptions(prompt="a cat")


def file_of(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **options)
    return buffer.getvalue()


def halves(size: tuple[int, int] = (40, 20)) -> Image.Image:
    """Red on the left, blue on the right."""
    picture = Image.new("RGB", size, "red")
    picture.paste("blue", (size[0] // 2, 0, *size))
    return picture


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_usual_formats_are_read(kind: str) -> None:
    picture = read_source(file_of(halves(), kind))
    assert (picture.mode, picture.size) == ("RGB", (40, 20))
    red, green, blue = picture.getpixel((5, 10))
    assert red > 200 and green < 60 and blue < 60


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "PA", "RGBA", "CMYK", "I;16"])
def test_every_kind_of_pixel_becomes_rgb(mode: str) -> None:
    picture = Image.new("L", (20, 20), 255).convert("I;16") if mode == "I;16" else Image.new(mode, (20, 20))
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert read_source(file_of(picture.convert("P") if mode == "PA" else picture, kind)).mode == "RGB"


def test_sixteen_bits_of_grey_keep_their_brightness() -> None:
    grey = Image.frombytes("I;16", (2, 1), struct.pack("<2H", 0x8000, 0xFFFF)).resize((2, 2))
    picture = read_source(file_of(grey))
    assert [picture.getpixel((x, 0))[0] for x in (0, 1)] == pytest.approx([128, 255], abs=1)


def test_transparent_parts_become_white() -> None:
    picture = Image.new("RGBA", (10, 10), (255, 0, 0, 0))
    assert read_source(file_of(picture)).getpixel((5, 5)) == (255, 255, 255)


def test_photo_that_lies_on_its_side_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90°
    assert read_source(file_of(halves(), "JPEG", exif=exif)).size == (20, 40)


def test_first_frame_of_an_animation_counts() -> None:
    data = file_of(halves(), "WEBP", save_all=True, append_images=[Image.new("RGB", (40, 20))], lossless=True)
    assert read_source(data).getpixel((5, 10)) == (255, 0, 0)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def huge_png(width: int, height: int) -> bytes:
    """A header that promises more pixels than there are bytes for."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"x" * (MAX_SOURCE_BYTES + 1), "larger"),
        (b"not a picture", "cannot be read"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "cannot be read"),
        (file_of(halves(), "GIF"), "cannot be read"),
        (file_of(halves(), "BMP"), "cannot be read"),
        (file_of(halves())[:60], "cannot be read"),
        (file_of(halves(), "JPEG")[:-200], "cannot be read"),
        (huge_png(9000, 8000), "million pixels"),
        (huge_png(12_000, 12_000), "million pixels"),  # Pillow warns
        (huge_png(50_000, 50_000), "million pixels"),  # Pillow itself refuses
        (huge_png(0, 0), "cannot be read"),
        (file_of(Image.new("RGB", (90, 10))), "times as long"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_everything_else_is_refused_by_name(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidSpec, match=reason) as raised:
        read_source(data)
    assert raised.value.field == "image"


@settings(max_examples=60, deadline=None)
@given(
    position=st.integers(0, 10_000), garbage=st.binary(min_size=1, max_size=40), kind=st.sampled_from(source.FORMATS)
)
def test_damaged_files_are_read_or_refused_and_never_crash(position: int, garbage: bytes, kind: str) -> None:
    data = bytearray(file_of(halves(), kind))
    position %= len(data)
    data[position : position + len(garbage)] = garbage
    try:
        assert read_source(bytes(data)).mode == "RGB"
    except InvalidSpec as error:
        assert error.field == "image"


def test_picture_is_cropped_around_the_middle_to_the_nearest_shape() -> None:
    spec, picture = resolve_with_source(FAKE, PROMPT, file_of(halves((300, 200))), random_seed=1)
    assert (spec.width, spec.height) == picture.size == FAKE.sizes[Aspect.LANDSCAPE]
    assert picture.getpixel((2, 30))[0] > 250 and picture.getpixel((93, 30))[2] > 250


def test_shape_that_is_asked_for_wins() -> None:
    options = ImageOptions(prompt="a cat", aspect=Aspect.PORTRAIT)
    spec, picture = resolve_with_source(FAKE, options, file_of(halves()), random_seed=1)
    assert (spec.width, spec.height) == picture.size == FAKE.sizes[Aspect.PORTRAIT]


def test_spec_names_the_pixels_and_nothing_else_of_the_file() -> None:
    plain, picture = resolve_with_source(DEMO, PROMPT, file_of(halves()), random_seed=1)
    tagged, _ = resolve_with_source(DEMO, PROMPT, file_of(halves(), pnginfo=None, dpi=(72, 72)), random_seed=1)
    assert plain == tagged and plain.strength == DEFAULT_STRENGTH
    check_source(plain, picture.tobytes())
    assert Image.open(io.BytesIO(source_png(picture))).info == {}


def test_pixels_that_the_spec_does_not_name_are_refused(tmp_path: Path) -> None:
    spec, picture = resolve_with_source(DEMO, PROMPT, file_of(halves()), random_seed=1)
    for pixels in (None, b"", picture.tobytes()[:-1], bytes(len(picture.tobytes()))):
        with pytest.raises(InvalidSpec, match="image"):
            check_source(spec, pixels)
    with pytest.raises(InvalidSpec):
        check_source(DEMO.resolve(PROMPT, random_seed=1), picture.tobytes())


@pytest.mark.parametrize("strength", [0.0, -0.1, 1.1, float("nan")])
def test_strength_out_of_range_is_refused(strength: float) -> None:
    options = ImageOptions(prompt="a cat", strength=strength)
    with pytest.raises(InvalidSpec) as raised:
        resolve_with_source(DEMO, options, file_of(halves()), random_seed=1)
    assert raised.value.field == "strength"


def test_strength_without_a_picture_is_refused() -> None:
    with pytest.raises(InvalidSpec, match="needs an image"):
        DEMO.resolve(ImageOptions(prompt="a cat", strength=0.5), random_seed=1)
