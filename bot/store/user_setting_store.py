"""What people chose for themselves: one value per person and name, in the `user_settings` table."""

from __future__ import annotations

from collections.abc import Mapping

from bot.jobs import UserKey
from bot.store.database import Database


class UserSettingStore:
    """Values of people, by name. Who gives what a meaning is `bot/requests/preferences.py`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, user: UserKey, name: str) -> str | None:
        """The value last set, or None."""
        row = await self._database.fetch_one(
            """
            SELECT value FROM user_settings
            WHERE user_frontend = :frontend AND user_id = :id AND name = :name
            """,
            {"frontend": user.frontend, "id": user.id, "name": name},
        )
        return None if row is None else str(row["value"])

    async def of(self, user: UserKey) -> Mapping[str, str]:
        """Every value of one person, by name."""
        rows = await self._database.fetch_all(
            "SELECT name, value FROM user_settings WHERE user_frontend = :frontend AND user_id = :id",
            {"frontend": user.frontend, "id": user.id},
        )
        return {str(row["name"]): str(row["value"]) for row in rows}

    async def first(self, limit: int) -> list[tuple[UserKey, str, str]]:
        """At most so many of all values: the person, the name, the value."""
        rows = await self._database.fetch_all(
            """
            SELECT user_frontend, user_id, name, value FROM user_settings
            ORDER BY user_frontend, user_id, name
            LIMIT :limit
            """,
            {"limit": limit},
        )
        return [
            (
                UserKey(frontend=str(row["user_frontend"]), id=str(row["user_id"])),
                str(row["name"]),
                str(row["value"]),
            )
            for row in rows
        ]

    async def set(self, user: UserKey, name: str, value: str) -> None:
        """Remember `value`."""
        await self._database.fetch_all(
            """
            INSERT INTO user_settings (user_frontend, user_id, name, value) VALUES (:frontend, :id, :name, :value)
            ON CONFLICT DO UPDATE SET value = excluded.value
            """,
            {"frontend": user.frontend, "id": user.id, "name": name, "value": value},
        )

    async def delete(self, user: UserKey, name: str | None = None) -> None:
        """Forget one value, or with None all values of a person."""
        await self._database.fetch_all(
            """
            DELETE FROM user_settings
            WHERE user_frontend = :frontend AND user_id = :id AND (name = :name OR :name IS NULL)
            """,
            {"frontend": user.frontend, "id": user.id, "name": name},
        )
