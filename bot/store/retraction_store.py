"""The messages that are to be taken back: SQL on the `retractions` table. What an address means, front ends know."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from bot.store.database import Database

LONGEST_PAUSE_S: Final = 2 * 3600  # between two tries to take a message back


@dataclass(frozen=True, slots=True, kw_only=True)
class Retraction:
    """A message to be taken back. Times are Unix seconds."""

    frontend: str
    key: str
    address: str  # JSON
    added_at: int
    attempts: int


class RetractionStore:
    """The `retractions` table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, frontend: str, key: str, address: str, *, now: int) -> None:
        """Have a message taken back; once is enough."""
        await self._database.fetch_all(
            """
            INSERT OR IGNORE INTO retractions (frontend, key, address, added_at)
            VALUES (:frontend, :key, :address, :now)
            """,
            {"frontend": frontend, "key": key, "address": address, "now": now},
        )

    async def add_copies(self, job_ids: Collection[int], *, now: int) -> None:
        """Have the messages taken back that show the images of these jobs again."""
        await self._database.fetch_all(
            """
            INSERT OR IGNORE INTO retractions (frontend, key, address, added_at)
            SELECT frontend, key, address, :now FROM copies WHERE job_id IN (SELECT value FROM json_each(:ids))
            """,
            {"ids": json.dumps(list(job_ids)), "now": now},
        )

    async def due(self, frontends: Collection[str], *, now: int, limit: int) -> list[Retraction]:
        """The messages of these front ends that are to be taken back now.

        So are those postponed further than anything ever is, by a clock that was wrong.
        """
        rows = await self._database.fetch_all(
            """
            SELECT frontend, key, address, added_at, attempts FROM retractions
            WHERE (next_at <= :now OR next_at > :now + :longest)
              AND frontend IN (SELECT value FROM json_each(:frontends))
            ORDER BY next_at
            LIMIT :limit
            """,
            {"frontends": json.dumps(list(frontends)), "now": now, "limit": limit, "longest": LONGEST_PAUSE_S},
        )
        return [
            Retraction(
                frontend=str(row["frontend"]),
                key=str(row["key"]),
                address=str(row["address"]),
                added_at=_whole_number(row["added_at"]),
                attempts=_whole_number(row["attempts"]),
            )
            for row in rows
        ]

    async def count(self) -> int:
        """How many messages are still to be taken back."""
        rows = await self._database.fetch_all("SELECT COUNT(*) AS count FROM retractions")
        return int(rows[0]["count"])

    async def postpone(self, retraction: Retraction, *, next_at: int) -> None:
        """Try again at `next_at`, LONGEST_PAUSE_S from now at most."""
        await self._database.fetch_all(
            """
            UPDATE retractions SET attempts = attempts + 1, next_at = :next_at
            WHERE frontend = :frontend AND key = :key
            """,
            {"frontend": retraction.frontend, "key": retraction.key, "next_at": next_at},
        )

    async def remove(self, retraction: Retraction) -> None:
        """It is taken back, or never will be."""
        await self._database.fetch_all(
            "DELETE FROM retractions WHERE frontend = :frontend AND key = :key",
            {"frontend": retraction.frontend, "key": retraction.key},
        )

    async def prune(self, *, before: int) -> None:
        """Forget those that were added before `before`: their front end has been switched off since."""
        await self._database.fetch_all("DELETE FROM retractions WHERE added_at < :before", {"before": before})


def _whole_number(value: object) -> int:
    """Return what a column holds; 0 in place of what is damaged, so that it holds up no other row."""
    return value if isinstance(value, int) else 0
