"""What axe-core finds on the page and in the operator's corner: nothing serious, in any language and in any light."""

from __future__ import annotations

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from tests.bot.frontends.web.conftest import PageProcess, Visit

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(150)]
GRAVE = {"serious", "critical"}
STILL = "*, ::before, ::after { animation: none !important; transition: none !important; }"  # colours on their way


async def flaws(page: Page) -> list[str]:
    """Return the serious and critical findings, each with the elements that it is about."""
    await page.add_style_tag(content=STILL)
    found = (await Axe().run(page)).response["violations"]
    return [
        f"{each['id']}: {node['html'][:160]} {node['any'][0]['message'] if node['any'] else ''}"
        for each in found
        if each["impact"] in GRAVE
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("light", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "zh-CN"])
async def test_page_and_corner_have_no_serious_flaw(
    shared: PageProcess, visit: Visit, language: str, light: str
) -> None:
    async with visit(shared.url, locale=language, color_scheme=light) as person:
        page = person.page
        assert await flaws(page) == []
        assert await page.evaluate("document.documentElement.lang") == language
        await page.click("#more > button")
        await expect(page.locator("#name")).to_be_visible()
        await person.draw("   ")
        await expect(page.locator("#prompt .flaw")).to_be_visible()
        await person.draw("a fox in the snow")
        await expect(person.picture).to_be_visible()
        await expect(person.thumbnails).to_have_count(1)
        await expect(page.locator(".announced")).to_contain_text("a fox in the snow")
        await person.draw("[step=0.2] [hang]", steps=40)
        await expect(page.locator(".living progress[value]")).to_be_visible()
        await page.click(".queue summary")
        assert await flaws(page) == []
        await page.goto(f"{shared.url}/operator")
        await expect(page.locator("#queue .line").first).to_be_visible()
        assert await flaws(page) == []
        await page.locator("#queue .line button").last.click()


async def test_motion_is_left_out_for_whoever_wants_none(shared: PageProcess, visit: Visit) -> None:
    async with visit(shared.url, reduced_motion="reduce") as person:
        moving = """() => [...document.querySelectorAll("*")].filter(each => {
            const style = getComputedStyle(each);
            return parseFloat(style.transitionDuration) > 0.05 || parseFloat(style.animationDuration) > 0.05;
        }).map(each => each.outerHTML.slice(0, 100))"""
        assert await person.page.evaluate(moving) == []
