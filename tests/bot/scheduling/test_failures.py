"""What an error of a run means for its person, and whether it says something about the engine."""

from __future__ import annotations

from bot.jobs import FailureCode
from bot.scheduling.failures import NOT_OF_THE_ENGINE, failure_code
from pipeline import LoraMisfit


def test_lora_that_does_not_fit_says_nothing_about_the_engine() -> None:
    error = LoraMisfit("ink", "was made for sdxl")
    assert failure_code(error) is FailureCode.LORA_MISSING
    assert isinstance(error, NOT_OF_THE_ENGINE)
