"""Makes the screenshots of the page in `docs/`: python -m tests.bot.frontends.web.screenshots [FOLDER]

With the demo model, in the Chromium of the distribution. Look at them before they go in.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.async_api import Browser, async_playwright, expect

from tests.bot.frontends.web.conftest import CHROMIUM_FLAGS, Person, start_in

COLOURS = 128  # enough for a form, and a third of the size
SCENES = {"en": ("a red apple", "a cat and a moon", "three yellow stars", "a green tree"), "zh-CN": ("一个红苹果",)}


async def main(folder: Path) -> None:
    """Draw, look, save."""
    with tempfile.TemporaryDirectory() as data:
        async with start_in(Path(data))(pipeline__model="demo") as service, async_playwright() as playwright:
            path = shutil.which("chromium") or shutil.which("google-chrome")
            browser = await playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
            await shoot(browser, service.url, folder / "page.png", "en", width=1280, height=800)
            await shoot(browser, service.url, folder / "page-phone.png", "zh-CN", width=390, height=844, is_mobile=True)
            await browser.close()


async def shoot(
    browser: Browser, url: str, path: Path, locale: str, *, width: int, height: int, is_mobile: bool = False
) -> None:
    """Let one person draw some pictures and look at the page while the next one is drawn."""
    context = await browser.new_context(
        viewport={"width": width, "height": height}, locale=locale, is_mobile=is_mobile, has_touch=is_mobile
    )
    person = Person(await context.new_page(), url)
    await person.open()
    for number, prompt in enumerate(SCENES[locale], start=1):
        await person.draw(prompt, steps=20)
        await expect(person.thumbnails).to_have_count(number)
    if not is_mobile:
        await person.draw("a house under a rainbow", steps=50)
        await expect(person.jobs).to_contain_text("Step 3", timeout=20_000)
    await person.page.wait_for_load_state("networkidle")
    await person.page.screenshot(path=path, full_page=not is_mobile)
    if is_mobile:
        await person.page.evaluate("scrollTo(0, 0)")
        await person.page.screenshot(path=path, full_page=True)
    await context.close()
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs")))
