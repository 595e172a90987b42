"""What jobs used, in SQL: of the bounds, of the GPU, and how long images took.

What stands against a bound counts in the same words here and in the insert of `job_store.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, NamedTuple

from bot.jobs import UserKey
from bot.store.database import Database
from bot.store.horizon import DAY_S
from bot.store.job_rows import JobTable, text_of, whole_of
from bot.store.job_sql import (
    COST,
    COUNTS,
    FAIRNESS_WINDOW_S,
    IS_ERASING,
    LAST_HOUR,
    MINE,
    QUEUED,
    RAN_S,
    REQUESTS,
    SPENT,
    TODAY,
    UNFINISHED,
    values_of,
)

MEASUREMENTS: Final = 20  # the newest pictures that a forecast looks at


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


class UsageStore(JobTable):
    """What limits, forecasts and statistics ask of the `jobs` table.

    pseudonym_of: under which name `spent` holds what a person drew before they had everything erased.
    """

    def __init__(self, database: Database, *, pseudonym_of: Callable[[UserKey], str] = nobody) -> None:
        super().__init__(database)
        self._pseudonym_of = pseudonym_of

    async def usage(self, user: UserKey, *, now: int) -> Usage:
        """What stands against the bounds at this moment."""
        rows = await self._database.fetch_all(
            f"""
            SELECT
                (SELECT COUNT(*) FROM jobs WHERE {QUEUED}) AS waiting,
                (SELECT {REQUESTS} FROM jobs INDEXED BY jobs_active_of_user WHERE {MINE} AND {UNFINISHED}) AS active,
                (SELECT json_group_array(json_array(queued_at, cost)) FROM (
                    SELECT CAST(queued_at AS INTEGER) AS queued_at, {COST} AS cost FROM jobs
                    WHERE {MINE} AND {TODAY} AND {COUNTS}
                    UNION ALL
                    SELECT queued_at, cost FROM spent WHERE {SPENT} AND {TODAY} AND cost > 0
                    ORDER BY queued_at
                )) AS counted,
                {IS_ERASING} AS is_erasing
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
            SELECT queued_at, {COST} AS cost,
                   iif(status IN ('queued', 'running'), COALESCE(batch_id, id), NULL) AS active
            FROM jobs
            WHERE reply_frontend = :frontend AND reply_origin = :origin AND {TODAY} AND {COUNTS}
            ORDER BY queued_at
            """,
            {"frontend": frontend, "origin": origin, "now": now},
        )
        active = {row["active"] for row in rows if row["active"] is not None}
        return len(active), tuple(Counted(whole_of(row["queued_at"]) or 0, row["cost"]) for row in rows)

    async def gpu_seconds(self, *, now: int) -> dict[UserKey, float]:
        """GPU seconds of the last hour per person, for those with jobs waiting or running."""
        rows = await self._database.fetch_all(
            f"""
            SELECT user_frontend, user_id, SUM({RAN_S}) AS gpu_s
            FROM jobs INDEXED BY jobs_finished
            WHERE {LAST_HOUR}
            GROUP BY user_frontend, user_id
            """,
            {"now": now},
        )
        return {
            UserKey(frontend=text_of(row["user_frontend"]), id=text_of(row["user_id"])): row["gpu_s"] for row in rows
        }

    async def spent_seconds(self, users: Collection[UserKey], *, now: int) -> dict[UserKey, float]:
        """GPU seconds of the last hour of those of these people who had everything erased since."""
        people = {self._pseudonym_of(user): user for user in users}
        rows = await self._database.fetch_all(
            f"""
            SELECT person, SUM({RAN_S}) AS gpu_s
            FROM spent
            WHERE person IN (SELECT value FROM json_each(:people)) AND {LAST_HOUR}
              AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = spent.job_id)
            GROUP BY person
            """,
            {"people": json.dumps(list(people)), "now": now},
        )
        return {people[row["person"]]: row["gpu_s"] for row in rows}

    async def spend(self, user: UserKey, *, now: int) -> None:
        """Keep what the ended jobs of a person count for, under their pseudonym. Each counts once its job is gone."""
        await self._database.fetch_all(
            f"""
            INSERT OR IGNORE INTO spent (job_id, person, queued_at, finished_at, cost, ran_s)
            SELECT id, :person, queued_at, finished_at, iif({COUNTS}, {COST}, 0), {RAN_S}
            FROM jobs INDEXED BY jobs_of_user
            WHERE {MINE} AND NOT {UNFINISHED} AND finished_at IS NOT NULL AND {TODAY} AND {COUNTS}
            UNION
            SELECT id, :person, queued_at, finished_at, iif({COUNTS}, {COST}, 0), {RAN_S}
            FROM jobs INDEXED BY jobs_finished
            WHERE {MINE} AND NOT {UNFINISHED} AND finished_at > :now - {FAIRNESS_WINDOW_S}
            """,
            {**values_of(user), "person": self._pseudonym_of(user), "now": now},
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
