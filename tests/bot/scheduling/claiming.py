"""The next job in fair order, claimed as one runner that draws everything does."""

from __future__ import annotations

from bot.jobs import Job, JobStatus
from bot.scheduling.placement import Ticket, fair_order
from bot.store.job_store import JobStore


async def claim_next(jobs: JobStore, *, now: int) -> Job | None:
    """Start the job whose turn it is; None if none waits."""
    waiting = [job for job in await jobs.unfinished() if job.status is JobStatus.QUEUED]
    tickets = [Ticket(id=job.id, user=job.user, model=None, seconds=float(job.spec.steps)) for job in waiting]
    for ticket in fair_order(tickets, await jobs.gpu_seconds(now=now)):
        if (job := await jobs.claim(ticket.id, now=now)) is not None:
            return job
    return None
