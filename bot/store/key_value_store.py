"""Small facts that outlive the process, by name: why the queue is paused, which commands Discord knows."""

from __future__ import annotations

import json
import logging

from bot.store.database import Database

log = logging.getLogger(__name__)


class SettingStore:
    """Keys and values in the `settings` table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, key: str) -> str | None:
        """The value last set, or None."""
        row = await self._database.fetch_one("SELECT value FROM settings WHERE key = :key", {"key": key})
        return None if row is None else str(row["value"])

    async def get_json(self, key: str) -> object:
        """The JSON value last set; None if there is none, or if it is damaged."""
        text = await self.get(key)
        try:
            return None if text is None else json.loads(text)
        except (ValueError, RecursionError):
            log.warning("the setting %s cannot be read and counts as not set", key)
            return None

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
