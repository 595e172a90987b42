"""Prompts with flags and pasted settings: whatever is typed is read or refused, and said again only in part."""

from __future__ import annotations

import contextlib
from typing import Final

from hypothesis import strategies as st

from bot.errors import InvalidFlag
from bot.frontends.discord_app import embeds
from bot.frontends.web import fragments
from bot.presentation.wording import LANGUAGES, wording_for
from bot.requests.flag_scanner import ARITIES
from bot.requests.models import Models
from bot.requests.prompt_flags import read_prompt
from pipeline.catalog.models import find_model
from pipeline.errors import InvalidSpec
from pipeline.spec import ImageOptions
from tests.fuzz.fuzzing import fuzz
from tests.fuzz.strategies import SECRET, json_values, texts, whole_numbers

MODELS: Final = Models(usual=find_model("flux1-dev"), others=(find_model("demo"), find_model("fake")))
MAX_SAID_CHARS: Final = 1500  # of all notes; a message on Discord holds 2000 beside its embed
PIECES: Final = (
    "-", "--", "—", "–", "－－", "---", " ", "\n", "\u3000", "\u200b", ",", "，", ":", "：", "=", '"', "“", "”", "「",
    "```", "`", "<lora:", ">", "{", "}", "[", "]", "(", ")", "\\", "/imagine prompt:", "seed:", "Negative prompt:",
    "负面提示词：", "\nSteps: 20", ", Seed: 7", ", Size: 512x768", ", Sampler: Euler a", ", Hashes: {", "16:9", "1.78",
    "1e309", "0:0", "448x448", "draft", "demo", "a cat", "with a hat", "https://a.b/c", "-1", "٣", "9" * 40,
)  # fmt: skip
flags = st.tuples(st.sampled_from(["--", "—", " --", " —", "－－"]), st.sampled_from(sorted(ARITIES))).map("".join)
prompts = st.lists(st.sampled_from(PIECES) | flags | texts | whole_numbers.map(str), max_size=30).map("".join)
values = st.dictionaries(st.sampled_from(["seed", "steps", "aspect", "model", "strength"]), json_values, max_size=4)


@fuzz(120, text=prompts, most=st.integers(1, 4))
def test_any_prompt_is_read_or_refused(text: str, most: int) -> None:
    try:
        read = read_prompt(text, MODELS, most=most)
    except InvalidFlag as error:
        assert SECRET not in str(error)
        said = [wording_for(language).refusal(error, format_time=str) for language in LANGUAGES]
        assert all(0 < len(each.encode()) < 500 for each in said)
        return
    assert 1 <= read.count <= most
    assert len(read.prompt) <= max(len(text), 1) * 4
    with contextlib.suppress(InvalidSpec):
        options = ImageOptions.read(**read.options)
        MODELS.demand(options.model).resolve(options, random_seed=0)
    for language in LANGUAGES:
        for voice in (embeds.voice_of(wording_for(language)), fragments.voice_of(wording_for(language), now=0)):
            said = [voice.say(phrase) for phrase in read.phrases()]
            assert all(each and "\n" not in each and each.encode() for each in said)
        assert sum(map(len, said)) < MAX_SAID_CHARS


@fuzz(60, text=prompts, given=values, untouched=values)
def test_any_value_from_elsewhere_is_passed_on(
    text: str, given: dict[str, object], untouched: dict[str, object]
) -> None:
    with contextlib.suppress(InvalidFlag, InvalidSpec):
        ImageOptions.read(**read_prompt(text, MODELS, given=given, untouched=untouched).options)
