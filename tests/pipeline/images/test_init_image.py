"""Pictures from strangers: read safely or refused, and nothing of the file goes on but its pixels."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageFile

from pipeline.catalog.models import DEMO, FAKE
from pipeline.engine import check_source
from pipeline.errors import InvalidSpec
from pipeline.images import init_image
from pipeline.images.init_image import MAX_SOURCE_BYTES, read_header, read_source, resolve_with_source, source_png
from pipeline.spec import Aspect, Dimensions, ImageOptions, Size

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
    position=st.integers(0, 10_000),
    garbage=st.binary(min_size=1, max_size=40),
    kind=st.sampled_from(init_image.FORMATS),
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


@pytest.mark.parametrize(
    ("size", "pixels"),
    [(Dimensions(width=128, height=64), (128, 64)), (Size.DRAFT, (48, 32)), (Size.LARGE, (144, 96)), (None, (96, 64))],
)
def test_picture_is_fitted_to_the_size_that_is_asked_for(
    size: Size | Dimensions | None, pixels: tuple[int, int]
) -> None:
    options = ImageOptions(prompt="a cat", size=size)
    spec, picture = resolve_with_source(FAKE, options, file_of(halves((300, 200))), random_seed=1)
    assert (spec.width, spec.height) == picture.size == pixels


def test_spec_names_the_pixels_and_nothing_else_of_the_file() -> None:
    plain, picture = resolve_with_source(DEMO, PROMPT, file_of(halves()), random_seed=1)
    tagged, _ = resolve_with_source(DEMO, PROMPT, file_of(halves(), pnginfo=None, dpi=(72, 72)), random_seed=1)
    assert plain == tagged and plain.strength == DEMO.default_strength
    check_source(plain, picture.tobytes())
    _, coloured = resolve_with_source(
        DEMO, PROMPT, file_of(halves(), icc_profile=WIDE, exif=Image.Exif()), random_seed=1
    )
    for each in (picture, coloured):
        assert Image.open(io.BytesIO(source_png(each))).info == {}


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


# --- what lies around the pixels --------------------------------------------------------------------------


def with_chunks(data: bytes, *chunks: bytes) -> bytes:
    """The PNG with chunks behind its header."""
    return data[:33] + b"".join(chunks) + data[33:]


def test_texts_of_a_png_are_dropped_before_they_can_unfold() -> None:
    bomb = zlib.compress(bytes(80 * 2**20), 9)
    assert len(bomb) < 100_000
    texts = [
        chunk(b"zTXt", b"a\0\0" + bomb),
        chunk(b"iTXt", b"b\0\1\0\0\0" + bomb),
        chunk(b"tEXt", b"c\0" + bytes(2**21)),
        chunk(b"iCCP", b"d\0\0" + bomb),
    ]
    for data in (with_chunks(file_of(halves()), *texts), with_chunks(file_of(halves()), *texts * 10)):
        tracemalloc.start()
        header = read_header(data)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (
            read_header(with_chunks(FILES["PNG"], *[texts[-1]] * 200)).profile == b""
        )  # of many the first is looked at
        assert peak_bytes < len(data) + 20 * 2**20
        assert len(header.data) < 2000 and header.profile == b""
        assert read_source(data).getpixel((5, 10)) == (255, 0, 0)


def test_frames_of_an_animated_png_are_dropped() -> None:
    data = file_of(halves(), save_all=True, append_images=[Image.new("RGB", (40, 20))])
    assert b"fdAT" in data and b"fdAT" not in read_header(data).data
    assert read_source(data).getpixel((5, 10)) == (255, 0, 0)


def test_png_of_a_million_chunks_is_refused() -> None:
    with pytest.raises(InvalidSpec, match="too many chunks"):
        read_header(with_chunks(file_of(halves()), chunk(b"tEXt", b"") * 10**6))


def test_jpeg_of_many_scans_is_refused() -> None:
    data = file_of(halves(), "JPEG")
    scans = data.index(b"\xff\xda")
    with pytest.raises(InvalidSpec, match="too many scans"):
        read_header(data[:scans] + data[scans:-2] * 40 + data[-2:])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_header_of_an_upright_photo_says_its_size(kind: str) -> None:
    for options in (
        [{}, {"lossless": True}, {"save_all": True, "append_images": [halves((40, 30))]}] if kind == "WEBP" else [{}]
    ):
        assert read_header(file_of(halves((40, 30)), kind, **options)).size == (40, 30)


def webp_header(kind: bytes, width: int, height: int) -> bytes:
    """A WebP that promises pixels and has none."""
    bits = (width - 1) | (height - 1) << 14
    bodies = {
        b"VP8X": bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"),
        b"VP8L": b"\x2f" + bits.to_bytes(4, "little") + bytes(5),
        b"VP8 ": b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height),
    }
    body = kind + struct.pack("<I", 10) + bodies[kind]
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


@pytest.mark.parametrize("kind", [b"VP8X", b"VP8L", b"VP8 "])
def test_size_of_a_webp_is_judged_before_room_is_made_for_it(kind: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def opens(*_: object, **__: object) -> None:
        raise AssertionError("it was opened")

    monkeypatch.setattr(init_image.Image, "open", opens)
    with pytest.raises(InvalidSpec, match="32 million pixels"):
        read_header(webp_header(kind, 16_000, 16_000))
    with pytest.raises(InvalidSpec, match="times as long"):
        read_header(webp_header(kind, 16_000, 20))


@pytest.mark.parametrize("kind", [b"VP8X", b"VP8L", b"VP8 "])
def test_webp_without_pixels_is_refused(kind: bytes) -> None:
    for data in (webp_header(kind, 40, 30), webp_header(kind, 40, 30)[:25], b"RIFF\0\0\0\0WEBP"):
        with pytest.raises(InvalidSpec, match="cannot be read"):
            read_source(data)


def test_no_pixel_is_unpacked_for_a_header(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_self: object) -> None:
        raise AssertionError("it was unpacked")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    for kind in init_image.FORMATS:
        read_header(FILES[kind])


FILES = {kind: file_of(halves(), kind) for kind in init_image.FORMATS}


# --- sizes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_one_pixel_is_a_picture(kind: str) -> None:
    spec, picture = resolve_with_source(FAKE, PROMPT, file_of(Image.new("RGB", (1, 1), "red"), kind), random_seed=1)
    assert picture.size == (spec.width, spec.height)


@pytest.mark.parametrize("size", [(1, 65_535), (65_535, 1), (1, 9)])
def test_line_of_pixels_is_none(size: tuple[int, int]) -> None:
    with pytest.raises(InvalidSpec, match="times as long"):
        read_source(file_of(Image.new("L", size)))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("cut", [0, 1, 12, 30, -1, -12, -40])
def test_file_that_breaks_off_is_read_as_far_as_its_reader_can_or_refused(kind: str, cut: int) -> None:
    data = FILES[kind]
    try:
        assert read_source(data[:cut]).size == (40, 20)
    except InvalidSpec as error:
        assert error.field == "image"
    if cut in {0, 1, 12, 30}:
        with pytest.raises(InvalidSpec):
            read_source(data[:cut])


MODES = {"PNG": ["RGB", "RGBA", "P", "LA", "L", "1", "I;16"], "JPEG": ["RGB", "L", "CMYK"], "WEBP": ["RGB", "RGBA"]}


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in MODES.items() for mode in modes])
def test_large_picture_is_made_smaller_and_looks_the_same(
    kind: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(init_image, "WORKING_PX", 20)
    monkeypatch.setattr(init_image, "BAND_PIXELS", 3000)
    large = Image.new("L", (203, 101), 60)
    large.paste(200, (0, 0, 100, 101))
    if mode in {"RGBA", "LA"}:
        large = large.convert(mode)
        large.putalpha(Image.new("L", large.size, 128))
    elif mode == "I;16":
        large = Image.frombytes("I;16", large.size, b"".join(bytes([0, value]) for value in large.tobytes()))
    else:
        large = large.convert(mode)
    small = read_source(file_of(large, kind))
    assert 20 <= small.height < 60 and abs(small.width / small.height - 2) < 0.1
    left, right = small.getpixel((small.width // 4, 5)), small.getpixel((small.width * 3 // 4, 5))
    light, dark = {"RGBA": (227, 157), "LA": (227, 157), "1": (200, 60)}.get(mode, (200, 60))
    assert left == pytest.approx([light] * 3, abs=60 if mode == "1" else 12)
    assert right == pytest.approx([dark] * 3, abs=60 if mode == "1" else 12)


def test_large_photo_that_lies_on_its_side_is_turned_upright(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init_image, "WORKING_PX", 20)
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in init_image.FORMATS:
        picture = read_source(file_of(halves((160, 80)), kind, exif=exif))
        assert picture.height == 2 * picture.width
        assert picture.getpixel((5, 2))[0] > 200 and picture.getpixel((5, picture.height - 3))[2] > 200


@pytest.mark.parametrize(
    "exif",
    [b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0" + bytes(3000), b"x", b"Exif\0\0II*\0" + b"\xff" * 9],
)
def test_damaged_exif_is_left_alone(exif: bytes) -> None:
    for kind in init_image.FORMATS:
        assert read_source(file_of(halves(), kind, exif=exif)).size == (40, 20)


# --- colours ----------------------------------------------------------------------------------------------


def profile_of(red: tuple[float, float]) -> bytes:
    """An ICC profile like sRGB's with another red: what Display P3 is to it. Made of the one that lcms has."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack_from(">I", profile, 128)[0]
    tags = {bytes(profile[132 + 12 * i :][:4]): struct.unpack_from(">II", profile, 136 + 12 * i) for i in range(count)}
    place, _ = tags[b"rXYZ"]
    x, y = red
    struct.pack_into(">3i", profile, place + 8, round(x * 65536), round(y * 65536), 0)
    return bytes(profile)


