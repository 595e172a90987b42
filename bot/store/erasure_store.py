"""Who is to be erased, and what is left of them for a day: the `erasures` and `spent` tables.

What is stored of people lies in stores of its own. What is done in which order, so that an interruption leaves nothing
half forgotten, is `bot/requests/erasure.py`.
"""

from __future__ import annotations

from typing import Final

from bot.jobs import UserKey
from bot.store.database import Database
from bot.store.horizon import DAY_S
from bot.store.job_sql import MINE, values_of

# Whatever still names somebody.
_IS_NAMED: Final = " OR ".join(
    f"EXISTS (SELECT 1 FROM {table} WHERE {MINE})"
    for table in ("jobs", "user_settings", "presets", "bans", "user_quotas")
)


class ErasureStore:
    """The erasures that people asked for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, user: UserKey, *, now: int) -> None:
        """Note that everything of a person is to be erased. From here on no job of theirs is accepted."""
        await self._database.fetch_all(
            """
            INSERT OR IGNORE INTO erasures (user_frontend, user_id, asked_at)
            VALUES (:user_frontend, :user_id, :now)
            """,
            {**values_of(user), "now": now},
        )

    async def pending(self) -> list[UserKey]:
        """Whose erasure is not done yet, oldest first."""
        rows = await self._database.fetch_all("SELECT user_frontend, user_id FROM erasures ORDER BY asked_at")
        return [UserKey(frontend=str(row["user_frontend"]), id=str(row["user_id"])) for row in rows]

    async def end(self, user: UserKey) -> bool:
        """Note that an erasure is done; False if a row names its person after all."""
        rows = await self._database.fetch_all(
            f"DELETE FROM erasures WHERE {MINE} AND NOT ({_IS_NAMED}) RETURNING user_frontend", values_of(user)
        )
        return bool(rows)

    async def prune_spent(self, moment: int) -> None:
        """Delete what counts toward no day any more from `moment` on, which is a believed one: see Horizon."""
        await self._database.fetch_all(
            f"DELETE FROM spent WHERE queued_at <= :moment - {DAY_S} AND finished_at <= :moment - {DAY_S}",
            {"moment": moment},
        )
