"""Prompts in English for models that read nothing else: asked of the offline translator, off the event loop.

A prompt that cannot be translated in time stays as it is, and the message says so. No prompt reaches the log.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final, NamedTuple

from bot.jobs import UserKey
from pipeline.catalog.model_card import ModelCard
from pipeline.spec import MAX_PROMPT_CHARS, clean_prompt
from pipeline.translation.answers import NotTranslated
from pipeline.translation.foreign_text import needs_translation
from pipeline.translation.translator import Translator

WITHIN_S: Final = 30.0  # the first time, a few seconds of it are for loading the language model
MAX_OF_ONE_PERSON: Final = 2  # at a time; there are few places, and they are for everybody


class Translated(NamedTuple):
    """What a model reads in place of a prompt and of a negative prompt; "" for one that it reads itself."""

    prompt: str = ""
    negative: str = ""


NOT_TRANSLATED: Final = Translated()


class Translations:
    """The translator, as far as requests know it; None if there is none, or if the operator turned it off."""

    def __init__(self, translator: Translator | None = None, *, within_s: float = WITHIN_S) -> None:
        self._translator = translator
        self._within_s = within_s
        self._asking: Counter[UserKey] = Counter()

    @property
    def are_there(self) -> bool:
        """Whether there is a translator."""
        return self._translator is not None

    async def of(self, card: ModelCard, prompt: str, *, user: UserKey) -> str:
        """Return what a model reads in place of a prompt; "" if it reads the prompt itself, for whatever reason.

        Cancelling is safe: what nobody waits for any more is not begun, and what was begun is remembered.
        """
        prompt = clean_prompt(prompt)
        if self._translator is None or not needs_translation(card, prompt) or len(prompt) > MAX_PROMPT_CHARS:
            return ""
        if self._asking[user] >= MAX_OF_ONE_PERSON:
            return ""
        self._asking[user] += 1
        try:
            asked = self._translator.ask(prompt, within_s=self._within_s, reads_han="zh" in card.reads)
            async with asyncio.timeout(self._within_s):
                translation = await asyncio.wrap_future(asked)
        except (NotTranslated, TimeoutError):
            return ""
        finally:
            self._asking[user] -= 1
            if not self._asking[user]:
                del self._asking[user]
        return translation if translation != prompt and len(translation) <= MAX_PROMPT_CHARS else ""

    def forget(self) -> None:
        """Drop what is remembered of prompts."""
        if self._translator is not None:
            self._translator.forget()

    def close(self) -> None:
        """Translate nothing more."""
        if self._translator is not None:
            self._translator.close()
