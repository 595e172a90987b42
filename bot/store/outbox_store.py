"""The outbox in SQL: whom a result is to be told, where its message stands, and whether it arrived."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from bot.jobs import Delivery, Job, ReplyTo, UserKey
from bot.store.job_rows import JobTable
from bot.store.job_sql import MINE, values_of

LONGEST_PAUSE_S: Final = 2 * 3600  # between two tries to tell somebody


class OutboxStore(JobTable):
    """What delivery asks of the `jobs` table."""

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
