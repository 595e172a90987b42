"""What a file says about how it was drawn, whoever wrote it and whatever nonsense it says."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bot.requests import file_info
from bot.requests.file_info import Writer, info_of
from pipeline.engine import GeneratedImage
from pipeline.images.embedded_text import embedded_texts
from pipeline.images.png_metadata import encode_png
from pipeline.spec import ImageSpec

A1111 = "a fox\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 42, Size: 512x512"


def file_with(**texts: str) -> bytes:
    info = PngInfo()
    for key, text in texts.items():
        info.add_itxt(key, text)
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, format="PNG", pnginfo=info)
    return buffer.getvalue()


def graph(**changes: object) -> dict[str, Any]:
    sampler = {"seed": 5, "steps": 9, "cfg": 4.5, "positive": ["6", 0], "negative": ["7", 0], "denoise": True}
    return {
        "3": {"class_type": "KSampler", "inputs": {**sampler, **changes}},
        "4": {"inputs": {"ckpt_name": "dream.safetensors"}},
        "5": {"inputs": {"conditioning": ["6", 0], "guidance": 3.5}},
        "6": {"inputs": {"text": "a comfy fox"}},
        "7": {"inputs": {"text": "ugly"}},
    }


def test_our_own_file_tells_its_spec(spec: ImageSpec) -> None:
    pixels = bytes(3 * spec.width * spec.height)
    image = GeneratedImage(
        pixels=pixels,
        width=spec.width,
        height=spec.height,
        spec=spec,
        encode_s=0,
        denoise_s=0,
        decode_s=0,
        peak_mib=None,
    )
    info = info_of(encode_png(image, "imagine-bot"))
    assert info is not None
    assert (info.writer, info.prompt, info.settings["Seed"]) == (Writer.OURS, "a red apple", "7")


def test_text_of_a_web_ui_is_taken_apart() -> None:
    info = info_of(file_with(parameters=A1111))
    assert info is not None
    assert (info.writer, info.prompt.strip(), info.negative_prompt) == (Writer.A1111, "a fox", "blurry")
    assert info.settings["Sampler"] == "Euler a"


@pytest.mark.parametrize("positive", [["6", 0], ["5", 0], "a comfy fox"], ids=["link", "links", "text"])
def test_graph_is_followed_to_its_words(positive: object) -> None:
    info = info_of(file_with(prompt=json.dumps(graph(positive=positive))))
    assert info is not None
    assert (info.writer, info.prompt, info.negative_prompt) == (Writer.COMFYUI, "a comfy fox", "ugly")
    assert info.settings == {"steps": "9", "cfg": "4.5", "seed": "5", "model": "dream.safetensors"}


def test_graph_in_a_circle_ends() -> None:
    circle = {"1": {"inputs": {"positive": ["2", 0]}}, "2": {"inputs": {"conditioning": ["2", 0]}}}
    assert info_of(file_with(prompt=json.dumps(circle))) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "[" * 100_000,
        '{"1": 7}',
        '{"1": {"inputs": {"positive": [[], 0]}}}',
        json.dumps({"seed": "x" * 9}),
    ],
    ids=lambda text: text[:12],
)
def test_graph_without_sense_says_nothing(text: str) -> None:
    assert info_of(file_with(prompt=text, parameters="only words")) is None


def test_half_characters_of_a_graph_are_replaced() -> None:
    inputs = {
        "text": "a \ud800 fox",
        "positive": ["1", 0],
        "negative": "\udfff",
        "seed": "\udc00",
        "ckpt_name": "\ud801",
    }
    info = info_of(file_with(prompt=json.dumps({"1": {"inputs": inputs}})))
    assert info is not None and info.prompt == "a ? fox"
    assert (info.negative_prompt, info.settings) == ("?", {"seed": "?", "model": "?"})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["1", "inputs", "positive", "text", "seed", "ckpt_name"]), inner)
    ),
    max_leaves=15,
)


@given(JSON)
def test_any_graph_can_be_read(value: object) -> None:
    found = file_info._comfyui(json.dumps(value))
    assert found is None or all(isinstance(said, str) for said in (found.prompt, *found.settings.values()))


TRANSLATED = "a panda in the snow"


def drawn_from_a_translation(spec: ImageSpec, prompt: str) -> bytes:
    spec = replace(
        spec, prompt=prompt, translated=TRANSLATED, negative_prompt=prompt, translated_negative="a night sky"
    )
    pixels = bytes(3 * spec.width * spec.height)
    image = GeneratedImage(
        pixels=pixels,
        width=spec.width,
        height=spec.height,
        spec=spec,
        encode_s=0,
        denoise_s=0,
        decode_s=0,
        peak_mib=None,
    )
    return encode_png(image, "test")


@pytest.mark.parametrize(
    "prompt",
    [
        "一只熊猫，雪",
        '"雪", Steps: 20, Seed: 7',
        "Negative prompt: 雪",
        "Steps: 1, 雪",
        "雪\\n{[",
        "雪" * 2000,
        "<雪> 'a' \\",
    ],
)
def test_a_translated_prompt_is_read_back_with_its_translation(spec: ImageSpec, prompt: str) -> None:
    png = drawn_from_a_translation(spec, prompt)
    ours = info_of(png)
    assert ours is not None
    assert (ours.writer, ours.prompt, ours.translated) == (Writer.OURS, prompt, TRANSLATED)
    assert (ours.negative_prompt, ours.translated_negative) == (prompt, "a night sky")
    assert not {"Original prompt", "Original negative prompt"} & ours.settings.keys()
    texts = embedded_texts(png)
    others = info_of(file_with(parameters=texts["parameters"]))
    assert others is not None
    assert (others.writer, others.translated) == (Writer.A1111, TRANSLATED)
    assert others.prompt.split() == others.negative_prompt.split() == prompt.split()
    assert others.translated_negative == "a night sky"
    assert others.settings["Seed"] == str(spec.seed)
    lines = texts["parameters"].splitlines()
    assert lines[:2] == [TRANSLATED, "Negative prompt: a night sky"]  # what draws it with other tools


@pytest.mark.parametrize("value", ['"', '"a', '"\\', "[" * 3000, '{"a": 1}', ""])
def test_nonsense_as_an_original_prompt_is_shown_as_it_stands(value: str) -> None:
    found = info_of(file_with(parameters=f"{A1111}, Original prompt: {value}"))
    assert found is not None
    assert "a fox" in (found.prompt.strip(), found.translated)
