"""Jobs that are drawn without a queue or an engine, for the tests of the stores."""

from __future__ import annotations

from bot.jobs import Job
from bot.store.job_store import JobStore
from bot.store.usage_store import Measurement
from tests.bot.scheduling.claiming import claim_next

NOW = 1_800_000_000
MEASURED = Measurement(step_s=0.5, fixed_s=1.0)


async def draw(jobs: JobStore, *, ran_s: float = 10.0, now: int = NOW) -> Job:
    """Claim the next job and finish it."""
    job = await claim_next(jobs, now=now)
    assert job is not None
    done = await jobs.finish(job.id, image_path="a.png", image_bytes=3, ran_s=ran_s, measured=MEASURED, now=now)
    assert done is not None
    return done


async def end(jobs: JobStore, job: Job) -> None:
    """Claim one job and finish it, long ago."""
    await jobs.claim(job.id, now=1)
    await jobs.finish(job.id, image_path="a", image_bytes=1, ran_s=1.0, measured=MEASURED, now=1)
