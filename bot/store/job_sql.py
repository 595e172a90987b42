"""What several stores say of jobs in SQL, in the same words. Pure."""

from __future__ import annotations

from typing import Final

from bot.jobs import UserKey
from bot.store.database import SqlValue
from bot.store.horizon import DAY_S

# SQLite takes the index of unfinished jobs only if its condition stands there in these words.
UNFINISHED: Final = "status IN ('queued', 'running')"
RAN_S: Final = f"CASE WHEN ran_s BETWEEN 0 AND {DAY_S} THEN ran_s ELSE 0 END"  # what is no time counts as none
MINE: Final = "user_frontend = :user_frontend AND user_id = :user_id"  # with `values_of`
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
