"""Scripts, many sessions at once, and files that are nobody's business: the page as a process, without a browser."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot.frontends.web.security.bodies import DRAW_KEYS
from pipeline.images.png_metadata import read_spec
from tests.bot.frontends.web.conftest import PageProcess, Start, session_at

pytestmark = pytest.mark.asyncio(loop_scope="session")
ELSEWHERE = "http://198.51.100.7/picture.png"  # TEST-NET-2 (RFC 5737): nobody is there


async def call_draw(
    url: str, *, path: str = "/gradio_api/call/draw", body: object = None, **options: Any
) -> tuple[str, Any]:
    """What the two curl commands of the manual do; the last event and its data."""
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False, **options) as client:
        event = (await client.post(path, json=body or {"data": ["a red apple", 7, 2]})).json()["event_id"]
        text = (await client.get(f"/gradio_api/call/draw/{event}")).text
    lines = [line.partition(": ") for line in text.splitlines() if line]
    return lines[-2][2], json.loads(lines[-1][2])


async def test_curl_draws_and_fetches_the_picture(shared: PageProcess) -> None:
    event, (file, settings) = await call_draw(shared.url)
    assert event == "complete"
    assert (settings["seed"], settings["steps"], settings["model"]) == (7, 2, "fake")
    async with httpx.AsyncClient(trust_env=False) as script:
        picture = await script.get(file["url"])
    assert picture.headers["content-type"] == "image/png"
    spec = read_spec(picture.content)
    assert spec is not None and spec.seed == 7


async def test_curl_may_name_its_values_and_leave_some_out(shared: PageProcess) -> None:
    body = {"prompt": "a red apple", "steps": 3}
    event, (_, settings) = await call_draw(shared.url, path="/gradio_api/call/v2/draw", body=body)
    assert (event, settings["steps"]) == ("complete", 3)


async def test_script_is_told_what_became_of_flags_in_the_prompt(shared: PageProcess) -> None:
    body = {"data": ["a cat --ar 3:2 --seed 3 --steps 5 --repeat 2", 7, 20]}
    event, (_, settings) = await call_draw(shared.url, body=body)
    assert event == "complete"
    assert (settings["prompt"], settings["seed"], settings["steps"], settings["width"]) == ("a cat", 7, 5, 96)
    assert settings["notes"] == [
        "Taken from your prompt: shape landscape, 5 steps",
        "Not possible here with fake: --repeat 2",
        "Not taken from the prompt, because you set it elsewhere: --seed 3",
    ]


@pytest.mark.parametrize(("size", "pixels"), [("draft", (32, 32)), ("64 × 128", (64, 128)), ("", (64, 64))])
async def test_script_may_name_a_size(shared: PageProcess, size: str, pixels: tuple[int, int]) -> None:
    event, (_, settings) = await call_draw(shared.url, body={"data": ["a red apple", 7, 2, size]})
    assert (event, settings["width"], settings["height"]) == ("complete", *pixels)


async def test_gate_knows_the_names_of_the_values(shared: PageProcess) -> None:
    async with session_at(shared.url) as person:
        info = (await person.client.get("/gradio_api/info")).json()
    parameters = info["named_endpoints"]["/draw"]["parameters"]
    assert tuple(each["parameter_name"] for each in parameters) == DRAW_KEYS
    assert [each["parameter_has_default"] for each in parameters] == [False, True, True, True]


async def test_gradio_client_draws_and_has_the_file(shared: PageProcess, tmp_path: Path) -> None:
    from gradio_client import Client

    def draw() -> tuple[str, dict[str, Any]]:
        client = Client(shared.url, download_files=tmp_path, verbose=False, analytics_enabled=False)
        return client.predict("a red apple", seed=9, steps=2, api_name="/draw")

    path, settings = await asyncio.to_thread(draw)
    spec = read_spec(Path(path).read_bytes())
    assert spec is not None and spec.seed == settings["seed"] == 9


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (["  ", 1, 2], "Write what to draw first"),
        (["x", "seven", 2], "seed must be"),
        (["x", 1, 2.5], "steps must be"),
        ([None, 1, 2], "prompt must have"),
        (["x --seed seven", -1, 2], "“--seed seven” in the prompt: the seed must"),
        (["[fail]", 1, 2], "Drawing failed"),
        (["x", 1, 2, "tiny"], "The size must be `draft`"),
        (["x", 1, 2, "65x64"], "The nearest that it can draw is `64x64`"),
        (["x", 1, 2, 448], "The size must be `draft`"),
    ],
)
async def test_scripts_are_told_what_is_wrong(shared: PageProcess, data: list[object], text: str) -> None:
    event, answer = await call_draw(shared.url, body={"data": data})
    assert event == "error" and text in answer["error"]


@pytest.mark.parametrize("values", [["my private prompt"], ["my private prompt", 1, 2, "", 4]])
async def test_number_of_values_is_told_and_the_prompt_is_not_printed(shared: PageProcess, values: list[Any]) -> None:
    before = len(shared.lines)
    event, answer = await call_draw(shared.url, body={"data": values})
    assert event == "error" and f"data must hold 4 values, not {len(values)}" in answer["error"]
    async with session_at(shared.url) as person:
        body = {"data": values, "fn_index": await person.draw_number(), "session_hash": "x"}
        answer = (await person.client.post("/gradio_api/run/predict", json=body)).json()
    assert f"data must hold 21 values, not {len(values)}" in answer["error"]
    assert [line for line in shared.lines[before:] if "private" in line or "Traceback" in line] == []


async def test_value_in_the_wrong_place_is_refused_and_not_printed(shared: PageProcess) -> None:
    before = len(shared.lines)
    async with session_at(shared.url) as person:
        for values in (("x", "my private prompt"), ("x", -1, 2, "my private prompt")):
            assert (await person.draw(*values)).json()["error"] == "a value in data is of the wrong kind"
        assert (await person.gallery())["pictures"] == []
    assert [line for line in shared.lines[before:] if "private" in line or "Traceback" in line] == []


async def test_twenty_sessions_with_three_jobs_each_lose_none(shared: PageProcess) -> None:
    async def person(number: int) -> list[str]:
        async with session_at(shared.url) as session:
            for job in range(3):
                answer = await session.draw(f"[step=0.02] person {number} job {job}")
                assert "Queued" in answer.text
            return await session.wait_for_pictures(3, timeout_s=50)

    galleries = await asyncio.gather(*(person(number) for number in range(20)))
    for number, pictures in enumerate(galleries):
        assert len(pictures) == 3 and all(f"person {number} job" in html for html in pictures)


async def test_pictures_need_their_secret_address_and_nothing_else_is_served(shared: PageProcess) -> None:
    async with session_at(shared.url) as person:
        await person.draw("[step=0] mine")
        (html,) = await person.wait_for_pictures(1)
        small = html.split('src="')[1].split('"')[0]
        assert (await person.client.get(small)).headers["content-type"] == "image/webp"
        _, key, name = small.strip("/").split("/")
        other = name.replace(".webp", "")
        for path in (
            f"/pictures/{'0' * 32}/{name}",
            f"/pictures/{key}/{int(other) + 1}.webp",
            f"/pictures/{key}/1.webp" if other != "1" else f"/pictures/{key}/2.webp",
            "/gradio_api/file=/etc/passwd",
            "/gradio_api/file=../../../../etc/passwd",
            f"/gradio_api/file={Path(__file__).resolve()}",
            f"/gradio_api/file={shared.cwd}/data/imagine-bot.db",
            f"/gradio_api/file={shared.cwd}/data/images/00000/{other}.png",
            f"/gradio_api/file={ELSEWHERE}",
            f"/gradio_api/proxy={ELSEWHERE}",
            "/static/../../../../../../etc/passwd",
            "/assets/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
            "/monitoring",
            "/gradio_api/runs",
            "/login",
        ):
            answer = await person.client.get(path)
            assert answer.status_code in {403, 404}, path
            assert b"root:" not in answer.content


@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "folder"])
async def test_picture_that_cannot_be_read_is_missing_and_the_gallery_goes_on(shared: PageProcess, damage: str) -> None:
    before = len(shared.lines)
    async with session_at(shared.url) as person:
        await person.draw("[step=0] to be damaged")
        await person.draw("[step=0] whole")
        whole, damaged = await person.wait_for_pictures(2)
        small = damaged.split('src="')[1].split('"')[0]
        number = small.split("/")[-1].removesuffix(".webp")
        (path,) = (Path(str(shared.cwd)) / "data" / "images").rglob(f"{number}-*.png")
        data = path.read_bytes()
        path.unlink()
        if damage == "folder":
            path.mkdir()
        elif damage != "gone":
            path.write_bytes(data[: len(data) // 2] if damage == "cut" else b"")
        assert (await person.client.get(small)).status_code == 404
        kept = await person.client.get(small.replace(".webp", ".png"))
        assert kept.status_code == (200 if damage == "cut" else 404)
        assert (await person.client.get(whole.split('src="')[1].split('"')[0])).status_code == 200
        assert len((await person.gallery())["pictures"]) == 2
    assert [line for line in shared.lines[before:] if "Traceback" in line or "error " in line] == []


@pytest.mark.parametrize("path", [ELSEWHERE, "/etc/passwd", __file__, "uploads/../imagine-bot.db", 7, ["a"]])
async def test_server_takes_no_file_that_was_not_uploaded(shared: PageProcess, path: object) -> None:
    """Gradio would copy or fetch what is named so, in any field; see also that its own check is switched on."""
    file = {"path": path, "url": ELSEWHERE, "meta": {"_type": "gradio.FileData"}}
    async with session_at(shared.url) as person:
        for values in (("x", -1, 2, "square", 1, file), (file,), ("x", {"deep": [file]})):
            assert (await person.draw(*values)).status_code == 403
        body = {"data": [file, 1, 1]}
        assert (await person.client.post("/gradio_api/call/draw", json=body)).status_code == 403
        assert (await person.gallery())["pictures"] == []


async def test_upload_of_another_kind_or_too_large_is_refused(shared: PageProcess) -> None:
    async with session_at(shared.url) as person:
        uploaded = await person.client.post("/gradio_api/upload", files={"files": ("x.png", b"no picture")})
        file = {"path": uploaded.json()[0], "meta": {"_type": "gradio.FileData"}}
        assert "PNG, JPEG or WebP" in (await person.draw("x", -1, 2, "square", 1, file)).text
        huge = {"files": ("x.png", b"\x89PNG" + bytes(26 * 2**20))}
        assert (await person.client.post("/gradio_api/upload", files=huge)).status_code == 413
        gone = {"path": str(Path(file["path"]).with_name("gone.png")), "meta": {"_type": "gradio.FileData"}}
        assert "choose it again" in (await person.draw("x", -1, 2, "square", 1, gone)).text


async def test_password_and_limits_hold_for_sessions_scripts_and_addresses(start: Start, tmp_path: Path) -> None:
    from gradio_client import Client

    password, limits = "ge heim", {"limits__max_active_per_user": 1, "console__people_per_address": 2}
    async with start(console__password=password, log__level="debug", **limits) as service:
        async with httpx.AsyncClient(base_url=service.url, trust_env=False) as stranger:
            for path in ("/", "/config", "/console/state"):
                assert (await stranger.get(path)).status_code == 401
            assert (await stranger.get("/", auth=("", "wrong"))).status_code == 401
        key = base64.b64encode(f":{password}".encode()).decode()
        headers = {"Authorization": f"Basic {key}"}

        def draw() -> str:
            client = Client(
                service.url, headers=headers, download_files=tmp_path, verbose=False, analytics_enabled=False
            )
            return client.predict("a red apple", api_name="/draw")[0]

        assert read_spec(Path(await asyncio.to_thread(draw)).read_bytes()) is not None

        async with session_at(service.url, auth=("ann", password)) as person:
            await person.draw("[hang] [step=0.05]")
            answer = (await person.draw("one too many")).text
            assert "You already have one request" in answer and "/cancel" not in answer
        drawing = [call_draw(service.url, body={"data": ["x", 1, 1]}, headers=headers) for _ in range(2)]
        done, waiting = await asyncio.wait(
            [asyncio.create_task(each) for each in drawing], return_when=asyncio.FIRST_COMPLETED, timeout=20
        )
        event, answer = done.pop().result()
        assert event == "error" and "You already have one request" in answer["error"]
        waiting.pop().cancel()
        # As a proxy on this machine says it, so that there are addresses beside our own.
        for number, is_accepted in enumerate((True, True, False)):
            async with session_at(
                service.url, auth=("", password), headers={"X-Forwarded-For": "192.0.2.7"}
            ) as neighbour:
                answer = (await neighbour.draw(f"neighbour {number}")).text
                assert ("Queued" in answer, "network address" in answer) == (is_accepted, not is_accepted)
        assert password not in service.output and key not in service.output


@pytest.mark.timeout(120)  # imports torch, beside whatever else this machine does
async def test_demo_draws_a_red_apple_and_nothing_wants_to_leave_this_machine(shared: PageProcess) -> None:
    async with session_at(shared.url) as person:
        await person.draw("a red apple", 7, 20, "square", 1, None, 0.6, "", "demo")
        (html,) = await person.wait_for_pictures(1, timeout_s=100)
        small = html.split('src="')[1].split('"')[0]
        spec = read_spec((await person.client.get(small.replace(".webp", ".png"))).content)
        assert spec is not None and (spec.model, spec.seed, spec.steps) == ("demo", 7, 20)
        assert shared.attempts == []


async def test_all_of_the_above_made_no_connection_to_elsewhere(shared: PageProcess) -> None:
    assert shared.attempts == []
