"""The grid of the gallery with ten thousand cells, in a real Chromium."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Browser, Route

from bot.frontends.web.own_files import FOLDER

pytestmark = pytest.mark.asyncio(loop_scope="session")
MANY = 10_000
MAX_CELLS = 200  # in the document: those of three windows
PAGE = f"""<!doctype html><style>.grid {{ position: relative }} .c {{ position: absolute }}</style><h1>above</h1>
<div class="grid"></div><script type="module">
import {{Grid}} from "./grid.js";
window.ends = 0;
const item = id => ({{id, html: `<button class=c data-id=${{id}}>b</button>`}});
window.built = 0;
const prepare = () => built += 1, onEnd = () => ends += 1;
window.grid = new Grid(document.querySelector(".grid"), {{prepare, onEnd}});
grid.setItems([...Array({MANY}).keys()].map(number => item({MANY} - number)));
</script>"""
SCROLL = """async () => {
    const place = document.querySelector(".grid");
    let gaps = 0, cells = 0;
    for (let stop = 0; stop <= 40; stop++) {
        scrollTo(0, (document.documentElement.scrollHeight - innerHeight) * stop / 40);
        await new Promise(requestAnimationFrame);
        await new Promise(requestAnimationFrame);
        cells = Math.max(cells, document.querySelectorAll(".c").length);
        const box = place.getBoundingClientRect();
        for (let y = Math.max(5, box.top + 5); y < Math.min(innerHeight, box.bottom); y += grid.pitch) {
            for (let x = box.left + 5; x < box.right - 5; x += grid.pitch) {
                const row = Math.floor((y - box.top) / grid.pitch), column = Math.floor((x - box.left) / grid.pitch);
                gaps += !grid.cells.has(grid.items[row * grid.columns + column]?.id);
            }
        }
    }
    const before = built;
    scrollBy(0, -grid.pitch);
    await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
    return {gaps, cells, rows: (built - before) / grid.columns, ends};
}"""


async def test_ten_thousand_cells_are_scrolled_with_few_in_the_document(chromium: Browser) -> None:
    async def answer(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        if name.endswith(".js"):
            await route.fulfill(path=FOLDER / name, content_type="text/javascript")
        else:
            await route.fulfill(body=PAGE, content_type="text/html")

    context = await chromium.new_context(viewport={"width": 1280, "height": 900})
    page = await context.new_page()
    await page.route("**/*", answer)
    await page.goto("http://127.0.0.1:1/")
    await page.wait_for_selector(".c")
    found: dict[str, Any] = await page.evaluate(SCROLL)
    assert found["gaps"] == 0 and found["cells"] <= MAX_CELLS, found
    assert found["ends"] > 0 and 0 < found["rows"] <= 2, found  # as much work as was scrolled
    # The focus goes to a cell that is not in the document yet, and is not lost when others come before it.
    first = await page.evaluate("() => { grid.focus(0); return document.activeElement.dataset.id; }")
    last = await page.evaluate("() => { grid.focus(1e9); return document.activeElement.dataset.id; }")
    assert (first, last) == (str(MANY), "1")
    still = await page.evaluate(
        """() => {
            grid.setItems([{id: 10001, html: "<button class=c data-id=10001>b</button>"}, ...grid.items]);
            return [document.activeElement.dataset.id, document.querySelectorAll("[tabindex='0']").length];
        }"""
    )
    assert still == ["1", 1]
    await page.evaluate("() => grid.setItems([])")
    assert await page.locator(".c").count() == 0
    await context.close()
