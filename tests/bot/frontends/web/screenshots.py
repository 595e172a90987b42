"""Makes the screenshots of the page: python -m tests.bot.frontends.web.screenshots [FOLDER]

Without a folder the two in `docs/`; else every state, in two languages, on a desk and a phone, light and dark. With the
demo model, in the Chromium of the distribution. Look at them before they go in.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path

from PIL import Image
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.bot.frontends.web.conftest import CHROMIUM_FLAGS, Person, start_in

COLOURS = 128  # enough for a form, and a third of the size
SCENES = {
    "en": ("a red apple", "a cat and a moon", "three yellow stars", "a fox on a purple background", "a green tree"),
    "zh-CN": ("一个红苹果", "火箭和月亮，黑色背景", "紫色背景上的狐狸"),
}
LAST = {"en": "a house under a rainbow", "zh-CN": "彩虹下面的房子"}
DESK = {"viewport": {"width": 1440, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


async def main(folder: Path | None) -> None:
    """Draw, look, save."""
    with tempfile.TemporaryDirectory() as data:
        async with start_in(Path(data))(pipeline__model="demo") as service, async_playwright() as playwright:
            path = shutil.which("chromium") or shutil.which("google-chrome")
            browser = await playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
            if folder is None:
                await shoot_for_docs(browser, service.url)
            else:
                folder.mkdir(parents=True, exist_ok=True)
                for language, device, colours in product(SCENES, ("desk", "phone"), ("light", "dark")):
                    await shoot_states(browser, service.url, folder, language, device, colours)
            await browser.close()


async def shoot_for_docs(browser: Browser, url: str) -> None:
    """Save what the documents show: an image being drawn, on a desk; the page of a phone, in Chinese."""
    async with visiting(browser, url, "zh-CN", "phone", "light") as person:
        await draw_scenes(person, "zh-CN")
        await save(person.page, Path("docs/page-phone.png"), is_whole=True)
    async with visiting(browser, url, "en", "desk", "light") as person:
        await draw_scenes(person, "en")
        await begin_another(person, "en")
        await save(person.page, Path("docs/page.png"), is_whole=True)


async def shoot_states(browser: Browser, url: str, folder: Path, language: str, device: str, colours: str) -> None:
    """Save every state that one person comes to."""
    async with visiting(browser, url, language, device, colours) as person:
        page = person.page

        async def shoot(state: str, *, is_whole: bool = False) -> None:
            await save(page, folder / f"{state}-{language}-{device}-{colours}.png", is_whole=is_whole)

        await shoot("first", is_whole=True)
        await draw_scenes(person, language)
        await shoot("gallery", is_whole=True)
        await person.draw("   ")
        await expect(page.locator("#prompt .flaw")).to_be_visible()
        await shoot("refused")
        await begin_another(person, language)
        await shoot("drawing", is_whole=True)
        await expect(person.thumbnails).to_have_count(len(SCENES[language]) + 1, timeout=60_000)
        await person.thumbnails.nth(1).click()
        await expect(page.locator(".lightbox img")).to_be_visible()
        await page.keyboard.press("f")
        await expect(page.locator(".lightbox [data-is-kept=yes]")).to_be_visible()
        await shoot("large")
        await page.keyboard.press("Escape")
        await page.click(".selects")
        await person.thumbnails.nth(0).click()
        await person.thumbnails.nth(2).click()
        await shoot("selecting")
        await page.click("[data-do=compare]")
        await expect(page.locator(".comparison img")).to_have_count(2)
        await shoot("comparing")
        await page.keyboard.press("Escape")
        await page.click("[data-do=deleteSelected]")
        await shoot("asking")
        await page.click(".question .no")
        await page.click(".selects")
        await page.click("[data-do=help]")
        await expect(page.locator(".helping table")).to_be_visible()
        await shoot("help")
        await page.keyboard.press("Escape")
        await page.fill(".search", "giraffe")
        await expect(page.locator(".gallery .empty")).to_be_visible()
        await shoot("nothing-found")
        await page.fill(".search", "")
        await page.context.set_offline(True)
        await expect(page.locator(".living .offline")).to_be_visible(timeout=60_000)
        await shoot("offline")
        await page.context.set_offline(False)
        await person.page.goto(f"{url}/operator")
        await expect(person.page.locator("#limits table")).to_be_visible()
        await shoot("corner", is_whole=True)


@asynccontextmanager
async def visiting(browser: Browser, url: str, language: str, device: str, colours: str) -> AsyncIterator[Person]:
    """Be somebody new at the page."""
    options = DESK if device == "desk" else PHONE
    scheme = "dark" if colours == "dark" else "light"
    context = await browser.new_context(locale=language, color_scheme=scheme, **options)  # type: ignore[arg-type]
    person = Person(await context.new_page(), url)
    await person.open()
    yield person
    await context.close()


async def draw_scenes(person: Person, language: str) -> None:
    """Draw some images."""
    for number, prompt in enumerate(SCENES[language], start=1):
        await person.draw(prompt, steps=8)
        await expect(person.thumbnails).to_have_count(number, timeout=120_000)


async def begin_another(person: Person, language: str) -> None:
    """Be in the middle of drawing."""
    await person.draw(LAST[language], steps=50)
    await expect(person.page.locator("img.preview")).to_be_visible(timeout=60_000)


async def save(page: Page, path: Path, *, is_whole: bool = False) -> None:
    """Save what is seen, or all of it from the top."""
    await page.wait_for_timeout(400)  # transitions
    if is_whole:
        await page.evaluate("scrollTo(0, 0)")
    await page.screenshot(path=path, full_page=is_whole)
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
