"""The page behind real proxies, as the manual has them: below a path, with TLS, and with what people get wrong."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import expect

from pipeline.images.init_image import MAX_SOURCE_BYTES
from pipeline.images.png_metadata import read_spec
from tests.bot.frontends.web.conftest import DEFAULTS, PageProcess, Session, Visit, start_in
from tests.bot.frontends.web.proxies import caddy, free_port, nginx
from tests.certificates import make_certificate

pytestmark = pytest.mark.asyncio(loop_scope="session")

BELOW = "/imagine"
PASSWORD = "geheim"
AS_IT_IS: dict[str, str] = {}
PATH_TAKEN_OFF = {"proxy_pass http://127.0.0.1:6006;": "proxy_pass http://127.0.0.1:6006/;"}
CADDY_PATH_TAKEN_OFF = {"handle /imagine/*": "handle_path /imagine/*"}
AT_THE_TOP = {"location /imagine/ {": "location / {"}
WITHOUT_PORT = {"$http_host": "$host"}
# A proxy that is told where the page is, and nothing else: HTTP/1.0, `Host: 127.0.0.1:6006`, no word about anybody.
SAYING_NOTHING = {
    f"        {line};\n": ""
    for line in (
        "proxy_http_version 1.1",
        'proxy_set_header Connection ""',
        "proxy_set_header Host $http_host",
        "proxy_set_header X-Forwarded-For $remote_addr",
        "proxy_set_header X-Forwarded-Proto $scheme",
        "proxy_buffering off",
        "client_max_body_size 26m",
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """A page, the port that its proxy is to listen on, and how to trust that."""

    page: PageProcess
    port: int
    certificates: Path
    trust: ssl.SSLContext

    @property
    def address(self) -> str:
        """What nginx and Caddy connect to."""
        return self.page.url.removeprefix("http://")

    @property
    def origin(self) -> str:
        return f"https://localhost:{self.port}"

    def client(self, **options: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(verify=self.trust, timeout=30, trust_env=False, **options)


async def started(folder: Path, **settings: Any) -> AsyncIterator[Behind]:
    trust, port = make_certificate(folder), free_port()
    settings = {name: str(value).replace("PORT", str(port)) for name, value in settings.items()}
    async with start_in(folder, is_forked=True)(**settings) as page:
        yield Behind(page=page, port=port, certificates=folder, trust=trust)
        assert page.attempts == []


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def told_all(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Behind]:
    """A page that knows its whole address."""
    settings = {"console__root_path": f"https://localhost:PORT{BELOW}", "console__password": PASSWORD}
    async for behind in started(tmp_path_factory.mktemp("told"), **settings):
        yield behind


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def told_path(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Behind]:
    """A page that knows no more than its path."""
    async for behind in started(tmp_path_factory.mktemp("path"), console__root_path=BELOW):
        yield behind


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def told_nothing(shared: PageProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Behind]:
    """The page of all other tests."""
    folder = tmp_path_factory.mktemp("nothing")
    yield Behind(page=shared, port=free_port(), certificates=folder, trust=make_certificate(folder))


async def use(behind: Behind, root: str, auth: tuple[str, str] | None = None) -> None:
    """Do all that browsers and scripts do, the way that they do it; `root` is the page's address, without a slash."""
    origin = behind.origin
    path = root.removeprefix(origin)
    async with behind.client(base_url=f"{root}/", headers={"Origin": origin}, auth=auth) as client:
        page = await client.get("")
        assert page.status_code == 200
        cookie = page.headers["Set-Cookie"]
        assert f"; Path={path or '/'}; " in cookie and cookie.endswith("; Secure")
        named = re.findall(r'(?:src|href)="(\./[^"]+\.(?:js|css))"', page.text)
        assert len(named) >= 2
        for name in [*named, "theme.css", "static/js/iframeResizer.contentWindow.min.js"]:
            assert (await client.get(name)).status_code == 200, name
        config = (await client.get("config")).json()
        assert config["root"] == root and f'"root":"{root}"' in page.text.replace(": ", ":")

        files = {"files": ("x.png", b"\x89PNG")}
        (uploaded,) = (await client.post("gradio_api/upload", files=files)).json()
        assert (await client.get(f"gradio_api/file={uploaded}")).content == b"\x89PNG"

        person = Session(client)
        assert "Queued" in (await person.draw("[step=0] a red apple")).text
        (html,) = await person.wait_for_pictures(1)
        small = html.split('src="')[1].split('"')[0]
        assert small.startswith(f"{path}/pictures/")
        assert (await client.get(f"{origin}{small}")).headers["content-type"] == "image/webp"
        newest = (await person.state())["newest"]
        assert (await client.post(f"console/jobs/{newest}/vary")).status_code == 200

    async with behind.client(base_url=f"{root}/", auth=auth) as script:
        event = (await script.post("gradio_api/call/draw", json={"data": ["[step=0] x", 7, 1]})).json()["event_id"]
        text = (await script.get(f"gradio_api/call/draw/{event}")).text
        file, _ = json.loads(text.rpartition("data: ")[2])
        assert file["url"].startswith(f"{root}/pictures/")
        assert (await script.get(file["url"])).headers["content-type"] == "image/png"


