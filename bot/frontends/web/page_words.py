"""The page's own texts, which its scripts show: by name, in one language. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from bot.frontends.web.own_images import MAX_AT_ONCE
from bot.presentation.wording import wording_for

KEYS: Final = (
    "console-gallery", "console-search", "console-offline", "console-ready",
    "console-unsent",
    "page-all-models", "page-close", "page-compare", "page-compare-hint", "page-delete", "page-delete-many",
    "page-delete-one", "page-drop", "page-help", "page-keep", "page-kept-only", "page-language", "page-models",
    "page-next", "page-no", "page-not-used", "page-operator", "page-paste", "page-previous", "page-reset",
    "page-select", "page-select-done", "page-selected", "page-too-many", "page-upload", "page-used",
    "page-yes-delete", "page-zip",
)  # fmt: skip
# What is counted in the browser has a sentence for every count.
COUNT: Final = "\ue000"  # stands for a number that only the browser knows


def name_of(key: str) -> str:
    """Return what the scripts call a text: `page-too-many` → `too_many`."""
    return key.partition("-")[2].replace("-", "_")


@cache
def page_words(language: str) -> Mapping[str, str]:
    """Return the texts in one of `LANGUAGES`; `COUNT` stands in them for a number."""
    wording = wording_for(language)
    return MappingProxyType({name_of(key): wording.say(key, n=COUNT, most=MAX_AT_ONCE) for key in KEYS})
