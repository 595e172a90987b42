"""The page as a process, real browsers before it, and a guard that counts every attempt to leave this machine."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.discord_server import BotProcess, Discord
from tests.network import ROOT, attempts, guarded
from tests.pipeline.catalog.miniature_loras import write_lora

LONG_MS = 30_000  # CI machines are slow and shared: waits are generous, and end as soon as they may
CHROMIUM_FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

expect.set_options(timeout=LONG_MS)


class PageProcess(BotProcess):
    """`imagine-bot run` without a token: the page alone."""

    def __init__(
        self, env: Mapping[str, str], *, cwd: Path, guard_file: Path, files: int | None = None, is_forked: bool = False
    ) -> None:
        no_discord = cast("Discord", SimpleNamespace(gateway=SimpleNamespace(sessions=[])))
        command = [sys.executable, "-m", "bot", "run"]
        if files is not None:
            command = ["sh", "-c", f'ulimit -n {files} && exec "$@"', "sh", *command]
        preload = "tests.bot.frontends.web.preloaded" if is_forked and files is None else ""
        super().__init__(no_discord, command, env=env, cwd=cwd, preload=preload)
        self.guard_file = guard_file
        self.url = ""

    async def start(self) -> None:
        """Start the process, for the first time or again."""
        self._lines_before = len(self.lines)
        await super().start()

    async def wait_page(self) -> str:
        """Wait until this start of the page can be opened; return its address."""
        line = await self.wait_log("the page is at http", timeout=50, after=self._lines_before)
        self.url = line.split("the page is at ")[1].split()[0]
        return self.url

    @property
    def attempts(self) -> list[str]:
        """Where the process wanted to connect to, beyond this machine."""
        return attempts(self.guard_file)


Start = Callable[..., AbstractAsyncContextManager[PageProcess]]


def start_in(folder: Path, *, files: int | None = None, is_guarded: bool = True, is_forked: bool = False) -> Start:
    """`async with start(section__key=value) as page:`; every start in the same folder has the same data.

    Of `files`, if given, the process may open so many at the same time. Without the guard it may connect to wherever it
    wants: only for networks that lead nowhere. Forked, it has imported already what takes seconds: see `preloaded.py`.
    """

    @asynccontextmanager
    async def start(**settings: Any) -> AsyncIterator[PageProcess]:
        defaults = {
            "console__port": 0,
            "storage__data_dir": folder / "data",
            "storage__min_free_mib": 0,
            "pipeline__model": "fake",
            "limits__cooldown_s": 0,
            "limits__max_waiting": 1000,
            "limits__max_active_per_user": 100,
            "limits__max_images_per_day": 1000,
            "worker__stop_grace_s": 5,
            "log__format": "console",
        }
        env = {f"IMAGINE_BOT__{name.upper()}": str(value) for name, value in {**defaults, **settings}.items()}
        # A proxy that Gradio's library could not use, and that nobody needs here.
        env |= {"ALL_PROXY": "socks5h://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
        guard_file = folder / "attempts.txt"
        env |= guarded(guard_file) if is_guarded else {"PYTHONPATH": str(ROOT)}
        async with PageProcess(env, cwd=folder, guard_file=guard_file, files=files, is_forked=is_forked) as process:
            await process.wait_page()
            yield process

    return start


@pytest.fixture
def start(tmp_path: Path) -> Start:
    return start_in(tmp_path, is_forked=True)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PageProcess]:
    """One page for all tests that do not restart it; every test is another person there, and none makes it call out.

    There are LoRAs for its model: `ink`, and `turbo`, which is the fast one.
    """
    folder = tmp_path_factory.mktemp("page")
    loras = [f"[[loras]]\nname = '{name}'\nfile = '{write_lora(folder / name)}'\n" for name in ("ink", "turbo")]
    (folder / "config.toml").write_text("".join([*loras, "weight = 0.125\nspeed = 'fast'\nsteps = 3\n"]), "utf-8")
    async with start_in(folder)() as process:
        yield process
        assert process.attempts == []


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium is installed (Debian, Ubuntu: apt-get install chromium)")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield browser
        await browser.close()


class Person:
    """Somebody in a browser of their own."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.requests: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    async def open(self) -> None:
        await self.page.goto(self.url)
        await expect(self.page.locator("#prompt textarea")).to_be_visible()
        await expect(self.page.locator(".living .welcome, .living .gallery:not(.bare)").first).to_be_visible()

    async def draw(self, prompt: str, *, steps: int = 2) -> None:
        await self.page.fill("#prompt textarea", prompt)
        await self.page.fill("#steps input[type=number]", str(steps))
        async with self.page.expect_response("**/gradio_api/run/predict"):
            await self.page.click("#draw")

    @property
    def jobs(self) -> Any:
        return self.page.locator(".living .jobs .card")

    @property
    def picture(self) -> Any:
        return self.page.locator(".living .shown .picture img")

    @property
    def thumbnails(self) -> Any:
        return self.page.locator(".living .grid .thumbnail")

    @property
    def said(self) -> Any:
        return self.page.locator("#said")


Visit = Callable[..., AbstractAsyncContextManager[Person]]


@pytest.fixture(scope="session")
def visit(chromium: Browser) -> Visit:
    """`async with visit(url, **context options) as person:`; nobody leaves this machine, and no script fails."""

    @asynccontextmanager
    async def visit(url: str, **options: Any) -> AsyncIterator[Person]:
        context = await chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        try:
            person = Person(await context.new_page(), url)
            await person.open()
            yield person
            assert [url for url in person.requests if not url.startswith((person.url, "data:", "blob:"))] == []
            assert person.errors == []
        finally:
            await context.close()

    return visit


class Session:
    """A browser session without a browser: a cookie, and what the page's scripts ask for."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def draw(self, *values: Any) -> httpx.Response:
        """Press the button of the form, by what Gradio sends for it."""
        data = [*values, *DEFAULTS[len(values) :]]
        body = {"data": data, "fn_index": await self.draw_number(), "session_hash": "x"}
        return await self.client.post("/gradio_api/run/predict", json=body)

    async def draw_number(self) -> int:
        """Gradio's number for what the button of the form does."""
        config = (await self.client.get("/config")).json()
        return next(each["id"] for each in config["dependencies"] if len(each["inputs"]) == len(DEFAULTS))

    async def state(self) -> dict[str, Any]:
        return (await self.client.get("/console/state")).json()

    async def gallery(self, **values: Any) -> dict[str, Any]:
        return (await self.client.get("/console/gallery", params=values)).json()

    async def wait_for_pictures(self, number: int, timeout_s: float = 30) -> list[str]:
        """Wait until so many are in the gallery."""
        async with asyncio.timeout(timeout_s):
            while len(pictures := (await self.gallery())["pictures"]) < number:
                await asyncio.sleep(0.1)
        return pictures


# prompt, seed, steps, aspect, count, source, strength, name, model, size, exact size;
# negative prompt, CFG scale, guidance, sampler, CLIP skip, LoRAs, speed; edit or start, and two more images
DEFAULTS = ("a red apple", -1, 2, "square", 1, None, 0.6, "", None, "normal", *[""] * 8, "start", None, None)
Enter = Callable[..., AbstractAsyncContextManager[Session]]


@asynccontextmanager
async def session_at(url: str, **options: Any) -> AsyncIterator[Session]:
    """A new person at the page."""
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False, **options) as client:
        await client.get("/")  # brings the cookie
        yield Session(client)
