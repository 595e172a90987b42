"""Every SQL statement about all that is stored of one person: to be counted, exported and erased.

Jobs are `job_store.py`. What is done in which order, so that an interruption leaves nothing half forgotten, is
`bot/requests/erasure.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bot.jobs import UserKey
from bot.store.database import Database
from bot.store.horizon import DAY_S

MINE: Final = "user_frontend = :user_frontend AND user_id = :user_id"
# Whatever still names somebody.
_IS_NAMED: Final = " OR ".join(
    f"EXISTS (SELECT 1 FROM {table} WHERE {MINE})"
    for table in ("jobs", "user_settings", "presets", "bans", "user_quotas")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ban:
    """What a moderator decided about a person."""

    reason: str
    banned_at: int
    until_at: int | None


class PrivacyStore:
    """All that is stored of a person, apart from what the jobs say."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # ── looking ─────────────────────────────────────────────────────────────────────────────────────

    async def choices(self, user: UserKey) -> dict[str, str]:
        """The person's settings by name."""
        rows = await self._database.fetch_all(
            f"SELECT name, value FROM user_settings WHERE {MINE} ORDER BY name", _values(user)
        )
        return {str(row["name"]): str(row["value"]) for row in rows}

    async def presets(self, user: UserKey) -> dict[str, object]:
        """The person's presets by name; None in place of one that is damaged."""
        rows = await self._database.fetch_all(
            f"SELECT name, options FROM presets WHERE {MINE} ORDER BY name", _values(user)
        )
        return {str(row["name"]): _parsed(row["options"]) for row in rows}

    async def ban(self, person: str) -> Ban | None:
        """The ban under a pseudonym, also one that is over."""
        row = await self._database.fetch_one(
            "SELECT reason, banned_at, until_at FROM bans WHERE person = :person", {"person": person}
        )
        return None if row is None else Ban(**dict(row))

    async def own_limit(self, person: str) -> int | None:
        """The images per day that a moderator allowed somebody, by pseudonym; None if nobody did."""
        row = await self._database.fetch_one(
            "SELECT max_images_per_day FROM user_quotas WHERE person = :person", {"person": person}
        )
        return None if row is None else int(row["max_images_per_day"])

    # ── erasing ─────────────────────────────────────────────────────────────────────────────────────

    async def begin(self, user: UserKey, *, now: int) -> None:
        """Note that everything of a person is to be erased. From here on no job of theirs is accepted."""
        await self._database.fetch_all(
            """
            INSERT OR IGNORE INTO erasures (user_frontend, user_id, asked_at)
            VALUES (:user_frontend, :user_id, :now)
            """,
            {**_values(user), "now": now},
        )

    async def pending(self) -> list[UserKey]:
        """Whose erasure is not done yet, oldest first."""
        rows = await self._database.fetch_all("SELECT user_frontend, user_id FROM erasures ORDER BY asked_at")
        return [UserKey(frontend=str(row["user_frontend"]), id=str(row["user_id"])) for row in rows]

    async def end(self, user: UserKey) -> bool:
        """Note that an erasure is done; False if a row names its person after all."""
        rows = await self._database.fetch_all(
            f"DELETE FROM erasures WHERE {MINE} AND NOT ({_IS_NAMED}) RETURNING user_frontend", _values(user)
        )
        return bool(rows)

    async def forget_choices(self, user: UserKey) -> None:
        """Delete the person's settings."""
        await self._database.fetch_all(f"DELETE FROM user_settings WHERE {MINE}", _values(user))

    async def forget_presets(self, user: UserKey) -> None:
        """Delete the person's presets."""
        await self._database.fetch_all(f"DELETE FROM presets WHERE {MINE}", _values(user))

    async def unname_ban(self, user: UserKey) -> None:
        """Take the id out of a ban, which holds on under the pseudonym."""
        await self._database.fetch_all(f"UPDATE bans SET user_id = NULL WHERE {MINE}", _values(user))

    async def unname_quota(self, user: UserKey) -> None:
        """Take the id out of a limit of the person's own, which holds on under the pseudonym."""
        await self._database.fetch_all(f"UPDATE user_quotas SET user_id = NULL WHERE {MINE}", _values(user))

    async def prune_spent(self, *, now: int) -> None:
        """Delete what counts toward no day any more."""
        await self._database.fetch_all(
            f"DELETE FROM spent WHERE queued_at <= :now - {DAY_S} AND finished_at <= :now - {DAY_S}", {"now": now}
        )


def _values(user: UserKey) -> Mapping[str, str | int | float | None]:
    return {"user_frontend": user.frontend, "user_id": user.id}


def _parsed(options: object) -> object:
    try:
        return json.loads(options) if isinstance(options, str) else None
    except (ValueError, RecursionError):
        return None
