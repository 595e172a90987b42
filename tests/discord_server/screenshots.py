"""Pictures of messages as they look on Discord, taken by the Chromium of the distribution.

Owns the browser's part only. Must not know what the page shows: html_page.py makes it.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from PIL import Image
from playwright.async_api import Browser, async_playwright

DESKTOP_PX, PHONE_PX = 800, 390  # widths
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
COLOURS = 192  # enough for text beside small pictures, and a third of the size


def find_browser() -> str | None:
    """Return the path of a browser that can take pictures; None if there is none."""
    return next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """`async with browser() as b:` starts the browser; raises FileNotFoundError if none is installed."""
    path = find_browser()
    if path is None:
        raise FileNotFoundError("no Chromium: install the distribution's chromium")
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield started
        finally:
            await started.close()


async def shoot(browser: Browser, html: str, path: Path, *, width_px: int = DESKTOP_PX, scale: float = 1.0) -> None:
    """Write a PNG of a whole page, as high as it is; `scale` 2 for twice the pixels. Nothing is fetched."""
    context = await browser.new_context(
        viewport={"width": width_px, "height": 100}, device_scale_factor=scale, offline=True
    )
    try:
        page = await context.new_page()
        await page.set_content(html, wait_until="load")
        await page.screenshot(path=path, full_page=True)
    finally:
        await context.close()
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
