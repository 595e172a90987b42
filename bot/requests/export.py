"""A person's data as ZIP files: their images, and JSON that says what is known of each. Knows no front end.

A file may be as large as the front end takes, so there are as many parts as are needed; which job is in which part
follows from the order of the jobs, so that one part can be asked for after the other. Names in the archive are made
here: no stored path becomes one. A part is a temporary file without a name, so that a kill leaves nothing.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

from bot.jobs import Job, JobStatus, UserKey, Verb
from bot.requests.erasure import Holders
from bot.store.image_store import ImageStore

PAGE: Final = 200
ENTRY_BYTES: Final = 512  # of an archive beside the file itself: two headers with the name
MARGIN_BYTES: Final = 64 * 1024  # of a part, for the request around it
SPOOL_BYTES: Final = 1024 * 1024
IMAGES: Final = "images/"

JsonObject = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One part of somebody's data. `file` is at its beginning, and the caller's to close.

    too_large: the images, in all parts, that are larger than a part may be.
    missing: the images of this part whose files are gone.
    """

    file: IO[bytes]
    part: int
    parts: int
    images: int
    too_large: tuple[int, ...]
    missing: int


@dataclass(slots=True)
class _Entry:
    job: Job
    record: JsonObject
    image: Path | None = None
    init_image: Path | None = None
    references: list[Path] = field(default_factory=list)  # of an edit, those that are its person's own


@dataclass(slots=True)
class _Plan:
    """Which jobs are in the part that is wanted, found while all of them pass by."""

    wanted: int
    limit_bytes: int
    used_bytes: int  # of the part that is being filled
    part: int = 1
    entries: list[_Entry] = field(default_factory=list)
    too_large: list[int] = field(default_factory=list)

    def place_all(self, entries: list[_Entry]) -> None:
        """Give jobs their parts, in their order. Blocks: looks at their files."""
        for entry in entries:
            self._place(entry)

    def _place(self, entry: _Entry) -> None:
        entry.record["file"] = entry.record["starting_image"] = None
        size = 2 * len(json.dumps(entry.record, ensure_ascii=False).encode("utf-8", "replace"))
        for kind in ("image", "init_image"):
            path: Path | None = getattr(entry, kind)
            if path is None:
                continue
            more = _size(path) + ENTRY_BYTES
            if size + more > self.limit_bytes:
                setattr(entry, kind, None)
                if kind == "image":
                    self.too_large.append(entry.job.id)
                    entry.record["file"] = "larger than one part may be"
                continue
            size += more
        for path in list(entry.references):
            if size + (more := _size(path) + ENTRY_BYTES) > self.limit_bytes:
                entry.references.remove(path)
            else:
                size += more
        if self.used_bytes + size > self.limit_bytes:
            self.part, self.used_bytes = self.part + 1, 0
        self.used_bytes += size
        if self.part == self.wanted:
            self.entries.append(entry)


async def export(user: UserKey, held: Holders, *, about: JsonObject, part: int, limit_bytes: int) -> Export:
    """Make one part; the last one if there are fewer. Files and archive are left to a thread.

    Args:
        about: what is known of the person beside their jobs; it is in the first part.
        limit_bytes: of a part.

    Raises:
        StoreUnavailable
        OSError: the disk is full.
    """
    room, about_bytes = max(0, limit_bytes - MARGIN_BYTES), len(_json(about))
    while True:
        plan = await _plan(user, held, _Plan(wanted=part, limit_bytes=room, used_bytes=about_bytes))
        if part <= plan.part:
            break
        part = plan.part
    file = await asyncio.to_thread(_write, plan, about, held.database.path.parent)
    images = sum(str(each.record["file"]).startswith(IMAGES) for each in plan.entries)
    return Export(
        file=file,
        part=part,
        parts=plan.part,
        images=images,
        too_large=tuple(plan.too_large),
        missing=sum(each.record["file"] is None and each.job.image_path is not None for each in plan.entries),
    )


async def _plan(user: UserKey, held: Holders, plan: _Plan) -> _Plan:
    after_id = 0
    while page := await held.jobs.of_user(user, after_id=after_id, limit=PAGE):
        await asyncio.to_thread(plan.place_all, [await _entry(job, held.images) for job in page])
        after_id = page[-1].id
    return plan


