"""A flood of connections before the page: drawing and other people do not notice, nor does the log."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
from pathlib import Path

import pytest
from PIL import Image

from bot.errors import ExitCode
from bot.requests.unpacking import MAX_UNPACKING
from tests.bot.frontends.web.conftest import Session, session_at, start_in
from tests.bot.frontends.web.flood import HALF_OPEN, Seen, attack, kinds, open_files

pytestmark = pytest.mark.asyncio(loop_scope="session")

FILES = 512
NO_BODY = b"POST /gradio_api/run/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n"
UPLOAD = (
    b"POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    b"Content-Length: 100000\r\n\r\n--x\r\n"
)


BOMBS = 12
BOMB_PX = (3000, 3000)  # 36 MB unpacked, some kilobytes on the way


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of a process is read from Linux")
async def test_twelve_pictures_that_unpack_to_far_more_than_they_are_hurt_nobody(tmp_path: Path) -> None:
    packed = io.BytesIO()
    Image.new("RGBA", BOMB_PX, (7, 7, 7, 7)).save(packed, "PNG")
    assert len(packed.getvalue()) < 200_000

    async def throw(session: Session) -> str:
        (name,) = (
            await session.client.post("/gradio_api/upload", files={"files": ("x.png", packed.getvalue())})
        ).json()
        file = {"path": name, "meta": {"_type": "gradio.FileData"}}
        return (await session.draw("[step=0] from a bomb", -1, 1, "square", 1, file)).text

    async with start_in(tmp_path, is_forked=True)() as page, contextlib.AsyncExitStack() as stack:
        sessions = [await stack.enter_async_context(session_at(page.url)) for _ in range(BOMBS)]
        await Seen().visit(page)
        before_mib, seen = peak_mib(page.pid), Seen()
        throwing = [asyncio.create_task(throw(session)) for session in sessions]
        await seen.visit(page)
        answers = await asyncio.gather(*throwing)
        assert max(seen.state_s) < 3
        together_mib = BOMBS * 4 * BOMB_PX[0] * BOMB_PX[1] / 2**20
        assert peak_mib(page.pid) - before_mib < together_mib / 2
        assert sum("Queued" in answer for answer in answers) >= MAX_UNPACKING - 1, answers
        assert await page.stop(timeout=20) == ExitCode.OK
    assert "Traceback" not in page.output


def peak_mib(pid: int) -> float:
    """The most memory that a process has had."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


async def test_half_open_connections_keep_nobody_from_drawing(tmp_path: Path) -> None:
    async with start_in(tmp_path, files=FILES)() as page:
        seen = Seen()
        async with attack(page.url, 1100, HALF_OPEN):
            await seen.visit(page)
            assert open_files(page.pid) < FILES * 2 / 3
        async with attack(page.url, 200, NO_BODY), attack(page.url, 200, UPLOAD):
            await seen.visit(page)
        assert max(seen.state_s) < 3
        assert await page.stop(timeout=20) == ExitCode.OK
    assert "Traceback" not in page.output and "failed" not in page.output
    repeated = {kind for kind, number in kinds(page.lines).items() if number > 1}
    assert {kind for kind in repeated if "job ended" not in kind} == set(), page.output
