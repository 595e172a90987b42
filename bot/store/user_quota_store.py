"""What moderators allow single people in a day: the `user_quotas` table, by pseudonym."""

from __future__ import annotations

from bot.jobs import UserKey
from bot.store.database import Database
from bot.store.pseudonyms import Pseudonyms


class UserQuotaStore:
    """The images per day of those people for whom somebody set them."""

    def __init__(self, database: Database, pseudonyms: Pseudonyms) -> None:
        self._database = database
        self.pseudonyms = pseudonyms

    async def get(self, user: UserKey) -> int | None:
        """How many images a day somebody may; None if nobody set it."""
        row = await self._database.fetch_one(
            "SELECT max_images_per_day FROM user_quotas WHERE person = :person",
            {"person": self.pseudonyms.of(user)},
        )
        found = None if row is None else row["max_images_per_day"]
        return found if isinstance(found, int) and found > 0 else None

    async def set(self, user: UserKey, images: int) -> None:
        """Remember how many."""
        await self._database.fetch_all(
            """
            INSERT INTO user_quotas (person, user_frontend, user_id, max_images_per_day)
            VALUES (:person, :frontend, :id, :images)
            ON CONFLICT DO UPDATE SET user_id = excluded.user_id, max_images_per_day = excluded.max_images_per_day
            """,
            {"person": self.pseudonyms.of(user), "frontend": user.frontend, "id": user.id, "images": images},
        )

    async def unname(self, user: UserKey) -> None:
        """Take the id out, and let the number hold on under the pseudonym."""
        await self._database.fetch_all(
            "UPDATE user_quotas SET user_id = NULL WHERE user_frontend = :frontend AND user_id = :id",
            {"frontend": user.frontend, "id": user.id},
        )

    async def forget(self, user: UserKey) -> None:
        """Forget it."""
        await self._database.fetch_all(
            "DELETE FROM user_quotas WHERE person = :person", {"person": self.pseudonyms.of(user)}
        )
