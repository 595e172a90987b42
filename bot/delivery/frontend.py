"""What delivery asks of a front end, and how a front end says that it cannot.

The protocol stands on its caller's side: front ends implement it, `results.py` and `status_updates.py` call it.
Knows no front end.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from bot.errors import BotError
from bot.jobs import Job, QueueStatus, ReplyTo


class MessageGone(BotError):
    """The message was deleted by its person or a moderator: nothing may be posted in its place."""


class DeliveryDelayed(BotError):
    """The front end cannot take it now; try again, not before `after_s`."""

    def __init__(self, after_s: float = 0.0) -> None:
        super().__init__(f"try again in {after_s:.0f} s")
        self.after_s = after_s


class DeliveryImpossible(BotError):
    """Every way to reach the person failed for good; they are told on their next command."""


class Frontend(Protocol):
    """What a front end does for jobs that came through it."""

    name: str
    is_live: bool  # what people see follows the queue by itself: no message to edit, no place to claim

    async def show(self, job: Job, standing: QueueStatus) -> None:
        """Edit the message of an unfinished job; best effort, one call at a time.

        Raises:
            MessageGone, DeliveryDelayed
        """

    async def deliver(self, job: Job, image: Path | None) -> ReplyTo:
        """Say how a job ended: its picture, its failure, its cancelling. Safe to repeat.

        Returns:
            Where the answer now stands.

        Raises:
            MessageGone, DeliveryDelayed, DeliveryImpossible
        """
