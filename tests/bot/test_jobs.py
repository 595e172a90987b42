"""The life of a job, as a state machine: whatever is called in whatever order, the table obeys LEGAL_MOVES."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bot.config import LimitsConfig
from bot.jobs import (
    Delivery,
    FailureCode,
    Job,
    JobStatus,
    ReplyTo,
    Request,
    StopReason,
    StopSignal,
    UserKey,
)
from bot.store.database import Database
from bot.store.job_store import JobStore
from bot.store.usage_store import Measurement
from pipeline import ImageOptions, ImageSpec
from tests.bot.scheduling.claiming import claim_next

T = TypeVar("T")
LEGAL_MOVES = {
    JobStatus.QUEUED: {JobStatus.RUNNING, JobStatus.CANCELLED},
    JobStatus.RUNNING: {JobStatus.QUEUED, JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED},
    JobStatus.DONE: set(),
    JobStatus.FAILED: set(),
    JobStatus.CANCELLED: set(),
}
NOW = 1_800_000_000
MAX_ATTEMPTS = 2
SPEC = ImageSpec(prompt="x", seed=1, steps=1, width=64, height=64, guidance=1.0, cfg_scale=1.0, model="fake")


class LifeOfJobs(RuleBasedStateMachine):
    """Three people, any order of calls, crashes included."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.opened = Database.open(Path(self.folder.name) / "test.db")
        self.before: dict[int, Job] = {}
        self.number = 0

    def run(self, call: Awaitable[T]) -> T:
        async def wrapped() -> T:
            return await call

        return self.runner.run(wrapped())

    @initialize()
    def open(self) -> None:
        self.jobs = JobStore(self.run(self.opened.__aenter__()))

    def teardown(self) -> None:
        self.run(self.opened.__aexit__(None, None, None))
        self.runner.close()
        self.folder.cleanup()

    @rule(user=st.sampled_from("abc"))
    def put(self, user: str) -> None:
        self.number += 1
        request = Request(
            user=UserKey(frontend="t", id=user),
            reply_to=ReplyTo(frontend="t", key=str(self.number), address="{}"),
            options=ImageOptions(prompt="x"),
            key=str(self.number),
        )
        limits = LimitsConfig(max_waiting=5, max_active_per_user=3, max_images_per_day=99, cooldown_s=0)
        self.run(self.jobs.insert(request, SPEC, size_class=0, limits=limits, now=NOW))

    @rule()
    def claim(self) -> None:
        self.run(claim_next(self.jobs, now=NOW))

    @rule(job=st.integers(1, 8))
    def finish(self, job: int) -> None:
        measured = Measurement(step_s=1.0, fixed_s=1.0)
        self.run(self.jobs.finish(job, image_path="x", image_bytes=1, ran_s=1.0, measured=measured, now=NOW))

    @rule(job=st.integers(1, 8), code=st.sampled_from(FailureCode))
    def fail(self, job: int, code: FailureCode) -> None:
        self.run(self.jobs.fail(job, code, ran_s=1.0, now=NOW))

    @rule(job=st.integers(1, 8))
    def cancel_queued(self, job: int) -> None:
        self.run(self.jobs.cancel_queued(job, now=NOW))

    @rule(job=st.integers(1, 8))
    def request_cancel(self, job: int) -> None:
        self.run(self.jobs.request_cancel(job))

    @rule(job=st.integers(1, 8))
    def cancel_running(self, job: int) -> None:
        self.run(self.jobs.cancel_running(job, ran_s=1.0, now=NOW))

    @rule(job=st.integers(1, 8))
    def requeue(self, job: int) -> None:
        self.run(self.jobs.requeue(job, now=NOW))

    @rule(job=st.integers(1, 8))
    def delete_card(self, job: int) -> None:
        self.run(self.jobs.drop_message("t", str(job)))

    @rule()
    def crash_and_recover(self) -> None:
        self.run(self.jobs.recover(max_attempts=MAX_ATTEMPTS, now=NOW))

    @invariant()
    def every_move_was_legal(self) -> None:
        after = {number: job for number in range(1, self.number + 1) if (job := self.run(self.jobs.get(number)))}
        for number, job in after.items():
            if (earlier := self.before.get(number)) is not None and earlier.status is not job.status:
                assert job.status in LEGAL_MOVES[earlier.status]
            assert 0 <= job.attempts <= MAX_ATTEMPTS
            assert job.status.is_final == (job.delivery in {Delivery.PENDING, Delivery.DROPPED}) or (
                job.delivery is Delivery.DROPPED
            )
        assert sum(job.status is JobStatus.QUEUED for job in after.values()) <= 5 + 3  # crashes may bring some back
        self.before = after


TestLifeOfJobs = LifeOfJobs.TestCase
TestLifeOfJobs.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)


def test_first_reason_to_stop_wins() -> None:
    stop = StopSignal()
    assert not stop.is_set()
    stop.set(StopReason.USER)
    stop.set(StopReason.SHUTDOWN)
    assert stop.is_set() and stop.reason is StopReason.USER


def test_final_statuses_are_those_without_moves() -> None:
    assert {status for status in JobStatus if status.is_final} == {
        JobStatus.DONE,
        JobStatus.FAILED,
        JobStatus.CANCELLED,
    }
