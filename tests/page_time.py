"""What the page costs: `python -m tests.page_time [REQUESTS] [--people 8] [--weight]`.

Starts the page as a process of its own, draws some images with the fake engine, and lets several people ask at the
same time for what an open page asks for. Prints milliseconds from a request to the end of its answer, as they are
measured beside the page: the server's time, its queue included, and the way through this machine. With `--weight`, a
browser opens the page: bytes, requests, and when something is to be seen. Targets: p50 30 ms, p99 200 ms on two cores.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import typer
from playwright.async_api import async_playwright

from tests.bot.frontends.web.conftest import CHROMIUM_FLAGS, PageProcess, Person, Session, session_at, start_in

IMAGES = 6
# How often an open page asks for each, out of so many: the state again and again, the rest when something changed.
SHARES = {"state": 70, "gallery": 10, "image": 8, "thumbnail": 8, "form": 2, "page": 2}
WEIGHT = """() => {
    const entries = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
    const paint = performance.getEntriesByName("first-contentful-paint")[0];
    return [entries.length, entries.reduce((sum, each) => sum + each.transferSize, 0), paint?.startTime ?? 0];
}"""


def kinds(number: int) -> Iterator[str]:
    """Choose what is asked for, in the shares that an open page has."""
    chance = random.Random(7)
    for _ in range(number):
        yield chance.choices(list(SHARES), list(SHARES.values()))[0]


async def ask(session: Session, kind: str, images: list[str], job_ids: list[int]) -> httpx.Response:
    """Ask once."""
    match kind:
        case "state":
            return await session.client.get("/console/state")
        case "gallery":
            return await session.client.get("/console/gallery")
        case "image":
            return await session.client.get(f"/console/jobs/{random.choice(job_ids)}")
        case "thumbnail":
            return await session.client.get(random.choice(images))
        case "form":
            return await session.draw("   ")  # is refused after everything that a press goes through
        case _:
            return await session.client.get("/")


async def be_somebody(page: PageProcess, asked: Iterator[str], took_ms: dict[str, list[float]]) -> None:
    """Draw some images, then ask as long as there is something to ask for."""
    async with session_at(page.url) as session:
        for number in range(IMAGES):
            await session.draw(f"[step=0] a red apple {number}")
        cells = await session.wait_for_pictures(IMAGES, timeout_s=120)
        texts = [str(cell) for cell in cells]
        images = [text.split('src="')[1].split('"')[0] for text in texts]
        job_ids = [int(text.split('data-id="')[1].split('"')[0]) for text in texts]
        for kind in asked:
            began = time.perf_counter()
            answer = await ask(session, kind, images, job_ids)
            took_ms[kind].append(1000 * (time.perf_counter() - began))
            assert answer.status_code == 200, (kind, answer.status_code, answer.text[:200])


def tell(kind: str, took_ms: list[float]) -> None:
    """Print one line."""
    ordered = sorted(took_ms)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    typer.echo(
        f"{kind:10} {len(ordered):5} requests: p50 {statistics.median(ordered):6.1f} ms, p99 {p99:6.1f} ms, "
        f"worst {ordered[-1]:6.1f} ms"
    )


async def measure(requests: int, people: int) -> None:
    """Let them ask, and print what it took."""
    took_ms: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        async with start_in(Path(folder))() as page:
            asked = kinds(requests)
            began, process = time.perf_counter(), psutil.Process(page.pid)
            before = process.cpu_times()
            async with asyncio.TaskGroup() as group:
                for _ in range(people):
                    group.create_task(be_somebody(page, asked, took_ms))
            typer.echo(f"{people} people, {requests} requests in {time.perf_counter() - began:.1f} s with the drawing")
            after = process.cpu_times()
            cpu_ms = 1000 * (after.user + after.system - before.user - before.system) / requests
            typer.echo(f"{cpu_ms:.1f} ms of CPU of the page's process for each, the drawing included")
            for kind in SHARES:
                tell(kind, took_ms[kind])
            tell("all", [each for times in took_ms.values() for each in times])


async def weigh() -> None:
    """Open the page twice in a browser, the second time with what it kept, and print what that took."""
    with tempfile.TemporaryDirectory() as folder:
        async with start_in(Path(folder))() as page, async_playwright() as playwright:
            path = shutil.which("chromium") or shutil.which("google-chrome")
            browser = await playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
            person = Person(await browser.new_page(), page.url)
            for what in ("first visit", "next visit"):
                began = time.perf_counter()
                await person.open()
                usable_s = time.perf_counter() - began
                await person.page.wait_for_load_state("networkidle")
                count, transferred, paint_ms = await person.page.evaluate(WEIGHT)
                typer.echo(
                    f"{what}: {count} requests, {transferred / 1000:.0f} kB; first paint after {paint_ms:.0f} ms, "
                    f"the form usable after {usable_s:.1f} s"
                )
            await browser.close()


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("requests", type=int, nargs="?", default=2000)
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--weight", action="store_true")
    options = parser.parse_args()
    asyncio.run(weigh() if options.weight else measure(options.requests, options.people))


if __name__ == "__main__":
    main()
