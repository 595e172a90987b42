"""Row ↔ Job. A row may be damaged, or be of another release: what is read here spoils no list of other people's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from enum import StrEnum
from typing import TypeVar

from bot.jobs import BatchPlace, Delivery, Derivation, FailureCode, Job, JobStatus, ReplyTo, Request, UserKey, Verb
from bot.store import spec_codec
from bot.store.database import Database, SqlValue
from bot.store.job_sql import values_of


class JobTable:
    """The `jobs` table, for the stores that ask something of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def _one(self, sql: str, values: dict[str, SqlValue]) -> Job | None:
        row = await self._database.fetch_one(sql, values)
        return None if row is None else job_of(row)

    async def _many(self, sql: str, values: dict[str, SqlValue]) -> list[Job]:
        return [job_of(row) for row in await self._database.fetch_all(sql, values)]


def columns_of(request: Request) -> dict[str, SqlValue]:
    """The columns of a row that say what was asked, by whom and where; all but the image."""
    return {
        **values_of(request.user),
        "request_key": request.key,
        "reply_frontend": request.reply_to.frontend,
        "reply_key": request.reply_to.key,
        "reply_address": request.reply_to.address,
        "batch_id": None if request.batch is None else request.batch.batch_id,
        "batch_index": None if request.batch is None else request.batch.index,
        "derived_from": None if request.derived_from is None else request.derived_from.job_id,
        "derived_by": None if request.derived_from is None else request.derived_from.verb,
        "is_private": request.is_private,
        "is_spoiler": request.is_spoiler,
    }


def job_of(row: sqlite3.Row) -> Job:
    """Read a row. What cannot be read becomes a neutral value and, if the job cannot be drawn for that, its `flaw`."""
    spec, flaw = spec_codec.decode(row["spec"])
    status = _member(JobStatus, row["status"])
    code = None if row["failure_code"] is None else _member(FailureCode, row["failure_code"]) or FailureCode.OTHER
    if status is None:  # of a later release: nothing that is done here touches it
        status = JobStatus.FAILED
    if status is JobStatus.FAILED and code is None:
        code = FailureCode.OTHER
    return Job(
        id=row["id"],
        user=UserKey(frontend=text_of(row["user_frontend"]), id=text_of(row["user_id"])),
        reply_to=ReplyTo(
            frontend=text_of(row["reply_frontend"]),
            key=text_of(row["reply_key"]),
            address=text_of(row["reply_address"]),
        ),
        spec=spec,
        status=status,
        attempts=whole_of(row["attempts"]) or 0,
        interruptions=whole_of(row["interruptions"]) or 0,
        is_cancel_requested=bool(row["is_cancel_requested"]),
        failure_code=code,
        queued_at=whole_of(row["queued_at"]) or 0,
        started_at=whole_of(row["started_at"]),
        finished_at=whole_of(row["finished_at"]),
        ran_s=number_of(row["ran_s"]) or 0.0,
        step_s=number_of(row["step_s"]),
        image_path=None if row["image_path"] is None else text_of(row["image_path"]),
        image_bytes=whole_of(row["image_bytes"]),
        delivery=_member(Delivery, row["delivery"]) or Delivery.NONE,
        delivery_attempts=whole_of(row["delivery_attempts"]) or 0,
        flaw=flaw,
        batch=_batch(row),
        derived_from=_derivation(row),
        is_kept=row["is_kept"] == 1,
        is_erased=row["erased_at"] is not None,
        is_private=row["is_private"] != 0,  # damaged: rather hidden than shown
        is_spoiler=row["is_spoiler"] == 1,
        moderated_reason=None if row["moderated_reason"] is None else text_of(row["moderated_reason"]),
        repeat_of=whole_of(row["repeat_of"]),
        drawn_with=row["drawn_with"] if isinstance(row["drawn_with"], str) else "",
        taken_mib=whole_of(row["taken_mib"]) or 0,
    )


def _batch(row: sqlite3.Row) -> BatchPlace | None:
    index = whole_of(row["batch_index"])
    if row["batch_id"] is None or index is None:
        return None
    return BatchPlace(batch_id=text_of(row["batch_id"]), index=index)


def _derivation(row: sqlite3.Row) -> Derivation | None:
    job_id = whole_of(row["derived_from"])
    if job_id is None or row["derived_by"] is None:
        return None
    return Derivation(job_id=job_id, verb=_member(Verb, row["derived_by"]) or Verb.OTHER)


E = TypeVar("E", bound=StrEnum)


def _member(kind: type[E], value: object) -> E | None:
    return next((member for member in kind if member.value == value), None)


def text_of(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def whole_of(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) and abs(value) < 2**53 else None


def number_of(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and abs(value) < 2**53 else None


def keys_in(rows: Iterable[sqlite3.Row]) -> set[str]:
    """Take the lists of `ImageSpec.references` apart, whatever a damaged row holds."""
    return {key for row in rows if isinstance(row["reference_keys"], str) for key in row["reference_keys"].split(",")}
