"""The sentences of the form, whose language the browser chooses; those of the living part come with every answer."""

from __future__ import annotations

from typing import Final

from bot.frontends.web.image_fields import IMAGE_KEYS
from bot.frontends.web.settings_fields import FIELD_KEYS

FORM_KEYS: Final = (
    "console-prompt",
    "console-prompt-demo",
    "console-prompt-english",
    "console-draw",
    "console-seed",
    "console-dice",
    "console-keep",
    "console-steps",
    "console-aspect",
    "console-size",
    "console-exact-size",
    "console-exact-size-hint",
    "console-model",
    "console-count",
    "console-more",
    *IMAGE_KEYS,
    "console-strength",
    "console-name",
    "console-name-hint",
    *FIELD_KEYS,
)
