"""The `Frontend` of the page. Open pages poll, so nothing is sent to them.

The job table takes the place of delivery: whoever opens the page, now or after a restart, sees the queue, the gallery
and the failures.
"""

from __future__ import annotations

from pathlib import Path

from bot.frontends.web.identity import FRONTEND
from bot.jobs import Job, QueueStatus, ReplyTo


class WebFrontend:
    """Shows and delivers jobs that came through the page or its API."""

    name = FRONTEND
    is_live = True

    async def show(self, job: Job, standing: QueueStatus) -> None:
        """Do nothing, and be never asked to: an open page asks for the standing every second."""

    async def deliver(self, job: Job, image: Path | None) -> ReplyTo:
        """Nothing to send: the picture is in the person's gallery as soon as its row says so."""
        return job.reply_to
