"""Waiting for jobs to end while a worker draws them."""

from __future__ import annotations

import asyncio

from bot.jobs import Job
from bot.store.job_store import JobStore


async def ended(jobs: JobStore, job: Job) -> Job:
    """Return a job once it has ended."""
    while True:
        latest = await jobs.get(job.id)
        assert latest is not None
        if latest.status.is_final:
            return latest
        await asyncio.sleep(0.01)


async def all_ended(jobs: JobStore, *put_jobs: Job) -> list[Job]:
    """Return several jobs once all of them have ended."""
    return [await ended(jobs, job) for job in put_jobs]
