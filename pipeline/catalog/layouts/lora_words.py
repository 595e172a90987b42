"""What the notes of a LoRA tell people: its title, and the words that call what it was trained on.

Sources: Stability-AI/ModelSpec for `modelspec.…`; kohya-ss/sd-scripts:train_network.py for `ss_…`. Notes are written
by strangers: whatever makes no sense in them is left out.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

MOST_TRIGGERS: Final = 5
TRIGGER_CHARS: Final = 60
TITLE_CHARS: Final = 80
_MOST_JSON: Final = 4 * 2**20
_MOST_PHRASE: Final = 2000
_MOST_SHARED: Final = 3  # tags that are equally frequent; if there are more, they say nothing
_LEAST_COUNT: Final = 3  # images with a tag
_PHRASES: Final = ("modelspec.trigger_phrase", "trigger_phrase", "trigger_word", "trigger_words")
_TITLES: Final = ("modelspec.title", "ss_output_name", "name")


def clean_words(words: Iterable[str]) -> tuple[str, ...]:
    """Words without what nobody can see or what would end a list of them, each once; some at most."""
    cleaned = ("".join(letter if letter.isprintable() else " " for letter in word) for word in words)
    shown = (" ".join(word.split())[:TRIGGER_CHARS].strip() for word in cleaned)
    return tuple(dict.fromkeys(word for word in shown if word))[:MOST_TRIGGERS]


def title_in(notes: Mapping[str, str]) -> str:
    """The title that notes give; "" if they give none."""
    titles = (clean_words([notes[key][: 2 * TITLE_CHARS]]) for key in _TITLES if key in notes)
    return next((title[0] for title in titles if title), "")


def triggers_in(notes: Mapping[str, str]) -> tuple[str, ...]:
    """The trigger words that notes name; else the tags that nearly all images of the training had in common."""
    for key in _PHRASES:
        if words := clean_words(notes.get(key, "")[:_MOST_PHRASE].split(",")):
            return words
    return clean_words(_common_tags(notes.get("ss_tag_frequency", "")))


def _common_tags(text: str) -> list[str]:
    """The most frequent tags of each folder of images: `{"10_ink": {"inkstyle": 40, "a tree": 3}}`."""
    if len(text) > _MOST_JSON:
        return []
    try:
        folders = json.loads(text)
    except (ValueError, RecursionError):
        return []
    found: list[str] = []
    for tags in folders.values() if isinstance(folders, dict) else ():
        if not isinstance(tags, dict):
            continue
        count = Counter({tag: number for tag, number in tags.items() if type(number) is int})
        most = max(count.values(), default=0)
        top = [tag for tag, number in count.items() if number == most]
        if most >= _LEAST_COUNT and len(top) <= _MOST_SHARED:
            found += top
    return found
