"""A flood of connections before the page: drawing and other people do not notice, nor does the log."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.errors import ExitCode
from tests.console.conftest import start_in
from tests.console.flood import HALF_OPEN, Seen, attack, kinds, open_files

pytestmark = pytest.mark.asyncio(loop_scope="session")

FILES = 512
NO_BODY = b"POST /gradio_api/run/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n"
UPLOAD = (
    b"POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    b"Content-Length: 100000\r\n\r\n--x\r\n"
)


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
