"""Small facts that outlive the process, by name: why the queue is paused, which commands Discord knows."""

from __future__ import annotations

from bot.store.database import Database


class SettingStore:
    """Keys and values in the `settings` table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, key: str) -> str | None:
        """The value last set, or None."""
        row = await self._database.fetch_one("SELECT value FROM settings WHERE key = :key", {"key": key})
        return None if row is None else str(row["value"])

    async def set(self, key: str, value: str | None) -> None:
        """Remember `value`; None forgets the key."""
        if value is None:
            await self._database.fetch_all("DELETE FROM settings WHERE key = :key", {"key": key})
        else:
            await self._database.fetch_all(
                """
                INSERT INTO settings (key, value) VALUES (:key, :value)
                ON CONFLICT (key) DO UPDATE SET value = excluded.value
                """,
                {"key": key, "value": value},
            )
