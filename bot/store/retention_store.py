"""What of jobs is kept and what goes, in SQL: pruned with time, erased by their person, or with their person."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from bot.jobs import Job, UserKey, Verb
from bot.store.job_rows import JobTable, keys_in, text_of, whole_of
from bot.store.job_sql import FORGOTTEN, MINE, UNFINISHED, values_of

TAKE_BACK_S: Final = 30
COUNTED_AT_ONCE: Final = 2000  # rows, some 5 ms
CHANGED_AT_ONCE: Final = 200
FROM_RESULT: Final = "(" + ", ".join(f"'{verb}'" for verb in Verb if verb.starts_from_result) + ")"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The rows of one person's jobs."""

    jobs: int
    images: int
    kept: int
    private: int
    unfinished: int
    bytes: int
    oldest_at: int | None

    def plus(self, other: Counts) -> Counts:
        """Add the rows of a later part."""
        moments = [each.oldest_at for each in (self, other) if each.oldest_at is not None]
        return Counts(
            jobs=self.jobs + other.jobs,
            images=self.images + other.images,
            kept=self.kept + other.kept,
            private=self.private + other.private,
            unfinished=self.unfinished + other.unfinished,
            bytes=self.bytes + other.bytes,
            oldest_at=min(moments, default=None),
        )


NO_JOBS: Final = Counts(jobs=0, images=0, kept=0, private=0, unfinished=0, bytes=0, oldest_at=None)


