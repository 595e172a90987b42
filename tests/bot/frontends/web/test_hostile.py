"""Requests that no browser sends, to a page as a process: a short sentence, no traceback, no prompt in the log."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.bot.frontends.web.conftest import DEFAULTS, PageProcess, Session, session_at
from tests.bot.frontends.web.strangers import ask

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "my private prompt"
PREDICT, JOIN, CALL = "/gradio_api/run/predict", "/gradio_api/queue/join", "/gradio_api/call/draw"
NAMED = "/gradio_api/call/v2/draw"
DIGITS = "9" * 5000
DEEP = "[" * 50_000 + "]" * 50_000
FIELDS = (
    "prompt", "seed", "steps", "aspect", "count", "source", "strength", "name", "model", "size", "exact size",
    "negative prompt", "cfg", "guidance", "sampler", "clip skip", "loras", "speed",
    "way", "second image", "third image",
)  # fmt: skip


def pressing(**changes: object) -> str:
    """The body that the button of the form sends, with some of its values changed."""
    values = {**dict(zip(FIELDS, DEFAULTS, strict=True)), "prompt": PROMPT, **changes}
    return json.dumps({"data": list(values.values()), "fn_index": 0, "session_hash": "x"})


def calling(*data: object, **others: object) -> str:
    return json.dumps({"data": list(data), **others})


SPELLED: Mapping[str, str] = {"NAN": "NaN", "INFINITE": "Infinity", "HUGE": "1e400", "DIGITS": DIGITS, "ZERO": "-0"}


def spelled(text: str) -> bytes:
    """Numbers that no JSON writer writes."""
    for word, number in SPELLED.items():
        text = text.replace(f'"{word}"', number)
    return text.encode()


NUMBERS = ("seed", "steps", "count", "strength", "cfg", "clip skip")  # the last two are typed as text
FILE = {"path": "http://198.51.100.7/x.png", "meta": {"_type": "gradio.FileData"}}
BODIES: list[tuple[str, str]] = [
    *((PREDICT, pressing(**{field: word})) for field in NUMBERS for word in SPELLED),
    *((CALL, calling(PROMPT, word, 2)) for word in SPELLED),
    *((CALL, calling(PROMPT, 1, word)) for word in SPELLED),
    *((NAMED, json.dumps({"prompt": PROMPT, "steps": word})) for word in SPELLED),
    *(
        (PREDICT, pressing(**{field: value}))
        for field in FIELDS
        for value in (True, [PROMPT], {"a": PROMPT}, "\ud800", FILE, PROMPT, -(10**300), 1e300, 0.5, "\x00", "")
    ),
    *((CALL, calling(value, 1, 2)) for value in (None, True, 7, [PROMPT], {"a": PROMPT}, "\udfff", FILE, "x" * 10**5)),
    *((CALL, calling(PROMPT, 1, 2, value)) for value in (True, 7, [7], {}, FILE, "9" * 5000, "0x0", "99999x1", "💥")),
    *((CALL, calling(PROMPT, value, 2)) for value in (True, "7", [7], {}, FILE, 10**300, 0.5)),
    *((NAMED, json.dumps(value)) for value in ({}, [], None, {"prompt": FILE}, {"prompt": [PROMPT]}, {"prompt": None})),
    *((PREDICT, json.dumps({**json.loads(pressing()), **change})) for change in (
        {"fn_index": -1}, {"fn_index": 999}, {"fn_index": 10**30}, {"fn_index": None}, {"fn_index": "0"},
        {"fn_index": True}, {"data": None}, {"data": {}}, {"data": PROMPT}, {"data": []}, {"session_hash": [1]},
        {"session_hash": "x" * 9999}, {"event_id": {}}, {"trigger_id": "x"}, {"trigger_id": -5}, {"trigger_id": 10**20},
        {"event_data": DEEP[:100]}, {"batched": True}, {"simple_format": "x"}, {"request": {}}, {"fn_index": 1},
        {"fn_index": 3}, {"fn_index": 3, "data": []}, {"fn_index": 3, "data": [], "event_data": {"job_id": "1"}},
        {"fn_index": 3, "data": [], "event_data": {"job_id": 10**400}}, {"fn_index": 6}, {"fn_index": 7},
    )),
    *((JOIN, json.dumps({"data": [PROMPT, 1, 2], "fn_index": 7, "session_hash": "y", **change})) for change in (
        {"session_hash": None}, {"session_hash": 7}, {"session_hash": "a/b"}, {"fn_index": 0}, {"fn_index": -6},
        {"data": [PROMPT] * 1000}, {"data": [[[PROMPT]]]}, {"data": None}, {"trigger_id": []}, {"event_id": 7},
    )),
    *((path, text) for path in (PREDICT, JOIN, CALL, NAMED, "/gradio_api/reset", "/gradio_api/cancel") for text in (
        "", "null", "7", f'"{PROMPT}"', "{", "{}", "[]", DEEP, '{"data": [], "data": []}', f'{{"{PROMPT}": 1}}',
        "\ufeff{}", "{'data': []}",
    )),
]  # fmt: skip


async def test_bodies_that_are_wrong_are_refused_in_a_sentence(shared: PageProcess) -> None:
    before = len(shared.lines)
    for path, text in BODIES:
        status, answer = await ask(shared.url, "POST", path, spelled(text))
        case = f"{path} {text[:200]}: {status} {answer[:200]}"
        assert status < 500, case
        assert status == 200 or len(answer) < 300, case
        assert status == 200 or PROMPT not in answer, case
    assert_quiet(shared, before)


@pytest.mark.parametrize(
    ("method", "path", "headers", "expected"),
    [
        ("GET", "/", [("Host", "[")], 400),
        ("GET", "/", [("Host", "")], 400),
        ("GET", "/", [("Host", "127.0.0.1"), ("Host", "evil.example")], 400),
        ("GET", "/", [("Host", "127.0.0.1@evil.example")], 400),
        ("GET", "/", [("Host", "\xff")], 400),
        ("GET", "/", [("Origin", "http://[")], 403),
        ("GET", "/", [("Origin", "\xed\xa0\x80")], 403),
        ("GET", "/", [("Cookie", "imagine_bot=\xed\xa0\x80; =; ;;")], 200),
        ("GET", "/console/state", [("Accept-Language", "\xed\xa0\x80" * 50)], 200),
        ("GET", "/console/state", [("X-Forwarded-For", "\xff, evil")], 200),
        ("GET", "/console/state?lang=%ED%A0%80", [], 200),
        ("GET", "/console/gallery?search=%ED%A0%80%00%25_", [], 200),
        ("GET", f"/console/gallery?search={DIGITS}", [], 200),
        ("GET", f"/console/gallery?before={DIGITS}", [], 200),
        ("GET", "/console/gallery?before=-1&before=%D9%A1", [], 200),
        ("GET", f"/console/jobs/{DIGITS}", [], 404),
        ("GET", "/console/jobs/999999999999999999", [], 409),
        ("GET", "/console/jobs/-1", [], 404),
        ("GET", "/console/jobs/%D9%A1", [], 404),
        ("POST", "/console/jobs/999999999999999999/cancel", [], 409),
        ("POST", f"/console/jobs/{DIGITS}/vary", [], 404),
        ("POST", f"/console/jobs/{DIGITS}/upscale", [], 404),
        ("POST", "/console/jobs/999999999999999999/upscale", [], 409),
        ("POST", "/console/jobs/1/erase", [], 404),
        ("GET", "/console/jobs/1/vary", [], 404),
        ("GET", "/console/gallery?model=%ED%A0%80%00%27&kept=%FF&before=1", [], 200),
        ("GET", f"/console/gallery?model={'x' * 5000}&kept=yes", [], 200),
        ("GET", "/console/help?lang=%ED%A0%80", [], 200),
        ("GET", "/console/help", [("Cookie", "imagine_bot_language=\xff../../x; imagine_bot_language=")], 200),
        *(
            (method, f"/console/images/{deed}{query}", [], status)
            for method, deed in (("POST", "keep"), ("POST", "let_go"), ("POST", "erase"), ("GET", "zip"))
            for query, status in (
                ("", 422),
                ("?ids=", 422),
                ("?ids=x", 422),
                ("?ids=1,,2", 422),
                ("?ids=-1", 422),
                ("?ids=1.5", 422),
                ("?ids=%D9%A1", 422),
                (f"?ids={DIGITS}", 422),
                (f"?ids={','.join(['7'] * 10_000)}", 422),
                (f"?ids={','.join(map(str, range(101)))}", 422),
                ("?ids=999999999999999999", 409),
                ("?ids=0,0,0", 409),
            )
        ),
        ("GET", "/console/images/erase?ids=1", [], 404),
        ("POST", "/console/images/zip?ids=1", [], 404),
        ("POST", "/console/images/erase?ids=1", [("Origin", "http://evil.example")], 403),
        ("POST", "/console/images/keep?ids=1", [("Origin", "null")], 403),
        ("GET", "/console/assets/0000000000000000/page.js", [], 404),
        ("GET", f"/pictures/x/{DIGITS}.png", [], 404),
        ("GET", "/pictures/x/1.png", [("Range", "bytes=9-1,x")], 404),
        ("GET", "/gradio_api/queue/data?session_hash=nobody", [], 200),
        ("GET", "/gradio_api/queue/data", [], 400),
        ("GET", "/gradio_api/call/draw/nobody", [], 200),
        ("GET", f"/gradio_api/call/draw/{DIGITS}", [], 404),
        ("GET", "/gradio_api/upload_progress?upload_id=nobody", [], 200),
        ("GET", "/config?deep_link=..%2F..%2Fetc&page=nowhere", [], 200),
        ("GET", "/?page=nowhere&deep_link=x", [], 200),
        ("GET", "/gradio_api/info?all_endpoints=true&serialize=x", [], 200),
        ("GET", "/assets/nowhere.js", [], 404),
        ("HEAD", "/config", [], 405),
        ("OPTIONS", "/", [], 404),
        ("BREW", "/", [], 404),
        ("GET", "http://198.51.100.7/", [], 404),
        ("GET", "*", [], 404),
        ("GET", "/%00", [], 404),
        ("GET", "//config", [], 404),
    ],
)
async def test_heads_that_are_wrong_are_refused_in_a_sentence(
    shared: PageProcess, method: str, path: str, headers: list[tuple[str, str]], expected: int
) -> None:
    before = len(shared.lines)
    status, answer = await ask(shared.url, method, path, headers=headers)
    assert status == expected, answer[:200]
    assert_quiet(shared, before)


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "multipart/form-data; boundary=x", "application/json; charset=\xff"]
)
async def test_body_of_another_kind_is_refused(shared: PageProcess, kind: str) -> None:
    before = len(shared.lines)
    for body in (pressing().encode("utf-16"), b"\xff\xfe", PROMPT.encode()):
        for path in (PREDICT, JOIN, CALL, NAMED):
            assert (await ask(shared.url, "POST", path, body, kind=kind))[0] == 400
    assert_quiet(shared, before)


@pytest.mark.parametrize("length", ["", "-1", "x", DIGITS, "0", "999999999"])
@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=\xff", "text/plain"])
async def test_upload_that_is_none_is_refused(shared: PageProcess, length: str, kind: str) -> None:
    before = len(shared.lines)
    status, _ = await ask(shared.url, "POST", "/gradio_api/upload", headers=[("Content-Length", length)], kind=kind)
    assert 400 <= status < 500
    assert_quiet(shared, before)


@pytest.mark.parametrize("length", ["262145", "99999999999999999999"])
@pytest.mark.parametrize("path", [PREDICT, JOIN, CALL, NAMED])
async def test_body_that_is_announced_as_too_large_is_refused_before_it_arrives(
    shared: PageProcess, path: str, length: str
) -> None:
    before = len(shared.lines)
    async with asyncio.timeout(5):
        status, _ = await ask(shared.url, "POST", path, headers=[("Content-Length", length)])
    assert status == 413
    assert_quiet(shared, before)


async def test_forty_one_announced_uploads_block_nobody(shared: PageProcess) -> None:
    host, port = shared.url.removeprefix("http://").rstrip("/").split(":")
    head = (
        f"POST /gradio_api/upload HTTP/1.1\r\nHost: {host}:{port}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 26214400\r\n\r\n"
    ).encode()
    writers = []
    for _ in range(41):
        _, writer = await asyncio.open_connection(host, port)
        writer.write(head)
        writers.append(writer)
    async with session_at(shared.url) as person:
        answer = await person.client.post("/gradio_api/upload", files={"files": ("x.png", b"\x89PNG")})
        assert answer.status_code == 200
    for writer in writers:
        writer.close()
        await writer.wait_closed()


async def test_upload_is_seen_and_used_by_its_own_person_alone(shared: PageProcess) -> None:
    async with session_at(shared.url) as ann, session_at(shared.url) as eve:
        uploaded = await ann.client.post("/gradio_api/upload", files={"files": ("../x.svg", b"<svg/>")})
        (name,) = uploaded.json()
        assert re.fullmatch(r"[0-9a-f]{32}\.bin", name)
        seen = await ann.client.get(f"/gradio_api/file={name}")
        assert seen.content == b"<svg/>" and seen.headers["content-type"] == "application/octet-stream"
        assert (await eve.client.get(f"/gradio_api/file={name}")).status_code == 404
        file: dict[str, Any] = {"path": name, "meta": {"_type": "gradio.FileData"}}
        assert "choose it again" in (await eve.draw(PROMPT, -1, 2, "square", 1, file)).text
        assert "PNG, JPEG or WebP" in (await ann.draw(PROMPT, -1, 2, "square", 1, file)).text


async def test_address_that_a_proxy_tells_is_not_given_out(shared: PageProcess) -> None:
    headers = {
        "X-Forwarded-Host": "evil.example",
        "X-Gradio-Server": "http://evil.example",
        "Forwarded": "host=evil.example",
    }
    async with session_at(shared.url, headers=headers) as person:
        config = await person.client.get("/config")
        assert config.json()["root"] == shared.url.rstrip("/")
        event = (await person.client.post(CALL, json={"data": ["[step=0] x", 1, 1]})).json()["event_id"]
        drawn = await person.client.get(f"{CALL}/{event}")
        answers = [config, drawn, await person.client.get("/"), await person.client.get("/config/")]
        assert [each.status_code for each in answers] == [200] * 4
        assert [each for each in answers if "evil" in each.text or "evil" in str(each.headers)] == []
        assert shared.url.rstrip("/") + "/pictures/" in drawn.text


async def test_images_of_others_are_neither_kept_nor_deleted_nor_taken_along(shared: PageProcess) -> None:
    before = len(shared.lines)
    async with session_at(shared.url) as ann, session_at(shared.url) as eve:
        await ann.draw(PROMPT)
        (html,) = await ann.wait_for_pictures(1)
        number = re.findall(r'data-id="(\d+)"', html)[0]
        file = re.findall(r'data-file="([^"]+)"', html)[0]
        for deed in ("keep", "let_go", "erase"):
            refused = await eve.client.post(f"/console/images/{deed}?ids={number}")
            assert refused.status_code == 409 and refused.json()["is_refusal"] and PROMPT not in refused.text
        assert (await eve.client.get(f"/console/images/zip?ids={number}")).status_code == 409
        assert (await eve.client.get(f"/console/jobs/{number}")).status_code == 409
        event = {"data": [], "fn_index": await start_number(eve), "session_hash": "x"}
        for data in ({"job_id": int(number)}, {"upload": "0" * 32 + ".png"}, {"job_id": 10**17}):
            answer = await eve.client.post(PREDICT, json={**event, "event_data": data})
            assert answer.status_code == 200 and "path" not in answer.text, data
        for bad in (
            {"upload": "../x.png"},
            {"upload": FILE},
            {"upload": None},
            {"job_id": "1"},
            {"job_id": 10**400},
            {},
            None,
            [],
            "x",
        ):
            answer = await eve.client.post(PREDICT, json={**event, "event_data": bad})
            assert 400 <= answer.status_code < 500, bad
        mine = await ann.client.post(PREDICT, json={**event, "event_data": {"job_id": int(number)}})
        assert ".png" in mine.text
        archive = await ann.client.get(f"/console/images/zip?ids={number},{number}")
        assert (
            archive.status_code == 200
            and archive.content[:2] == b"PK"
            and archive.headers["Cache-Control"] == "no-store"
        )
        assert archive.headers["Content-Disposition"] == 'attachment; filename="imagine-bot.zip"'
        twice = [await ann.client.post(f"/console/images/erase?ids={number}") for _ in range(2)]
        assert [each.json() for each in twice] == [{"text": "The image is deleted."}] * 2
        assert (await ann.client.get(file)).status_code == 410
        assert (await ann.client.get(f"/console/images/zip?ids={number}")).status_code == 409
        assert (await ann.client.post(f"/console/jobs/{number}/reroll")).status_code == 409
        assert (await ann.gallery())["pictures"] == []
    assert_quiet(shared, before)


async def start_number(session: Session) -> int:
    """Gradio's number for what puts an image into the form."""
    dependencies = (await session.client.get("/config")).json()["dependencies"]
    return next(each["id"] for each in dependencies if ["start_from"] in [[name] for _, name in each["targets"]])


def assert_quiet(page: PageProcess, before: int) -> None:
    loud = ("Traceback", "private", "Exception", "error ", "Error")
    assert [line for line in page.lines[before:] if any(word in line for word in loud)] == []
