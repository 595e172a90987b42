"""What people upload to start a picture from: files of ours, under names of ours, each for its own person.

Bytes are counted when they arrive, for each person, for each address and in all; a name that was not given out to a
person leads nowhere. Runs on the page's loop; bytes are written in threads. Nothing of this outlives the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Self, TypeVar

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers

from bot.errors import UploadGone
from bot.frontends.web.identity import THIS_MACHINE, Visitor
from bot.frontends.web.security.refused import RequestRefused
from bot.jobs import UserKey
from pipeline.atomic_file import create
from pipeline.images.init_image import MAX_SOURCE_BYTES

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

T = TypeVar("T")

MARGIN_BYTES: Final = 64 * 1024  # for the rest of the form around the file
AGE_S: Final = 3600
PERSON_BYTES: Final = 8 * MAX_SOURCE_BYTES
ADDRESS_BYTES: Final = 2 * PERSON_BYTES
TOTAL_BYTES: Final = 40 * MAX_SOURCE_BYTES
ALL: Final = "all"
MAX_FILES: Final = 4096  # so that tiny ones cannot fill a folder either
KINDS: Final = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp", "bin": "application/octet-stream"}


@dataclass(slots=True, kw_only=True)
class Upload:
    """A file that lies here, or is on its way."""

    user: UserKey
    origin: str
    size_bytes: int = 0
    at: float = 0.0


class Uploads:
    """The folder of uploads."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._held: dict[str, Upload] = {}  # by name, oldest first
        self._used_bytes: Counter[UserKey | str] = Counter()  # by person, by address, and of `ALL`

    async def receive(self, visitor: Visitor, headers: Headers, stream: AsyncIterator[bytes]) -> str:
        """Take one file from a form and return the bare name that its person may use from now on.

        Raises:
            RequestRefused
        """
        length = headers.get("content-length", "")
        if not (length.isascii() and length.isdecimal() and len(length) < 16):
            raise RequestRefused(413, "the size of the file must be announced")
        if int(length) > MAX_SOURCE_BYTES + MARGIN_BYTES:
            raise RequestRefused(413, "the file is too large")
        if not headers.get("content-type", "").lower().startswith("multipart/form-data"):
            raise RequestRefused(400, "the file must come in a form")
        with self._counting(visitor) as upload, _Part(self._folder) as part:
            try:
                form = _Form(headers["content-type"])
                async for chunk in stream:
                    self._charge(upload, len(chunk))
                    await part.write(form.feed(chunk))
                    if part.size_bytes > MAX_SOURCE_BYTES or upload.size_bytes > MAX_SOURCE_BYTES + MARGIN_BYTES:
                        raise RequestRefused(413, "the file is too large")
            except FormParserError:
                raise RequestRefused(400, "the form must hold one file") from None
            if not form.is_whole:
                raise RequestRefused(400, "the form must hold one file")
            return await self._keep(upload, part)

    async def put(self, visitor: Visitor, picture: bytes) -> str:
        """Lay a picture of the person's own where an upload would lie, and return its name.

        Raises:
            RequestRefused
        """
        with self._counting(visitor) as upload, _Part(self._folder) as part:
            self._charge(upload, len(picture))
            await part.write(picture)
            return await self._keep(upload, part)

    def find(self, visitor: Visitor, name: str) -> Path:
        """Where the file lies that this person uploaded under this name.

        Raises:
            UploadGone
        """
        self._forget_old()
        upload = self._held.get(name)
        path = self._folder / name
        if upload is None or upload.user != visitor.user or not path.is_file():
            raise UploadGone
        return path

    # ── counting ────────────────────────────────────────────────────────────────────────────────────

    @contextlib.contextmanager
    def _counting(self, visitor: Visitor) -> Iterator[Upload]:
        """Hold room for what arrives, and give it back if no file comes of it."""
        self._forget_old()
        upload = Upload(user=visitor.user, origin=visitor.origin)
        if len(self._held) >= MAX_FILES:
            raise RequestRefused(429, "too much was uploaded within an hour: try again later")
        try:
            self._charge(upload, 0)
            yield upload
        except BaseException:
            self._charge(upload, -upload.size_bytes)
            raise

    def _charge(self, upload: Upload, size_bytes: int) -> None:
        """Count bytes that arrived, or that are gone if there are fewer than none."""
        mine = self._used_bytes[upload.user] + size_bytes
        here = self._used_bytes[upload.origin] + size_bytes
        total = self._used_bytes[ALL] + size_bytes
        if size_bytes >= 0:
            if mine > PERSON_BYTES or (upload.origin != THIS_MACHINE and here > ADDRESS_BYTES):
                raise RequestRefused(429, "you have uploaded too much within an hour: try again later")
            if total > TOTAL_BYTES:
                raise RequestRefused(429, "too much was uploaded within an hour: try again later")
        upload.size_bytes += size_bytes
        for whose in (upload.user, upload.origin, ALL):
            self._used_bytes[whose] += size_bytes
            if not self._used_bytes[whose]:
                del self._used_bytes[whose]

    def _forget_old(self) -> None:
        while self._held and self._held[name := next(iter(self._held))].at < self._clock() - AGE_S:
            upload = self._held.pop(name)
            self._charge(upload, -upload.size_bytes)
            with contextlib.suppress(OSError):
                (self._folder / name).unlink(missing_ok=True)

    async def _keep(self, upload: Upload, part: _Part) -> str:
        self._charge(upload, part.size_bytes - upload.size_bytes)  # the form around it is gone
        name = await part.keep()
        upload.at = self._clock()
        self._held[name] = upload
        asyncio.get_running_loop().call_later(AGE_S + 1, self._forget_old)  # though nobody may come by
        return name


