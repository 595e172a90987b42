"""What the gate lets through, asked of it with an empty room behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.console import gate as gate_module
from bot.console.gate import MAX_BODY_BYTES, MAX_UPLOADS, NAMED_DRAW, Gate
from bot.console.people import COOKIE, is_token, new_token

UPLOADS = Path("/data/uploads")
Ask = Callable[..., httpx.AsyncClient]


@pytest.fixture
async def ask(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ask]:
    """Make a client of a page with or without a password; behind the gate every path answers what it was sent."""
    monkeypatch.setattr(gate_module, "WRONG_PASSWORD_PAUSE_S", 0.0)

    async def echo(request: Request) -> Response:
        return Response(await request.body())

    room = Starlette(routes=[Route("/{path:path}", echo, methods=["GET", "POST", "PUT"])])

    def make(password: str | None = None, *, base_url: str = "http://127.0.0.1:6006", **options: Any) -> Any:
        secret = None if password is None else SecretStr(password)
        app = Gate(room, password=secret, uploads=UPLOADS, max_upload_bytes=1000)
        transport = httpx.ASGITransport(app=app)
        return httpx.AsyncClient(transport=transport, base_url=base_url, **options)

    yield make


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/config", 200),
        ("GET", "/gradio_api/info", 200),
        ("GET", "/console/state", 200),
        ("POST", "/gradio_api/run/predict", 200),
        ("POST", "/console/jobs/7/cancel", 200),
        ("GET", f"/gradio_api/file={UPLOADS}/abc/x.png", 200),
        ("GET", "/gradio_api/file=http://198.51.100.7/x.png", 404),
        ("GET", f"/gradio_api/file={UPLOADS}/../images/1.png", 404),
        ("GET", "/gradio_api/file=/etc/passwd", 404),
        ("GET", "/gradio_api/file=http://127.0.0.1:6006/pictures/abc/1.png", 200),
        ("GET", "/gradio_api/proxy=http://198.51.100.7/x.png", 404),
        ("GET", "/monitoring", 404),
        ("GET", "/gradio_api/runs", 404),
        ("GET", "/gradio_api/dev/reload", 404),
        ("GET", "/gradio_api/openapi.json", 404),
        ("GET", "/docs", 404),
        ("POST", "/gradio_api/component_server", 404),
        ("POST", "/gradio_api/vibe-edit", 404),
        ("POST", "/login", 404),
        ("POST", "/", 404),
        ("PUT", "/console/state", 404),
    ],
)
async def test_only_listed_paths_exist(ask: Ask, method: str, path: str, status: int) -> None:
    async with ask() as client:
        answer = await client.request(method, path)
        assert answer.status_code == status
        assert "connect-src 'self'" in answer.headers["Content-Security-Policy"]


async def test_browser_becomes_a_person_and_stays_one(ask: Ask) -> None:
    async with ask() as client:
        answer = await client.get("/")
        token = client.cookies[COOKIE]
        assert is_token(token)
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Secure" not in cookie
        assert "Set-Cookie" not in (await client.get("/console/state")).headers
        await client.get("/")
        assert client.cookies[COOKIE] == token
    async with ask(cookies={COOKIE: "forged; Path=/"}) as client:
        assert "forged" not in (await client.get("/")).headers["Set-Cookie"]
    async with ask(base_url="https://pictures.example", password="x", auth=("", "x")) as client:
        assert "Secure" in (await client.get("/")).headers["Set-Cookie"]


@pytest.mark.parametrize("host", ["127.0.0.1:6006", "localhost:6006", "[::1]:6006"])
async def test_page_of_this_machine_answers_to_its_own_names_only(ask: Ask, host: str) -> None:
    async with ask() as client:
        assert (await client.get("/", headers={"Host": host})).status_code == 200
        assert (await client.get("/", headers={"Host": "rebound.example:6006"})).status_code == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:8000", "null"])
async def test_other_pages_cannot_use_it(ask: Ask, origin: str) -> None:
    async with ask() as client:
        answer = await client.post("/console/jobs/7/cancel", headers={"Origin": origin})
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers
        same = {"Origin": "http://127.0.0.1:6006"}
        assert (await client.post("/console/jobs/7/cancel", headers=same)).status_code == 200


async def test_password_is_asked_of_everybody_for_everything(ask: Ask) -> None:
    async with ask("geheim: 密码") as client:
        for path in ("/", "/config", "/pictures/x/1.png", "/nowhere"):
            answer = await client.get(path)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"].startswith("Basic ")
            assert COOKIE not in client.cookies
        for wrong in ("geheim", "", "geheim: 密码 "):
            assert (await client.get("/", auth=("ann", wrong))).status_code == 401
        assert (await client.get("/", auth=("ann", "geheim: 密码"))).status_code == 200
        assert (await client.get("/", headers={"Authorization": "Basic !!!"})).status_code == 401
        assert (await client.get("/", headers={"Authorization": "Bearer geheim"})).status_code == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 200),
        (b'{"data": ["a path: http://x", {"path": null}]}', 200),
        (b'{"data": [{"path": "/data/uploads/ab/x.png"}]}', 200),
        (b'{"data": [{"path": "/data/uploads/../images/1.png"}]}', 403),
        (b'{"data": [{"path": "/data/uploads"}]}', 403),
        (b'{"data": [{"path": "/etc/passwd"}]}', 403),
        (b'{"data": [{"p\\u0061th": "http://198.51.100.7/x.png"}]}', 403),
        (b'{"data": [[{"deep": {"path": 7}}]]}', 403),
        (b"{", 400),
        (b"[" * 100_000, 400),
        (b" " * (MAX_BODY_BYTES + 1), 413),
    ],
)
async def test_bodies_are_bounded_and_name_no_file_but_uploads(ask: Ask, body: bytes, status: int) -> None:
    async with ask() as client:
        answer = await client.post("/gradio_api/queue/join", content=body)
        assert answer.status_code == status
        if status == 200:
            assert answer.content == body


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"prompt": "x"}', 200),
        (b'{"prompt": "x", "steps": 3, "seed": 1}', 200),
        (b'{"promt": "x"}', 400),
        (b'{"prompt": "x", "size": 7}', 400),
        (b'{"data": ["x"]}', 400),
        (b'["x"]', 400),
        (b"{}", 400),
        (b"", 400),
    ],
)
async def test_values_by_name_have_the_names_that_there_are(ask: Ask, body: bytes, status: int) -> None:
    async with ask() as client:
        for path in (NAMED_DRAW, f"{NAMED_DRAW}/"):
            answer = await client.post(path, content=body)
            assert answer.status_code == status
            if status == 400:
                assert answer.text == "the request must be a JSON object with prompt and, if wanted, seed and steps"


async def test_uploads_are_bounded_before_they_are_read(ask: Ask) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * 10
        raise AssertionError("the rest was asked for")

    async with ask() as client:
        assert (await client.post("/gradio_api/upload", content=b"x" * 500)).status_code == 200
        assert (await client.post("/gradio_api/upload", content=b"x" * 100_000)).status_code == 413
        assert (await client.post("/gradio_api/upload", content=endless())).status_code == 413


async def test_uploads_of_all_people_together_are_bounded(ask: Ask) -> None:
    async with ask() as client:
        for _ in range(MAX_UPLOADS):
            assert (await client.post("/gradio_api/upload", content=b"x" * 1000)).status_code == 200
        assert (await client.post("/gradio_api/upload", content=b"x")).status_code == 429


def test_tokens_of_two_people_differ() -> None:
    assert new_token() != new_token()