class RetentionStore(JobTable):
    """What pruning, erasing and whoever asks about their own data ask of the `jobs` table."""

    # ── one job ─────────────────────────────────────────────────────────────────────────────────────────

    async def keep(self, job_id: int, *, limit: int) -> Job | None:
        """Keep a picture from being forgotten; None if there is none, or its person keeps `limit` already."""
        return await self._one(
            """
            UPDATE jobs
            SET is_kept = 1
            WHERE id = :id AND status = 'done' AND (is_kept = 1 OR :limit > (
                SELECT COUNT(*) FROM jobs AS kept
                WHERE kept.is_kept = 1 AND kept.user_frontend = jobs.user_frontend AND kept.user_id = jobs.user_id
            ))
            RETURNING *
            """,
            {"id": job_id, "limit": limit},
        )

    async def unkeep(self, job_id: int) -> Job | None:
        """Let a picture be forgotten in its time again; None if there is no such job."""
        return await self._one("UPDATE jobs SET is_kept = 0 WHERE id = :id RETURNING *", {"id": job_id})

    async def erase(self, job_id: int, *, now: int) -> Job | None:
        """Forget what a job drew and from what words; None if it has not ended. Its file has to be gone already.

        Taking its message back is due like a result, TAKE_BACK_S from now: whoever erased tries first.
        """
        return await self._one(
            f"""
            UPDATE jobs
            SET status = 'cancelled',
                {FORGOTTEN},
                delivery = iif(delivery = 'dropped' OR erased_at IS NOT NULL, delivery, 'pending'),
                next_delivery_at = :now + {TAKE_BACK_S}
            WHERE id = :id AND NOT {UNFINISHED}
            RETURNING *
            """,
            {"id": job_id, "now": now},
        )

    async def ended_before(self, moment: int, *, limit: int) -> list[Job]:
        """The jobs that ended longest ago, apart from those whose picture is kept."""
        return await self._many(
            "SELECT * FROM jobs WHERE finished_at < :moment AND is_kept <> 1 ORDER BY finished_at, id LIMIT :limit",
            {"moment": moment, "limit": limit},
        )

    async def delete(self, job_ids: Sequence[int]) -> None:
        """Forget these jobs; their pictures have to be gone already."""
        await self._database.fetch_all(
            "DELETE FROM jobs WHERE id IN (SELECT value FROM json_each(:ids))", {"ids": json.dumps(list(job_ids))}
        )

    # ── one person ──────────────────────────────────────────────────────────────────────────────────────

    async def of_user(self, user: UserKey, *, after_id: int, limit: int) -> list[Job]:
        """Every job of a person with a higher number than `after_id`, erased ones too, oldest first."""
        return await self._many(
            f"""
            SELECT * FROM jobs INDEXED BY jobs_of_user_by_id
            WHERE {MINE} AND id > :after_id
            ORDER BY id
            LIMIT :limit
            """,
            {**values_of(user), "after_id": after_id, "limit": limit},
        )

    async def counts(self, user: UserKey) -> Counts:
        """How many jobs and images there are.

        Every row of the person has to be read: some at once, so that whoever else asks is answered in between.
        """
        total, after_id = NO_JOBS, 0
        while True:
            rows = await self._database.fetch_all(
                f"""
                SELECT
                    COUNT(*) AS jobs,
                    COUNT(*) FILTER (WHERE status = 'done') AS images,
                    COUNT(*) FILTER (WHERE is_kept = 1) AS kept,
                    COUNT(*) FILTER (WHERE is_private <> 0) AS private,
                    COUNT(*) FILTER (WHERE {UNFINISHED}) AS unfinished,
                    COALESCE(SUM(iif(typeof(image_bytes) = 'integer', image_bytes, 0)), 0) AS bytes,
                    MIN(iif(typeof(queued_at) = 'integer', queued_at, NULL)) AS oldest_at,
                    MAX(id) AS last_id
                FROM (
                    SELECT id, status, is_kept, is_private, image_bytes, queued_at
                    FROM jobs INDEXED BY jobs_of_user_by_id
                    WHERE {MINE} AND id > :after_id
                    ORDER BY id
                    LIMIT {COUNTED_AT_ONCE}
                )
                """,
                {**values_of(user), "after_id": after_id},
            )
            counted = dict(rows[0])
            after_id = counted.pop("last_id")
            total = total.plus(Counts(**counted))
            if counted["jobs"] < COUNTED_AT_ONCE:
                return total

    async def drop_deliveries(self, user: UserKey) -> None:
        """Let no result of this person be delivered any more; some rows at once, as `counts`."""
        after_id: int | None = 0
        while after_id is not None:
            rows = await self._database.fetch_all(
                f"""
                UPDATE jobs
                SET delivery = 'dropped'
                WHERE id IN (
                    SELECT id FROM jobs INDEXED BY jobs_of_user_by_id
                    WHERE {MINE} AND id > :after_id AND delivery <> 'dropped'
                    ORDER BY id
                    LIMIT {CHANGED_AT_ONCE}
                )
                RETURNING id
                """,
                {**values_of(user), "after_id": after_id},
            )
            after_id = max((row["id"] for row in rows), default=None)

    async def made_from(self, user: UserKey) -> list[Job]:
        """The jobs of others that need an image which came from a job of this person, or which such a job needed.

        A picture that was drawn from one of those is its own person's, and so is what starts from it.
        """
        return await self._many(
            f"""
            WITH RECURSIVE made_from (id, needed, is_mine) AS (
                SELECT id, NULL, TRUE FROM jobs INDEXED BY jobs_of_user_by_id WHERE {MINE}
                UNION
                SELECT jobs.id, jobs.source, FALSE FROM made_from
                JOIN jobs INDEXED BY jobs_derived_with_source ON jobs.derived_from = made_from.id
                WHERE jobs.source <> '' AND jobs.derived_from IS NOT NULL
                  AND (is_mine OR jobs.source = made_from.needed OR jobs.derived_by NOT IN {FROM_RESULT})
                UNION
                SELECT jobs.id, jobs.reference_keys, FALSE FROM made_from
                JOIN jobs INDEXED BY jobs_derived_with_references ON jobs.derived_from = made_from.id
                WHERE jobs.reference_keys <> '' AND jobs.derived_from IS NOT NULL
                  AND (is_mine OR jobs.reference_keys = made_from.needed OR jobs.derived_by NOT IN {FROM_RESULT})
            )
            SELECT * FROM jobs WHERE id IN (SELECT id FROM made_from WHERE NOT is_mine) AND NOT ({MINE}) ORDER BY id
            """,
            values_of(user),
        )

    async def drop_inputs(self, job_ids: Collection[int]) -> None:
        """Forget which images these jobs needed, if they have ended; the files have to be gone already."""
        await self._database.fetch_all(
            f"""
            UPDATE jobs
            SET spec = json_remove(json_set(spec, '$.source', '', '$.strength', 1.0), '$.references')
            WHERE id IN (SELECT value FROM json_each(:ids)) AND json_valid(spec) AND NOT {UNFINISHED}
            """,
            {"ids": json.dumps(list(job_ids))},
        )

    async def inputs_of_others(self, user: UserKey, keys: Collection[str], *, but: Collection[int]) -> set[str]:
        """Which of these images, by `Job.input_keys`, a job of somebody else needs, apart from the jobs `but`."""
        values = {**values_of(user), "keys": json.dumps(list(keys)), "but": json.dumps(list(but))}
        starts = await self._database.fetch_all(
            f"""
            SELECT DISTINCT source FROM jobs
            WHERE source IN (SELECT value FROM json_each(:keys)) AND source <> '' AND NOT ({MINE})
              AND id NOT IN (SELECT value FROM json_each(:but))
            """,
            values,
        )
        lists = await self._database.fetch_all(
            f"""
            SELECT reference_keys FROM jobs INDEXED BY jobs_with_references
            WHERE reference_keys <> '' AND NOT ({MINE}) AND id NOT IN (SELECT value FROM json_each(:but))
            """,
            values,
        )
        return {row["source"] for row in starts} | (keys_in(lists) & set(keys))

    # ── all jobs ────────────────────────────────────────────────────────────────────────────────────────

    async def inputs(self) -> set[str]:
        """The images that any job starts from or looks at, by `Job.input_keys`."""
        starts = await self._database.fetch_all("SELECT DISTINCT source FROM jobs WHERE source <> ''")
        lists = await self._database.fetch_all("SELECT DISTINCT reference_keys FROM jobs WHERE reference_keys <> ''")
        return {row["source"] for row in starts if isinstance(row["source"], str)} | keys_in(lists)

    async def image_paths(self, job_ids: Collection[int]) -> set[str]:
        """The picture files that the rows of these jobs name."""
        rows = await self._database.fetch_all(
            "SELECT image_path FROM jobs WHERE id IN (SELECT value FROM json_each(:ids)) AND image_path IS NOT NULL",
            {"ids": json.dumps(list(job_ids))},
        )
        return {text_of(row["image_path"]) for row in rows}

    async def newest_at(self) -> int | None:
        """When the last job ended."""
        row = await self._database.fetch_one(
            "SELECT MAX(finished_at) AS newest_at FROM jobs WHERE finished_at IS NOT NULL"
        )
        return None if row is None else whole_of(row["newest_at"])

    async def last_number(self) -> int:
        """The highest number that a job here ever had; 0 before the first one."""
        row = await self._database.fetch_one("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'")
        return row["seq"] if row is not None and isinstance(row["seq"], int) else 0

    async def renumber(self, above: int) -> None:
        """Give jobs with numbers that nobody ever gave the next that are free: after the largest there is no other."""
        while await self._database.fetch_all(
            """
            UPDATE jobs SET id = (SELECT COALESCE(MAX(id), 0) + 1 FROM jobs WHERE id <= :above)
            WHERE id = (SELECT MAX(id) FROM jobs WHERE id > :above)
            RETURNING id
            """,
            {"above": above},
        ):
            pass
        row = await self._database.fetch_one("SELECT MAX(id) AS last FROM jobs")
        await self.number_from(0 if row is None else row["last"] or 0)

    async def number_from(self, last: int) -> None:
        """Number the next job `last` + 1."""
        await self._database.fetch_all("DELETE FROM sqlite_sequence WHERE name = 'jobs'")
        await self._database.fetch_all("INSERT INTO sqlite_sequence (name, seq) VALUES ('jobs', :last)", {"last": last})
