"""Pictures as PNG files with their spec inside."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.engine import GeneratedImage
from pipeline.images.png_metadata import MAX_TEXT_BYTES, SPEC_KEYWORD, XMP_KEYWORD, FileHashes, encode_png, read_spec
from pipeline.spec import ImageSpec, Sampler, clean_prompt
from tests.pipeline.images.readers import READERS, text_of

SIGNATURE = b"\x89PNG\r\n\x1a\n"


FLUX = ImageSpec(
    prompt="a red apple", seed=7, steps=20, width=32, height=16, guidance=3.5, cfg_scale=1.0, model="flux1-dev"
)
SDXL = replace(
    FLUX,
    guidance=0.0,
    cfg_scale=6.5,
    model="sdxl",
    negative_prompt="blurry, (ugly:1.3)",
    sampler="dpmpp-2m-karras",
    clip_skip=2,
)
SHA256 = "31e35c80fc4829d14f90153f4c74cd59c90b779f6afe05a74cd6120b893f7e5b"
# What people type, and what might be taken for something else.
PROMPTS = [
    'a fox, "in the snow", 35mm: f/1.8',
    "一只熊猫，喝茶：“好喝”",
    "a fox \U0001f98a and a family \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "a fox\nin the snow\r\nat night",
    "Steps: 20",
    "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1",
    "a fox, Steps: 20, Seed: 1",
    "a fox\nSteps: 20, Sampler: x, CFG scale: 7, Seed: 1",
    "(a fox:1.2), [snow], <lora:x:1>, {a|b}, \\(c\\), a\\b",
    "é" * 2000,
]


def an_image(prompt: str = "a red apple", spec: ImageSpec = FLUX) -> GeneratedImage:
    spec = replace(spec, prompt=prompt)
    pixels = bytes(range(256)) * 6
    return GeneratedImage(
        pixels=pixels, width=32, height=16, spec=spec, encode_s=0, denoise_s=0, decode_s=0, peak_mib=None
    )


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def our_text(text: bytes, compressed: bytes = b"\0") -> bytes:
    return chunk(b"iTXt", SPEC_KEYWORD.encode() + b"\0" + compressed + b"\0" + b"\0" + b"\0" + text)


@given(st.text(min_size=1, max_size=2000).map(clean_prompt).filter(bool), st.text(max_size=2000).map(clean_prompt))
def test_spec_survives_the_file(prompt: str, negative: str) -> None:
    image = an_image(prompt, replace(SDXL, negative_prompt=negative))
    assert read_spec(encode_png(image, "imagine-bot")) == image.spec


def test_longest_spec_is_below_the_bound_for_texts() -> None:
    image = an_image('"' * 2000, replace(SDXL, negative_prompt="\U0001f98a" * 2000, source="a" * 64, strength=0.4))
    assert read_spec(encode_png(image, "imagine-bot")) == image.spec


def test_pixels_survive_the_file() -> None:
    image = an_image()
    with Image.open(io.BytesIO(encode_png(image, "imagine-bot"))) as picture:
        assert picture.size == (32, 16)
        assert picture.tobytes() == image.pixels


def test_parameters_are_those_of_automatic1111() -> None:
    assert text_of(encode_png(an_image("一只熊猫", SDXL), "imagine-bot 0.1", hashes=FileHashes(SHA256))) == (
        "一只熊猫\nNegative prompt: blurry, (ugly:1.3)\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, "
        "CFG scale: 6.5, Seed: 7, Size: 32x16, Model hash: 31e35c80fc, Model: sdxl, Clip skip: 2, "
        "Version: imagine-bot 0.1"
    )
    assert text_of(encode_png(an_image(), "imagine-bot")) == (
        "a red apple\nSteps: 20, Sampler: Euler, CFG scale: 1, Distilled CFG Scale: 3.5, Seed: 7, Size: 32x16, "
        "Model: flux1-dev, Version: imagine-bot"
    )
    schnell = replace(FLUX, guidance=0.0, source="a" * 64, strength=0.4, model="flux1-schnell")
    assert text_of(encode_png(an_image(spec=schnell), "imagine-bot")).split("Seed")[0].endswith("CFG scale: 1, ")
    assert ", Denoising strength: 0.4, " in text_of(encode_png(an_image(spec=schnell), "imagine-bot"))


def test_upscaled_image_has_the_size_before_and_the_keys_of_automatic1111s_hires_pass() -> None:
    spec = replace(SDXL, width=64, height=32, source="a" * 64, strength=0.3, upscale=2)
    png = encode_png(replace(an_image(), spec=spec), "imagine-bot")
    assert text_of(png).endswith(
        "Size: 32x16, Model: sdxl, Denoising strength: 0.3, Clip skip: 2, Hires upscale: 2, "
        "Hires upscaler: Lanczos, Version: imagine-bot"
    )
    assert read_spec(png) == spec


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("typed", PROMPTS, ids=range(len(PROMPTS)))
def test_public_readers_find_what_was_written(typed: str, reader: str) -> None:
    prompt = clean_prompt(typed)
    for negative in ("", clean_prompt(PROMPTS[5]), "blurry, “x”: y\u3000, (ugly:1.3)", prompt):
        spec = replace(SDXL, negative_prompt=clean_prompt(negative))
        said = READERS[reader](encode_png(an_image(prompt, spec), "imagine-bot", hashes=FileHashes(SHA256)))
        assert (said["prompt"], said["negative"]) == (prompt, spec.negative_prompt)
        assert said["Steps"] == "20" and said["CFG scale"] == "6.5" and said["Seed"] == "7"
        assert (said["Sampler"], said["Schedule type"]) == ("DPM++ 2M", "Karras")
        assert (said["Model"], said["Model hash"], said["Size"]) == ("sdxl", SHA256[:10], "32x16")
        assert said["Clip skip"] == "2"


@pytest.mark.parametrize("reader", READERS)
def test_words_of_the_format_in_a_prompt_are_kept_apart_by_a_space_that_draws_nothing(reader: str) -> None:
    prompt = "Negative prompt: a sign that says Negative prompt:"
    said = READERS[reader](encode_png(an_image(prompt, replace(SDXL, negative_prompt=prompt)), "imagine-bot"))
    assert clean_prompt(said["prompt"]) == clean_prompt(said["negative"]) == prompt


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("sampler", Sampler)
def test_every_sampler_has_the_name_that_others_give_it(sampler: Sampler, reader: str) -> None:
    said = READERS[reader](encode_png(an_image(spec=replace(SDXL, sampler=sampler.value)), "imagine-bot"))
    names = {Sampler.DPMPP_2M_KARRAS: "DPM++ 2M", Sampler.EULER: "Euler", Sampler.DDIM: "DDIM"}
    assert said["Sampler"] == names[sampler]


@pytest.mark.parametrize(
    ("changes", "term"),
    [
        ({}, "trainedAlgorithmicMedia"),
        ({"source": "a" * 64, "strength": 0.6}, "compositeWithTrainedAlgorithmicMedia"),
        ({"source": "a" * 64}, "trainedAlgorithmicMedia"),
        ({"references": "a" * 64}, "compositeWithTrainedAlgorithmicMedia"),
    ],
)
def test_file_says_to_machines_that_a_model_made_it_and_nothing_of_the_prompt(
    changes: dict[str, object], term: str
) -> None:
    spec = replace(SDXL, **changes)  # type: ignore[arg-type]
    with Image.open(io.BytesIO(encode_png(an_image("secret <&>", spec), "imagine-bot"))) as picture:
        packet = str(picture.info[XMP_KEYWORD])
    root = ElementTree.fromstring(packet.encode())
    tag = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
    assert [each.text for each in root.iter(tag)] == [f"http://cv.iptc.org/newscodes/digitalsourcetype/{term}"]
    assert "secret" not in packet and "blurry" not in packet


def test_file_of_an_earlier_release_is_read() -> None:
    text = (
        '{"version": 1, "prompt": "a red apple", "seed": 7, "steps": 20, "width": 32, "height": 16, "guidance": 3.5, '
        '"cfg_scale": 1.0, "model": "flux1-dev", "source": "", "strength": 1.0}'
    )
    assert read_spec(SIGNATURE + our_text(text.encode())) == FLUX


@pytest.mark.parametrize(
    "png",
    [
        b"",
        b"not a picture",
        SIGNATURE,
        SIGNATURE + b"\xff\xff\xff\xff" + b"iTXt",
        SIGNATURE + struct.pack(">I", 2**31) + b"iTXt" + b"x" * 100,
        SIGNATURE + our_text(b"{"),
        SIGNATURE + our_text(b"\xff\xfe"),
        SIGNATURE + our_text(zlib.compress(b"{}"), compressed=b"\1"),
        SIGNATURE + our_text(b"[" * (MAX_TEXT_BYTES + 1)),
        SIGNATURE + our_text(b"[" * 50_000),
        SIGNATURE + chunk(b"iTXt", b""),
        SIGNATURE + chunk(b"IEND", b""),
    ],
    ids=range(12),
)
def test_file_without_a_readable_spec_gives_none(png: bytes) -> None:
    assert read_spec(png) is None


@given(st.binary(max_size=400).map(lambda noise: SIGNATURE + noise) | st.binary(max_size=400))
def test_noise_gives_none(png: bytes) -> None:
    assert read_spec(png) is None


def test_cut_file_is_read_as_far_as_it_goes() -> None:
    png = encode_png(an_image(), "imagine-bot")
    for length in range(len(png)):
        assert read_spec(png[:length]) in (None, an_image().spec)
