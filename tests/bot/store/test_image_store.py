"""Image files are whole or absent, and no path leads out of their folder."""

from __future__ import annotations

import builtins
import contextlib
import io
import os
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from bot.store.image_store import ImageStore
from pipeline.images.init_image import source_png


async def test_written_file_is_found_and_deleted(images: ImageStore) -> None:
    relative = await images.write(1042, b"png")
    path = await images.find(relative)
    assert path is not None and path.read_bytes() == b"png"
    await images.delete(relative)
    assert await images.find(relative) is None
    await images.delete(relative)  # twice is fine


async def test_number_that_comes_again_replaces_no_file(images: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "images" / "00000").mkdir(parents=True)
    of_earlier_release = tmp_path / "images" / "00000" / "7.png"
    of_earlier_release.write_bytes(b"of another database")
    first, second = await images.write(7, b"before the crash"), await images.write(7, b"after")
    assert of_earlier_release.read_bytes() == b"of another database"
    for relative, content in (
        (first, b"before the crash"),
        (second, b"after"),
        ("00000/7.png", b"of another database"),
    ):
        path = await images.find(relative)
        assert path is not None and path.read_bytes() == content


async def test_highest_number_is_read_off_the_names(images: ImageStore, tmp_path: Path) -> None:
    assert await images.highest_number() == 0
    await images.write(7, b"png")
    await images.write(2042, b"png")
    # Files of other programs, and what stands in a folder where no picture of that number lies.
    names = (
        "00003/notes.txt",
        "00003/9999x.png",
        "00001/1700.png",
        "sources/ab/9999.png",
        "2024/999999999999999999.png",
    )
    for name in (*names, "2024/2024000.png", "00003/1.png"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).touch()
    assert await images.highest_number() == 2042


@pytest.mark.skipif(os.name == "nt", reason="rights of POSIX")
async def test_pictures_are_for_the_bots_user_alone_whatever_the_folder_was_before(
    images: ImageStore, tmp_path: Path
) -> None:
    (tmp_path / "images" / "00000").mkdir(parents=True)
    (tmp_path / "images" / "00000").chmod(0o777)
    path = await images.find(await images.write(7, b"png"))
    assert path is not None and path.stat().st_mode & 0o777 == 0o600


