"""What is foretold is what happens: the pure forecast against the SQL that claims."""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.config import LimitsConfig
from bot.jobs import ReplyTo, Request, UserKey
from bot.scheduling.eta import Pace, claim_order, finish_times, measured_pace, size_class
from bot.store.database import Database
from bot.store.job_store import JobStore, Measurement
from pipeline import ImageOptions, ImageSpec

NOW = 1_800_000_000
SPEC = ImageSpec(prompt="x", seed=1, steps=1, width=64, height=64, guidance=1.0, cfg_scale=1.0, model="fake")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9)), max_size=8))
def test_order_foretold_is_the_order_claimed(asked: list[tuple[str, int]]) -> None:
    """For any mix of people and sizes, if every job takes exactly as long as expected."""

    async def compare() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with Database.open(Path(folder) / "test.db") as database:
                jobs = JobStore(database)
                for number, (user, steps) in enumerate(asked):
                    request = Request(
                        user=UserKey(frontend="t", id=user),
                        reply_to=ReplyTo(frontend="t", key=str(number), address="{}"),
                        options=ImageOptions(prompt="x"),
                        key=str(number),
                    )
                    spec = dataclasses.replace(SPEC, steps=steps)
                    limits = LimitsConfig(max_active_per_user=99, cooldown_s=0)
                    await jobs.insert(request, spec, size_class=0, limits=limits, now=NOW)
                waiting = await jobs.unfinished()
                foretold = claim_order(waiting, {}, lambda job: float(job.spec.steps))
                claimed = []
                while (job := await jobs.claim(now=NOW)) is not None:
                    claimed.append(job.id)
                    await jobs.finish(
                        job.id,
                        image_path="x",
                        image_bytes=1,
                        ran_s=float(job.spec.steps),
                        measured=Measurement(step_s=1.0, fixed_s=0.0),
                        now=NOW,
                    )
                assert [job.id for job in foretold] == claimed

    asyncio.run(compare())


def test_finish_times_add_up_on_one_slot_and_overlap_on_two() -> None:
    assert finish_times([5.0], [10.0, 1.0], 1) == [15.0, 16.0]
    assert finish_times([], [10.0, 1.0], 1) == [10.0, 11.0]
    assert finish_times([5.0], [10.0, 1.0], 2) == [10.0, 6.0]


def test_pace_is_the_median_and_rough_before_three_measurements() -> None:
    assert measured_pace([], []) is None
    assert measured_pace([1.0, 3.0], [0.5, 0.5]) == Pace(step_s=2.0, fixed_s=0.5, is_rough=True)
    pace = measured_pace([1.0, 1.2, 60.0], [0.5, 0.5, 0.5])
    assert pace == Pace(step_s=1.2, fixed_s=0.5, is_rough=False)  # one throttled run does not spoil it
    assert pace.seconds(10) == 12.5


def test_shapes_of_about_one_megapixel_share_a_size_class() -> None:
    sizes = [(1024, 1024), (832, 1216), (1344, 768)]
    assert {size_class(dataclasses.replace(SPEC, width=w, height=h)) for w, h in sizes} == {4}
    assert size_class(dataclasses.replace(SPEC, width=512, height=512)) == 1
