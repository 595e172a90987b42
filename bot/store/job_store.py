"""Every SQL statement about jobs, and row ↔ Job.

One method, one statement: each holds its own condition, so two callers can never both win. Times come in
as parameters (Unix seconds). What a refusal means is said by `bot/scheduling/limits.py`.

A row may be damaged, or be of another release. No such row may spoil a statement or a list that holds other people's:
`_job` reads whatever is there, and a statement believes no column that it takes apart or adds up.

Longer than other files on purpose: whoever changes the schema has every statement to look at in one place.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, TypeVar

from bot.config import LimitsConfig
from bot.jobs import (
    BatchPlace,
    Delivery,
    Derivation,
    FailureCode,
    Job,
    JobStatus,
    ReplyTo,
    Request,
    UserKey,
    Verb,
)
from bot.store import spec_codec
from bot.store.database import Database
from bot.store.history_query import ANYTHING, MAX_ID, RANGE, SHARED_SEARCHED, Stretch, Wanted
from bot.store.horizon import DAY_S
from bot.store.job_sql import FORGOTTEN, MINE, RAN_S, UNFINISHED, values_of
from pipeline import ImageSpec

FAIRNESS_WINDOW_S: Final = 3600
MEASUREMENTS: Final = 20  # the newest pictures that a forecast looks at
TAKE_BACK_S: Final = 30
LONGEST_PAUSE_S: Final = 2 * 3600  # between two tries to tell somebody
COUNTED_AT_ONCE: Final = 2000  # rows, some 5 ms
CHANGED_AT_ONCE: Final = 200
AWAITED_S: Final = 7 * DAY_S  # a job that a later release wrote is drawn if that release is back within this time

# Failed jobs and jobs cancelled before they started cost nothing.
_COUNTS: Final = "NOT (status = 'failed' OR (status = 'cancelled' AND started_at IS NULL))"
_QUEUED: Final = f"{UNFINISHED} AND status = 'queued'"
# Rows of the future were written while the clock was wrong: they bind nobody until then.
_TODAY: Final = f"queued_at > :now - {DAY_S} AND queued_at <= :now"
_LAST_HOUR: Final = f"finished_at > :now - {FAIRNESS_WINDOW_S} AND finished_at <= :now"
_BY: Final = f"(:user_id IS NULL OR ({MINE}))"  # anybody's without a user
_OUTBOX: Final = "CASE delivery WHEN 'dropped' THEN 'dropped' ELSE 'pending' END"
# Sums of hundredths are not exact; what is no cost counts as one image.
ROUNDING: Final = 0.001
_COST: Final = "CASE WHEN cost BETWEEN 0 AND 1000 THEN cost ELSE 1 END"
# What is left of jobs that were erased together with all else of their person: it counts once the job is gone.
_SPENT: Final = "person = :person AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = spent.job_id)"
FROM_RESULT: Final = "(" + ", ".join(f"'{verb}'" for verb in Verb if verb.starts_from_result) + ")"
_IS_ERASING: Final = f"EXISTS (SELECT 1 FROM erasures WHERE {MINE})"
# The images of one request are one thing that waits or runs.
_REQUESTS: Final = "COUNT(DISTINCT COALESCE(batch_id, id))"


class Counted(NamedTuple):
    """A job that counts toward a day: when it was queued, and for how many images."""

    at: int
    cost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What stands against the bounds: for everybody, and for one person."""

    waiting: int
    active: int  # requests; one for several images counts once
    counted: tuple[Counted, ...]  # the jobs of the last 24 hours that count, oldest first
    is_erasing: bool = False  # all that is stored about this person is being erased


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one finished picture took."""

    step_s: float
    fixed_s: float
    drawn_with: str = ""  # what it was drawn with beside its spec, as a hash; "" if that is not known
    taken_mib: int = 0  # GPU memory that other programs had


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """How the jobs of a period ended."""

    done: int
    failed: int
    cancelled: int
    gpu_s: float


def nobody(_user: UserKey) -> str:
    """The pseudonym that nothing was spent under."""
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The rows of one person's jobs."""

    jobs: int
    images: int
    kept: int
    private: int
    unfinished: int
    bytes: int
    oldest_at: int | None

    def plus(self, other: Counts) -> Counts:
        """Add the rows of a later part."""
        moments = [each.oldest_at for each in (self, other) if each.oldest_at is not None]
        return Counts(
            jobs=self.jobs + other.jobs,
            images=self.images + other.images,
            kept=self.kept + other.kept,
            private=self.private + other.private,
            unfinished=self.unfinished + other.unfinished,
            bytes=self.bytes + other.bytes,
            oldest_at=min(moments, default=None),
        )


NO_JOBS: Final = Counts(jobs=0, images=0, kept=0, private=0, unfinished=0, bytes=0, oldest_at=None)