async def test_full_disk_leaves_nothing_behind(
    images: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        await images.write(1, b"png")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("relative", ["../secret.txt", "/etc/hostname", "..", "", "none.png"])
async def test_paths_that_lead_outside_or_nowhere_are_not_found(
    images: ImageStore, tmp_path: Path, relative: str
) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    assert await images.find(relative) is None


def spoil(path: Path, how: str) -> None:
    """Put something in the place of a picture that is there and cannot be read."""
    path.unlink()
    match how:
        case "loop":
            path.symlink_to(path)
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "below a file":
            path.parent.rmdir()
            path.parent.write_bytes(b"")


UNREADABLE = pytest.mark.parametrize("how", ["loop", "folder", "fifo", "below a file"])


@UNREADABLE
@pytest.mark.skipif(os.name == "nt", reason="files of POSIX")
async def test_what_is_there_and_cannot_be_read_is_told_from_what_is_gone(images: ImageStore, how: str) -> None:
    relative = await images.write(1, b"png")
    path = await images.find(relative)
    assert path is not None
    spoil(path, how)
    with pytest.raises(OSError, match=r"."):
        await images.locate(relative)
    assert await images.find(relative) is None
    assert await images.delete(relative) is (how != "folder")  # what cannot be read can be deleted all the same


@pytest.mark.parametrize("relative", ["x" * 300 + ".png", "x/" * 3000, "nul\0.png"])
async def test_names_that_no_system_takes_are_not_found(images: ImageStore, relative: str) -> None:
    await images.write(1, b"png")
    with pytest.raises(OSError, match=r"."):
        await images.locate(relative)
    assert await images.find(relative) is None


async def test_file_that_only_its_owner_may_read_is_there_and_cannot_be_read(
    images: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    relative = await images.write(1, b"png")

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(PermissionError):
        await images.locate(relative)
    assert await images.find(relative) is None


async def test_folder_that_is_not_mounted_does_not_make_its_pictures_gone(images: ImageStore, tmp_path: Path) -> None:
    relative = await images.write(1, b"png")
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError):
        await images.locate(relative)
    (tmp_path / "elsewhere").rename(tmp_path / "images")
    assert await images.locate(relative) is not None


async def test_source_in_whose_place_is_something_else_is_not_found(images: ImageStore) -> None:
    key = "ab" * 32
    await images.write_source(key, source_png(Image.new("RGB", (16, 16))))
    path = await images.find_source(key)
    assert path is not None
    spoil(path, "folder")
    assert await images.find_source(key) is None
    assert await images.find_source("cd" * 32) is None


async def test_trial_says_whether_pictures_can_be_saved_and_leaves_nothing(
    images: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await images.can_write(min_free_bytes=0)
    assert not await images.can_write(min_free_bytes=2**62)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        assert not await images.can_write(min_free_bytes=0)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    (tmp_path / "images").rmdir()
    (tmp_path / "images").write_bytes(b"no folder")
    assert not await images.can_write(min_free_bytes=0)


async def test_file_in_use_stays_and_says_so(images: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    relative = await images.write(1, b"png")

    def in_use(_path: Path, *, missing_ok: bool) -> None:
        raise PermissionError(13, "being used by another process")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", in_use)
        assert await images.delete(relative) is False
    assert await images.delete(relative) is True


async def test_sweep_deletes_what_a_crash_left_and_nothing_else(images: ImageStore, tmp_path: Path) -> None:
    relative = await images.write(1, b"png")
    left = tmp_path / "images" / "00000" / "2.part"
    left.write_bytes(b"half")
    await images.sweep()
    assert not left.exists() and await images.find(relative) is not None


async def test_source_is_kept_by_content_and_read_back(images: ImageStore) -> None:
    picture = Image.linear_gradient("L").convert("RGB").resize((16, 8))
    for _ in range(2):  # twice is fine
        await images.write_source("ab" * 32, source_png(picture))
    assert await images.read_source("ab" * 32) == picture.tobytes()


async def test_sources_go_when_no_job_needs_them_but_not_those_just_written(images: ImageStore) -> None:
    picture = source_png(Image.new("RGB", (16, 16)))
    for digit in "abc":
        await images.write_source(digit * 64, picture)
    await images.delete_sources(kept={"a" * 64}, before=0)
    await images.read_source("b" * 64)
    await images.delete_sources(kept={"a" * 64}, before=time.time() + 60)
    await images.read_source("a" * 64)
    for digit in "bc":
        with pytest.raises(OSError, match="No such file"):
            await images.read_source(digit * 64)


@pytest.mark.parametrize("damage", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\xff" * 40])
async def test_damaged_source_is_an_error_of_the_file(images: ImageStore, damage: bytes) -> None:
    await images.write_source("ab" * 32, damage)
    with pytest.raises(OSError):
        await images.read_source("ab" * 32)


async def test_source_that_pillow_stumbles_over_is_an_error_of_the_file(images: ImageStore) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    png = buffer.getvalue()
    at = png.index(b"IDAT")
    await images.write_source("ab" * 32, png[: at - 4] + b"\0\0\0\x01pHYs\0\0\0\0\0" + png[at - 4 :])
    with pytest.raises(OSError):
        await images.read_source("ab" * 32)


@pytest.mark.parametrize("key", ["/abs/olute", "../../x", "", "A" * 64, "a" * 63, "a" * 64 + "\n", "nul\0"])
async def test_source_of_a_damaged_row_leads_nowhere(images: ImageStore, key: str) -> None:
    assert await images.find_source(key) is None
    with pytest.raises(OSError, match="is no key of a source"):
        await images.read_source(key)


async def test_numbers_beyond_five_digits_of_folders_are_compared_as_numbers(images: ImageStore) -> None:
    await images.write(99_999_999, b"png")
    await images.write(100_000_000, b"png")
    assert await images.highest_number() == 100_000_000


async def test_folders_are_private_whatever_is_written_first(images: ImageStore, tmp_path: Path) -> None:
    await images.write(1, b"png")
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "images", tmp_path / "images" / "00000")} == {0o700}


async def test_no_file_is_touched_on_the_event_loop(images: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that sleeps, or is far away, would stop everybody."""
    touching: dict[str, set[bool]] = {}

    def watch(module: object, name: str) -> None:
        real = getattr(module, name)

        def watched(*values: object, **options: object) -> object:
            touching.setdefault(asking, set()).add(threading.current_thread() is threading.main_thread())
            return real(*values, **options)

        monkeypatch.setattr(module, name, watched)

    asking = ""
    for name in ("stat", "lstat", "scandir", "listdir", "mkdir", "unlink", "remove", "replace", "open", "statvfs"):
        watch(os, name)
    watch(io, "open")
    watch(builtins, "open")
    path, key = await images.write(7, b"png"), "a" * 64
    calls = {
        "write": lambda: images.write(8, b"png"),
        "locate": lambda: images.locate(path),
        "find": lambda: images.find(path),
        "write_source": lambda: images.write_source(key, b"png"),
        "find_source": lambda: images.find_source(key),
        "read_source": lambda: images.read_source(key),
        "read_reference": lambda: images.read_reference(key),
        "highest_number": images.highest_number,
        "written_before": lambda: collect(images),
        "sweep": images.sweep,
        "free_bytes": images.free_bytes,
        "demand_room": lambda: images.demand_room(0),
        "can_write": lambda: images.can_write(min_free_bytes=1),
        "delete_sources": lambda: images.delete_sources(kept=(), before=0.0),
        "copy": lambda: images.copy(path, 9),
        "usage": images.usage,
        "delete_source": lambda: images.delete_source(key),
        "delete": lambda: images.delete(path),
    }
    public = {each for each in vars(ImageStore) if not each.startswith("_")} - {"highest_number_now"}
    assert calls.keys() == public, "a new method needs its line here"
    for asking, call in calls.items():  # noqa: B007 - `watched` reads it
        with contextlib.suppress(OSError):
            await call()
    monkeypatch.undo()
    assert calls.keys() <= touching.keys(), "nothing was watched"
    assert {name for name in calls if True in touching[name]} == set()


async def collect(images: ImageStore) -> list[dict[str, int]]:
    return [found async for found in images.written_before(0.0)]
