"""The gallery, the large view and what is done with images there, in a real Chromium: few page loads, many looks."""

from __future__ import annotations

import re
import zipfile

import pytest
from playwright.async_api import Page, expect

from tests.bot.frontends.web.conftest import PageProcess, Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")
IMAGE = """async colour => {
    const canvas = Object.assign(document.createElement("canvas"), {width: 90, height: 60});
    const context = canvas.getContext("2d");
    context.fillStyle = colour;
    context.fillRect(0, 0, 90, 60);
    const blob = await new Promise(done => canvas.toBlob(done));
    const data = new DataTransfer();
    data.items.add(new File([blob], `${colour}.png`, {type: "image/png"}));
    return data;
}"""


async def focused(page: Page) -> str:
    return str(await page.evaluate("document.activeElement.dataset.id ?? document.activeElement.className"))


async def action_in_focus(page: Page) -> str:
    return str(await page.evaluate("document.activeElement.dataset.do"))


async def test_example_is_tried_and_images_are_looked_at_kept_compared_taken_along_and_deleted(
    shared: PageProcess, visit: Visit
) -> None:
    async with visit(shared.url) as person:
        page = person.page
        # At first sight: examples, and no headline about nothing.
        await expect(page.locator(".welcome h2")).to_have_text("What would you like to see?")
        await expect(page.locator(".example")).to_have_count(3)
        assert "0 waiting" not in await page.inner_text("body")
        await expect(page.locator(".top .queue")).to_have_text("Ready to draw")
        await expect(page.locator(".top .model")).to_have_text("Fake: a colour gradient")
        await page.click(".example >> nth=1")
        await expect(page.locator("#prompt textarea")).to_have_value("two gradients")
        await page.fill("#count input[type=number]", "3")
        await page.keyboard.press("Control+Enter")
        await expect(person.thumbnails).to_have_count(3)
        await expect(page.locator(".welcome")).to_have_count(0)

        # Every button has a label of its own, with the time of day.
        labels = [await cell.get_attribute("aria-label") or "" for cell in await person.thumbnails.all()]
        assert len(set(labels)) == 3
        assert all(re.fullmatch(r"two gradients, number \d+, \d\d:\d\d", label) for label in labels), labels
        ids = [await cell.get_attribute("data-id") or "" for cell in await person.thumbnails.all()]

        # From cell to cell with the arrow keys, and large from one to the next.
        await person.thumbnails.nth(0).focus()
        await page.keyboard.press("ArrowRight")
        assert await focused(page) == ids[1]
        await page.keyboard.press("End")
        assert await focused(page) == ids[2]
        await page.keyboard.press("Home")
        await page.keyboard.press("Enter")
        lightbox = page.locator(".lightbox")
        await expect(lightbox.locator(f"[data-key=picture-{ids[0]}] img")).to_be_visible()
        await expect(lightbox.locator(".previous")).to_be_disabled()
        await page.keyboard.press("ArrowRight")
        await expect(lightbox.locator(f"[data-key=picture-{ids[1]}] img")).to_be_visible()
        for _ in range(14):  # the focus stays inside
            await page.keyboard.press("Tab")
            assert await page.evaluate(
                "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
            )
        # At the end of the way, and at a button whose image gives way to the next, the focus stays, and so do the keys.
        await lightbox.locator(".previous").focus()
        await page.keyboard.press("Enter")
        await expect(lightbox.locator(".previous")).to_be_disabled()
        assert await action_in_focus(page) == "previous"
        await lightbox.locator(".star").focus()
        await page.keyboard.press("ArrowRight")
        await expect(lightbox.locator(f"[data-key=picture-{ids[1]}] img")).to_be_visible()
        assert await action_in_focus(page) == "keep"
        await page.keyboard.press("f")
        await expect(lightbox.locator(".star")).to_have_text("⭐ Stop keeping")
        assert await action_in_focus(page) == "keep"
        await page.keyboard.press("Escape")
        await expect(lightbox).to_be_hidden()
        seen_last = page.locator(f".thumbnail[data-id='{ids[1]}']")
        await expect(seen_last).to_be_focused()
        await expect(seen_last).to_have_class(re.compile("kept"))
        for is_kept in (False, True):  # built anew, and still in focus
            await page.keyboard.press("f")
            await expect(page.locator(f".thumbnail{'.kept' if is_kept else ':not(.kept)'}:focus")).to_have_count(1)

        # Only those that are kept, and all again.
        await page.click(".only-kept")
        await expect(person.thumbnails).to_have_count(1)
        await page.click(".only-kept")
        await expect(person.thumbnails).to_have_count(3)
        await page.select_option(".of-model", "demo")
        await expect(page.locator(".gallery .empty")).to_have_text("None of your images is like that.")
        await page.select_option(".of-model", "")
        await expect(person.thumbnails).to_have_count(3)

        # What is looked for while the service is away is found when it is back.
        await page.context.set_offline(True)
        async with page.expect_event("requestfailed", lambda request: "search=zebra" in request.url):
            await page.fill(".search", "zebra")
        await page.context.set_offline(False)
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await expect(page.locator(".gallery .empty")).to_contain_text("None of your images matches “zebra”.")
        await page.fill(".search", "")
        await expect(person.thumbnails).to_have_count(3)

        # Two are selected: compared, and taken along as a ZIP file.
        await page.click(".selects")
        await person.thumbnails.nth(0).click()
        await person.thumbnails.nth(2).click()
        await expect(page.locator(".tally")).to_have_text("2 selected")
        await page.click("[data-do=compare]")
        await expect(page.locator(".comparison img")).to_have_count(2)
        await page.keyboard.press("Escape")
        assert await action_in_focus(page) == "compare"
        async with page.expect_download() as waiting:
            await page.click("[data-do=zip]")
        with zipfile.ZipFile(await (await waiting.value).path()) as archive:
            assert [name.split("-")[0] for name in archive.namelist()] == [ids[0], ids[2]] and archive.testzip() is None

        # Nothing is deleted without a yes.
        await page.click("[data-do=deleteSelected]")
        await expect(page.locator(".question")).to_contain_text("Delete these 2 images for good?")
        await page.keyboard.press("Escape")
        await expect(person.thumbnails).to_have_count(3)
        assert await action_in_focus(page) == "deleteSelected"
        await page.click("[data-do=deleteSelected]")
        await page.click(".question .yes")
        await expect(person.thumbnails).to_have_count(1)
        await expect(person.said).to_contain_text("2 images are deleted.")
        await person.thumbnails.nth(0).focus()
        await page.keyboard.press("Delete")
        await expect(page.locator(".question")).to_contain_text("Delete this image for good?")
        await page.click(".question .yes")
        await expect(page.locator(".welcome")).to_be_visible()