class JobStore:
    """The `jobs` table.

    pseudonym_of: under which name `spent` holds what a person drew before they had everything erased.
    """

    def __init__(self, database: Database, *, pseudonym_of: Callable[[UserKey], str] = nobody) -> None:
        self._database = database
        self._pseudonym_of = pseudonym_of

    # ── accepting ───────────────────────────────────────────────────────────────────────────────────

    async def insert(
        self,
        request: Request,
        spec: ImageSpec,
        *,
        size_class: int,
        limits: LimitsConfig,
        now: int,
        cost: float = 1.0,
    ) -> Job | None:
        """Add a waiting job if every bound has room and this request made none before; None otherwise.

        None, too, if an image that it needs came from a job that is gone, or whose image a moderator removed: then that
        image is not kept any more.

        The cool-down binds only people who have something unfinished, or while somebody waits.
        """
        row = await self._database.fetch_one(
            f"""
            INSERT INTO jobs (
                request_key, user_frontend, user_id, reply_frontend, reply_key, reply_address,
                spec, model, size_class, queued_at, batch_id, batch_index, derived_from, derived_by, cost,
                is_private, is_spoiler
            )
            SELECT
                :request_key, :user_frontend, :user_id, :reply_frontend, :reply_key, :reply_address,
                :spec, :model, :size_class, :now, :batch_id, :batch_index, :derived_from, :derived_by,
                :cost, :is_private, :is_spoiler
            WHERE (SELECT COUNT(*) FROM jobs WHERE {_QUEUED}) < :max_waiting
              AND (SELECT {_REQUESTS} FROM jobs INDEXED BY jobs_active_of_user WHERE {MINE} AND {UNFINISHED})
                  < :max_active_per_user
              AND (SELECT COALESCE(SUM({_COST}), 0) FROM jobs WHERE {MINE} AND {_TODAY} AND {_COUNTS})
                  + (SELECT COALESCE(SUM(cost), 0) FROM spent WHERE {_SPENT} AND {_TODAY}) + :cost
                  <= :max_images_per_day + {ROUNDING}
              AND NOT {_IS_ERASING}
              AND (
                  :needs_image = 0 OR :derived_from IS NULL
                  OR EXISTS (
                      SELECT 1 FROM jobs
                      WHERE id = :derived_from AND (erased_at IS NULL OR moderated_reason IS NULL)
                  )
              )
              AND NOT (
                  (
                      EXISTS (
                          SELECT 1 FROM jobs
                          WHERE {MINE} AND queued_at > :now - :cooldown_s AND queued_at <= :now AND {_COUNTS}
                            AND {_COST} > 0
                      )
                      OR EXISTS (
                          SELECT 1 FROM spent
                          WHERE {_SPENT} AND queued_at > :now - :cooldown_s AND queued_at <= :now AND cost > 0
                      )
                  )
                  AND (
                      EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_active_of_user WHERE {MINE} AND {UNFINISHED})
                      OR EXISTS (SELECT 1 FROM jobs WHERE {_QUEUED})
                  )
              )
            ON CONFLICT (request_key) DO NOTHING
            RETURNING *
            """,
            {
                **_columns_of(request),
                "person": self._pseudonym_of(request.user),
                "spec": spec_codec.encode(spec),
                "needs_image": bool(spec.source or spec.references),
                "model": spec.model,
                "size_class": size_class,
                "now": now,
                "max_waiting": limits.max_waiting,
                "max_active_per_user": limits.max_active_per_user,
                "max_images_per_day": limits.max_images_per_day,
                "cooldown_s": limits.cooldown_s,
                "cost": cost,
            },
        )
        return None if row is None else _job(row)

    async def by_request_key(self, key: str) -> Job | None:
        """The job that this request made, if it made one."""
        return await self._one("SELECT * FROM jobs WHERE request_key = :key", {"key": key})

    async def usage(self, user: UserKey, *, now: int) -> Usage:
        """What stands against the bounds at this moment."""
        rows = await self._database.fetch_all(
            f"""
            SELECT
                (SELECT COUNT(*) FROM jobs WHERE {_QUEUED}) AS waiting,
                (SELECT {_REQUESTS} FROM jobs INDEXED BY jobs_active_of_user WHERE {MINE} AND {UNFINISHED}) AS active,
                (SELECT json_group_array(json_array(queued_at, cost)) FROM (
                    SELECT CAST(queued_at AS INTEGER) AS queued_at, {_COST} AS cost FROM jobs
                    WHERE {MINE} AND {_TODAY} AND {_COUNTS}
                    UNION ALL
                    SELECT queued_at, cost FROM spent WHERE {_SPENT} AND {_TODAY} AND cost > 0
                    ORDER BY queued_at
                )) AS counted,
                {_IS_ERASING} AS is_erasing
            """,
            {**values_of(user), "person": self._pseudonym_of(user), "now": now},
        )
        return Usage(
            waiting=rows[0]["waiting"],
            active=rows[0]["active"],
            counted=tuple(Counted(int(at), float(cost)) for at, cost in json.loads(rows[0]["counted"])),
            is_erasing=bool(rows[0]["is_erasing"]),
        )

    async def shared_usage(self, frontend: str, origin: str, *, now: int) -> tuple[int, tuple[Counted, ...]]:
        """How many requests are active, and the jobs of the last 24 hours that count, behind all messages of an origin.

        `origin` is what their keys begin with, up to the first dash and with it.
        """
        rows = await self._database.fetch_all(
            f"""
            SELECT queued_at, {_COST} AS cost,
                   iif(status IN ('queued', 'running'), COALESCE(batch_id, id), NULL) AS active
            FROM jobs
            WHERE reply_frontend = :frontend AND reply_origin = :origin AND {_TODAY} AND {_COUNTS}
            ORDER BY queued_at
            """,
            {"frontend": frontend, "origin": origin, "now": now},
        )
        active = {row["active"] for row in rows if row["active"] is not None}
        return len(active), tuple(Counted(_whole(row["queued_at"]) or 0, row["cost"]) for row in rows)

    # ── running ─────────────────────────────────────────────────────────────────────────────────────

    async def claim(self, job_id: int, *, now: int) -> Job | None:
        """Start a job if it is still waiting; None if somebody was faster. Which one is `scheduling/placement.py`'s."""
        return await self._one(
            """
            UPDATE jobs
            SET status = 'running', attempts = attempts + 1, started_at = :now
            WHERE id = :id AND status = 'queued'
            RETURNING *
            """,
            {"id": job_id, "now": now},
        )

    async def gpu_seconds(self, *, now: int) -> dict[UserKey, float]:
        """GPU seconds of the last hour per person, for those with jobs waiting or running."""
        rows = await self._database.fetch_all(
            f"""
            SELECT user_frontend, user_id, SUM({RAN_S}) AS gpu_s
            FROM jobs INDEXED BY jobs_finished
            WHERE {_LAST_HOUR}
            GROUP BY user_frontend, user_id
            """,
            {"now": now},
        )
        return {UserKey(frontend=_text(row["user_frontend"]), id=_text(row["user_id"])): row["gpu_s"] for row in rows}

    async def spent_seconds(self, users: Collection[UserKey], *, now: int) -> dict[UserKey, float]:
        """GPU seconds of the last hour of those of these people who had everything erased since."""
        people = {self._pseudonym_of(user): user for user in users}
        rows = await self._database.fetch_all(
            f"""
            SELECT person, SUM({RAN_S}) AS gpu_s
            FROM spent
            WHERE person IN (SELECT value FROM json_each(:people)) AND {_LAST_HOUR}
              AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = spent.job_id)
            GROUP BY person
            """,
            {"people": json.dumps(list(people)), "now": now},
        )
        return {people[row["person"]]: row["gpu_s"] for row in rows}

    async def finish(
        self,
        job_id: int,
        *,
        image_path: str,
        image_bytes: int,
        ran_s: float,
        measured: Measurement | None,
        now: int,
    ) -> Job | None:
        """Mark a running job done and put it into the outbox; None if it is not running.

        One that a moderator stopped meanwhile is cancelled instead, and has no picture. `measured` is None of what was
        not drawn.
        """
        return await self._one(
            f"""
            UPDATE jobs
            SET status = iif(moderated_reason IS NULL, 'done', 'cancelled'),
                image_path = iif(moderated_reason IS NULL, :image_path, NULL),
                image_bytes = iif(moderated_reason IS NULL, :image_bytes, NULL),
                finished_at = :now, ran_s = ran_s + :ran_s, step_s = :step_s, fixed_s = :fixed_s,
                drawn_with = COALESCE(:drawn_with, drawn_with), taken_mib = :taken_mib, delivery = {_OUTBOX}
            WHERE id = :id AND status = 'running'
            RETURNING *
            """,
            {
                "id": job_id,
                "image_path": image_path,
                "image_bytes": image_bytes,
                "ran_s": ran_s,
                "step_s": None if measured is None else measured.step_s,
                "fixed_s": None if measured is None else measured.fixed_s,
                "drawn_with": (None if measured is None else measured.drawn_with) or None,
                "taken_mib": (None if measured is None else measured.taken_mib) or None,
                "now": now,
            },
        )

    # ── repeating ───────────────────────────────────────────────────────────────────────────────────

    async def same_image(self, request: Request, spec: ImageSpec, drawn_with: str) -> Job | None:
        """The newest image that is what a request asks for, and that its person may see; None without one.

        Their own, or one that was asked for in public on the same server; none of a place for adults elsewhere.
        `requests/repeats.py` says what is the same.
        """
        is_same = (
            "status = 'done' AND seed = :seed AND spec = :spec AND drawn_with = :drawn_with "
            "AND image_path IS NOT NULL AND erased_at IS NULL AND moderated_reason IS NULL "
            # An image of a place for adults stays in such places.
            f"AND {_is_for_adults('reply_address')} <= {_is_for_adults(':reply_address')}"
        )
        # Nor one of which a moderator removed a repeat, or what it repeats.
        is_clean = """
            NOT EXISTS (
                SELECT 1 FROM jobs AS family
                WHERE family.moderated_reason IS NOT NULL
                  AND (family.id = COALESCE(found.repeat_of, found.id)
                       OR family.repeat_of = COALESCE(found.repeat_of, found.id))
            )
        """
        return await self._one(
            f"""
            SELECT * FROM jobs WHERE id = (
                SELECT MAX(found.id) FROM (
                    SELECT id, repeat_of FROM jobs INDEXED BY jobs_seed_of_user WHERE {MINE} AND {is_same}
                    UNION ALL
                    SELECT id, repeat_of FROM jobs INDEXED BY jobs_seed_of_guild
                    WHERE reply_frontend = :reply_frontend AND is_private = 0 AND {is_same}
                      AND guild_id = CASE WHEN json_valid(:reply_address)
                                     THEN json_extract(:reply_address, '$.guild_id') END
                ) AS found
                WHERE {is_clean}
            )
            """,
            {
                **values_of(request.user),
                "reply_frontend": request.reply_to.frontend,
                "reply_address": request.reply_to.address,
                "seed": spec.seed,
                "spec": spec_codec.encode(spec),
                "drawn_with": drawn_with,
            },
        )

    async def insert_repeat(
        self, request: Request, spec: ImageSpec, earlier: Job, *, size_class: int, most_per_day: int, now: int
    ) -> Job | None:
        """Add a job that is answered with the image of another, as one that runs: no runner may take it.

        Counts toward no limit but `most_per_day`, of such jobs of one person. None if that is reached, if the other
        image was removed or deleted meanwhile, if the person is being erased, or if this request made a job before.
        """
        return await self._one(
            f"""
            INSERT INTO jobs (
                request_key, user_frontend, user_id, reply_frontend, reply_key, reply_address,
                spec, model, size_class, status, queued_at, started_at, batch_id, batch_index, derived_from, derived_by,
                cost, is_private, is_spoiler, drawn_with, repeat_of
            )
            SELECT
                :request_key, :user_frontend, :user_id, :reply_frontend, :reply_key, :reply_address,
                :spec, :model, :size_class, 'running', :now, :now, :batch_id, :batch_index, :derived_from, :derived_by,
                0, :is_private, MAX(:is_spoiler, earlier.is_spoiler), earlier.drawn_with,
                COALESCE(earlier.repeat_of, earlier.id)
            FROM jobs AS earlier
            WHERE earlier.id = :earlier AND earlier.status = 'done' AND earlier.image_path = :image_path
              AND earlier.erased_at IS NULL AND earlier.moderated_reason IS NULL
              AND earlier.is_private = :was_private
              AND NOT {_IS_ERASING}
              AND (SELECT COUNT(*) FROM jobs WHERE {MINE} AND {_TODAY} AND repeat_of IS NOT NULL) < :most_per_day
            ON CONFLICT (request_key) DO NOTHING
            RETURNING *
            """,
            {
                **_columns_of(request),
                "spec": spec_codec.encode(spec),
                "model": spec.model,
                "size_class": size_class,
                "now": now,
                "earlier": earlier.id,
                "image_path": earlier.image_path,
                "was_private": earlier.is_private,
                "most_per_day": most_per_day,
            },
        )

    async def draw_after_all(self, job_id: int) -> Job | None:
        """Let a job wait that was to be answered with an image that cannot be copied; None if it does not run."""
        return await self._one(
            """
            UPDATE jobs SET status = 'queued', started_at = NULL, repeat_of = NULL
            WHERE id = :id AND status = 'running'
            RETURNING *
            """,
            {"id": job_id},
        )

    async def mark_spoiler(self, job_id: int) -> None:
        """Let the picture of a job be shown after a click only."""
        await self._database.fetch_all("UPDATE jobs SET is_spoiler = 1 WHERE id = :id", {"id": job_id})

    async def fail(self, job_id: int, code: FailureCode, *, ran_s: float, now: int) -> Job | None:
        """Mark a running job failed and put it into the outbox; None if it is not running."""
        return await self._one(
            f"""
            UPDATE jobs
            SET status = 'failed', failure_code = :code, finished_at = :now, ran_s = ran_s + :ran_s,
                delivery = {_OUTBOX}
            WHERE id = :id AND status = 'running'
            RETURNING *
            """,
            {"id": job_id, "code": code, "ran_s": ran_s, "now": now},
        )

    async def cancel_running(self, job_id: int, *, ran_s: float, now: int) -> Job | None:
        """Mark a running job cancelled and put it into the outbox; None if it is not running."""
        return await self._one(
            f"""
            UPDATE jobs
            SET status = 'cancelled', finished_at = :now, ran_s = ran_s + :ran_s, delivery = {_OUTBOX}
            WHERE id = :id AND status = 'running'
            RETURNING *
            """,
            {"id": job_id, "ran_s": ran_s, "now": now},
        )

    async def requeue(self, job_id: int, *, now: int) -> Job | None:
        """Send a running job back to its place; the attempt does not count. None if it is not running.

        One that was asked to cancel is cancelled instead.
        """
        return await self._one(
            f"""
            UPDATE jobs
            SET status = iif(is_cancel_requested, 'cancelled', 'queued'),
                finished_at = iif(is_cancel_requested, :now, NULL),
                delivery = iif(is_cancel_requested, {_OUTBOX}, delivery),
                started_at = iif(is_cancel_requested, started_at, NULL),
                attempts = attempts - 1,
                interruptions = interruptions + 1
            WHERE id = :id AND status = 'running'
            RETURNING *
            """,
            {"id": job_id, "now": now},
        )

    async def recover(self, *, max_attempts: int, now: int) -> list[Job]:
        """Settle the jobs that a dead process left unfinished; returns them as they are now.

        Asked to cancel → cancelled; running and started `max_attempts` times → failed as interrupted; else
        back to their place. Every job's interruption is counted, so that its message says so.
        """
        await self._take_back(now=now)
        rows = await self._database.fetch_all(
            f"""
            UPDATE jobs
            SET status = iif(is_settled, iif(is_cancel_requested, 'cancelled', 'failed'), 'queued'),
                failure_code = iif(is_settled AND NOT is_cancel_requested, 'interrupted', NULL),
                finished_at = iif(is_settled, :now, NULL),
                delivery = iif(is_settled, {_OUTBOX}, delivery),
                started_at = iif(is_settled, started_at, NULL),
                repeat_of = iif(is_settled, repeat_of, NULL),  -- it is drawn
                interruptions = interruptions + 1
            FROM (
                SELECT id AS unfinished_id,
                       is_cancel_requested OR (status = 'running' AND attempts >= :max_attempts) AS is_settled
                FROM jobs
                WHERE {UNFINISHED}
            )
            WHERE id = unfinished_id
            RETURNING *
            """,
            {"max_attempts": max_attempts, "now": now},
        )
        return [_job(row) for row in rows]

    async def _take_back(self, *, now: int) -> None:
        """Queue again what an earlier release failed because it could not read it, if this one can."""
        failed = await self._many(
            """
            SELECT * FROM jobs
            WHERE status = 'failed' AND failure_code = :code AND finished_at > :since AND delivery <> 'dropped'
            """,
            {"code": FailureCode.NEWER_RELEASE, "since": now - AWAITED_S},
        )
        await self._database.fetch_all(
            """
            UPDATE jobs
            SET status = 'queued', failure_code = NULL, started_at = NULL, finished_at = NULL, delivery = 'none',
                told_at = NULL
            WHERE id IN (SELECT value FROM json_each(:ids))
            """,
            {"ids": json.dumps([job.id for job in failed if job.flaw is None])},
        )

    # ── cancelling ──────────────────────────────────────────────────────────────────────────────────

    async def cancel_queued(self, job_id: int, *, by: UserKey | None = None, now: int) -> Job | None:
        """Cancel a waiting job and put it into the outbox; None if it is not waiting, or not a job of `by`."""
        return await self._one(
            f"""
            UPDATE jobs
            SET status = 'cancelled', finished_at = :now, delivery = {_OUTBOX}
            WHERE id = :id AND status = 'queued' AND {_BY}
            RETURNING *
            """,
            {"id": job_id, "now": now, **_by_values(by)},
        )

    async def request_cancel(self, job_id: int, *, by: UserKey | None = None) -> Job | None:
        """Note on a running job that it is to be cancelled, so that a crash does not bring it back.

        Returns None if it is not running, or not a job of `by`.
        """
        return await self._one(
            f"UPDATE jobs SET is_cancel_requested = 1 WHERE id = :id AND status = 'running' AND {_BY} RETURNING *",
            {"id": job_id, **_by_values(by)},
        )

    async def drop_message(self, frontend: str, key: str) -> list[Job]:
        """Note that a message was deleted: nothing is to be delivered there any more. Returns the jobs it showed."""
        return await self._many(
            """
            UPDATE jobs
            SET delivery = CASE delivery WHEN 'delivered' THEN 'delivered' ELSE 'dropped' END
            WHERE reply_frontend = :frontend AND reply_key = :key
            RETURNING *
            """,
            {"frontend": frontend, "key": key},
        )

    async def move_message(self, job_id: int, reply_to: ReplyTo) -> None:
        """Note where the message of a job, and of the other jobs of its request, stands, now that it does."""
        await self._database.fetch_all(
            """
            UPDATE jobs
            SET reply_key = :key, reply_address = :address
            WHERE (id = :id OR batch_id = (SELECT batch_id FROM jobs WHERE id = :id)) AND delivery <> 'delivered'
            """,
            {"id": job_id, "key": reply_to.key, "address": reply_to.address},
        )

    # ── delivering ──────────────────────────────────────────────────────────────────────────────────

    async def due(self, *, now: int, limit: int) -> list[Job]:
        """Ended jobs whose person is to be told now, longest waiting first.

        So are those postponed further than anything ever is, by a clock that was wrong.
        """
        return await self._many(
            """
            SELECT * FROM jobs
            WHERE delivery = 'pending' AND (next_delivery_at <= :now OR next_delivery_at > :now + :longest)
            ORDER BY next_delivery_at, finished_at, id
            LIMIT :limit
            """,
            {"now": now, "limit": limit, "longest": LONGEST_PAUSE_S},
        )

    async def delivered(self, job_id: int, reply_to: ReplyTo) -> None:
        """The person was told, and the answer now stands at `reply_to`, also that of the rest of the request."""
        await self._database.fetch_all(
            """
            UPDATE jobs
            SET delivery = iif(id = :id, 'delivered', delivery),
                delivery_attempts = delivery_attempts + (id = :id),
                reply_key = :key, reply_address = :address
            WHERE (id = :id AND delivery = 'pending')
               OR (id <> :id AND batch_id = (SELECT batch_id FROM jobs WHERE id = :id AND delivery = 'pending'))
            """,
            {"id": job_id, "key": reply_to.key, "address": reply_to.address},
        )

    async def postpone(self, job_id: int, *, next_at: int) -> None:
        """Telling did not work; try again at `next_at`, LONGEST_PAUSE_S from now at most."""
        await self._database.fetch_all(
            """
            UPDATE jobs SET delivery_attempts = delivery_attempts + 1, next_delivery_at = :next_at
            WHERE id = :id AND delivery = 'pending'
            """,
            {"id": job_id, "next_at": next_at},
        )

    async def close_delivery(self, job_id: int, outcome: Delivery) -> None:
        """Stop trying to tell the person: undeliverable, or dropped."""
        await self._database.fetch_all(
            """
            UPDATE jobs SET delivery = :outcome, delivery_attempts = delivery_attempts + 1
            WHERE id = :id AND delivery = 'pending'
            """,
            {"id": job_id, "outcome": outcome},
        )

    async def undelivered(self, user: UserKey) -> list[Job]:
        """Results that could not be delivered and that this person was not told of yet, oldest first."""
        return await self._many(
            f"SELECT * FROM jobs WHERE {MINE} AND delivery = 'undeliverable' AND told_at IS NULL ORDER BY id",
            values_of(user),
        )

    async def failures(self, user: UserKey, *, since: int) -> list[Job]:
        """Failed jobs that ended after `since` and that this person was not told of by a reader, oldest first."""
        return await self._many(
            f"""
            SELECT * FROM jobs
            WHERE {MINE} AND status = 'failed' AND finished_at > :since AND told_at IS NULL
            ORDER BY finished_at, id
            """,
            {**values_of(user), "since": since},
        )

    async def mark_told(self, job_ids: Sequence[int], *, now: int) -> None:
        """The person was told of these."""
        await self._database.fetch_all(
            "UPDATE jobs SET told_at = :now WHERE id IN (SELECT value FROM json_each(:ids))",
            {"ids": json.dumps(list(job_ids)), "now": now},
        )

    # ── looking ─────────────────────────────────────────────────────────────────────────────────────

    async def get(self, job_id: int) -> Job | None:
        """One job, or None."""
        if abs(job_id) > MAX_ID:
            return None
        return await self._one("SELECT * FROM jobs WHERE id = :id", {"id": job_id})

    async def of_batch(self, batch_id: str) -> list[Job]:
        """The jobs of one request for several images, in their order."""
        return await self._many(
            "SELECT * FROM jobs WHERE batch_id = :batch_id ORDER BY batch_index, id", {"batch_id": batch_id}
        )

    async def of_message(self, frontend: str, key: str) -> list[Job]:
        """The jobs whose answer stands on a message, in their order."""
        return await self._many(
            """
            SELECT * FROM jobs INDEXED BY jobs_by_card
            WHERE reply_frontend = :frontend AND reply_key = :key
            ORDER BY batch_index, id
            LIMIT 10
            """,
            {"frontend": frontend, "key": key},
        )

    async def unfinished(self) -> list[Job]:
        """Jobs waiting or running, oldest first."""
        return await self._many(f"SELECT * FROM jobs WHERE {UNFINISHED} ORDER BY id", {})

    async def history(self, user: UserKey, stretch: Stretch, wanted: Wanted = ANYTHING) -> list[Job]:
        """This person's pictures of a stretch, in its order."""
        order = f"ORDER BY id {stretch.direction} LIMIT :limit"
        index = "INDEXED BY jobs_done_of_user" if wanted.seed is None else "INDEXED BY jobs_seed_of_user"
        if wanted.is_kept:
            index = "INDEXED BY jobs_kept_of_user"  # few
        if wanted.job_id is not None:
            index = ""  # its number alone finds it
        # What is inside reads one index and no row, and passes over as many pictures as a command has time for.
        found = f"""
            SELECT id FROM jobs {index}
            WHERE {MINE} AND status = 'done' AND {RANGE} AND {wanted.condition()}
            {order}"""
        if wanted.with_removed:
            found = f"""
            SELECT id FROM ({found})
            UNION ALL
            SELECT id FROM (
                SELECT id FROM jobs INDEXED BY jobs_moderated_of_user
                WHERE {MINE} AND moderated_reason IS NOT NULL AND erased_at IS NOT NULL
                  AND {RANGE} AND {wanted.days()}
                {order}
            )"""
        return await self._many(
            f"SELECT * FROM jobs WHERE id IN ({found}) {order}",
            {**values_of(user), **stretch.values(), **wanted.values()},
        )

    async def history_edge(self, user: UserKey, stretch: Stretch, *, searched: int) -> int | None:
        """The picture after the first `searched` of a stretch, in its order; None if there are no more."""
        row = await self._database.fetch_one(
            f"""
            SELECT id FROM jobs INDEXED BY jobs_done_of_user
            WHERE {MINE} AND status = 'done' AND {RANGE}
            ORDER BY id {stretch.direction}
            LIMIT 1 OFFSET :searched
            """,
            {**values_of(user), **stretch.values(), "searched": searched},
        )
        return None if row is None else row["id"]

    async def history_days(self, user: UserKey, *, since: int, until: int) -> tuple[int, int] | None:
        """The first and the last number that this person asked for from `since` on and before `until`.

        Numbers rise with time, apart from those given while the clock was set back.
        """
        row = await self._database.fetch_one(
            f"""
            SELECT
                (SELECT MIN(id) FROM jobs INDEXED BY jobs_of_user WHERE {MINE} AND queued_at = (
                    SELECT MIN(queued_at) FROM jobs WHERE {MINE} AND queued_at >= :since AND queued_at < :until
                )) AS first_id,
                (SELECT MAX(id) FROM jobs INDEXED BY jobs_of_user WHERE {MINE} AND queued_at = (
                    SELECT MAX(queued_at) FROM jobs WHERE {MINE} AND queued_at >= :since AND queued_at < :until
                )) AS last_id
            """,
            {**values_of(user), "since": since, "until": until},
        )
        return None if row is None or row["first_id"] is None else (row["first_id"], row["last_id"])

    async def shared(
        self, frontend: str, guild_id: int, *, apart_from: UserKey, limit: int, wanted: Wanted = ANYTHING
    ) -> list[Job]:
        """The newest pictures of a server that everybody there may see, apart from one person's, newest first.

        What is wanted is looked for in the newest SHARED_SEARCHED.
        """
        return await self._many(
            f"""
            SELECT * FROM jobs WHERE id IN (
                SELECT id FROM (
                    SELECT id, prompt, seed, queued_at, user_frontend, user_id FROM jobs
                    WHERE reply_frontend = :frontend AND guild_id = :guild_id AND status = 'done' AND is_private = 0
                    ORDER BY id DESC
                    LIMIT {SHARED_SEARCHED}
                )
                WHERE NOT ({MINE}) AND {wanted.condition()}
                LIMIT :limit
            )
            ORDER BY id DESC
            """,
            {
                **values_of(apart_from),
                **wanted.values(),
                "frontend": frontend,
                "guild_id": guild_id,
                "limit": limit,
            },
        )

    async def measurements(self, model: str, size_class: int, *, now: int) -> list[Measurement]:
        """What the newest pictures of this model and size took, without those of a clock that was ahead."""
        rows = await self._database.fetch_all(
            f"""
            SELECT step_s, fixed_s FROM jobs
            WHERE status = 'done' AND model = :model AND size_class = :size_class
              AND finished_at <= :now AND step_s BETWEEN 0 AND {DAY_S} AND fixed_s BETWEEN 0 AND {DAY_S}
            ORDER BY finished_at DESC
            LIMIT {MEASUREMENTS}
            """,
            {"model": model, "size_class": size_class, "now": now},
        )
        return [Measurement(step_s=row["step_s"], fixed_s=row["fixed_s"]) for row in rows]

    async def totals(self, *, since: int, until: int | None = None) -> Totals:
        """How the jobs that ended after `since`, and not after `until`, ended."""
        rows = await self._database.fetch_all(
            f"""
            SELECT
                COUNT(*) FILTER (WHERE status = 'done') AS done,
                COUNT(*) FILTER (WHERE status = 'failed') AS failed,
                COUNT(*) FILTER (WHERE status = 'cancelled') AS cancelled,
                COALESCE(SUM({RAN_S}), 0) AS gpu_s
            FROM jobs
            WHERE finished_at > :since AND (:until IS NULL OR finished_at <= :until)
            """,
            {"since": since, "until": until},
        )
        return Totals(**dict(rows[0]))

    async def ended_before(self, moment: int, *, limit: int) -> list[Job]:
        """The jobs that ended longest ago, apart from those whose picture is kept."""
        return await self._many(
            "SELECT * FROM jobs WHERE finished_at < :moment AND is_kept <> 1 ORDER BY finished_at, id LIMIT :limit",
            {"moment": moment, "limit": limit},
        )

    async def keep(self, job_id: int, *, limit: int) -> Job | None:
        """Keep a picture from being forgotten; None if there is none, or its person keeps `limit` already."""
        return await self._one(
            """
            UPDATE jobs
            SET is_kept = 1
            WHERE id = :id AND status = 'done' AND (is_kept = 1 OR :limit > (
                SELECT COUNT(*) FROM jobs AS kept
                WHERE kept.is_kept = 1 AND kept.user_frontend = jobs.user_frontend AND kept.user_id = jobs.user_id
            ))
            RETURNING *
            """,
            {"id": job_id, "limit": limit},
        )

    async def unkeep(self, job_id: int) -> Job | None:
        """Let a picture be forgotten in its time again; None if there is no such job."""
        return await self._one("UPDATE jobs SET is_kept = 0 WHERE id = :id RETURNING *", {"id": job_id})

    async def erase(self, job_id: int, *, now: int) -> Job | None:
        """Forget what a job drew and from what words; None if it has not ended. Its file has to be gone already.

        Taking its message back is due like a result, TAKE_BACK_S from now: whoever erased tries first.
        """
        return await self._one(
            f"""
            UPDATE jobs
            SET status = 'cancelled',
                {FORGOTTEN},
                delivery = iif(delivery = 'dropped' OR erased_at IS NOT NULL, delivery, 'pending'),
                next_delivery_at = :now + {TAKE_BACK_S}
            WHERE id = :id AND NOT {UNFINISHED}
            RETURNING *
            """,
            {"id": job_id, "now": now},
        )

    async def of_user(self, user: UserKey, *, after_id: int, limit: int) -> list[Job]:
        """Every job of a person with a higher number than `after_id`, erased ones too, oldest first."""
        return await self._many(
            f"""
            SELECT * FROM jobs INDEXED BY jobs_of_user_by_id
            WHERE {MINE} AND id > :after_id
            ORDER BY id
            LIMIT :limit
            """,
            {**values_of(user), "after_id": after_id, "limit": limit},
        )

    async def counts(self, user: UserKey) -> Counts:
        """How many jobs and images there are.

        Every row of the person has to be read: some at once, so that whoever else asks is answered in between.
        """
        total, after_id = NO_JOBS, 0
        while True:
            rows = await self._database.fetch_all(
                f"""
                SELECT
                    COUNT(*) AS jobs,
                    COUNT(*) FILTER (WHERE status = 'done') AS images,
                    COUNT(*) FILTER (WHERE is_kept = 1) AS kept,
                    COUNT(*) FILTER (WHERE is_private <> 0) AS private,
                    COUNT(*) FILTER (WHERE {UNFINISHED}) AS unfinished,
                    COALESCE(SUM(iif(typeof(image_bytes) = 'integer', image_bytes, 0)), 0) AS bytes,
                    MIN(iif(typeof(queued_at) = 'integer', queued_at, NULL)) AS oldest_at,
                    MAX(id) AS last_id
                FROM (
                    SELECT id, status, is_kept, is_private, image_bytes, queued_at
                    FROM jobs INDEXED BY jobs_of_user_by_id
                    WHERE {MINE} AND id > :after_id
                    ORDER BY id
                    LIMIT {COUNTED_AT_ONCE}
                )
                """,
                {**values_of(user), "after_id": after_id},
            )
            counted = dict(rows[0])
            after_id = counted.pop("last_id")
            total = total.plus(Counts(**counted))
            if counted["jobs"] < COUNTED_AT_ONCE:
                return total

    async def drop_deliveries(self, user: UserKey) -> None:
        """Let no result of this person be delivered any more; some rows at once, as `counts`."""
        after_id: int | None = 0
        while after_id is not None:
            rows = await self._database.fetch_all(
                f"""
                UPDATE jobs
                SET delivery = 'dropped'
                WHERE id IN (
                    SELECT id FROM jobs INDEXED BY jobs_of_user_by_id
                    WHERE {MINE} AND id > :after_id AND delivery <> 'dropped'
                    ORDER BY id
                    LIMIT {CHANGED_AT_ONCE}
                )
                RETURNING id
                """,
                {**values_of(user), "after_id": after_id},
            )
            after_id = max((row["id"] for row in rows), default=None)

    async def spend(self, user: UserKey, *, now: int) -> None:
        """Keep what the ended jobs of a person count for, under their pseudonym. Each counts once its job is gone."""
        await self._database.fetch_all(
            f"""
            INSERT OR IGNORE INTO spent (job_id, person, queued_at, finished_at, cost, ran_s)
            SELECT id, :person, queued_at, finished_at, iif({_COUNTS}, {_COST}, 0), {RAN_S}
            FROM jobs INDEXED BY jobs_of_user
            WHERE {MINE} AND NOT {UNFINISHED} AND finished_at IS NOT NULL AND {_TODAY} AND {_COUNTS}
            UNION
            SELECT id, :person, queued_at, finished_at, iif({_COUNTS}, {_COST}, 0), {RAN_S}
            FROM jobs INDEXED BY jobs_finished
            WHERE {MINE} AND NOT {UNFINISHED} AND finished_at > :now - {FAIRNESS_WINDOW_S}
            """,
            {**values_of(user), "person": self._pseudonym_of(user), "now": now},
        )

    async def made_from(self, user: UserKey) -> list[Job]:
        """The jobs of others that need an image which came from a job of this person, or which such a job needed.

        A picture that was drawn from one of those is its own person's, and so is what starts from it.
        """
        return await self._many(
            f"""
            WITH RECURSIVE made_from (id, needed, is_mine) AS (
                SELECT id, NULL, TRUE FROM jobs INDEXED BY jobs_of_user_by_id WHERE {MINE}
                UNION
                SELECT jobs.id, jobs.source, FALSE FROM made_from
                JOIN jobs INDEXED BY jobs_derived_with_source ON jobs.derived_from = made_from.id
                WHERE jobs.source <> '' AND jobs.derived_from IS NOT NULL
                  AND (is_mine OR jobs.source = made_from.needed OR jobs.derived_by NOT IN {FROM_RESULT})
                UNION
                SELECT jobs.id, jobs.reference_keys, FALSE FROM made_from
                JOIN jobs INDEXED BY jobs_derived_with_references ON jobs.derived_from = made_from.id
                WHERE jobs.reference_keys <> '' AND jobs.derived_from IS NOT NULL
                  AND (is_mine OR jobs.reference_keys = made_from.needed OR jobs.derived_by NOT IN {FROM_RESULT})
            )
            SELECT * FROM jobs WHERE id IN (SELECT id FROM made_from WHERE NOT is_mine) AND NOT ({MINE}) ORDER BY id
            """,
            values_of(user),
        )

    async def drop_inputs(self, job_ids: Collection[int]) -> None:
        """Forget which images these jobs needed, if they have ended; the files have to be gone already."""
        await self._database.fetch_all(
            f"""
            UPDATE jobs
            SET spec = json_remove(json_set(spec, '$.source', '', '$.strength', 1.0), '$.references')
            WHERE id IN (SELECT value FROM json_each(:ids)) AND json_valid(spec) AND NOT {UNFINISHED}
            """,
            {"ids": json.dumps(list(job_ids))},
        )

    async def inputs_of_others(self, user: UserKey, keys: Collection[str], *, but: Collection[int]) -> set[str]:
        """Which of these images, by `Job.input_keys`, a job of somebody else needs, apart from the jobs `but`."""
        values = {**values_of(user), "keys": json.dumps(list(keys)), "but": json.dumps(list(but))}
        starts = await self._database.fetch_all(
            f"""
            SELECT DISTINCT source FROM jobs
            WHERE source IN (SELECT value FROM json_each(:keys)) AND source <> '' AND NOT ({MINE})
              AND id NOT IN (SELECT value FROM json_each(:but))
            """,
            values,
        )
        lists = await self._database.fetch_all(
            f"""
            SELECT reference_keys FROM jobs INDEXED BY jobs_with_references
            WHERE reference_keys <> '' AND NOT ({MINE}) AND id NOT IN (SELECT value FROM json_each(:but))
            """,
            values,
        )
        return {row["source"] for row in starts} | (_keys_in(lists) & set(keys))

    async def inputs(self) -> set[str]:
        """The images that any job starts from or looks at, by `Job.input_keys`."""
        starts = await self._database.fetch_all("SELECT DISTINCT source FROM jobs WHERE source <> ''")
        lists = await self._database.fetch_all("SELECT DISTINCT reference_keys FROM jobs WHERE reference_keys <> ''")
        return {row["source"] for row in starts if isinstance(row["source"], str)} | _keys_in(lists)

    async def image_paths(self, job_ids: Collection[int]) -> set[str]:
        """The picture files that the rows of these jobs name."""
        rows = await self._database.fetch_all(
            "SELECT image_path FROM jobs WHERE id IN (SELECT value FROM json_each(:ids)) AND image_path IS NOT NULL",
            {"ids": json.dumps(list(job_ids))},
        )
        return {_text(row["image_path"]) for row in rows}

    async def newest_at(self) -> int | None:
        """When the last job ended."""
        row = await self._database.fetch_one(
            "SELECT MAX(finished_at) AS newest_at FROM jobs WHERE finished_at IS NOT NULL"
        )
        return None if row is None else _whole(row["newest_at"])

    async def last_number(self) -> int:
        """The highest number that a job here ever had; 0 before the first one."""
        row = await self._database.fetch_one("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'")
        return row["seq"] if row is not None and isinstance(row["seq"], int) else 0

    async def renumber(self, above: int) -> None:
        """Give jobs with numbers that nobody ever gave the next that are free: after the largest there is no other."""
        while await self._database.fetch_all(
            """
            UPDATE jobs SET id = (SELECT COALESCE(MAX(id), 0) + 1 FROM jobs WHERE id <= :above)
            WHERE id = (SELECT MAX(id) FROM jobs WHERE id > :above)
            RETURNING id
            """,
            {"above": above},
        ):
            pass
        row = await self._database.fetch_one("SELECT MAX(id) AS last FROM jobs")
        await self.number_from(0 if row is None else row["last"] or 0)

    async def number_from(self, last: int) -> None:
        """Number the next job `last` + 1."""
        await self._database.fetch_all("DELETE FROM sqlite_sequence WHERE name = 'jobs'")
        await self._database.fetch_all("INSERT INTO sqlite_sequence (name, seq) VALUES ('jobs', :last)", {"last": last})

    async def delete(self, job_ids: Sequence[int]) -> None:
        """Forget these jobs; their pictures have to be gone already."""
        await self._database.fetch_all(
            "DELETE FROM jobs WHERE id IN (SELECT value FROM json_each(:ids))", {"ids": json.dumps(list(job_ids))}
        )

    async def _one(self, sql: str, values: dict[str, str | int | float | None]) -> Job | None:
        row = await self._database.fetch_one(sql, values)
        return None if row is None else _job(row)

    async def _many(self, sql: str, values: dict[str, str | int | float | None]) -> list[Job]:
        return [_job(row) for row in await self._database.fetch_all(sql, values)]


