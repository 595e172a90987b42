"""What moderators decided: bans, blocked words, removed images and the copies that go with them.

One method, one statement, as in `job_store.py`, whose rows some of them change.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

from bot.jobs import Job, ReplyTo, UserKey
from bot.store.history_query import MAX_ID
from bot.store.job_rows import JobTable
from bot.store.job_sql import FORGOTTEN, MINE, UNFINISHED, values_of
from bot.store.retention_store import TAKE_BACK_S

# A waiting job ends now; a running one comes to rest by itself and ends then, after a crash at the next start.
_STOPPED: Final = """
    status = iif(status = 'running', 'running', 'cancelled'),
    finished_at = iif(status = 'running', finished_at, COALESCE(finished_at, :now)),
    is_cancel_requested = status IN ('queued', 'running'),
    moderated_reason = :reason,
    told_at = NULL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ban:
    """Somebody who may not draw. `person` is a pseudonym.

    user_id: None once the person had everything erased; the ban holds all the same.
    until_at: Unix seconds; None for no end.
    """

    person: str
    user_frontend: str
    user_id: str | None
    reason: str
    banned_at: int
    until_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedWord:
    """A word of the list, as it was typed. `is_restricted`: it is allowed in age-restricted channels."""

    word: str
    is_restricted: bool


