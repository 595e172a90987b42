"""What moderators chose for channels: one value per channel and name, in the `channel_settings` table."""

from __future__ import annotations

import json
from collections.abc import Mapping

from bot.store.database import Database


class ChannelSettingStore:
    """Values of channels, by name. Who gives what a meaning is `bot/requests/channel_defaults.py`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, frontend: str, channel: str) -> Mapping[str, str]:
        """The values of one channel, by name."""
        rows = await self._database.fetch_all(
            "SELECT name, value FROM channel_settings WHERE frontend = :frontend AND channel = :channel",
            {"frontend": frontend, "channel": channel},
        )
        return {str(row["name"]): str(row["value"]) for row in rows}

    async def set(self, frontend: str, channel: str, values: Mapping[str, str]) -> None:
        """Remember these values; others stay."""
        await self._database.fetch_all(
            """
            INSERT INTO channel_settings (frontend, channel, name, value)
            SELECT :frontend, :channel, key, value FROM json_each(:values) WHERE TRUE
            ON CONFLICT DO UPDATE SET value = excluded.value
            """,
            {"frontend": frontend, "channel": channel, "values": json.dumps(dict(values))},
        )

    async def clear(self, frontend: str, channel: str) -> None:
        """Forget every value of one channel."""
        await self._database.fetch_all(
            "DELETE FROM channel_settings WHERE frontend = :frontend AND channel = :channel",
            {"frontend": frontend, "channel": channel},
        )
