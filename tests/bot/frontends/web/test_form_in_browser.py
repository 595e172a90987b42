"""The form in a real Chromium: what it keeps, what it offers, where it says what is wrong, and what it says offline."""

from __future__ import annotations

import json
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from bot.frontends.web.own_files import address_of
from tests.bot.frontends.web.conftest import PageProcess, Person, Start, Visit

# Chromium on a busy machine takes its time.
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(150)]
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
SLOW = "[step=0.3]"
KEPT = "imagine-bot-form"
TOUCHED = """() => [...document.querySelectorAll("button, a.button, input, textarea, select, summary")]
    .filter(each => each.offsetParent && !["radio", "checkbox", "file"].includes(each.type))
    .map(each => [each.getBoundingClientRect(), each])
    .filter(([box]) => box.width > 1 && Math.min(box.height, box.width) < 43.5)
    .map(([box, each]) => `${each.outerHTML.slice(0, 120)} ${box.width} × ${box.height}`)"""
SMALL_LETTERS = """() => [...document.querySelectorAll("input, textarea, select")]
    .filter(each => each.offsetParent && parseFloat(getComputedStyle(each).fontSize) < 16)
    .map(each => each.outerHTML.slice(0, 120))"""
# When the card was in sight, in milliseconds after the press; and how long the server took for its answers till then.
ARRIVAL = """() => new Promise(done => {
    addEventListener("click", event => {
        if (!event.target.closest("#draw")) return;
        const pressed = performance.now();
        const look = () => {
            const box = document.querySelector(".living .jobs .card")?.getBoundingClientRect();
            if (box && box.top >= 0 && box.top < innerHeight - 60) {
                const taken = performance.getEntriesByType("resource")
                    .filter(each => each.startTime >= pressed && /predict|state/.test(each.name))
                    .map(each => each.duration);
                return done([performance.now() - pressed, taken.reduce((one, other) => one + other, 0)]);
            }
            requestAnimationFrame(look);
        };
        look();
    }, {capture: true});
    document.querySelector("#draw").click();
})"""


STORE = "([key, value]) => localStorage.setItem(key, value)"
RESTORE = """address => import(address).then(keeping =>
    keeping.restore([{name: "prompt", kind: "text", most: 9, usual: ""}], ["usual"]))"""


async def kept(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await page.evaluate(f"localStorage.getItem('{KEPT}')") or "{}")
    return found


async def reopen(person: Person) -> None:
    await person.open()
    await expect(person.page.locator("#count .room")).to_be_attached()  # the living part is there


async def open_more(person: Person) -> None:
    """Open "More settings", unless it is."""
    if not await person.page.locator("#guidance").is_visible():
        await person.page.click("#more > button")
    await expect(person.page.locator("#guidance")).to_be_visible()


async def test_form_survives_a_reload_with_its_image_and_takes_nothing_that_it_could_not_hold(
    shared: PageProcess, visit: Visit, tmp_path: Path
) -> None:
    from PIL import Image

    Image.new("RGB", (90, 60), "green").save(tmp_path / "start.png")
    async with visit(shared.url) as person:
        page = person.page
        await page.fill("#prompt textarea", "a fox <b>")
        await page.fill("#seed input", "77")
        await page.fill("#count input[type=number]", "3")
        await page.locator("#aspect label").nth(1).click()
        await open_more(person)
        await page.locator("#guidance input, #guidance textarea").fill("2.5")
        await page.set_input_files("#source input[type=file]", tmp_path / "start.png")
        await expect(page.locator("#source img")).to_be_visible()
        await page.wait_for_function(f"localStorage.getItem('{KEPT}')?.includes('source')")
        assert "password" not in json.dumps(await kept(page)).lower()
        await reopen(person)
        await expect(page.locator("#prompt textarea")).to_have_value("a fox <b>")
        await expect(page.locator("#seed input")).to_have_value("77")
        await expect(page.locator("#count input[type=number]")).to_have_value("3")
        await expect(page.locator("#aspect input").nth(1)).to_be_checked()
        await open_more(person)
        await expect(page.locator("#guidance input, #guidance textarea")).to_have_value("2.5")
        await expect(page.locator("#source img")).to_be_visible()
        flawed = {
            "prompt": 5, "seed": 1e99, "aspect": "<b>", "count": 99, "model": "x", "steps": "7", "way": {},
            "source": "../../etc/passwd", "source_2": "0123456789abcdef0123456789abcdef.png", "exact_size": "x" * 999,
            "strength": None, "guidance": ["2.5"], "more": "<img>",
        }  # fmt: skip
        await page.evaluate(STORE, [KEPT, json.dumps({"version": 1, "values": flawed})])
        await reopen(person)
        await expect(page.locator("#prompt textarea")).to_have_value("")
        await expect(page.locator("#seed input")).to_have_value("-1")
        await expect(page.locator("#count input[type=number]")).to_have_value("1")
        await expect(page.locator("#steps input[type=number]")).not_to_have_value("7")
        for stored in (
            "{", "[]", "null", '"x"', '{"version": 1, "values": 7}',
            '{"version": 1, "values": {"__proto__": {"x": 1}}}',
            json.dumps({"version": 2, "values": {"prompt": "x"}}), json.dumps({"version": 1, "values": {"prompt": []}}),
            json.dumps({"version": 1, "values": {"prompt": "x"}, "more": "x" * 70_000}),
        ):  # fmt: skip
            await page.evaluate(STORE, [KEPT, stored])
            assert await page.evaluate(RESTORE, address_of("keeping.js")) == ["usual"], stored


