"""What is foretold is what happens: the pure forecast against the queue that claims."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.config import LimitsConfig
from bot.jobs import ReplyTo, Request, UserKey
from bot.scheduling.eta import Pace, foretell, measured_pace, size_class
from bot.scheduling.job_queue import JobQueue
from bot.scheduling.load_times import Load
from bot.scheduling.placement import RunnerState, Ticket
from bot.store.database import Database
from bot.store.job_store import JobStore
from bot.store.key_value_store import SettingStore
from bot.store.usage_store import Measurement
from pipeline import ImageOptions, ImageSpec
from pipeline.catalog.models import MODELS, ModelCard

NOW = 1_800_000_000
SPEC = ImageSpec(prompt="x", seed=1, steps=1, width=64, height=64, guidance=1.0, cfg_scale=1.0, model="fake")


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9), st.sampled_from(["fake", "other"])), max_size=8),
    st.sampled_from([None, "fake", "other"]),
)
def test_order_foretold_is_the_order_claimed(asked: list[tuple[str, int, str]], held: str | None) -> None:
    """For any mix of people, sizes and models, if every job takes exactly as long as expected."""

    async def compare() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with Database.open(Path(folder) / "test.db") as database:
                jobs = JobStore(database)
                limits = LimitsConfig(max_active_per_user=99, cooldown_s=0)
                queue = JobQueue(
                    jobs,
                    SettingStore(database),
                    limits,
                    assumed_pace=lambda _spec: Pace(step_s=16.0, fixed_s=0.0, is_rough=True),
                    clock=lambda: NOW,
                )
                runner = [RunnerState(number=0, model=held)]
                queue.use_runners(lambda: runner)
                for number, (user, steps, model) in enumerate(asked):
                    request = Request(
                        user=UserKey(frontend="t", id=user),
                        reply_to=ReplyTo(frontend="t", key=str(number), address="{}"),
                        options=ImageOptions(prompt="x"),
                        key=str(number),
                    )
                    spec = dataclasses.replace(SPEC, steps=steps, model=model)
                    await jobs.insert(request, spec, size_class=0, limits=limits, now=NOW)
                foretold = [job.id for job, _ in await queue.standings()]
                claimed = []
                while len(claimed) < len(asked):
                    running = await queue.claim()
                    assert running is not None
                    claimed.append(running.job.id)
                    runner[:] = [RunnerState(number=0, model=running.job.spec.model)]
                    assert [job.id for job, _ in await queue.standings()] == foretold[len(claimed) - 1 :]
                    await queue.finish(
                        running.job.id,
                        image_path="x",
                        image_bytes=1,
                        ran_s=16.0 * running.job.spec.steps,
                        measured=Measurement(step_s=16.0, fixed_s=0.0),
                    )
                assert claimed == foretold

    asyncio.run(compare())


def ends(busy_s: dict[int, float], seconds: list[float], *runners: RunnerState) -> list[float | None]:
    ann = UserKey(frontend="t", id="ann")
    order = [Ticket(id=number, user=ann, model="m", seconds=each) for number, each in enumerate(seconds)]
    return [forecast.ends_s for forecast in sorted(foretell(order, runners, busy_s), key=lambda each: each.job_id)]


def test_finish_times_add_up_on_one_runner_and_overlap_on_two() -> None:
    one, two = RunnerState(number=0), RunnerState(number=1)
    assert ends({0: 5.0}, [10.0, 1.0], one) == [15.0, 16.0]
    assert ends({}, [10.0, 1.0], one) == [10.0, 11.0]
    assert ends({0: 5.0}, [10.0, 1.0], one, two) == [10.0, 6.0]


def test_runner_that_is_slow_or_cools_down_or_cannot_draw_ends_later_or_never() -> None:
    one = RunnerState(number=0, pace=2.0, ready_in_s=3.0)
    assert ends({}, [10.0, 1.0], one) == [23.0, 25.0]
    assert ends({}, [10.0], RunnerState(number=0, models=frozenset({"other"}))) == [None]


def test_pace_is_the_median_and_rough_before_three_measurements() -> None:
    assert measured_pace([], []) is None
    assert measured_pace([1.0, 3.0], [0.5, 0.5]) == Pace(step_s=2.0, fixed_s=0.5, is_rough=True)
    pace = measured_pace([1.0, 1.2, 60.0], [0.5, 0.5, 0.5])
    assert pace == Pace(step_s=1.2, fixed_s=0.5, is_rough=False)  # one throttled run does not spoil it
    assert pace.seconds(10) == 12.5


def test_shapes_of_about_one_megapixel_share_a_size_class() -> None:
    sizes = [(1024, 1024), (832, 1216), (1344, 768)]
    assert {size_class(dataclasses.replace(SPEC, width=w, height=h)) for w, h in sizes} == {4}


def class_of(width: int, height: int) -> int:
    return size_class(dataclasses.replace(SPEC, width=width, height=height))


EARLIER = [MODELS[name] for name in ("majicflus-v1", "flux1-dev", "demo")]  # models of earlier releases


def test_sizes_of_earlier_releases_keep_the_class_that_their_rows_have() -> None:
    for card in EARLIER:
        for width, height in card.sizes.values():
            assert class_of(width, height) == round(width * height / 2**18)


def test_sizes_that_take_another_time_have_another_class() -> None:
    for card in EARLIER:
        classes = {size: {class_of(*card.size(aspect, size)) for aspect in card.sizes} for size in card.scales}
        assert all(len(each) == 1 for each in classes.values())
        assert len(set().union(*classes.values())) == len(classes)
    for card in MODELS.values():
        sizes = {card.size(aspect, size) for aspect in card.sizes for size in card.scales}
        for one, other in itertools.combinations(sizes, 2):
            if max(math.prod(one), math.prod(other)) > 1.35 * min(math.prod(one), math.prod(other)):
                assert class_of(*one) != class_of(*other)
    assert class_of(448, 448) != class_of(512, 512)


@given(st.integers(1, 256), st.integers(1, 256), st.integers(1, 256), st.integers(1, 256))
def test_sizes_of_one_class_have_nearly_as_many_pixels(first: int, second: int, third: int, fourth: int) -> None:
    one, other = (16 * first, 16 * second), (16 * third, 16 * fourth)
    if class_of(*one) == class_of(*other):
        assert one[0] * one[1] == pytest.approx(other[0] * other[1], rel=0.3)


@pytest.mark.parametrize("size", [(0, 0), (-5, 7), (2**62, 2**62), (1, 1)])
def test_damaged_size_has_a_class_that_can_be_looked_up(size: tuple[int, int]) -> None:
    damaged = ImageSpec.accepted(**{**dataclasses.asdict(SPEC), "width": size[0], "height": size[1]})
    assert -(2**31) < size_class(damaged) < 2**31


@pytest.mark.parametrize("card", EARLIER, ids=lambda card: card.name)
def test_upscales_have_classes_of_their_own(card: ModelCard) -> None:
    whole = {class_of(*card.size(aspect, size)) for aspect in card.sizes for size in card.scales}
    upscaled = {
        size_class(dataclasses.replace(SPEC, width=2 * width, height=2 * height, source="a" * 64, upscale=2))
        for width, height in (card.size(aspect, size) for aspect in card.sizes for size in card.scales)
    }
    assert not whole & upscaled and min(upscaled) > 1000
    assert len(upscaled) >= len(card.scales)


def test_reading_another_model_takes_its_time_and_is_rough_if_it_was_never_measured() -> None:
    ann = UserKey(frontend="t", id="ann")
    order = [Ticket(id=number, user=ann, model=model, seconds=10.0) for number, model in enumerate("mmno")]

    def load(model: str, is_first: bool) -> Load:
        return {"m": Load(30.0, is_rough=False), "n": Load(5.0, is_rough=False)}.get(model, Load(7.0, is_rough=True))

    for runner, loaded_s in ((RunnerState(number=0), 30.0), (RunnerState(number=0, model="m"), 0.0)):
        forecasts = foretell(order, [runner], {}, load)
        assert [each.ends_s for each in forecasts] == [loaded_s + end for end in (10.0, 20.0, 35.0, 52.0)]
        assert [each.is_rough for each in forecasts] == [False, False, False, True]


def test_runner_that_reads_its_first_model_begins_when_it_is_ready() -> None:
    ann = UserKey(frontend="t", id="ann")
    runner = RunnerState(number=0, model="m", ready_in_s=25.0, is_loading=True, is_rough=True)
    (forecast,) = foretell([Ticket(id=1, user=ann, model="m", seconds=10.0)], [runner], {}, lambda *_: Load(9.0, True))
    assert (forecast.begins_s, forecast.ends_s, forecast.is_rough) == (25.0, 35.0, True)
