"""Presence updates of a bot, as Discord's gateway takes them: https://docs.discord.com/developers/events/gateway-events.

Pure. Must not know connections.
"""

from __future__ import annotations

from typing import Any

STATUSES = {"online", "dnd", "idle", "invisible", "offline"}
LIMIT = (5, 20.0)  # updates in so many seconds
MAX_TEXT = 128
CUSTOM = 4  # the type whose text is its state
TYPES = range(6)


def problem_of(data: Any) -> str | None:
    """Return what is wrong with an update; None if nothing is."""
    match data:
        case {"activities": list() as activities, "status": str() | None as status, "afk": bool(), "since": _}:
            pass
        case _:
            return "since, activities, status and afk are required"
    if status is not None and status not in STATUSES:
        return f"no status: {status!r}"
    for activity in activities:
        match activity:
            case {"name": str() as name, "type": int() as kind} if name and kind in TYPES:
                text = activity.get("state") if kind == CUSTOM else name
            case _:
                return "an activity without a name, or of no type"
        if not isinstance(text, str) or not 0 < len(text) <= MAX_TEXT:
            return f"a text of 1 to {MAX_TEXT} characters is needed"
    return None


def text_of(data: dict[str, Any]) -> str:
    """Return what people read under the name; "" if nothing."""
    return next((each["state"] if each["type"] == CUSTOM else each["name"] for each in data["activities"]), "")