@pytest.mark.parametrize("changes", [AS_IT_IS, PATH_TAKEN_OFF, WITHOUT_PORT, SAYING_NOTHING])
async def test_nginx_as_in_the_manual_shows_everything(
    told_all: Behind, tmp_path: Path, changes: dict[str, str]
) -> None:
    async with nginx(tmp_path, told_all.address, told_all.port, told_all.certificates, changes):
        async with told_all.client(base_url=told_all.origin) as stranger:
            assert (await stranger.get(f"{BELOW}/")).status_code == 401
            assert (await stranger.get(f"{BELOW}/console/state")).status_code == 401
        await use(told_all, f"{told_all.origin}{BELOW}", ("", PASSWORD))


async def test_caddy_as_in_the_manual_shows_everything(told_all: Behind, tmp_path: Path) -> None:
    async with caddy(tmp_path, told_all.address, told_all.port, told_all.certificates):
        await use(told_all, f"{told_all.origin}{BELOW}", ("", PASSWORD))


@pytest.mark.parametrize("changes", [AS_IT_IS, PATH_TAKEN_OFF])
async def test_nginx_before_a_page_that_knows_its_path_alone(
    told_path: Behind, tmp_path: Path, changes: dict[str, str]
) -> None:
    async with nginx(tmp_path, told_path.address, told_path.port, told_path.certificates, changes):
        await use(told_path, f"{told_path.origin}{BELOW}")
        async with told_path.client(base_url=told_path.origin) as person:
            answer = await person.get(BELOW)
            assert answer.is_redirect and str(answer.next_request and answer.next_request.url) == (
                f"{told_path.origin}{BELOW}/"
            )


async def test_what_strangers_say_of_a_proxy_does_not_count(told_path: Behind, tmp_path: Path) -> None:
    said = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Prefix": "/evil", "Forwarded": "host=evil.example"}
    said |= {"X-Forwarded-Proto": "http", "X-Gradio-Server": "http://evil.example"}
    async with (
        nginx(tmp_path, told_path.address, told_path.port, told_path.certificates),
        told_path.client(base_url=f"{told_path.origin}{BELOW}", headers=said) as client,
    ):
        answers = [await client.get(path) for path in ("/", "/config", "/console/state")]
        event = (await client.post("/gradio_api/call/draw", json={"data": ["[step=0] x", 1, 1]})).json()["event_id"]
        answers.append(await client.get(f"/gradio_api/call/draw/{event}"))
    assert [each.status_code for each in answers] == [200] * 4
    assert [each for each in answers if "evil" in each.text or "evil" in str(each.headers)] == []
    assert f"{told_path.origin}{BELOW}/pictures/" in answers[-1].text


