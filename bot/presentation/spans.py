"""How long something takes or took, in one short word for every size: 3.6 s, 12 s, 4 min, 2 h. Pure."""

from __future__ import annotations

from typing import Final

from bot.presentation.wording import Wording

EXACT_BELOW_S: Final = 10.0
MINUTES_FROM_S: Final = 60.0
HOURS_FROM_S: Final = 90 * 60.0


def span(seconds: float, wording: Wording) -> str:
    """Write a time; what is shorter than ten seconds with a tenth, so that it is never nothing."""
    if seconds < EXACT_BELOW_S:
        return wording.say("span-seconds", count=f"{max(0.0, seconds):.1f}".removesuffix(".0"))
    if seconds < MINUTES_FROM_S:
        return wording.say("span-seconds", count=round(seconds))
    if seconds < HOURS_FROM_S:
        return wording.say("span-minutes", count=round(seconds / 60))
    return wording.say("span-hours", count=f"{seconds / 3600:.1f}".removesuffix(".0"))
