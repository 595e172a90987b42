"""Three public readers of the text that AUTOMATIC1111 writes into pictures, none of which shares code with ours.

The package sd-parsers is asked as it is. Of the other two the grammar was written down anew from their sources, since
they are parts of larger programs: AUTOMATIC1111/stable-diffusion-webui:modules/infotext_utils.py
(`parse_generation_parameters`) and civitai/civitai:src/utils/metadata/automatic.metadata.ts.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from typing import Final

import sd_parsers
from PIL import Image

Said = dict[str, str]  # `prompt`, `negative`, and the settings by their keys
_PAIR: Final = re.compile(r'\s*(\w[\w /-]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')


def text_of(png: bytes) -> str:
    """The text, as a PNG library finds it."""
    with Image.open(io.BytesIO(png)) as picture:
        return str(picture.info["parameters"])


def by_a1111(png: bytes) -> Said:
    """Settings are the last line if it holds three pairs; the negative prompt begins a line."""
    *lines, last = text_of(png).strip().split("\n")
    pairs = _PAIR.findall(last)
    if len(pairs) < 3:
        lines, pairs = [*lines, last], []
    stripped = [line.strip() for line in lines]
    begin = next((at for at, line in enumerate(stripped) if line.startswith("Negative prompt:")), len(stripped))
    negative = "\n".join(stripped[begin:]).removeprefix("Negative prompt:").strip()
    settings = {key: json.loads(value) if value[:1] == value[-1:] == '"' else value for key, value in pairs}
    return {"prompt": "\n".join(stripped[:begin]), "negative": negative, **settings}


def by_civitai(png: bytes) -> Said:
    """Settings are the first line that begins with `Steps: `; the rest is split at every `Negative prompt:`."""
    lines = [line for line in text_of(png).split("\n") if line.strip()]
    details = next((line for line in lines if line.startswith("Steps: ")), "")
    prompt, *negative = (
        part.strip() for part in "\n".join(line for line in lines if line != details).split("Negative prompt:")
    )
    settings: Said = {}
    key, value, is_quoted = "", "", False
    for character in f"{details},":
        if character == '"':
            is_quoted = not is_quoted
        elif character == ":" and not is_quoted:
            key, value = value.strip(), ""
        elif character == "," and not is_quoted:
            if key:
                settings[key] = value.strip()
            key, value = "", ""
        else:
            value += character
    return {"prompt": prompt, "negative": " ".join(negative).strip(), **settings}


def by_sd_parsers(png: bytes) -> Said:
    """The package, which opens the file itself."""
    found = sd_parsers.ParserManager().parse(io.BytesIO(png))
    assert found is not None, "sd-parsers reads nothing"
    (sampler,) = found.samplers
    said = {"Sampler": sampler.name, "Schedule type": sampler.parameters.get("scheduler", "")}
    said |= {"Steps": sampler.parameters["steps"], "Seed": sampler.parameters["seed"]}
    said |= {"CFG scale": sampler.parameters["cfg_scale"]}
    said |= {str(key): str(value) for key, value in found.metadata.items()}
    if sampler.model is not None:
        said |= {"Model": sampler.model.name or "", "Model hash": sampler.model.hash or ""}
    prompts, negatives = (" ".join(each.value for each in some) for some in (sampler.prompts, sampler.negative_prompts))
    return {"prompt": prompts, "negative": negatives, **{key: str(value) for key, value in said.items() if value}}


READERS: Final[dict[str, Callable[[bytes], Said]]] = {
    "AUTOMATIC1111": by_a1111,
    "Civitai": by_civitai,
    "sd-parsers": by_sd_parsers,
}
