"""One small image made of a page's thumbnails, each with its number drawn on it. Knows no jobs and no messages.

Nothing is kept: ten images of 1024 × 1024 take less than a second (docs/benchmarks.md), and so no thumbnail
outlives an image that was deleted. Blocks: `make_sheet` runs it on another thread.
"""

from __future__ import annotations

import asyncio
import io
import logging
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont, ImageOps

log = logging.getLogger(__name__)

CELL_PX: Final = 240
GAP_PX: Final = 8
COLUMNS: Final = 5
MAX_SHEET_BYTES: Final = 200_000
QUALITIES: Final = (80, 65, 50, 30)  # of WebP; the last is taken whatever its size
MAX_PIXELS: Final = 64_000_000  # of one image; none that a model here draws has as many
NUMBER_PX: Final = 30
PIXELATED: Final = 8  # blocks in a row of an image that is not to be seen before it is asked for
BACKGROUND: Final = (43, 45, 49)
EMPTY: Final = (56, 58, 64)
INK: Final = (255, 255, 255)
MISSING_INK: Final = (128, 132, 142)
CROSS_PX: Final = 22

# Of their own: those that read files serve everybody.
_threads: Final = ThreadPoolExecutor(max_workers=2, thread_name_prefix="sheets")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One image of a sheet. `path` is None if its file is gone."""

    number: int
    path: Path | None
    is_spoiler: bool = False


async def make_sheet(cells: Sequence[Cell]) -> bytes:
    """Draw a sheet, as WebP; files that are gone or damaged leave an empty cell."""
    return await asyncio.get_running_loop().run_in_executor(_threads, draw_sheet, cells)


def draw_sheet(cells: Sequence[Cell]) -> bytes:
    """Do what `make_sheet` does. Blocks."""
    columns, rows = min(COLUMNS, len(cells)), -(-len(cells) // COLUMNS)
    step = CELL_PX + GAP_PX
    sheet = Image.new("RGB", (columns * step - GAP_PX, rows * step - GAP_PX), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for place, cell in enumerate(cells):
        left, top = place % COLUMNS * step, place // COLUMNS * step
        if (thumbnail := _thumbnail(cell)) is None:
            draw.rounded_rectangle((left, top, left + CELL_PX - 1, top + CELL_PX - 1), radius=12, fill=EMPTY)
            x, y = left + CELL_PX // 2, top + CELL_PX // 2
            for arm in (CROSS_PX, -CROSS_PX):
                draw.line((x - CROSS_PX, y - arm, x + CROSS_PX, y + arm), fill=MISSING_INK, width=6)
        else:
            margin_x, margin_y = (CELL_PX - thumbnail.width) // 2, (CELL_PX - thumbnail.height) // 2
            sheet.paste(thumbnail, (left + margin_x, top + margin_y))
        _draw_number(draw, left + 6, top + 6, cell.number)
    return _encoded(sheet)


def _thumbnail(cell: Cell) -> Image.Image | None:
    if cell.path is None:
        return None
    try:
        with warnings.catch_warnings(), Image.open(cell.path) as image:
            warnings.simplefilter("ignore")  # of Pillow, about sizes: they are bounded here
            if image.width * image.height > MAX_PIXELS:
                return None
            small = ImageOps.contain(image.convert("RGB"), (CELL_PX, CELL_PX), Image.Resampling.BOX)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - Pillow raises anything at all on damaged files
        log.info("image %s has no thumbnail: %s", cell.number, type(error).__name__)
        return None
    if not cell.is_spoiler:
        return small
    blocks = small.resize((PIXELATED, max(1, PIXELATED * small.height // small.width)), Image.Resampling.BOX)
    return blocks.resize(small.size, Image.Resampling.NEAREST)


def _draw_number(draw: ImageDraw.ImageDraw, left: int, top: int, number: int) -> None:
    text, font = f"#{number}", _font(NUMBER_PX)
    box = draw.textbbox((left + 8, top + 4), text, font=font)
    draw.rounded_rectangle((left, top, box[2] + 8, box[3] + 6), radius=8, fill=BACKGROUND)
    draw.text((left + 8, top + 4), text, font=font, fill=INK)


def _encoded(sheet: Image.Image) -> bytes:
    for quality in QUALITIES:
        out = io.BytesIO()
        sheet.save(out, "WEBP", quality=quality)
        if out.tell() <= MAX_SHEET_BYTES:
            break
    return out.getvalue()


@cache
def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size_px)