def _is_for_adults(address: str) -> str:
    """SQL of whether a reply address is that of a place for adults, as front ends note it."""
    return f"(json_valid({address}) AND COALESCE(json_extract({address}, '$.is_age_restricted'), 0) = 1)"


def _columns_of(request: Request) -> dict[str, str | int | float | None]:
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


def _by_values(user: UserKey | None) -> dict[str, str | int | float | None]:
    return {"user_frontend": None, "user_id": None} if user is None else values_of(user)


def _job(row: sqlite3.Row) -> Job:
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
        user=UserKey(frontend=_text(row["user_frontend"]), id=_text(row["user_id"])),
        reply_to=ReplyTo(
            frontend=_text(row["reply_frontend"]), key=_text(row["reply_key"]), address=_text(row["reply_address"])
        ),
        spec=spec,
        status=status,
        attempts=_whole(row["attempts"]) or 0,
        interruptions=_whole(row["interruptions"]) or 0,
        is_cancel_requested=bool(row["is_cancel_requested"]),
        failure_code=code,
        queued_at=_whole(row["queued_at"]) or 0,
        started_at=_whole(row["started_at"]),
        finished_at=_whole(row["finished_at"]),
        ran_s=_number(row["ran_s"]) or 0.0,
        step_s=_number(row["step_s"]),
        image_path=None if row["image_path"] is None else _text(row["image_path"]),
        image_bytes=_whole(row["image_bytes"]),
        delivery=_member(Delivery, row["delivery"]) or Delivery.NONE,
        delivery_attempts=_whole(row["delivery_attempts"]) or 0,
        flaw=flaw,
        batch=_batch(row),
        derived_from=_derivation(row),
        is_kept=row["is_kept"] == 1,
        is_erased=row["erased_at"] is not None,
        is_private=row["is_private"] != 0,  # damaged: rather hidden than shown
        is_spoiler=row["is_spoiler"] == 1,
        moderated_reason=None if row["moderated_reason"] is None else _text(row["moderated_reason"]),
        repeat_of=_whole(row["repeat_of"]),
        drawn_with=row["drawn_with"] if isinstance(row["drawn_with"], str) else "",
        taken_mib=_whole(row["taken_mib"]) or 0,
    )


def job_of(row: sqlite3.Row) -> Job:
    """Read a row, for the statements of `moderation_store.py`."""
    return _job(row)


def _batch(row: sqlite3.Row) -> BatchPlace | None:
    index = _whole(row["batch_index"])
    if row["batch_id"] is None or index is None:
        return None
    return BatchPlace(batch_id=_text(row["batch_id"]), index=index)


def _derivation(row: sqlite3.Row) -> Derivation | None:
    job_id = _whole(row["derived_from"])
    if job_id is None or row["derived_by"] is None:
        return None
    return Derivation(job_id=job_id, verb=_member(Verb, row["derived_by"]) or Verb.OTHER)


E = TypeVar("E", bound=StrEnum)


def _member(kind: type[E], value: object) -> E | None:
    return next((member for member in kind if member.value == value), None)


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) and abs(value) < 2**53 else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and abs(value) < 2**53 else None


def _keys_in(rows: Iterable[sqlite3.Row]) -> set[str]:
    """Take the lists of `ImageSpec.references` apart, whatever a damaged row holds."""
    return {key for row in rows if isinstance(row["reference_keys"], str) for key in row["reference_keys"].split(",")}