async def _entry(job: Job, images: ImageStore) -> _Entry:
    entry = _Entry(job=job, record=record(job))
    if job.status is JobStatus.DONE and job.image_path is not None:
        entry.image = await images.find(job.image_path)
    if job.spec.source and job.derived_from is None:  # else it is an image that is there anyway, or somebody else's
        entry.init_image = await images.find_source(job.spec.source)
    for key in _own_references(job):
        if (path := await images.find_source(key)) is not None:
            entry.references.append(path)
    return entry


def _own_references(job: Job) -> tuple[str, ...]:
    """Return which of the images that an edit looks at are its person's own, and not there anyway."""
    if job.derived_from is None:
        return job.spec.reference_keys
    return job.spec.reference_keys[1:] if job.derived_from.verb is Verb.START_FROM else ()


def record(job: Job) -> JsonObject:
    """Return what is known of a job, in words that people understand."""
    spec: dict[str, object] = {each.name: getattr(job.spec, each.name) for each in fields(job.spec)}
    return {
        "id": job.id,
        "status": job.status.value,
        "asked_at": when(job.queued_at),
        "started_at": when(job.started_at),
        "ended_at": when(job.finished_at),
        "failure": None if job.failure_code is None else job.failure_code.value,
        "settings": spec,
        "gpu_seconds": round(job.ran_s, 2),
        "image_bytes": job.image_bytes,
        "is_kept": job.is_kept,
        "is_private": job.is_private,
        "is_spoiler": job.is_spoiler,
        "is_deleted": job.is_erased,
        "removed_by_a_moderator": job.moderated_reason,
        "made_from": None if job.derived_from is None else job.derived_from.job_id,
        "answered_with_the_image_of": job.repeat_of,
        "drawn_with": job.drawn_with,
        "gpu_mib_of_other_programs": job.taken_mib,
        "made_by": None if job.derived_from is None else job.derived_from.verb.value,
        "request": None if job.batch is None else job.batch.batch_id,
        "place_in_request": None if job.batch is None else job.batch.index + 1,
        "asked_through": job.reply_to.frontend,
        "message": _parsed(job.reply_to.address),
        "delivery": job.delivery.value,
    }


def when(moment: int | None) -> str | None:
    """Return Unix seconds as ISO 8601; None if there is none, or if no calendar has it."""
    try:
        return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return None


def _write(plan: _Plan, about: JsonObject, folder: Path) -> IO[bytes]:
    """Write the part, and into the records which file is whose. Blocks."""
    # Not in the system's folder, which may be memory.
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - the caller closes it
    try:
        with zipfile.ZipFile(file, "w", compression=zipfile.ZIP_DEFLATED) as archive:
            if plan.wanted == 1:
                archive.writestr("about-you.json", _json(about))
            for entry in plan.entries:
                number = entry.job.id
                _add(archive, entry.image, f"{IMAGES}{number}.png", entry.record, "file")
                _add(archive, entry.init_image, f"starting-images/{number}.png", entry.record, "starting_image")
                for place, path in enumerate(entry.references, start=1):
                    name = f"edited-images/{number}-{place}.png"
                    _add(archive, path, name, entry.record, f"edited_image_{place}")
            info = zipfile.ZipInfo(f"jobs-{plan.wanted}.json", _now())
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w") as text:
                _write_list(text, [entry.record for entry in plan.entries])
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def _add(archive: zipfile.ZipFile, path: Path | None, name: str, record: JsonObject, key: str) -> None:
    """Copy a file into the archive in pieces, as it is, unless it is gone meanwhile."""
    if path is None:
        return
    try:
        source = path.open("rb")
    except OSError:
        return
    with source, archive.open(zipfile.ZipInfo(name, _now()), "w") as target:
        while piece := source.read(SPOOL_BYTES):
            target.write(piece)
    record[key] = name


def _write_list(text: IO[bytes], records: list[JsonObject]) -> None:
    text.write(b"[\n")
    for number, each in enumerate(records):
        text.write(b",\n" if number else b"")
        text.write(_json(each))
    text.write(b"\n]\n")


def _json(value: Mapping[str, object]) -> bytes:
    # Half a character, which a damaged row may hold, is replaced.
    return json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8", "replace")


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # gone meanwhile
        return 0


def _now() -> tuple[int, int, int, int, int, int]:
    """The time as archives keep it, which begin in 1980."""
    now = datetime.now(UTC)
    return max(1980, min(now.year, 2107)), now.month, now.day, now.hour, now.minute, now.second
