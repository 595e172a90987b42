"""A language model that knows some texts by heart, for tests of what is done with translations."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from pipeline.catalog.architecture import Feature
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.models import find_model
from pipeline.translation.language_model import Answer
from pipeline.translation.translator import Translator

ENGLISH: Final[Mapping[str, str]] = {
    "一只熊猫": "a panda",
    "старый маяк": "an old lighthouse",
    "赛博朋克风格的未来城市街道，雨夜，霓虹灯": "a cyberpunk street of the future, rainy night, neon lights",
    "血": "blood",
}
# A model of English only, which draws what the fake one draws.
READS_ENGLISH: Final[ModelCard] = replace(
    find_model("fake"), supports=find_model("fake").supports - {Feature.LANGUAGES}, reads=("en",)
)


class Dictionary:
    """Answers with `ENGLISH`; with Chinese, which is no translation, to all else. Notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def answer(self, beginning: str, ending: str, *, most_tokens: int, is_over: Callable[[], bool]) -> Answer:
        del beginning, most_tokens
        text = ending.partition("<|im_end|>")[0]
        self.asked.append(text)
        while not self.may_answer.wait(0.005):
            if is_over():
                raise RuntimeError(f"over: {text}")
        return Answer(ENGLISH.get(text, "熊猫"), is_finished=True)

    def translator(self) -> Translator:
        """Return a translator that asks it."""
        return Translator(lambda _is_over: self)
