"""A step that takes far longer than planned is said, with what the driver knows of it."""

from __future__ import annotations

import pytest

from pipeline.runtime.slow_steps import warn_if_slow


@pytest.mark.parametrize(
    ("times", "causes", "said"),
    [
        (2.9, ["it is too hot"], None),
        (3.1, ["it is too hot", "its memory is full"], "about 2.00 s: it is too hot; its memory is full"),
        (3.1, [], "gives no reason"),
    ],
)
def test_steps_that_take_three_times_as_long_as_planned_are_said(
    caplog: pytest.LogCaptureFixture, times: float, causes: list[str], said: str | None
) -> None:
    warn_if_slow([9.0, 2.0 * times], 2.0, why=lambda: causes)
    assert (said or "") in caplog.text
    assert ("a step took" in caplog.text) is (said is not None)


def test_image_of_one_step_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    warn_if_slow([], 2.0, why=lambda: ["it is too hot"])
    assert caplog.text == ""
