"""What the gate lets through, asked of it with an empty room behind it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.frontends.web.corner.routes import Corner, corner_routes
from bot.frontends.web.identity import COOKIE, is_token, new_token
from bot.frontends.web.routes import routes
from bot.frontends.web.security import admission, paths
from bot.frontends.web.security.bodies import Events
from bot.frontends.web.security.gate import MAX_BODY_BYTES, Gate
from bot.frontends.web.security.origins import public_place
from tests.bot.frontends.web.strangers import PICTURE, PREFIXES, names_of

EVENTS = Events(form=0, reuse=3, start_from=4, draw=6)
NAMED_DRAW = "/gradio_api/call/v2/draw"
Ask = Callable[..., httpx.AsyncClient]


@pytest.fixture
async def ask(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ask]:
    """Make a client of a page with or without a password.

    Behind the gate every path answers what it was sent, and who answers: one of our routes by its name, or Gradio.
    """
    monkeypatch.setattr(admission, "MAX_WAIT_S", 0.0)

    async def gradio(request: Request) -> Response:
        seen = {"headers": dict(request.headers.items()), "query": str(request.url.query), "url": str(request.url)}
        seen["base"] = str(request.base_url)
        headers = {"Answered-By": "gradio", "Seen": json.dumps(seen)}
        return Response(await request.body(), headers=headers)

    def ours(name: str) -> Any:
        async def answer(request: Request) -> Response:
            return JSONResponse(request.path_params, headers={"Answered-By": name})

        return answer

    room = Starlette(routes=[Route("/{path:path}", gradio, methods=["GET", "HEAD", "POST", "PUT", "OPTIONS"])])
    routes = {entry.route: ours(entry.route) for entry in paths.TABLE if entry.route is not None}

    def make(
        password: str | None = None, *, base_url: str = "http://127.0.0.1:6006", root_path: str = "", **options: Any
    ) -> Any:
        secret = None if password is None else SecretStr(password)
        app = Gate(room, password=secret, routes=routes, events=EVENTS, place=public_place(root_path))
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
        ("POST", "/gradio_api/run/predict", 400),
        ("POST", "/console/jobs/7/cancel", 200),
        ("GET", "/gradio_api/file=0123456789abcdef0123456789abcdef.png", 200),
        ("GET", "/gradio_api/file=/data/uploads/abc/x.png", 404),
        ("GET", "/gradio_api/file=http://198.51.100.7/x.png", 404),
        ("GET", "/gradio_api/file=/data/uploads/../images/1.png", 404),
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
        ("GET", f"/assets/{'x' * 300}", 404),
        ("GET", f"/static/{'x/' * 300}", 404),
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


PUBLIC = "https://pictures.example/imagine"


@pytest.mark.parametrize(
    ("scheme", "host", "origin", "same", "root_path", "status"),
    [
        # with the ports that schemes imply, which proxies name or not
        ("http", "127.0.0.1:80", "http://127.0.0.1", "", "", 200),
        ("http", "127.0.0.1", "http://127.0.0.1", "", "", 200),
        ("http", "127.0.0.1:443", "https://127.0.0.1", "", "", 200),
        ("https", "127.0.0.1:443", "https://127.0.0.1", "", "", 200),
        ("https", "localhost", "https://localhost", "", "", 200),
        ("http", "localhost:8443", "https://localhost:8443", "", "", 200),
        ("http", "LOCALHOST:08443", "https://localhost:8443", "", "", 200),
        ("http", "[::1]:443", "https://[::1]", "", "", 200),
        ("http", "[::1]", "https://[::1]:8443", "", "", 403),
        ("http", "127.0.0.1:80", "https://127.0.0.1", "", "", 403),
        ("http", "127.0.0.1:443", "http://127.0.0.1", "", "", 403),
        ("http", "127.0.0.1:6006", "http://localhost:6006", "", "", 403),
        ("http", "127.0.0.1:6006", "http://127.0.0.1:6006.evil.example", "", "", 403),
        ("http", "127.0.0.1:6006", "ftp://127.0.0.1:6006", "", "", 403),
        # TLS that somebody told of
        ("https", "127.0.0.1:8443", "http://127.0.0.1:8443", "", "", 403),
        ("https", "127.0.0.1", "http://127.0.0.1", "", "", 403),
        # a proxy that leaves the port out
        ("https", "127.0.0.1", "https://127.0.0.1:8443", "", "", 403),
        ("https", "127.0.0.1", "https://127.0.0.1:8443", "same-origin", "", 200),
        ("http", "127.0.0.1", "https://127.0.0.1:8443", "same-origin", "", 200),
        ("http", "127.0.0.1", "http://127.0.0.1:8080", "same-origin", "", 200),
        ("https", "127.0.0.1", "https://127.0.0.1:8443", "same-site", "", 403),
        ("https", "127.0.0.1", "https://127.0.0.1:8443", "cross-site", "", 403),
        ("https", "127.0.0.1", "http://127.0.0.1:8080", "same-origin", "", 403),
        ("https", "127.0.0.1:443", "https://127.0.0.1:8443", "same-origin", "", 403),
        ("https", "127.0.0.1", "https://evil.example", "same-origin", "", 403),
        # where the operator names the address
        ("http", "127.0.0.1:6006", "https://pictures.example", "", PUBLIC, 200),
        ("http", "pictures.example", "https://pictures.example", "", PUBLIC, 200),
        ("http", "pictures.example", "https://pictures.example", "", f"{PUBLIC[:-8]}:443/imagine", 200),
        ("http", "127.0.0.1:6006", "https://pictures.example:8443", "", PUBLIC, 403),
        ("http", "127.0.0.1:6006", "http://pictures.example", "", PUBLIC, 403),
        ("http", "pictures.example", "http://pictures.example", "", PUBLIC, 403),
        ("http", "127.0.0.1:6006", "https://pictures.example", "", "/imagine", 403),
        ("http", "127.0.0.1:6006", "null", "", PUBLIC, 403),
    ],
)
async def test_origin_is_compared_with_its_port_and_with_the_public_address(
    ask: Ask, scheme: str, host: str, origin: str, same: str, root_path: str, status: int
) -> None:
    headers = {"Host": host, "Origin": origin, **({"Sec-Fetch-Site": same} if same else {})}
    password = "x" if root_path else None
    async with ask(password, base_url=f"{scheme}://127.0.0.1", root_path=root_path, auth=("", "x")) as client:
        assert (await client.post("/console/jobs/7/cancel", headers=headers)).status_code == status
        both = [*headers.items(), ("Origin", "https://evil.example")]
        assert (await client.post("/console/jobs/7/cancel", headers=both)).status_code == 403


async def test_refusal_names_both_addresses_where_a_person_and_an_operator_see_it(
    ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"Host": "localhost", "Origin": "https://localhost:8443"}
    async with ask() as client:
        answer = await client.post("/console/jobs/7/cancel", headers=headers)
        assert "from a page at https://localhost:8443, and asks for localhost." in answer.text
        assert "$http_host" in answer.text and "[console] root_path" in answer.text
        answer = await client.post(PREDICT, content=pressing(), headers={**JSON, **headers})
        assert answer.status_code == 403 and "https://localhost:8443" in answer.json()["error"]
    assert set(caplog.messages) == {"refused: a page at https://localhost:8443 asks for something of localhost"}


@pytest.mark.parametrize("root_path", ["/imagine", "/a/b", "/config", "/pictures", "/gradio_api", "/console", PUBLIC])
async def test_page_below_a_path_is_the_same_whether_a_proxy_takes_the_path_off_or_not(
    ask: Ask, root_path: str
) -> None:
    root = root_path.removeprefix("https://pictures.example")
    origin = "http://127.0.0.1:6006" if root == root_path else "https://pictures.example"
    async with ask("x", root_path=root_path, auth=("", "x")) as client:
        for prefix in ("", root):
            for path in ("/config", f"/{PICTURE}", "/assets/a/b.js", "/gradio_api/info", "/console/state"):
                assert (await client.get(f"{prefix}{path}")).status_code == 200, f"{prefix}{path}"
            seen = json.loads((await client.get(f"{prefix}/gradio_api/info")).headers["Seen"])
            assert (seen["url"], seen["base"]) == (f"{origin}{root}/gradio_api/info", f"{origin}{root}/")
            answer = await client.post(f"{prefix}{PREDICT}", content=pressing(), headers=JSON)
            assert answer.headers["Answered-By"] == "gradio"
            answer = await client.get(f"{prefix}/{PICTURE}")
            assert answer.headers["Answered-By"] == "file" and answer.json()["job_id"] == "7"
            for path in ("/nowhere", "/config//", "/gradio_api/file=/etc/passwd"):
                assert (await client.get(f"{prefix}{path}")).status_code == 404, f"{prefix}{path}"
        answer = await client.get(f"{root}/")
        assert answer.headers["Answered-By"] == "gradio" and answer.headers["Cache-Control"] == "no-store"
        assert f"; Path={root}; " in answer.headers["Set-Cookie"]
        assert ("; Secure" in answer.headers["Set-Cookie"]) == (root != root_path)
        assert (await client.get(f"{root}x/config")).status_code == 404


async def test_page_is_named_with_a_slash_at_its_end(ask: Ask) -> None:
    async with ask(root_path="/imagine") as client:
        answer = await client.get("/imagine")
        assert (answer.status_code, answer.headers["Location"]) == (307, "/imagine/")
        assert "connect-src 'self'" in answer.headers["Content-Security-Policy"]
    async with ask() as client:
        assert (await client.get("/imagine/")).status_code == 404


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


def joining(**values: object) -> bytes:
    return json.dumps({"data": ["x", 1, 2], "fn_index": EVENTS.draw, "session_hash": "a1", **values}).encode()


def pressing(*data: object, **values: object) -> bytes:
    return json.dumps({"data": [*data, *FORM[len(data) :]], "fn_index": EVENTS.form, **values}).encode()


def naming(path: object, **values: object) -> dict[str, object]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **values}


FORM = ("x", -1, 2, "square", 1, None, 0.6, "", None, "normal", *[""] * 8, "start", None, None)
UPLOADS = (5, 19, 20)
NAME = "0123456789abcdef0123456789abcdef.png"
JSON = {"Content-Type": "application/json"}
JOIN, PREDICT = "/gradio_api/queue/join", "/gradio_api/run/predict"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (joining(), 200),
        (joining(data=["a path: http://x", None, True, 1.5]), 200),
        (joining(data=[naming(NAME)]), 403),
        (joining(data=[{"path": "/data/uploads/../images/1.png"}]), 403),
        (joining(data=[{"path": "/etc/passwd"}]), 403),
        (joining(data=[{"url": "http://198.51.100.7/x.png"}]), 403),
        (joining(data=[{"a": [{"meta": {"_type": "gradio.FileData"}}]}]), 403),
        (joining().replace(b'"x"', b'{"p\\u0061th": "http://198.51.100.7/x.png"}'), 403),
        (joining(data=[[{"deep": {"path": 7}}]]), 403),
        (joining(data={"path": "x"}), 403),
        (joining(data=[[1]]), 422),
        (joining(data={}), 422),
        (joining(data=None), 422),
        (joining(data=[1] * 33), 422),
        (joining(session_hash=7), 422),
        (joining(session_hash=None), 422),
        (joining(session_hash="../x"), 422),
        (joining(session_hash="x" * 65), 422),
        (joining(event_id=["x"]), 422),
        (joining(trigger_id="7"), 422),
        (joining(trigger_id=-1), 422),
        (joining(fn_index=7), 404),
        (joining(fn_index=EVENTS.form), 404),
        (joining(fn_index=-1), 422),
        (joining(fn_index=True), 422),
        (joining(fn_index=10**400), 422),
        (joining(fn_index=None), 422),
        (joining().replace(b"1, 2", b"1, NaN"), 400),
        (joining().replace(b"1, 2", b"1, Infinity"), 400),
        (joining().replace(b"1, 2", b"1, 1e400"), 400),
        (joining().replace(b"1, 2", b"1, " + b"9" * 5000), 400),
        (joining(data=["\ud800"]), 400),
        (joining().replace(b'"fn_index"', b'"data": [], "fn_index"'), 400),
        (joining().decode().encode("utf-16"), 400),
        (b"\xff" + joining(), 400),
        (b"", 400),
        (b"[]", 400),
        (b"{", 400),
        (b"[" * 100_000, 400),
        (b" " * (MAX_BODY_BYTES + 1), 413),
    ],
)
async def test_script_is_passed_on_with_plain_values_or_refused(ask: Ask, body: bytes, status: int) -> None:
    async with ask() as client:
        answer = await client.post(JOIN, content=body, headers=JSON)
        assert answer.status_code == status
        if status == 200:
            assert answer.json() == json.loads(body)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (pressing(), 200),
        (pressing("x", None, 4.0, None), 200),
        (pressing(*FORM[:5], naming(NAME)), 200),
        (pressing(*FORM[:5], naming(NAME, url=f"http://127.0.0.1:6006/gradio_api/file={NAME}", size=7)), 200),
        (pressing(*FORM[:5], naming(NAME, url="http://198.51.100.7/x.png")), 403),
        (pressing(*FORM[:5], naming(f"http://198.51.100.7/../data/uploads/{NAME}")), 403),
        (pressing(*FORM[:5], naming(f"/data/uploads/{NAME}")), 403),
        (pressing(*FORM[:5], naming(f"../{NAME}")), 403),
        (pressing(*FORM[:5], naming(f"{NAME}\n")), 403),
        (pressing(*FORM[:5], naming("..")), 403),
        (pressing(*FORM[:5], naming("")), 403),
        (pressing(*FORM[:5], naming("C:x.png")), 403),
        (pressing(*FORM[:5], naming("x\\y.png")), 403),
        (pressing(*FORM[:5], naming("x%2fy.png")), 403),
        (pressing(*FORM[:5], naming([NAME])), 403),
        (pressing(*FORM[:5], {"url": NAME}), 403),
        (pressing(*FORM[:5], {"other": 1}), 422),
        (pressing(*FORM[:5], NAME), 422),
        (pressing(naming(NAME)), 403),
        (pressing("x", True), 422),
        (pressing("x", "7"), 422),
        (pressing("x", [7]), 422),
        (pressing(["x"]), 422),
        (pressing("x", -1, 2, "round"), 422),
        (pressing(*FORM[:9], None, None), 200),
        (pressing(*FORM[:9], "draft", "448x448"), 200),
        (pressing(*FORM[:9], "448x448"), 422),
        (pressing(*FORM[:9], "draft", 448), 422),
        (pressing(*FORM[:6], True), 422),
        (pressing(*FORM[:16], "ink:0.5", "fast"), 200),
        (pressing(*FORM[:16], ["ink"]), 422),
        (pressing(*FORM[:16], naming(NAME)), 403),
        (pressing(*FORM[:17], 1), 422),
        (pressing(*FORM[:18], "edit", naming(NAME), naming(NAME)), 200),
        (pressing(*FORM[:18], None, None, naming(NAME)), 200),
        (pressing(*FORM[:18], "fast"), 422),
        (pressing(*FORM[:18], ["edit"]), 422),
        (pressing(*FORM[:18], naming(NAME)), 403),
        (pressing(*FORM[:19], NAME), 422),
        (pressing(*FORM[:19], naming(f"../{NAME}")), 403),
        (pressing(*FORM[:20], naming(NAME, url="http://198.51.100.7/x.png")), 403),
        (pressing(data=FORM[:-1]), 422),
        (pressing(*FORM, 1), 422),
        (pressing(session_hash=[1]), 422),
        (pressing(fn_index=EVENTS.draw), 404),
        (pressing(fn_index=1), 404),
        (pressing(fn_index=None), 422),
        (pressing(fn_index=1.0), 422),
    ],
)
async def test_form_is_passed_on_with_the_bare_name_of_an_upload_or_refused(ask: Ask, body: bytes, status: int) -> None:
    async with ask() as client:
        for path in (PREDICT, "/gradio_api/api/predict/"):
            answer = await client.post(path, content=body, headers=JSON)
            assert answer.status_code == status
            if status == 200:
                seen, sent = answer.json(), json.loads(body)
                bare = [value and NAME if place in UPLOADS else value for place, value in enumerate(sent["data"])]
                assert seen == {"data": bare, "fn_index": EVENTS.form}
            else:
                assert len(answer.json()["error"]) < 100


@pytest.mark.parametrize(
    ("event", "status"),
    [({"job_id": 7}, 200), ({"job_id": "7"}, 422), ({"job_id": -7}, 422), ({"job_id": 10**30}, 422), (None, 400)],
)
async def test_event_of_the_page_names_a_job_and_nothing_else(ask: Ask, event: object, status: int) -> None:
    body = {"data": [], "fn_index": EVENTS.reuse, "event_data": event, "trigger_id": 24, "session_hash": "x"}
    async with ask() as client:
        answer = await client.post(PREDICT, json=body)
        assert answer.status_code == status
        if status == 200:
            assert answer.json() == {"data": [], "fn_index": EVENTS.reuse, "event_data": event}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/gradio_api/reset", {"event_id": "a-b_1", "other": 7}, 200),
        ("/gradio_api/reset/", {"event_id": 7}, 422),
        ("/gradio_api/cancel", {"event_id": "a", "session_hash": "b", "fn_index": 6}, 200),
        ("/gradio_api/cancel", {"event_id": "a", "session_hash": "b", "fn_index": "6"}, 422),
        ("/gradio_api/cancel", {}, 422),
        ("/gradio_api/call/draw", {"data": ["x"]}, 200),
        ("/gradio_api/call/draw", {"data": "x"}, 422),
        ("/gradio_api/call/draw", {"data": [naming("/etc/passwd")]}, 403),
        ("/gradio_api/call/draw", ["x"], 400),
    ],
)
async def test_other_bodies_hold_what_they_should(ask: Ask, path: str, body: object, status: int) -> None:
    async with ask() as client:
        assert (await client.post(path, json=body)).status_code == status


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_body_must_say_that_it_is_json(ask: Ask, kind: str) -> None:
    async with ask() as client:
        assert (await client.post(JOIN, content=joining(), headers={"Content-Type": kind})).status_code == 400
        spelled = {"Content-Type": "Application/JSON; charset=utf-8"}
        assert (await client.post(JOIN, content=joining(), headers=spelled)).status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"prompt": "x"}', 200),
        (b'{"prompt": "x", "steps": 3, "seed": 1}', 200),
        (b'{"promt": "x"}', 400),
        (b'{"prompt": "x", "size": "draft"}', 200),
        (b'{"prompt": "x", "side": 7}', 400),
        (b'{"data": ["x"]}', 400),
        (b'["x"]', 400),
        (b"{}", 400),
    ],
)
async def test_values_by_name_have_the_names_that_there_are(ask: Ask, body: bytes, status: int) -> None:
    async with ask() as client:
        for path in (NAMED_DRAW, f"{NAMED_DRAW}/"):
            answer = await client.post(path, content=body, headers=JSON)
            assert answer.status_code == status
            if status == 400:
                assert (
                    answer.text == "the request must be a JSON object with prompt and, if wanted, seed, steps and size"
                )


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
@pytest.mark.parametrize("named", names_of("198.51.100.7"))
async def test_gradio_is_never_asked_for_what_a_path_names(ask: Ask, method: str, named: str) -> None:
    async with ask() as client:
        for prefix in PREFIXES:
            answer = await client.request(method, f"{prefix}{named}")
            assert answer.status_code == 404 and "Answered-By" not in answer.headers


@pytest.mark.parametrize("scheme", ["http://", "https://", "http%3A%2F%2F"])
async def test_picture_behind_a_whole_address_is_ours_whatever_the_host(ask: Ask, scheme: str) -> None:
    async with ask() as client:
        for host in ("198.51.100.7", "127.0.0.1:6006", "[::1]:6006", "pictures.example"):
            answer = await client.get(f"/gradio_api/file={scheme}{host}/{PICTURE}")
            assert answer.headers["Answered-By"] == "file" and answer.json()["job_id"] == "7"


async def test_gradio_sees_paths_as_they_are_written_and_queries_that_it_needs(ask: Ask) -> None:
    async with ask() as client:
        for path in ("/%63onfig", "/assets/%61.js", "/assets/../config.js", "/assets/.hidden.js", "/assets//a.js"):
            assert (await client.get(path)).status_code == 404
        assert json.loads((await client.get("/config?deep_link=x&page=y")).headers["Seen"])["query"] == ""
        data = "/gradio_api/queue/data"
        assert json.loads((await client.get(f"{data}?session_hash=a-1")).headers["Seen"])["query"] == "session_hash=a-1"
        for query in ("", "?session_hash=", "?session_hash=a&session_hash=b", "?session_hash=%61", f"?x={'9' * 5000}"):
            assert (await client.get(f"{data}{query}")).status_code == 400


async def test_gradio_does_not_hear_what_proxies_say(ask: Ask) -> None:
    told = {
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Prefix": "/evil",
        "Forwarded": "host=evil.example",
        "X-Gradio-Server": "http://evil.example",
    }
    async with ask() as client:
        answers = [
            await client.get("/", headers=told),
            await client.post(JOIN, json=json.loads(joining()), headers=told),
        ]
    for answer in answers:
        assert answer.status_code == 200 and "evil" not in answer.headers["Seen"]


@pytest.mark.parametrize(
    "host",
    ["", "[", "]", "[::1", "a b", "127.0.0.1:x", "127.0.0.1:6006:7", "evil@127.0.0.1", "127.0.0.1/x", "é", ":80"],
)
async def test_host_that_is_none_is_refused(ask: Ask, host: str) -> None:
    async with ask() as client:
        assert (await client.get("/", headers={"Host": host.encode()})).status_code == 400


async def test_host_that_stands_twice_is_refused(ask: Ask) -> None:
    async with ask() as client:
        twice = [("Host", "127.0.0.1:6006"), ("Host", "127.0.0.1:6006")]
        assert (await client.get("/", headers=twice)).status_code == 400


@pytest.mark.parametrize("origin", ["http://[", "http://", "", "http:127.0.0.1:6006", "http://127.0.0.1:6006/", "\xff"])
async def test_origin_that_is_none_is_refused(ask: Ask, origin: str) -> None:
    async with ask() as client:
        answer = await client.get("/console/state", headers={"Origin": origin.encode("latin-1")})
        assert answer.status_code == 403


async def test_error_that_nobody_expected_is_a_number_and_its_text_is_nowhere(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def breaks(_request: Request) -> Response:
        raise RuntimeError("my private prompt")

    room = Starlette(routes=[Route("/{path:path}", breaks)])
    gate = Gate(room, password=None, routes={"state": breaks}, events=EVENTS)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=gate), base_url="http://127.0.0.1") as client:
        for path in ("/config", "/console/state"):
            caplog.clear()
            answer = await client.get(path)
            assert answer.status_code == 500 and "connect-src" in answer.headers["Content-Security-Policy"]
            (line,) = caplog.messages
            assert answer.text.split()[-1] in line and "RuntimeError in test_gate.py" in line
            assert "private" not in line + answer.text and caplog.records[0].exc_info is None


def test_every_route_of_the_table_is_there() -> None:
    nobody: Any = None
    named = {entry.route for entry in paths.TABLE if entry.route is not None}
    corner: Any = Corner(operators=nobody, handlers=nobody, root_path="")
    ours = routes(nobody, nobody, "secret", nobody) | corner_routes(corner, nobody, nobody, "secret")
    assert set(ours) == named


def test_tokens_of_two_people_differ() -> None:
    assert new_token() != new_token()
