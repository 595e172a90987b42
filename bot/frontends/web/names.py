"""The names that people give themselves at the page. Pure."""

from __future__ import annotations

import json
from typing import Final

from bot.jobs import Job

MAX_NAME_CHARS: Final = 30


def clean_name(name: str) -> str:
    """Return a name as one line of what can be seen, no longer than a name."""
    return " ".join("".join(character for character in name if character.isprintable()).split())[:MAX_NAME_CHARS]


def page_name(job: Job) -> str:
    """Return the name that the person of a job gave; "" if none, or if the row is damaged."""
    try:
        name = json.loads(job.reply_to.address).get("name")
    except (ValueError, AttributeError, RecursionError):
        return ""
    return clean_name(name) if isinstance(name, str) else ""
