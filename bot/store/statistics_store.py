"""Every SQL statement about how the service did: waits, drawing time, models, failures. Reads jobs, changes nothing.

Each statement goes along one index that holds all it needs, from a moment on, so that its cost follows the days that it
is asked for and not the length of the history.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bot.jobs import UserKey
from bot.store.database import Database
from bot.store.horizon import DAY_S
from bot.store.job_sql import RAN_S

WEEK_S: Final = 7 * DAY_S
MAX_PEOPLE: Final = 10
MAX_NAMES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """How long people waited for images: half of them no longer than `half_s`, 95 % no longer than `most_s`."""

    half_s: int
    most_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonTime:
    """How long the images of one person were drawn."""

    user: UserKey
    today_s: float
    week_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How often there was something of this name."""

    name: str
    count: int


class StatisticsStore:
    """Questions about the `jobs` table that only operators ask."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def waits(self, *, now: int) -> Waits | None:
        """From request to image, of the last 24 hours; None if nothing was drawn."""
        row = await self._database.fetch_one(
            """
            WITH ordered AS (
                SELECT max(0, CAST(finished_at - queued_at AS INTEGER)) AS waited_s,
                       row_number() OVER (ORDER BY finished_at - queued_at) AS number,
                       COUNT(*) OVER () AS total
                FROM jobs INDEXED BY jobs_outcomes
                WHERE finished_at > :since AND finished_at <= :now AND status = 'done'
            )
            SELECT MIN(iif(number * 2 >= total, waited_s, NULL)) AS half_s,
                   MIN(iif(number * 20 >= total * 19, waited_s, NULL)) AS most_s
            FROM ordered
            """,
            {"since": now - DAY_S, "now": now},
        )
        return None if row is None or row["half_s"] is None else Waits(half_s=row["half_s"], most_s=row["most_s"])

    async def people(self, frontend: str, guild_id: int, *, now: int) -> list[PersonTime]:
        """Whose images on one server took longest in seven days."""
        rows = await self._database.fetch_all(
            f"""
            SELECT user_frontend, user_id, SUM({RAN_S}) AS week_s,
                   SUM(iif(finished_at > :today, {RAN_S}, 0)) AS today_s
            FROM jobs INDEXED BY jobs_of_guild
            WHERE reply_frontend = :frontend AND guild_id = :guild_id AND finished_at > :week AND finished_at <= :now
            GROUP BY user_frontend, user_id
            HAVING week_s > 0
            ORDER BY week_s DESC
            LIMIT {MAX_PEOPLE}
            """,
            {"frontend": frontend, "guild_id": guild_id, "today": now - DAY_S, "week": now - WEEK_S, "now": now},
        )
        return [
            PersonTime(
                user=UserKey(frontend=str(row["user_frontend"]), id=str(row["user_id"])),
                today_s=row["today_s"],
                week_s=row["week_s"],
            )
            for row in rows
        ]

    async def models(self, *, now: int) -> list[Count]:
        """How many images each model drew in the last 24 hours."""
        return await self._counts("model", "done", now=now)

    async def failures(self, *, now: int) -> list[Count]:
        """How many images failed in the last 24 hours, by the reason's code."""
        return await self._counts("failure_code", "failed", now=now)

    async def _counts(self, column: str, status: str, *, now: int) -> list[Count]:
        rows = await self._database.fetch_all(
            f"""
            SELECT {column} AS name, COUNT(*) AS count
            FROM jobs INDEXED BY jobs_outcomes
            WHERE finished_at > :since AND finished_at <= :now AND status = :status
            GROUP BY {column}
            ORDER BY count DESC, name
            LIMIT {MAX_NAMES}
            """,
            {"since": now - DAY_S, "now": now, "status": status},
        )
        return [Count(name=str(row["name"]), count=row["count"]) for row in rows]