async def test_nobody_chooses_an_address_on_a_page_for_this_machine_alone(shared: PageProcess) -> None:
    prompt = "[step=0] of somebody who hides"
    async with httpx.AsyncClient(base_url=shared.url, timeout=30, trust_env=False) as script:
        said = {"X-Forwarded-For": "192.0.2.7"}
        event = (await script.post("/gradio_api/call/draw", json={"data": [prompt, 1, 1]}, headers=said)).json()
        await script.get(f"/gradio_api/call/draw/{event['event_id']}")
        found = (await script.get("/console/gallery", params={"search": prompt})).json()
    assert len(found["pictures"]) == 1


@pytest.mark.parametrize("changes", [AS_IT_IS, CADDY_PATH_TAKEN_OFF])
async def test_caddy_before_a_page_that_knows_its_path_alone(
    told_path: Behind, tmp_path: Path, changes: dict[str, str]
) -> None:
    async with caddy(tmp_path, told_path.address, told_path.port, told_path.certificates, changes):
        await use(told_path, f"{told_path.origin}{BELOW}")


async def test_nginx_before_a_page_with_a_host_of_its_own(told_nothing: Behind, tmp_path: Path) -> None:
    async with nginx(tmp_path, told_nothing.address, told_nothing.port, told_nothing.certificates, AT_THE_TOP):
        await use(told_nothing, told_nothing.origin)


async def test_caddy_before_a_page_with_a_host_of_its_own(told_nothing: Behind, tmp_path: Path) -> None:
    changes = {"handle /imagine/* {": "handle {", "    redir /imagine /imagine/\n": ""}
    async with caddy(tmp_path, told_nothing.address, told_nothing.port, told_nothing.certificates, changes):
        await use(told_nothing, told_nothing.origin)


@pytest.mark.parametrize("changes", [AS_IT_IS, PATH_TAKEN_OFF, SAYING_NOTHING])
async def test_gradio_client_draws_below_a_path_and_with_tls(
    told_all: Behind, tmp_path: Path, changes: dict[str, str]
) -> None:
    from gradio_client import Client

    def draw() -> str:
        client = Client(
            f"{told_all.origin}{BELOW}", headers={"Authorization": httpx.BasicAuth("", PASSWORD)._auth_header},
            download_files=tmp_path / "files", verbose=False, analytics_enabled=False, ssl_verify=told_all.trust,
        )  # fmt: skip
        path = client.predict("[step=0] x", seed=9, steps=2, api_name="/draw")[0]
        client.close()
        return str(path)

    async with nginx(tmp_path, told_all.address, told_all.port, told_all.certificates, changes):
        spec = read_spec(Path(await asyncio.to_thread(draw)).read_bytes())
    assert spec is not None and spec.seed == 9


async def test_refusal_says_that_nginx_leaves_the_port_out_and_a_browser_is_let_in_all_the_same(
    told_nothing: Behind, tmp_path: Path
) -> None:
    changes = {**AT_THE_TOP, **WITHOUT_PORT}
    origin = told_nothing.origin
    async with (
        nginx(tmp_path, told_nothing.address, told_nothing.port, told_nothing.certificates, changes),
        told_nothing.client(base_url=origin) as client,
    ):
        body = {"data": ["[step=0] x", *DEFAULTS[1:]], "fn_index": await Session(client).draw_number()}
        for said, status in (
            ({"Origin": origin}, 403),
            ({"Origin": origin, "Sec-Fetch-Site": "same-origin"}, 200),
            ({"Origin": "https://localhost:1", "Sec-Fetch-Site": "same-site"}, 403),
        ):
            answer = await client.post("/gradio_api/run/predict", json=body, headers=said)
            assert answer.status_code == status
            if status == 403:
                assert f"from a page at {said['Origin']}, and asks for localhost." in answer.json()["error"]


async def test_largest_upload_passes_nginx_and_a_larger_one_is_refused(told_path: Behind, tmp_path: Path) -> None:
    async with (
        nginx(tmp_path, told_path.address, told_path.port, told_path.certificates),
        told_path.client(base_url=f"{told_path.origin}{BELOW}") as client,
    ):
        await client.get("/")
        for size, status in ((MAX_SOURCE_BYTES, 200), (MAX_SOURCE_BYTES + 2**21, 413)):
            files = {"files": ("x.png", b"\x89PNG" + bytes(size - 4))}
            assert (await client.post("/gradio_api/upload", files=files)).status_code == status


