"""The life of a job in SQL: accepted, run, repeated, ended, cancelled, found; `JobStore` is everything about jobs.

One method, one statement: each holds its own condition, so two callers can never both win. Times come in
as parameters (Unix seconds). What a refusal means is said by `bot/scheduling/limits.py`.

A row may be damaged, or be of another release. No such row may spoil a statement or a list that holds other people's:
`job_rows.py` reads whatever is there, and a statement believes no column that it takes apart or adds up.

Longer than other files on purpose: whoever changes a status has every other change of it to look at in one place.
"""

from __future__ import annotations

import json
from typing import Final

from bot.config import LimitsConfig
from bot.jobs import FailureCode, Job, Request, UserKey
from bot.store import spec_codec
from bot.store.database import SqlValue
from bot.store.history_query import MAX_ID
from bot.store.history_store import HistoryStore
from bot.store.horizon import DAY_S
from bot.store.job_rows import columns_of, job_of
from bot.store.job_sql import COST, COUNTS, IS_ERASING, MINE, QUEUED, REQUESTS, SPENT, TODAY, UNFINISHED, values_of
from bot.store.outbox_store import OutboxStore
from bot.store.retention_store import RetentionStore
from bot.store.usage_store import Measurement, UsageStore
from pipeline import ImageSpec

AWAITED_S: Final = 7 * DAY_S  # a job that a later release wrote is drawn if that release is back within this time
ROUNDING: Final = 0.001  # sums of hundredths are not exact

_BY: Final = f"(:user_id IS NULL OR ({MINE}))"  # anybody's without a user
_OUTBOX: Final = "CASE delivery WHEN 'dropped' THEN 'dropped' ELSE 'pending' END"


class JobStore(UsageStore, OutboxStore, HistoryStore, RetentionStore):
    """The `jobs` table: the life of its rows, and what its four parts ask of them.

    Whoever needs one of the parts only, takes that.
    """

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
            WHERE (SELECT COUNT(*) FROM jobs WHERE {QUEUED}) < :max_waiting
              AND (SELECT {REQUESTS} FROM jobs INDEXED BY jobs_active_of_user WHERE {MINE} AND {UNFINISHED})
                  < :max_active_per_user
              AND (SELECT COALESCE(SUM({COST}), 0) FROM jobs WHERE {MINE} AND {TODAY} AND {COUNTS})
                  + (SELECT COALESCE(SUM(cost), 0) FROM spent WHERE {SPENT} AND {TODAY}) + :cost
                  <= :max_images_per_day + {ROUNDING}
              AND NOT {IS_ERASING}
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
                          WHERE {MINE} AND queued_at > :now - :cooldown_s AND queued_at <= :now AND {COUNTS}
                            AND {COST} > 0
                      )
                      OR EXISTS (
                          SELECT 1 FROM spent
                          WHERE {SPENT} AND queued_at > :now - :cooldown_s AND queued_at <= :now AND cost > 0
                      )
                  )
                  AND (
                      EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_active_of_user WHERE {MINE} AND {UNFINISHED})
                      OR EXISTS (SELECT 1 FROM jobs WHERE {QUEUED})
                  )
              )
            ON CONFLICT (request_key) DO NOTHING
            RETURNING *
            """,
            {
                **columns_of(request),
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
        return None if row is None else job_of(row)

    async def by_request_key(self, key: str) -> Job | None:
        """The job that this request made, if it made one."""
        return await self._one("SELECT * FROM jobs WHERE request_key = :key", {"key": key})

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
              AND NOT {IS_ERASING}
              AND (SELECT COUNT(*) FROM jobs WHERE {MINE} AND {TODAY} AND repeat_of IS NOT NULL) < :most_per_day
            ON CONFLICT (request_key) DO NOTHING
            RETURNING *
            """,
            {
                **columns_of(request),
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

    # ── ending ──────────────────────────────────────────────────────────────────────────────────────────

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
        return [job_of(row) for row in rows]

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


def _by_values(user: UserKey | None) -> dict[str, SqlValue]:
    return {"user_frontend": None, "user_id": None} if user is None else values_of(user)


def _is_for_adults(address: str) -> str:
    """SQL of whether a reply address is that of a place for adults, as front ends note it."""
    return f"(json_valid({address}) AND COALESCE(json_extract({address}, '$.is_age_restricted'), 0) = 1)"
