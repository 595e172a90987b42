"""The page as a process: whatever is sent to it is answered, not by an error of the server, and not in the log."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from hypothesis import strategies as st

from bot.frontends.web.identity import COOKIE
from tests.bot.frontends.web.conftest import DEFAULTS, PageProcess, session_at, start_in
from tests.fuzz.fuzzing import fuzz
from tests.fuzz.strategies import (
    ELSEWHERE,
    HOSTILE_TEXTS,
    SECRET,
    any_of,
    json_values,
    spoilt_bytes,
    spoilt_json,
    texts,
    to_json,
)
from tests.fuzz.test_files import PICTURES

pytestmark = pytest.mark.asyncio(loop_scope="session")
ANSWER_S = 10.0  # for one answer, on a busy machine
LOGGED_S = 0.01  # until what was logged about it has come through the pipe, mostly
KEPT_OPEN = b"text/event-stream"  # answers without end
Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One request, byte by byte; `{job}` and `{draw}` in it are numbers that only the running page knows."""

    method: bytes = b"POST"
    target: bytes
    headers: Headers = ()
    body: bytes = b""
    length: bytes | None = None  # what Content-Length says; None: the truth

    def raw(self, numbers: dict[bytes, bytes]) -> bytes:
        def numbered(text: bytes) -> bytes:
            for name, number in numbers.items():
                text = text.replace(name, number)
            return text

        named, body = {name.lower() for name, _ in self.headers}, numbered(self.body)
        length = str(len(body)).encode() if self.length is None else self.length
        usual = ((b"Host", b"127.0.0.1"), (b"Content-Type", b"application/json"), (b"Content-Length", length))
        headers = [*self.headers, *(each for each in usual if each[0].lower() not in named), (b"Connection", b"close")]
        lines = [b"%s %s HTTP/1.1" % (self.method, self.target), *(b"%s: %s" % header for header in headers)]
        return numbered(b"\r\n".join(lines)) + b"\r\n\r\n" + body


