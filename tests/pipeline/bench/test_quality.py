"""The instrument measures every setting on the same tasks, against float32."""

from __future__ import annotations

import pytest

import pipeline.families.flux.engine  # noqa: F401 - takes seconds, which shall count for no test
from pipeline.bench.quality import REFERENCE_PRECISION, Score, Setting, make_tasks, measure
from pipeline.config import PipelineConfig
from pipeline.spec import Size

pytestmark = pytest.mark.timeout(180)  # many drawings, on a machine that may be busy


def test_tasks_ask_for_everything_in_both_languages() -> None:
    tasks = make_tasks(64)
    assert 56 <= len(tasks) <= 64
    assert len({task.prompt for task in tasks}) == len(tasks)
    assert len({task.seed for task in tasks}) == len(tasks)
    chinese = [task for task in tasks if any(character >= "\u4e00" for character in task.prompt)]
    assert len(chinese) == len(tasks) // 2
    assert make_tasks(64)[5].prompt == tasks[5].prompt


class Scores:
    """The scores of one run over three settings, drawn no earlier than a test asks for them."""

    def __init__(self) -> None:
        self.drawn: list[int] = []  # grows by one per picture
        self.tasks = make_tasks(8)
        settings = [
            Setting(precision=precision, steps=1, cfg_scale=1.0, guidance=3.5, size=Size.DRAFT)
            for precision in ("float8", REFERENCE_PRECISION, "int8")
        ]
        self._coming = measure(
            settings, self.tasks, PipelineConfig(device="cpu"), on_picture=lambda: self.drawn.append(1)
        )
        self.known: dict[str, Score] = {}

    def of(self, precision: str) -> Score:
        while precision not in self.known:
            score = next(self._coming)
            self.known[score.setting.precision] = score
        return self.known[precision]


@pytest.fixture(scope="module")
def scores() -> Scores:
    return Scores()


def test_reference_goes_first_and_is_compared_with_nothing(scores: Scores) -> None:
    assert scores.of(REFERENCE_PRECISION).psnr_db is None
    assert next(iter(scores.known)) == REFERENCE_PRECISION


@pytest.mark.parametrize("precision", ["float8", "int8"])
def test_8_bits_cost_at_most_a_point_and_stay_within_30_db_of_float32(scores: Scores, precision: str) -> None:
    reference, score = scores.of(REFERENCE_PRECISION), scores.of(precision)
    assert score.psnr_db is not None and 30 <= score.psnr_db < 60
    assert score.shares["top1"] >= reference.shares["top1"] - 0.01


@pytest.mark.parametrize("precision", [REFERENCE_PRECISION, "float8", "int8"])
def test_every_setting_is_scored_by_all_measures(scores: Scores, precision: str) -> None:
    score = scores.of(precision)
    assert set(score.shares) == {"top1", "top5", "top1 en", "top1 zh", "colour", "count", "place", "pair"}
    assert all(0 <= share <= 1 for share in score.shares.values())


def test_every_setting_draws_every_task_once(scores: Scores) -> None:
    scores.of("int8")
    assert list(scores.known) == [REFERENCE_PRECISION, "float8", "int8"]
    assert len(scores.drawn) == 3 * len(scores.tasks)
    assert all(score.pictures == len(scores.tasks) for score in scores.known.values())
