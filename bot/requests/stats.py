"""Numbers about the service for its operator."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bot.jobs import JobStatus
from bot.requests.models import Models
from bot.scheduling.job_queue import JobQueue
from bot.store.horizon import DAY_S
from bot.store.image_store import ImageStore
from bot.store.job_store import JobStore
from pipeline.device.runtime_estimate import RuntimeEstimate
from pipeline.spec import Aspect, ImageOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Numbers for the operator. "Today" is the last 24 hours."""

    waiting: int
    running: int
    done_today: int
    failed_today: int
    cancelled_today: int
    gpu_s_today: float
    step_s: float | None  # median of the active model's square pictures; None before any was measured
    disk_free_bytes: int
    model: str
    uptime_s: float
    outlook: RuntimeEstimate | None  # of a large model on this GPU


async def collect_stats(
    jobs: JobStore, queue: JobQueue, images: ImageStore, models: Models, *, now: int, uptime_s: float
) -> Stats:
    """Collect the numbers; `now` is in Unix seconds."""
    unfinished = await jobs.unfinished()
    running = sum(job.status is JobStatus.RUNNING for job in unfinished)
    totals = await jobs.totals(since=now - DAY_S, until=now)
    square = models.usual.resolve(ImageOptions(prompt="x", aspect=Aspect.SQUARE), random_seed=0)
    pace = await queue.paces.measured(square)
    return Stats(
        waiting=len(unfinished) - running,
        running=running,
        done_today=totals.done,
        failed_today=totals.failed,
        cancelled_today=totals.cancelled,
        gpu_s_today=totals.gpu_s,
        step_s=None if pace is None else pace.step_s,
        disk_free_bytes=await images.free_bytes(),
        model=models.usual.name,
        uptime_s=uptime_s,
        outlook=await asyncio.to_thread(models.estimate_runtime),
    )
