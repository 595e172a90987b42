"""What several stores say of jobs in SQL, in the same words. Pure."""

from __future__ import annotations

from typing import Final

from bot.jobs import UserKey
from bot.store.database import SqlValue
from bot.store.horizon import DAY_S

FAIRNESS_WINDOW_S: Final = 3600

# SQLite takes the index of unfinished jobs only if its condition stands there in these words.
UNFINISHED: Final = "status IN ('queued', 'running')"
RAN_S: Final = f"CASE WHEN ran_s BETWEEN 0 AND {DAY_S} THEN ran_s ELSE 0 END"  # what is no time counts as none
MINE: Final = "user_frontend = :user_frontend AND user_id = :user_id"  # with `values_of`
QUEUED: Final = f"{UNFINISHED} AND status = 'queued'"
# Failed jobs and jobs cancelled before they started cost nothing.
COUNTS: Final = "NOT (status = 'failed' OR (status = 'cancelled' AND started_at IS NULL))"
COST: Final = "CASE WHEN cost BETWEEN 0 AND 1000 THEN cost ELSE 1 END"  # what is no cost counts as one image
# Rows of the future were written while the clock was wrong: they bind nobody until then.
TODAY: Final = f"queued_at > :now - {DAY_S} AND queued_at <= :now"
LAST_HOUR: Final = f"finished_at > :now - {FAIRNESS_WINDOW_S} AND finished_at <= :now"
# The images of one request are one thing that waits or runs.
REQUESTS: Final = "COUNT(DISTINCT COALESCE(batch_id, id))"
# What is left of jobs that were erased together with all else of their person: it counts once the job is gone.
SPENT: Final = "person = :person AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = spent.job_id)"
IS_ERASING: Final = f"EXISTS (SELECT 1 FROM erasures WHERE {MINE})"
# What a job drew and from what words is forgotten, from :now on.
FORGOTTEN: Final = """
    failure_code = NULL, image_path = NULL, image_bytes = NULL, is_kept = 0,
    erased_at = COALESCE(erased_at, :now),
    started_at = iif(status = 'done', COALESCE(started_at, queued_at), started_at),
    spec = iif(
        json_valid(spec),
        json_remove(
            json_set(spec, '$.prompt', '', '$.source', '', '$.strength', 1.0),
            '$.negative_prompt', '$.references', '$.translated', '$.translated_negative'
        ),
        '{}'
    )
"""


def values_of(user: UserKey) -> dict[str, SqlValue]:
    """Return the values of `MINE`."""
    return {"user_frontend": user.frontend, "user_id": user.id}
