"""The histories of people and servers in SQL: pages, their edges, and what is looked for in them."""

from __future__ import annotations

from bot.jobs import Job, UserKey
from bot.store.history_query import ANYTHING, RANGE, SHARED_SEARCHED, Stretch, Wanted
from bot.store.job_rows import JobTable
from bot.store.job_sql import MINE, values_of


class HistoryStore(JobTable):
    """What histories ask of the `jobs` table."""

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
