"""The views of the images of one request → the view of their one message. Pure: no I/O.

What is said about a single image is `job_view.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bot.jobs import Job, JobStatus
from bot.presentation.job_view import ACTIONS, JobView
from bot.presentation.phrases import Phrase, Value


def together(views: Sequence[JobView]) -> JobView:
    """View the images of one request as one message; `views` are in their order, at least one.

    While something is unfinished, the message speaks of the image that is being drawn, else of the one that is next.
    """
    if len(views) == 1:
        return views[0]
    jobs = [view.job for view in views]
    done = sum(job.image_path is not None for job in jobs)
    leader = _leader(views)
    model = leader.settings.values["model"]
    settings = _settings(jobs, model)
    if not leader.job.status.is_final:
        of_batch = Phrase("card-batch", {"done": done, "count": len(jobs)})
        return replace(leader, of_batch=of_batch, settings=settings)
    if not done:
        return replace(leader, settings=settings)
    return replace(
        leader,
        headline=_done(done, of=len(jobs)),
        notes=(*leader.notes, *_not_done(views)),
        settings=_settings([job for job in jobs if job.image_path is not None], model),
        actions=tuple(action for action in ACTIONS[JobStatus.DONE] if any(action in view.actions for view in views)),
    )


def _done(done: int, *, of: int) -> Phrase:
    if done == of:
        return Phrase("card-done-all", {"count": of})
    return Phrase("card-done-several", {"done": done, "count": of})


def _not_done(views: Sequence[JobView]) -> Iterator[Phrase]:
    """Say what became of the others, so that nobody waits for them."""
    if cancelled := sum(view.job.status is JobStatus.CANCELLED for view in views):
        yield Phrase("card-some-cancelled", {"count": cancelled})
    if (failed := next((view.reason for view in views if view.reason is not None), None)) is not None:
        yield Phrase("card-some-failed", {"reason": failed})


def _leader(views: Sequence[JobView]) -> JobView:
    for status in (JobStatus.RUNNING, JobStatus.QUEUED, JobStatus.DONE, JobStatus.FAILED):
        if (view := next((view for view in views if view.job.status is status), None)) is not None:
            return view
    return views[0]


def _settings(jobs: Sequence[Job], model: Value) -> Phrase:
    """`#42 #43 · seeds 7, 8 · 20 steps · 1024 × 1024 · FLUX.1 [dev]`."""
    spec = jobs[0].spec
    return Phrase(
        "card-settings-several",
        {
            "job_ids": " ".join(f"#{job.id}" for job in jobs),
            "seeds": ", ".join(str(job.spec.seed) for job in jobs),
            "steps": spec.steps,
            "width": spec.width,
            "height": spec.height,
            "model": model,
        },
    )