async def test_flaw_stands_beside_its_field_until_that_is_changed(shared: PageProcess, visit: Visit) -> None:
    async with visit(shared.url) as person:
        page = person.page
        await person.draw("   ")
        await expect(page.locator("#prompt .flaw")).to_have_text("Write what to draw first.")
        await expect(page.locator("#prompt textarea")).to_have_attribute("aria-invalid", "true")
        await expect(page.locator("#prompt textarea")).to_be_focused()
        await expect(page.locator("#said .refusal")).to_be_hidden()
        await page.fill("#seed input", "4294967296")
        await person.draw("a red apple")
        await expect(page.locator("#seed .flaw")).to_contain_text("The seed must be")
        await expect(page.locator(".flaw")).to_have_count(1)
        await page.fill("#seed input", "7")
        await expect(page.locator(".flaw")).to_have_count(0)
        await open_more(person)
        await page.locator("#guidance input, #guidance textarea").fill("<b>many</b>")
        await page.click("#more > button")
        await expect(page.locator("#guidance")).to_be_hidden()
        await person.draw("a red apple")
        await expect(page.locator("#guidance .flaw")).to_contain_text("guidance")
        await page.locator("#guidance input, #guidance textarea").fill("")
        await person.draw("a red apple")
        await expect(page.locator("#said")).to_contain_text("Queued")


async def test_phone_shows_the_card_at_once_and_everything_can_be_hit(shared: PageProcess, visit: Visit) -> None:
    async with visit(shared.url, **PHONE) as person:
        page = person.page
        await open_more(person)
        assert await page.evaluate(TOUCHED) == []
        assert await page.evaluate(SMALL_LETTERS) == []
        await page.fill("#prompt textarea", f"{SLOW} a red apple")
        await page.fill("#steps input[type=number]", "20")
        arrived_ms, answered_ms = await page.evaluate(ARRIVAL)
        # A busy machine may take long to answer; the page may not.
        assert arrived_ms < 1000 + answered_ms
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        await expect(person.picture).to_be_visible()
        assert await page.evaluate(TOUCHED) == []
        # The header has its buttons in one row, and a service that is gone is told wherever somebody is.
        tops = await page.evaluate(
            "[...document.querySelectorAll('.top header .button, .top select')].map(each => each.offsetTop)"
        )
        assert len(set(tops)) == 1
        await page.evaluate("scrollTo(0, 0)")
        await page.context.set_offline(True)
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await expect(page.locator(".offline")).to_be_in_viewport()
        await page.context.set_offline(False)


UNSENT = {"en": "nothing was queued", "zh-CN": "没有任何内容加入队列"}


async def test_limits_and_a_service_that_is_gone_are_told_in_the_readers_language(start: Start, visit: Visit) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]  # the same after the restart
    async with start(limits__max_images_per_day=6, console__port=port) as service, AsyncExitStack() as visits:
        ann = await visits.enter_async_context(visit(service.url))
        ben = await visits.enter_async_context(visit(service.url, locale="zh-CN"))
        await ann.page.fill("#count input[type=number]", "4")
        await ann.draw(f"{SLOW} [hang]")
        await expect(ann.said).to_contain_text("4 images queued")
        await expect(ann.page.locator("#count .room")).to_have_text("Only 2 images fit into your limits at the moment.")
        await expect(ann.page.locator("#count input[type=number]")).to_have_value("2")
        await expect(ann.page.locator("#count input[type=range]")).to_have_attribute("max", "2")
        await ann.page.fill("#count input[type=number]", "1")
        await ann.draw("a red apple --repeat 4")  # the prompt may still ask for more
        await expect(ann.said).to_contain_text("2 of 4 queued; 2 do not fit: You have used")
        await ben.draw(f"{SLOW} [hang]")
        await expect(ann.jobs).to_have_count(6)
        await expect(ben.jobs).to_have_count(1)
        await service.kill()
        for person, language in ((ann, "en"), (ben, "zh-CN")):
            page = person.page
            await expect(page.locator(".living.away .offline")).to_be_visible()
            await expect(person.jobs.locator(".when:visible")).to_have_count(0)
            await page.click("#draw")
            await expect(person.said).to_contain_text(UNSENT[language])
            await expect(page.locator("[class*=toast]:visible")).to_have_count(0)
            assert "Connection" not in await page.inner_text("body")
        await service.start()
        await service.wait_page()
        await expect(ann.page.locator(".living.away")).to_have_count(0)
        await expect(ben.page.locator("#prompt textarea")).to_have_value(f"{SLOW} [hang]")
