"""The presets of people, in the `presets` table: a name and JSON, whose meaning is `bot/requests/presets.py`."""

from __future__ import annotations

from bot.jobs import UserKey
from bot.store.database import Database


class PresetStore:
    """Presets by person and name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, user: UserKey, name: str, options: str, *, limit: int) -> bool:
        """Keep a preset, in place of the one of that name. Returns False if the person keeps `limit` others."""
        rows = await self._database.fetch_all(
            """
            INSERT INTO presets (user_frontend, user_id, name, options)
            SELECT :frontend, :id, :name, :options
            WHERE (
                SELECT count(*) FROM presets
                WHERE user_frontend = :frontend AND user_id = :id AND name <> :name
            ) < :limit
            ON CONFLICT DO UPDATE SET options = excluded.options
            RETURNING name
            """,
            {"frontend": user.frontend, "id": user.id, "name": name, "options": options, "limit": limit},
        )
        return bool(rows)

    async def of(self, user: UserKey, *, limit: int) -> list[tuple[str, str]]:
        """Name and options of the presets of a person, by name."""
        rows = await self._database.fetch_all(
            """
            SELECT name, options FROM presets
            WHERE user_frontend = :frontend AND user_id = :id
            ORDER BY name
            LIMIT :limit
            """,
            {"frontend": user.frontend, "id": user.id, "limit": limit},
        )
        return [(str(row["name"]), str(row["options"])) for row in rows]

    async def get(self, user: UserKey, name: str) -> str | None:
        """The options of a preset; None if there is none of that name."""
        row = await self._database.fetch_one(
            """
            SELECT options FROM presets
            WHERE user_frontend = :frontend AND user_id = :id AND name = :name
            """,
            {"frontend": user.frontend, "id": user.id, "name": name},
        )
        return None if row is None else str(row["options"])

    async def clear(self, user: UserKey) -> None:
        """Forget all presets of a person."""
        await self._database.fetch_all(
            "DELETE FROM presets WHERE user_frontend = :frontend AND user_id = :id",
            {"frontend": user.frontend, "id": user.id},
        )

    async def delete(self, user: UserKey, name: str) -> bool:
        """Forget a preset. Returns False if there was none of that name."""
        rows = await self._database.fetch_all(
            """
            DELETE FROM presets
            WHERE user_frontend = :frontend AND user_id = :id AND name = :name
            RETURNING name
            """,
            {"frontend": user.frontend, "id": user.id, "name": name},
        )
        return bool(rows)
