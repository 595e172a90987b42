"""The help of the page: what it does, its keys, and everything that a model with a vocabulary can draw. Pure."""

from __future__ import annotations

from html import escape
from typing import Final

from bot.presentation.wording import Wording
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.unknown_words import names_of

# What a key does: its names, and the sentence. Names of keys are the same in every language.
KEYS: Final = (
    ("Ctrl + Enter", "page-key-draw"),
    ("← ↑ → ↓", "page-key-arrows"),
    ("Enter", "page-key-enter"),
    ("X", "page-key-select"),
    ("F", "page-key-keep"),
    ("Del", "page-key-delete"),
    ("Esc", "page-key-escape"),
)
TOPICS: Final = ("page-help-draw", "page-help-images", "page-help-input", "page-help-private")


def help_page(card: ModelCard, wording: Wording, *, days: int) -> str:
    """Lay out the help as HTML.

    Args:
        card: of the usual model.
        wording: of the reader.
        days: how long images are stored.
    """
    topics = "".join(f"<p>{escape(wording.say(key, days=days))}</p>" for key in TOPICS)
    rows = "".join(
        f"<tr><th scope=row><kbd>{escape(keys)}</kbd></th><td>{escape(wording.say(what))}</td></tr>"
        for keys, what in KEYS
    )
    known = ""
    if names := names_of(card, "zh" if wording.language.startswith("zh") else "en"):
        title = escape(wording.say("page-help-known", count=len(names)))
        listed = escape(wording.say("list-separator").join(names))
        known = f'<details class="known"><summary>{title}</summary><p>{listed}</p></details>'
    return (
        f'<div class="help-text">{topics}{known}<h3>{escape(wording.say("page-keys"))}</h3><table>{rows}</table></div>'
    )