class _Form:
    """A form with one file in it, while it arrives.

    Raises:
        FormParserError: it is none, or holds more.
    """

    def __init__(self, content_type: str) -> None:
        _, options = parse_options_header(content_type)
        if b"boundary" not in options:
            raise FormParserError("no boundary")
        self.is_whole = False
        self._pieces: list[bytes] = []
        self._header, self._value, self._disposition = b"", b"", b""
        self._has_file = False
        callbacks: MultipartCallbacks = {
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": lambda data, start, end: self._pieces.append(data[start:end]),
            "on_end": self._on_end,
        }
        self._parser = MultipartParser(options[b"boundary"], callbacks)

    def feed(self, chunk: bytes) -> bytes:
        """What of the file is in this piece of the form."""
        self._parser.write(chunk)
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header, self._value = b"", b""

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        if self._has_file or b"filename" not in options:
            raise FormParserError("one file")
        self._has_file = True

    def _on_end(self) -> None:
        self.is_whole = self._has_file


class _Part:
    """A file that is being written; gone at the end unless it is kept. Nobody else may read it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / f"{secrets.token_hex(16)}.part"
        self._file: IO[bytes] | None = None
        self._start = b""
        self.size_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._path.unlink(missing_ok=True)

    async def write(self, piece: bytes) -> None:
        """Add to the file.

        Raises:
            RequestRefused: the disk is full, or broken.
        """
        self._start = (self._start + piece[:16])[:16]
        self.size_bytes += len(piece)
        await self._on_disk(self._write, piece)

    async def keep(self) -> str:
        """Give the file its name, which says what it holds, and return it.

        Raises:
            RequestRefused: the disk is full, or broken.
        """
        name = f"{secrets.token_hex(16)}.{_kind(self._start)}"
        await self._on_disk(self._rename, name)
        return name

    def _write(self, piece: bytes) -> None:
        if self._file is None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = create(self._path, mode=0o600)
        self._file.write(piece)

    def _rename(self, name: str) -> None:
        self._write(b"")
        assert self._file is not None, "written just now"
        self._file.close()
        self._path.rename(self._folder / name)

    async def _on_disk(self, work: Callable[[T], None], value: T) -> None:
        try:
            await asyncio.to_thread(work, value)
        except OSError as error:
            raise RequestRefused(507, "the file cannot be stored here: the disk may be full") from error


def _kind(start: bytes) -> str:
    """What a browser may show a file as; only a look at its first bytes."""
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if start.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "webp"
    return "bin"
