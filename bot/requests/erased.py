"""Say of an erased image who erased it. Pure."""

from __future__ import annotations

from bot.errors import PictureErased, PictureRemoved
from bot.jobs import Job


def check_not_erased(job: Job) -> None:
    """Check that a picture was not deleted.

    Raises:
        PictureRemoved: a moderator removed it.
        PictureErased: its person deleted it.
    """
    if job.is_erased and job.moderated_reason is not None:
        raise PictureRemoved(job.id, job.moderated_reason)
    if job.is_erased:
        raise PictureErased(job.id)