async def test_script_behind_nginx_hears_of_its_job_while_it_waits(told_path: Behind, tmp_path: Path) -> None:
    async with (
        nginx(tmp_path, told_path.address, told_path.port, told_path.certificates),
        told_path.client(base_url=f"{told_path.origin}{BELOW}") as client,
    ):
        config = (await client.get("/config")).json()
        number = next(each["id"] for each in config["dependencies"] if each["api_name"] == "draw")
        body = {"data": ["[hang] [step=0.05]", 1, 1], "fn_index": number, "session_hash": "waits"}
        assert (await client.post("/gradio_api/queue/join", json=body)).status_code == 200
        async with (
            asyncio.timeout(20),
            client.stream("GET", "/gradio_api/queue/data", params={"session_hash": "waits"}) as events,
        ):
            async for line in events.aiter_lines():
                if "process_starts" in line:
                    break
        state = (await client.get("/console/state")).json()
        assert state["is_busy"]
        (job,) = re.findall(r'data-id="(\d+)"', "".join(state["jobs"]))
        assert (await client.post(f"/console/jobs/{job}/cancel")).status_code == 200


async def test_hundreds_of_requests_through_nginx_are_all_answered(told_path: Behind, tmp_path: Path) -> None:
    async with nginx(tmp_path, told_path.address, told_path.port, told_path.certificates) as proxy:
        limits = httpx.Limits(max_connections=20)
        async with told_path.client(base_url=f"{told_path.origin}{BELOW}", limits=limits) as client:
            asked = [client.get("/console/state") for _ in range(400)]
            answers = await asyncio.gather(*asked)
    assert {each.status_code for each in answers} == {200}
    assert [line for line in proxy.lines if "[error]" in line or "[crit]" in line] == []


async def test_person_in_a_browser_draws_below_a_path_behind_an_nginx_that_leaves_the_port_out(
    told_path: Behind, visit: Visit, tmp_path: Path
) -> None:
    async with (
        nginx(tmp_path, told_path.address, told_path.port, told_path.certificates, {**WITHOUT_PORT, **PATH_TAKEN_OFF}),
        visit(f"{told_path.origin}{BELOW}/", ignore_https_errors=True) as person,
    ):
        await person.draw("[step=0.05] a red apple")
        await expect(person.picture).to_be_visible()
        await expect(person.thumbnails).to_have_count(1)
        await person.page.wait_for_function("document.querySelector('.shown img').naturalWidth > 0")
        style = "getComputedStyle(document.querySelector('.living .shown .picture')).display"
        assert await person.page.evaluate(style) == "grid"
        await person.page.click(".shown [data-do=vary]")
        await expect(person.thumbnails).to_have_count(2)


async def test_person_in_a_browser_starts_from_a_picture_below_a_path(
    told_path: Behind, visit: Visit, tmp_path: Path
) -> None:
    from PIL import Image

    Image.new("RGB", (90, 60), "green").save(tmp_path / "start.jpg")
    async with (
        nginx(tmp_path, told_path.address, told_path.port, told_path.certificates),
        visit(f"{told_path.origin}{BELOW}/", ignore_https_errors=True) as person,
    ):
        await person.page.click("#more button")
        await person.page.set_input_files("#source input[type=file]", tmp_path / "start.jpg")
        await expect(person.page.locator("#source img")).to_be_visible()
        await person.page.check("#way input[value=start]")
        await person.draw("[step=0] a red apple")
        await expect(person.page.locator(".shown")).to_contain_text("strength 0.6")
        await person.open()
        await person.page.click(".shown [data-do=edit]")
        await person.page.click("#more button")
        await expect(person.page.locator("#source img")).to_be_visible()
        await person.page.wait_for_function("document.querySelector('#source img').naturalWidth > 0")