class ModerationStore(JobTable):
    """The tables `bans`, `blocked_words` and `copies`, and what moderators do to rows of `jobs`."""

    # ── bans ────────────────────────────────────────────────────────────────────────────────────────

    async def bans(self) -> list[Ban]:
        """Every ban, those that ended too, the newest first."""
        rows = await self._database.fetch_all("SELECT * FROM bans ORDER BY banned_at DESC, person")
        return [_ban_of(row) for row in rows]

    async def ban(self, ban: Ban) -> None:
        """Note a ban; it takes the place of an earlier one of the same person."""
        await self._database.fetch_all(
            """
            INSERT INTO bans (person, user_frontend, user_id, reason, banned_at, until_at)
            VALUES (:person, :user_frontend, :user_id, :reason, :banned_at, :until_at)
            ON CONFLICT (person) DO UPDATE SET
                user_id = excluded.user_id, reason = excluded.reason, banned_at = excluded.banned_at,
                until_at = excluded.until_at
            """,
            {
                "person": ban.person,
                "user_frontend": ban.user_frontend,
                "user_id": ban.user_id,
                "reason": ban.reason,
                "banned_at": ban.banned_at,
                "until_at": ban.until_at,
            },
        )

    async def ban_of(self, person: str) -> Ban | None:
        """The ban of a person, also one that is over."""
        row = await self._database.fetch_one("SELECT * FROM bans WHERE person = :person", {"person": person})
        return None if row is None else _ban_of(row)

    async def unname_ban(self, user: UserKey) -> None:
        """Take the id out of a ban, which holds on under the pseudonym."""
        await self._database.fetch_all(
            "UPDATE bans SET user_id = NULL WHERE user_frontend = :frontend AND user_id = :id",
            {"frontend": user.frontend, "id": user.id},
        )

    async def unban(self, person: str) -> None:
        """Forget a ban."""
        await self._database.fetch_all("DELETE FROM bans WHERE person = :person", {"person": person})

    async def forget_ended_bans(self, *, moment: int) -> None:
        """Forget the bans that ended by then, and with them whose they were."""
        await self._database.fetch_all("DELETE FROM bans WHERE until_at <= :moment", {"moment": moment})

    # ── words ───────────────────────────────────────────────────────────────────────────────────────

    async def words(self) -> list[ListedWord]:
        """The list, in the order of its letters."""
        rows = await self._database.fetch_all("SELECT word, is_restricted FROM blocked_words ORDER BY word")
        return [ListedWord(word=str(row["word"]), is_restricted=row["is_restricted"] == 1) for row in rows]

    async def put_word(self, word: ListedWord, *, now: int) -> None:
        """Add a word, or say anew where it is refused."""
        await self._database.fetch_all(
            """
            INSERT INTO blocked_words (word, is_restricted, added_at) VALUES (:word, :is_restricted, :now)
            ON CONFLICT (word) DO UPDATE SET is_restricted = excluded.is_restricted
            """,
            {"word": word.word, "is_restricted": word.is_restricted, "now": now},
        )

    async def remove_word(self, word: str) -> None:
        """Take a word off the list, as it was typed."""
        await self._database.fetch_all("DELETE FROM blocked_words WHERE word = :word", {"word": word})

    # ── jobs ────────────────────────────────────────────────────────────────────────────────────────

    async def remove(self, job: Job, reason: str, *, now: int) -> Job | None:
        """Forget what a job drew, or is to draw, and from what words; None if it has another file than `job` by now.

        The file has to be gone already. The message of one that was drawn is taken back like that of one that its
        person erased, TAKE_BACK_S from now; that of another says why it ended.
        """
        return await self._one(
            f"""
            UPDATE jobs
            SET {_STOPPED},
                {FORGOTTEN},
                delivery = CASE
                    WHEN status = 'running' THEN delivery
                    WHEN status = 'queued' AND delivery = 'dropped' THEN 'dropped'
                    ELSE 'pending'
                END,
                next_delivery_at = iif(status IN ('queued', 'running'), next_delivery_at, :now + {TAKE_BACK_S})
            WHERE id = :id AND image_path IS :image_path
            RETURNING *
            """,
            {"id": job.id, "image_path": job.image_path, "reason": reason, "now": now},
        )

    async def stop_all_of(self, user: UserKey, reason: str, *, now: int) -> list[Job]:
        """Cancel what a person has waiting or running. Returns the jobs as they are now."""
        return await self._many(
            f"""
            UPDATE jobs INDEXED BY jobs_active_of_user
            SET {_STOPPED},
                delivery = iif(status = 'running' OR delivery = 'dropped', delivery, 'pending')
            WHERE {MINE} AND {UNFINISHED}
            RETURNING *
            """,
            {**values_of(user), "reason": reason, "now": now},
        )

    async def untold(self, user: UserKey) -> list[Job]:
        """What moderators removed or stopped of a person and that no message says, until that person is told."""
        return await self._many(
            f"""
            SELECT * FROM jobs INDEXED BY jobs_moderated_of_user
            WHERE {MINE} AND moderated_reason IS NOT NULL AND told_at IS NULL
              AND NOT {UNFINISHED}
              AND ((erased_at IS NOT NULL AND NOT is_cancel_requested) OR delivery IN ('dropped', 'undeliverable'))
            ORDER BY id
            """,
            values_of(user),
        )

    async def children(self, job_id: int) -> list[Job]:
        """The jobs that were made from one and need an image."""
        return await self._many(
            """
            SELECT * FROM jobs INDEXED BY jobs_derived_with_source
            WHERE derived_from = :id AND source <> ''
            UNION ALL
            SELECT * FROM jobs INDEXED BY jobs_derived_with_references
            WHERE derived_from = :id AND reference_keys <> ''
            ORDER BY id
            """,
            {"id": job_id},
        )

    async def repeats(self, job: Job) -> list[Job]:
        """The other jobs that show the very image of one, because it repeats them or they it; not those removed."""
        first = job.id if job.repeat_of is None else job.repeat_of
        return await self._many(
            """
            SELECT * FROM (
                SELECT * FROM jobs WHERE id = :first
                UNION ALL
                SELECT * FROM jobs INDEXED BY jobs_repeats WHERE repeat_of = :first
            )
            WHERE id <> :id AND NOT (erased_at IS NOT NULL AND moderated_reason IS NOT NULL)
            ORDER BY id
            """,
            {"id": job.id, "first": first if abs(first) <= MAX_ID else None},
        )

    async def waiting_from(self, key: str) -> list[Job]:
        """The unfinished jobs that need an image, by its key in `Job.input_keys`."""
        return await self._many(
            f"""
            SELECT * FROM jobs
            WHERE {UNFINISHED} AND :key <> '' AND (source = :key OR instr(reference_keys, :key) > 0)
            ORDER BY id
            """,
            {"key": key},
        )

    # ── copies ──────────────────────────────────────────────────────────────────────────────────────

    async def note_copy(self, job_id: int, reply_to: ReplyTo) -> None:
        """Note a message that shows the image of a job again."""
        await self._database.fetch_all(
            """
            INSERT INTO copies (frontend, key, address, job_id)
            SELECT :frontend, :key, :address, id FROM jobs WHERE id = :job_id
            ON CONFLICT DO NOTHING
            """,
            {
                "frontend": reply_to.frontend,
                "key": reply_to.key,
                "address": reply_to.address,
                "job_id": job_id if abs(job_id) <= MAX_ID else None,
            },
        )

    async def copies_of(self, job_id: int) -> list[ReplyTo]:
        """The messages that show the image of a job again."""
        rows = await self._database.fetch_all(
            "SELECT frontend, key, address FROM copies WHERE job_id = :job_id ORDER BY key", {"job_id": job_id}
        )
        return [ReplyTo(**dict(row)) for row in rows]

    async def take_copy(self, frontend: str, key: str) -> int | None:
        """Forget a copy, since its message is gone; returns the job that it showed, None if it is no copy."""
        row = await self._database.fetch_one(
            "DELETE FROM copies WHERE frontend = :frontend AND key = :key RETURNING job_id",
            {"frontend": frontend, "key": key},
        )
        return None if row is None else int(row["job_id"])


def _ban_of(row: sqlite3.Row) -> Ban:
    """Read a row, whatever it holds: an end that nobody can read has not come."""
    user_id, reason, banned_at, until_at = row["user_id"], row["reason"], row["banned_at"], row["until_at"]
    return Ban(
        person=str(row["person"]),
        user_frontend=str(row["user_frontend"]),
        user_id=user_id if isinstance(user_id, str) else None,
        reason=reason if isinstance(reason, str) else "",
        banned_at=banned_at if isinstance(banned_at, int) else 0,
        until_at=until_at if isinstance(until_at, int) else None,
    )