WIDE = profile_of((0.515, 0.241))


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("JPEG", "RGB"), *((kind, mode) for kind in ("PNG", "WEBP") for mode in ("RGB", "RGBA", "P"))],
)
def test_colours_of_a_profile_become_those_of_screens(kind: str, mode: str) -> None:
    picture = Image.new("RGB", (20, 20), (180, 100, 100)).convert(mode)
    plain = read_source(file_of(picture, kind, quality=95)).getpixel((5, 5))
    wide = read_source(file_of(picture, kind, quality=95, icc_profile=WIDE)).getpixel((5, 5))
    assert wide[0] > plain[0] + 5
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    same = read_source(file_of(picture, kind, quality=95, icc_profile=srgb)).getpixel((5, 5))
    assert same == pytest.approx(plain, abs=2)


@pytest.mark.parametrize("profile", [b"x", WIDE[:200], bytes(len(WIDE)), WIDE[:128] + b"\xff" * 400, WIDE * 12_000])
def test_profile_that_is_damaged_or_huge_is_ignored(profile: bytes) -> None:
    picture = Image.new("RGB", (20, 20), (180, 100, 100))
    for kind in ("PNG", "JPEG", "WEBP") if len(profile) < 60_000 else ("PNG", "WEBP"):
        data = file_of(picture, kind, icc_profile=profile)
        assert read_source(data).getpixel((5, 5)) == pytest.approx((180, 100, 100), abs=3)


@pytest.mark.parametrize("mode", ["L", "1", "I;16", "CMYK"])
def test_profile_for_other_pixels_is_ignored(mode: str) -> None:
    picture = Image.new("I;16", (20, 20), 0x8000) if mode == "I;16" else Image.new("L", (20, 20), 128).convert(mode)
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert read_source(file_of(picture, kind, icc_profile=WIDE)).getpixel((5, 5)) == read_source(
        file_of(picture, kind)
    ).getpixel((5, 5))


def test_palette_with_transparency_lies_on_white() -> None:
    picture = Image.new("P", (20, 20), 1)
    picture.putpalette([0, 0, 0, 255, 0, 0])
    picture.paste(0, (10, 0, 20, 20))
    read = read_source(file_of(picture, "PNG", transparency=0))
    assert (read.getpixel((2, 2)), read.getpixel((15, 2))) == ((255, 0, 0), (255, 255, 255))
