"""What somebody sees who has drawn nothing yet: prompts to try, each with the image that was drawn from it.

The images come with the program and were drawn by the demo model, each from the English prompt beside it. Other
models have prompts of their own, from their cards, without images: those of the demo would promise what they do not
draw. `python -m tests.bot.frontends.web.example_images` draws them again. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Final

from bot.frontends.web.own_files import address_of
from bot.presentation.wording import Wording
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.models import DEMO

IMAGE_PX: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A prompt in two languages, and the image that the demo model drew from the English one with its usual steps.

    name: of the image, without its ending.
    chinese: in characters that both scripts share, since the demo reads simplified ones alone.
    """

    name: str
    english: str
    chinese: str
    seed: int = 7

    def prompt(self, language: str) -> str:
        """Return the prompt in one of `LANGUAGES`."""
        return self.chinese if language.startswith("zh") else self.english


EXAMPLES: Final = (
    Example(name="fox", english="a fox on a purple background", chinese="紫色背景上的狐狸"),
    Example(name="rocket", english="a rocket and the moon on a black background", chinese="火箭和月亮，黑色背景"),
    Example(name="castle", english="a castle and a rainbow", chinese="城堡和彩虹"),
    Example(name="snowman", english="a snowman and a pumpkin", chinese="雪人和南瓜"),
    Example(name="tiger", english="a tiger and a butterfly", chinese="老虎和蝴蝶"),
    Example(name="sunflower", english="a sunflower and a bee", chinese="向日葵和蜜蜂"),
    Example(name="elephant", english="an elephant on a pink background", chinese="粉色背景上的大象"),
    Example(name="volcano", english="a volcano on a black background", chinese="黑色背景上的火山"),
)


def welcome(card: ModelCard, wording: Wording, *, root_path: str) -> str:
    """Lay out what to try with a model, as HTML; pressing an example puts its prompt into the form."""
    if card is DEMO:
        tiles = [
            _tile(each.prompt(wording.language), f"{root_path}{address_of(f'example-{each.name}.webp')}")
            for each in EXAMPLES
        ]
        note = wording.say("page-examples-demo")
    else:
        tiles = [_tile(prompt) for prompt in card.examples_for(wording.language)]
        note = wording.say("page-examples-other", model=card.title)
    title = escape(wording.say("page-welcome"))
    return (
        f'<section class="welcome" data-key="welcome"><h2>{title}</h2><p class="note">{escape(note)}</p>'
        f'<div class="examples{"" if card is DEMO else " worded"}">{"".join(tiles)}</div></section>'
    )


def _tile(prompt: str, image: str | None = None) -> str:
    inside = f'<img src="{escape(image)}" alt="" width="{IMAGE_PX}" height="{IMAGE_PX}">' if image else ""
    return (
        f'<button type="button" class="example" data-do="try" data-prompt="{escape(prompt)}">'
        f"{inside}<span>{escape(prompt)}</span></button>"
    )