@dataclass(repr=False)
class Page:
    """The running page, and one conversation with it per request."""

    process: PageProcess
    port: int
    numbers: dict[bytes, bytes] = field(default_factory=dict)
    read: int = 0  # lines of its output

    def __repr__(self) -> str:
        return "the page"

    async def status(self, sent: Sent) -> int:
        """Send it and read the answer, but not those without end; 0 if the connection was closed without one."""
        return await self.answer(sent.raw(self.numbers))

    async def answer(self, raw: bytes, *, hangs_up: bool = False) -> int:
        """`status` of bytes that may be no request."""
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                writer.write(raw)
                if hangs_up:
                    writer.write_eof()
                head = await reader.readuntil(b"\r\n\r\n")
                answer = b"" if KEPT_OPEN in head else await reader.read(2**20)
                assert b"Traceback" not in answer and b'File "' not in answer
                return int(head.split(b" ", 2)[1])
            except (asyncio.IncompleteReadError, ConnectionError):
                return 0
            finally:
                writer.close()
                await asyncio.sleep(LOGGED_S)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def page(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    """A page of this module alone; at its end it is alive, has said nothing that it must not, and draws."""
    folder = tmp_path_factory.mktemp("page")
    limits = {"limits__max_waiting": 20, "limits__max_images_per_day": 100_000}
    async with start_in(folder)(**limits) as process:
        page = Page(process, int(process.url.rpartition(":")[2]))
        async with session_at(process.url) as person:
            await person.draw("[step=0] the first")
            await person.wait_for_pictures(1)
            page.numbers = {b"{draw}": str(await person.draw_number()).encode(), b"{job}": b"1"}
            cookie = person.client.cookies[COOKIE].encode()
            page.numbers[b"{cookie}"] = COOKIE.encode() + b"=" + cookie
        yield page
        check(page)
        async with session_at(process.url) as person:
            await person.draw("[step=0] the last")
            await person.wait_for_pictures(1)
        assert process.attempts == []
        assert await process.stop() == 0
        await process.start()  # what was stored is no obstacle
        await process.wait_page()
        async with session_at(process.url) as person:
            await person.draw("[step=0] after the next start")
            await person.wait_for_pictures(1)


def check(page: Page) -> None:
    """It runs, and what it said since the last look holds neither a traceback nor what people typed."""
    assert page.process.returncode is None, page.process.output[-3000:]
    assert page.process.attempts == []
    said, page.read = page.process.lines[page.read :], len(page.process.lines)
    if any(SECRET in line or "Traceback" in line for line in said):
        raise AssertionError("\n".join(said))


def number_in(text: bytes) -> bytes:
    """Take the quotes off numbers that are put in when it is sent."""
    return text.replace(b'"{draw}"', b"{draw}")


PRESSED = {"data": [SECRET, *DEFAULTS[1:]], "fn_index": "{draw}", "session_hash": SECRET}
REUSED = {"data": [], "fn_index": 3, "session_hash": "x", "event_data": {"job_id": 1}}
NAMED = {"prompt": SECRET, "seed": 7, "steps": 2}
FILE = {"path": f"/x/{SECRET}.png", "url": f"http://{ELSEWHERE}/x.png", "meta": {"_type": "gradio.FileData"}}
WITH_FILE = {**PRESSED, "data": [SECRET, -1, 2, "square", 1, FILE, 0.6, SECRET, None]}
ENDPOINTS: list[tuple[bytes, Any]] = [
    (b"/gradio_api/run/predict", PRESSED),
    (b"/gradio_api/run/predict", WITH_FILE),
    (b"/gradio_api/run/predict/", REUSED),
    (b"/gradio_api/api/predict", PRESSED),
    (b"/gradio_api/queue/join", {**PRESSED, "trigger_id": 1, "event_data": None}),
    (b"/gradio_api/queue/join", {"data": [SECRET, 7, 2], "fn_index": 7, "session_hash": "x"}),
    (b"/gradio_api/call/draw", {"data": [SECRET, 7, 2]}),
    (b"/gradio_api/call/draw/", {"data": [SECRET, 7, 2], "session_hash": "x"}),
    (b"/gradio_api/call/v2/draw", NAMED),
    (b"/gradio_api/reset", {"event_id": "x"}),
    (b"/gradio_api/cancel", {"session_hash": "x", "fn_index": 7, "event_id": "x"}),
    (b"/console/jobs/{job}/cancel", None),
    (b"/console/jobs/{job}/vary", None),
    (b"/console/jobs/{job}/dismiss", {}),
    (b"/gradio_api/run/predict", {**REUSED, "fn_index": 4}),
    (b"/gradio_api/run/predict", {**REUSED, "fn_index": 4, "event_data": {"upload": f"{SECRET}.png"}}),
    (b"/console/images/keep?ids={job}", None),
    (b"/console/images/let_go?ids={job},1,99", None),
    (b"/console/images/erase?ids={job}", None),
]
QUERIES = st.lists(
    st.tuples(
        st.sampled_from(
            ["before", "search", "lang", "ids", "model", "kept", "session_hash", "upload_id", "fn_index", "x"]
        ),
        texts,
    ),
    max_size=2,
).map(lambda pairs: b"&".join(f"{name}={quote(text, errors='surrogatepass')}".encode() for name, text in pairs))
in_header = st.one_of(
    st.sampled_from(HOSTILE_TEXTS).map(lambda text: text.encode("utf-8", "replace")[:3000]),
    st.binary(max_size=20),
    st.sampled_from(
        [b"[", b"http://[", b"http://[::1", b"null", b"//", b"127.0.0.1:99999", b"127.0.0.1:x", b"%00", b"\xd9\xa1"]
    ),
).map(lambda text: re.sub(rb"[\r\n\0]", b"", text))
header_names = st.sampled_from(
    [b"Host", b"Origin", b"Cookie", b"Content-Type", b"Accept-Language", b"Accept", b"Authorization",
     b"X-Forwarded-Host",
     b"X-Forwarded-For", b"X-Forwarded-Proto", b"Content-Encoding", b"Referer", b"Range",
     b"If-None-Match", b"If-Modified-Since", b"User-Agent", b"x-gradio-server", b"x-gradio-user", b"x-ip-token"]
)  # fmt: skip
usual_headers = st.sampled_from(
    [
        (b"Origin", b"http://127.0.0.1"), (b"Cookie", b"{cookie}"), (b"Cookie", b"imagine_bot=" + b"x" * 43),
        (b"Host", b"localhost"), (b"Host", b"[::1]:6006"), (b"Accept-Language", b"zh-CN,en;q=0.5"),
        (b"Content-Type", b"text/plain"), (b"Content-Type", b"multipart/form-data; boundary=x"),
        (b"Content-Type", b"application/x-www-form-urlencoded"),
        (b"Range", b"bytes=5-2,-1"), (b"Accept", b"text/event-stream"),
    ]
)  # fmt: skip
headers = st.lists(usual_headers | st.tuples(header_names, in_header), max_size=3).map(tuple)
path_parts = texts.map(lambda text: quote(text.encode("utf-8", "surrogatepass")[:3000]).encode()) | st.sampled_from(
    [b"{job}", b"0", b"-1", b"1e3", b"9" * 5000, b"%D9%A1", b"%00", b"..", b"%2e%2e", b"%2F", b"1/../2", b"%FF", b"*"]
)
PATHS = [
    b"/", b"/config", b"/config/", b"/console/state", b"/console/gallery", b"/console/jobs/{job}", b"/theme.css",
    b"/console/jobs/{job}/cancel", b"/console/images/zip?ids={job}", b"/console/images/{id}?ids={job}",
    b"/console/help", b"/console/assets/{id}/page.js", b"/console/assets/{id}/{id}",
    b"/pictures/{id}/{job}.png", b"/pictures/{id}/{job}.webp", b"/pictures/{id}/{id}.{id}",
    b"/gradio_api/info", b"/gradio_api/app_id", b"/gradio_api/startup-events", b"/gradio_api/theme.css",
    b"/gradio_api/heartbeat/{id}",
    b"/gradio_api/queue/data?session_hash={id}",
    b"/gradio_api/call/draw/{id}", b"/gradio_api/call/v2/draw/{id}", b"/gradio_api/file={id}",
    b"/gradio_api/proxy={id}",
    b"/gradio_api/file=http://127.0.0.1/pictures/{id}/{job}.png", b"/gradio_api/file=http://{id}/pictures/x/1.png",
    b"/gradio_api/file=http://198.51.100.7/pictures/x/{id}.png", b"/assets/{id}", b"/static/{id}", b"/svelte/{id}",
    b"/console/{id}", b"/console/jobs/{id}", b"/console/jobs/{id}/{id}", b"/{id}", b"/gradio_api/{id}", b"/favicon.ico",
]  # fmt: skip


@st.composite
def posts(draw: Callable[..., Any]) -> Sent:
    """A good request with something wrong in its values, its bytes, its headers, its query or its path."""
    target, value = draw(st.sampled_from(ENDPOINTS))
    body = b"" if value is None else number_in(to_json(draw(spoilt_json(value)), is_ascii=draw(st.booleans())))
    if draw(st.integers(0, 4)) == 0:
        body = draw(spoilt_bytes(body) | json_values.map(to_json) | st.binary(max_size=50))
    if b"{job}" in target and draw(st.booleans()):
        target = target.replace(b"{job}", draw(path_parts))
    if query := draw(QUERIES):
        target += b"?" + query
    return Sent(target=target, headers=draw(headers), body=body)


@fuzz(150, sent=posts())
async def test_any_write_is_answered(page: Page, sent: Sent) -> None:
    assert await page.status(sent) < 500
    check(page)


@fuzz(
    150,
    method=st.sampled_from([b"GET", b"HEAD"]),
    path=st.sampled_from(PATHS),
    part=path_parts,
    query=QUERIES,
    headers=headers,
)
async def test_any_address_is_answered(
    page: Page, method: bytes, path: bytes, part: bytes, query: bytes, headers: Headers
) -> None:
    target = path.replace(b"{id}", part)
    if query:
        target += (b"&" if b"?" in target else b"?") + query
    assert await page.status(Sent(method=method, target=target, headers=headers)) < 500
    check(page)


FORM = (
    b'--x\r\nContent-Disposition: form-data; name="files"; filename="' + SECRET.encode() + b'.png"\r\n'
    b"Content-Type: image/png\r\n\r\n%s\r\n--x--\r\n"
)
MULTIPART = ((b"Content-Type", b"multipart/form-data; boundary=x"),)


forms = any_of(PICTURES).map(lambda data: FORM % data) | any_of([FORM % data for data in PICTURES[:4]])


@fuzz(40, body=forms, headers=st.just(MULTIPART) | headers)
async def test_any_upload_is_answered(page: Page, body: bytes, headers: Headers) -> None:
    assert await page.status(Sent(target=b"/gradio_api/upload", headers=headers, body=body)) < 500
    check(page)


framings = st.sampled_from([(), ((b"Transfer-Encoding", b"chunked"),), ((b"Expect", b"100-continue"),)])


@fuzz(60, sent=posts(), framing=framings, length=st.none() | in_header, data=st.data())
async def test_any_bytes_are_answered_or_hung_up_on(
    page: Page, sent: Sent, framing: Headers, length: bytes | None, data: st.DataObject
) -> None:
    whole = replace(sent, headers=sent.headers + framing, length=length).raw(page.numbers)
    spoilt = data.draw(st.just(whole) | spoilt_bytes(whole, first=300))
    # Who hangs up after the last byte has no right to an answer, and a request that never ends need not be waited for.
    assert await page.answer(spoilt, hangs_up=True) < 500
    check(page)
