"""Uploads are ours: counted when they arrive, kept under names of ours, and of use to their own person alone."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

import pytest
from starlette.datastructures import Headers

from bot.errors import UploadGone
from bot.frontends.web import uploads as uploads_module
from bot.frontends.web.identity import FRONTEND, THIS_MACHINE, Visitor
from bot.frontends.web.security.refused import RequestRefused
from bot.frontends.web.uploads import AGE_S, Uploads
from bot.jobs import UserKey
from pipeline.images.init_image import MAX_SOURCE_BYTES
from tests.conftest import FrozenClock

PNG = b"\x89PNG\r\n\x1a\n rest"


def person(name: str, origin: str = THIS_MACHINE) -> Visitor:
    return Visitor(user=UserKey(frontend=FRONTEND, id=name), origin=origin, locale="en")


ANN, BEN = person("ann"), person("ben")


@pytest.fixture
def uploads(tmp_path: Path, clock: FrozenClock) -> Uploads:
    return Uploads(tmp_path / "uploads", clock=clock)


def form(*files: bytes, field: str = 'name="files"; filename="../../etc/x.png"') -> bytes:
    parts = (b"--b\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (field.encode(), file) for file in files)
    return b"".join(parts) + b"--b--\r\n"


async def send(
    uploads: Uploads,
    who: Visitor,
    body: bytes,
    *,
    length: str | None = None,
    kind: str = "multipart/form-data; boundary=b",
    piece_bytes: int = 2**16,
) -> str:
    async def stream() -> AsyncIterator[bytes]:
        for start in range(0, len(body), piece_bytes):
            yield body[start : start + piece_bytes]

    headers = {"content-type": kind, "content-length": str(len(body)) if length is None else length}
    return await uploads.receive(who, Headers(headers), stream())


@pytest.mark.parametrize(
    ("data", "kind"),
    [(PNG, "png"), (b"\xff\xd8\xff", "jpg"), (b"RIFF....WEBP", "webp"), (b"<svg>", "bin"), (b"", "bin")],
)
async def test_upload_has_a_name_of_ours_and_is_its_persons_alone(uploads: Uploads, data: bytes, kind: str) -> None:
    name = await send(uploads, ANN, form(data))
    base, _, ending = name.partition(".")
    assert ending == kind and len(base) == 32 and set(base) <= set("0123456789abcdef")
    path = uploads.find(ANN, name)
    assert path.parent == uploads._folder and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes() == data
    for who, other in ((BEN, name), (ANN, f"../uploads/{name}"), (ANN, str(path)), (ANN, "gone.png"), (ANN, "")):
        with pytest.raises(UploadGone):
            uploads.find(who, other)


async def test_same_file_twice_has_two_names(uploads: Uploads) -> None:
    assert await send(uploads, ANN, form(PNG)) != await send(uploads, ANN, form(PNG))


@pytest.mark.parametrize(
    ("body", "options", "status"),
    [
        (b"", {}, 400),
        (PNG, {}, 400),
        (form(), {}, 400),
        (form(PNG, PNG), {}, 400),
        (form(PNG, field='name="files"'), {}, 400),
        (form(PNG, field="nothing"), {}, 400),
        (form(PNG)[:-20], {}, 400),
        (form(PNG), {"kind": "multipart/form-data"}, 400),
        (form(PNG), {"kind": "application/json"}, 400),
        (form(PNG), {"length": ""}, 413),
        (form(PNG), {"length": "-1"}, 413),
        (form(PNG), {"length": "\xb2"}, 413),
        (form(PNG), {"length": "9" * 5000}, 413),
        (form(bytes(MAX_SOURCE_BYTES + 1)), {}, 413),
        (form(bytes(MAX_SOURCE_BYTES + 200_000)), {"length": "7"}, 413),
    ],
)
async def test_form_that_is_none_is_refused_and_holds_no_room(
    uploads: Uploads, body: bytes, options: dict[str, str], status: int
) -> None:
    with pytest.raises(RequestRefused) as raised:
        await send(uploads, ANN, body, **options)
    assert raised.value.status == status
    assert not uploads._used_bytes and not uploads._held
    assert not uploads._folder.exists() or not list(uploads._folder.iterdir())


@pytest.mark.parametrize("length", ["", str(MAX_SOURCE_BYTES + 2**20)])
async def test_file_that_is_unannounced_or_too_large_is_refused_before_it_is_read(
    uploads: Uploads, length: str
) -> None:
    async def stream() -> AsyncIterator[bytes]:
        raise AssertionError("the file was asked for")
        yield b""

    headers = Headers({"content-type": "multipart/form-data; boundary=b", "content-length": length})
    with pytest.raises(RequestRefused) as raised:
        await uploads.receive(ANN, headers, stream())
    assert raised.value.status == 413


async def test_announced_uploads_hold_no_room_until_bytes_arrive(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads_module, "TOTAL_BYTES", 1000)
    monkeypatch.setattr(uploads_module, "PERSON_BYTES", 1000)
    held = []
    for _ in range(41):
        counting = uploads._counting(ANN)
        counting.__enter__()
        held.append(counting)
    await send(uploads, BEN, form(PNG))


async def test_upload_that_breaks_off_gives_its_room_back(uploads: Uploads) -> None:
    async def stream() -> AsyncIterator[bytes]:
        yield form(PNG)[:80]
        assert uploads._used_bytes[ANN.user] == 80
        raise ConnectionError

    headers = {"content-type": "multipart/form-data; boundary=b", "content-length": "100"}
    with pytest.raises(ConnectionError):
        await uploads.receive(ANN, Headers(headers), stream())
    assert not uploads._used_bytes


async def test_person_who_uploads_too_much_is_told_and_hurts_nobody(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch, clock: FrozenClock
) -> None:
    monkeypatch.setattr(uploads_module, "PERSON_BYTES", 1000)
    first = await send(uploads, ANN, form(PNG * 40))
    with pytest.raises(RequestRefused, match="you have uploaded too much") as raised:
        await send(uploads, ANN, form(PNG * 40))
    assert raised.value.status == 429
    await send(uploads, BEN, form(PNG * 40))
    clock.advance(AGE_S + 1)
    await send(uploads, ANN, form(PNG * 40))
    with pytest.raises(UploadGone):
        uploads.find(ANN, first)
    assert len(list(uploads._folder.iterdir())) == 1


async def test_upload_is_deleted_after_an_hour_though_nobody_comes_by(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch, clock: FrozenClock
) -> None:
    monkeypatch.setattr(uploads_module, "AGE_S", -1)
    await send(uploads, ANN, form(PNG))
    clock.advance(1)
    while list(uploads._folder.iterdir()):
        await asyncio.sleep(0)
    assert not uploads._used_bytes


async def test_address_has_no_more_than_its_share_whatever_cookies_it_brings(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads_module, "ADDRESS_BYTES", 1000)
    await send(uploads, person("a", "0a"), form(PNG * 40))
    with pytest.raises(RequestRefused, match="you have uploaded too much"):
        await send(uploads, person("b", "0a"), form(PNG * 40))
    await send(uploads, person("c", "0b"), form(PNG * 40))


async def test_all_people_together_have_no_more_than_the_folder_may_hold(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads_module, "TOTAL_BYTES", 1000)
    await send(uploads, ANN, form(PNG * 40))
    with pytest.raises(RequestRefused, match="too much was uploaded"):
        await send(uploads, BEN, form(PNG * 40))
    monkeypatch.setattr(uploads_module, "MAX_FILES", 1)
    with pytest.raises(RequestRefused) as raised:
        await send(uploads, BEN, form(b""))
    assert raised.value.status == 429


async def test_picture_of_ones_own_lies_where_an_upload_would(uploads: Uploads) -> None:
    name = await uploads.put(ANN, PNG)
    assert uploads.find(ANN, name).read_bytes() == PNG and uploads._used_bytes[ANN.user] == len(PNG)
    with pytest.raises(UploadGone):
        uploads.find(BEN, name)


async def test_disk_without_room_is_a_sentence(uploads: Uploads) -> None:
    uploads._folder.write_bytes(b"no folder")
    with pytest.raises(RequestRefused, match="cannot be stored") as raised:
        await send(uploads, ANN, form(PNG))
    assert raised.value.status == 507 and not uploads._used_bytes


async def test_file_that_somebody_deleted_is_gone(uploads: Uploads) -> None:
    name = await send(uploads, ANN, form(PNG))
    uploads.find(ANN, name).unlink()
    with pytest.raises(UploadGone):
        uploads.find(ANN, name)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full is Linux's")
@pytest.mark.parametrize("piece_bytes", [100, 5000, 100_000])  # refused at the end, in the middle, at once
async def test_disk_that_is_full_while_a_file_arrives_is_a_sentence_and_leaves_nothing(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch, piece_bytes: int
) -> None:
    def create(path: Path, *, mode: int) -> IO[bytes]:
        path.symlink_to("/dev/full")
        return path.open("wb")

    monkeypatch.setattr(uploads_module, "create", create)
    with pytest.raises(RequestRefused, match="cannot be stored") as raised:
        await send(uploads, ANN, form(bytes(2 * piece_bytes)), piece_bytes=piece_bytes)
    assert raised.value.status == 507 and not uploads._used_bytes
    assert list(uploads._folder.iterdir()) == []
