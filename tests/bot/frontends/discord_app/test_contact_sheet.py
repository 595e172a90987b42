"""A sheet is one small image with a numbered cell for each image, whatever became of the files."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bot.frontends.discord_app.contact_sheet import (
    CELL_PX,
    EMPTY,
    GAP_PX,
    MAX_SHEET_BYTES,
    Cell,
    draw_sheet,
    make_sheet,
)

# The head of a PNG of 12 000 × 12 000 pixels, and one row of it.
HUGE = b"\x89PNG\r\n\x1a\n" + b"".join(
    struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    for kind, body in (
        (b"IHDR", struct.pack(">IIBBBBB", 12_000, 12_000, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(36_001))),
        (b"IEND", b""),
    )
)
RED, BLUE = (200, 30, 30), (30, 30, 200)


def picture(folder: Path, name: str, size: tuple[int, int] = (64, 64), colour: tuple[int, int, int] = RED) -> Path:
    path = folder / name
    Image.new("RGB", size, colour).save(path)
    return path


def sheet_of(*cells: Cell) -> Image.Image:
    with Image.open(io.BytesIO(draw_sheet(cells))) as sheet:
        assert sheet.format == "WEBP"
        return sheet.convert("RGB")


def middle(sheet: Image.Image, place: int, dx: int = 60, dy: int = 60) -> tuple[int, ...]:
    """A pixel of a cell away from its number and its cross."""
    step = CELL_PX + GAP_PX
    x, y = place % 5 * step + CELL_PX // 2 + dx, place // 5 * step + CELL_PX // 2 + dy
    pixel = sheet.getpixel((x, y))
    assert isinstance(pixel, tuple)
    return pixel


def is_near(pixel: tuple[int, ...], colour: tuple[int, int, int]) -> bool:
    return all(abs(one - other) < 40 for one, other in zip(pixel, colour, strict=True))


async def test_ten_images_stand_in_two_rows_in_their_order(tmp_path: Path) -> None:
    cells = [Cell(number=n, path=picture(tmp_path, f"{n}.png", colour=RED if n % 2 else BLUE)) for n in range(1, 11)]
    with Image.open(io.BytesIO(await make_sheet(cells))) as opened:
        sheet = opened.convert("RGB")
    assert sheet.size == (5 * CELL_PX + 4 * GAP_PX, 2 * CELL_PX + GAP_PX)
    assert [is_near(middle(sheet, place), BLUE if place % 2 else RED) for place in range(10)] == [True] * 10


def test_sheet_is_as_small_as_its_images_need(tmp_path: Path) -> None:
    cells = [Cell(number=n, path=picture(tmp_path, f"{n}.png")) for n in range(1, 7)]
    assert sheet_of(cells[0]).size == (CELL_PX, CELL_PX)
    assert sheet_of(*cells).size == (5 * CELL_PX + 4 * GAP_PX, 2 * CELL_PX + GAP_PX)


def test_numbers_are_drawn_and_differ(tmp_path: Path) -> None:
    path = picture(tmp_path, "a.png", colour=(255, 255, 255))
    one, other, long = (sheet_of(Cell(number=n, path=path)) for n in (1, 2, 2**53))
    corner = (0, 0, CELL_PX, 60)
    assert one.crop(corner).tobytes() != other.crop(corner).tobytes() != long.crop(corner).tobytes()
    below = (0, 100, CELL_PX, CELL_PX)
    assert one.crop(below).tobytes() == other.crop(below).tobytes()


@pytest.mark.parametrize("what", ["missing", "empty", "text", "cut", "bomb", "folder", "unnamed"])
def test_file_that_is_gone_or_damaged_leaves_an_empty_cell(tmp_path: Path, what: str) -> None:
    good, path = picture(tmp_path, "good.png"), tmp_path / "bad.png"
    match what:
        case "empty":
            path.touch()
        case "text":
            path.write_text("no image")
        case "cut":
            noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(noise).save(path)
            path.write_bytes(path.read_bytes()[:900])
        case "bomb":
            path.write_bytes(HUGE)
        case "folder":
            path.mkdir()
    bad = Cell(number=2, path=None if what == "unnamed" else path)
    sheet = sheet_of(Cell(number=1, path=good), bad, Cell(number=3, path=good))
    assert is_near(middle(sheet, 1), EMPTY)
    assert is_near(middle(sheet, 0), RED) and is_near(middle(sheet, 2), RED)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_image_of_any_kind_has_a_thumbnail(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (32, 48)).save(tmp_path / "a.png")
    assert not is_near(middle(sheet_of(Cell(number=1, path=tmp_path / "a.png")), 0), EMPTY)


def test_image_is_shown_whole_whatever_its_shape(tmp_path: Path) -> None:
    wide, thin = picture(tmp_path, "w.png", (1600, 100)), picture(tmp_path, "t.png", (100, 1600))
    sheet = sheet_of(Cell(number=1, path=wide), Cell(number=2, path=thin))
    assert is_near(middle(sheet, 0, dx=110, dy=0), RED) and not is_near(middle(sheet, 0), RED)
    assert is_near(middle(sheet, 1, dx=0, dy=110), RED)


def test_spoiler_is_pixelated(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    plain, hidden = (
        np.asarray(sheet_of(Cell(number=1, path=tmp_path / "a.png", is_spoiler=spoiler)).crop((60, 100, 220, 220)))
        for spoiler in (False, True)
    )
    assert hidden.std() < plain.std() / 2


def test_sheet_of_noise_stays_small(tmp_path: Path) -> None:
    noise = np.random.default_rng(1)
    for number in range(10):
        # As fine as a cell shows it: nothing compresses worse.
        pixels = noise.integers(0, 256, (CELL_PX, CELL_PX, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    sheet = draw_sheet([Cell(number=n, path=tmp_path / f"{n}.png") for n in range(10)])
    assert len(sheet) <= 2 * MAX_SHEET_BYTES  # far from what a message may hold
