"""The instrument measures every setting on the same tasks, against float32."""

from __future__ import annotations

from pipeline.config import PipelineConfig
from pipeline.quality import Setting, make_tasks, measure


def test_tasks_ask_for_everything_in_both_languages() -> None:
    tasks = make_tasks(64)
    assert 56 <= len(tasks) <= 64
    assert len({task.prompt for task in tasks}) == len(tasks)
    assert len({task.seed for task in tasks}) == len(tasks)
    chinese = [task for task in tasks if any(character >= "\u4e00" for character in task.prompt)]
    assert len(chinese) == len(tasks) // 2
    assert make_tasks(64)[5].prompt == tasks[5].prompt


def test_settings_are_scored_and_8_bits_cost_at_most_a_point_and_stay_within_30_db_of_float32() -> None:
    tasks = make_tasks(8)
    settings = [
        Setting(precision=precision, steps=2, cfg_scale=1.0, guidance=3.5)
        for precision in ("float8", "float32", "int8")
    ]
    drawn: list[int] = []
    scores = list(measure(settings, tasks, PipelineConfig(device="cpu"), on_picture=lambda: drawn.append(1)))
    assert len(drawn) == 3 * len(tasks)
    assert [score.setting.precision for score in scores] == ["float32", "float8", "int8"]  # the reference goes first
    assert scores[0].psnr_db is None
    for score in scores[1:]:
        assert score.psnr_db is not None and 30 <= score.psnr_db < 60
        assert score.shares["top1"] >= scores[0].shares["top1"] - 0.01
    for score in scores:
        assert set(score.shares) == {"top1", "top5", "top1 en", "top1 zh", "colour", "count", "place", "pair"}
        assert all(0 <= share <= 1 for share in score.shares.values())