async def test_images_are_dropped_anywhere_pasted_and_dragged_and_the_language_is_chosen(
    shared: PageProcess, visit: Visit
) -> None:
    async with visit(shared.url) as person:
        page = person.page
        await page.click("#more button")
        source, clear = page.locator("#source img"), "#source [aria-label='Remove Image'], #source [aria-label='Clear']"
        send = "(kind, data) => document.querySelector('h1').dispatchEvent({event})"
        for event in (
            "new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true})",
            "new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true})",
        ):
            await page.evaluate(
                f"async () => {{ const data = await ({IMAGE})('lime'); ({send.format(event=event)})('', data); }}"
            )
            await expect(source).to_be_visible()
            await expect(person.said).to_contain_text("The image is in the form")
            await page.click(clear)
            await expect(source).to_have_count(0)
        await page.evaluate(
            """() => {
                const data = new DataTransfer();
                data.items.add(new File(["<svg/>"], "x.svg", {type: "image/svg+xml"}));
                const options = {dataTransfer: data, bubbles: true, cancelable: true};
                document.body.dispatchEvent(new DragEvent("drop", options));
            }"""
        )
        await expect(page.locator("#said .refusal")).to_contain_text("PNG, JPEG and WebP work")

        # An own image is dragged: out of the window as a file, onto the page as the starting image.
        await person.draw("a red apple")
        await expect(person.picture).to_be_visible()
        dragged = await page.evaluate(
            """() => {
                const data = new DataTransfer(), from = document.querySelector(".thumbnail");
                from.dispatchEvent(new DragEvent("dragstart", {dataTransfer: data, bubbles: true}));
                const options = {dataTransfer: data, bubbles: true, cancelable: true};
                document.body.dispatchEvent(new DragEvent("drop", options));
                return data.getData("DownloadURL");
            }"""
        )
        assert re.fullmatch(r"image/png:a-red-apple-\d+\.png:http://127\.0\.0\.1:\d+/pictures/\w+/\d+\.png", dragged)
        await expect(source).to_be_visible()
        await page.click(clear)
        await page.click(".shown .more summary")
        await page.click(".shown [data-do=start_from]")
        await expect(source).to_be_visible()

        await page.click("[data-do=help]")
        await expect(page.locator(".helping")).to_contain_text("Ctrl + Enter")
        await page.keyboard.press("Escape")
        async with page.expect_navigation():
            await page.select_option(".language", "zh-TW")
        await expect(page.locator("#draw")).to_contain_text("開始畫")
        await expect(page.locator(".gallery h2")).to_have_text("你的圖片")
        async with page.expect_navigation():
            await page.select_option(".language", "en")
        await expect(page.locator("#draw")).to_contain_text("Draw")
