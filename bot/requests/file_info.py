"""What the texts in an image file say about how it was drawn: ours, AUTOMATIC1111's, ComfyUI's. Pure.

Anybody can write anything into a file, so nothing here is known: it is what the file says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from bot.requests.loras import tags
from bot.requests.pasted_settings import split_pasted
from pipeline.errors import InvalidSpec
from pipeline.images.embedded_text import USER_COMMENT, embedded_texts
from pipeline.images.png_metadata import ORIGINAL_NEGATIVE, ORIGINAL_PROMPT, SPEC_KEYWORD, unquoted
from pipeline.spec import ImageSpec

MAX_NODES: Final = 2000
MAX_HOPS: Final = 12  # from a sampler of ComfyUI to the text behind its input
SAMPLER_INPUTS: Final = ("steps", "cfg", "sampler_name", "scheduler", "seed", "noise_seed", "denoise")
MODEL_INPUTS: Final = ("ckpt_name", "unet_name")


class Writer(StrEnum):
    """The program that wrote the text."""

    OURS = "ours"
    A1111 = "a1111"
    COMFYUI = "comfyui"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo:
    """What a file says; everything as it stands there, of any length.

    translated: what the model read in place of the prompt; "" if it read the prompt itself.
    translated_negative: likewise, of the negative prompt.
    """

    writer: Writer
    prompt: str
    translated: str = ""
    negative_prompt: str = ""
    translated_negative: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)


def info_of(data: bytes) -> FileInfo | None:
    """Return what a file says about how it was drawn; None if it says nothing. Milliseconds; any thread."""
    texts = embedded_texts(data)
    parameters = texts.get("parameters") or texts.get(USER_COMMENT) or ""
    written = _a1111(parameters)
    if (spec := _spec(texts.get(SPEC_KEYWORD, ""))) is not None:
        settings = {} if written is None else written.settings
        prompt = " ".join(filter(None, (spec.prompt, tags(spec.loras))))
        return FileInfo(
            writer=Writer.OURS,
            prompt=prompt,
            translated=spec.translated,
            negative_prompt=spec.negative_prompt,
            translated_negative=spec.translated_negative,
            settings={key: value for key, value in settings.items() if key not in (ORIGINAL_PROMPT, ORIGINAL_NEGATIVE)},
        )
    return written or _comfyui(texts.get("prompt", ""))


def _spec(text: str) -> ImageSpec | None:
    try:
        return ImageSpec.from_json(text) if text else None
    except InvalidSpec:
        return None


def _a1111(text: str) -> FileInfo | None:
    found = split_pasted(text)
    if not found.settings:
        return None
    settings = dict(found.settings)
    original = unquoted(settings.pop(ORIGINAL_PROMPT, ""))
    original_negative = unquoted(settings.pop(ORIGINAL_NEGATIVE, ""))
    return FileInfo(
        writer=Writer.A1111,
        prompt=original or found.prompt,
        translated=found.prompt.strip() if original else "",
        negative_prompt=original_negative or found.negative_prompt,
        translated_negative=found.negative_prompt.strip() if original_negative else "",
        settings=settings,
    )


def _comfyui(text: str) -> FileInfo | None:
    """Read the graph of a workflow: the first sampler, what leads to it, and the model that is loaded."""
    try:
        graph: Any = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(graph, dict) or len(graph) > MAX_NODES:
        return None
    nodes = {str(name): node["inputs"] for name, node in graph.items() if _is_node(node)}
    sampler = next((inputs for inputs in nodes.values() if "positive" in inputs), None)
    prompt = _text_behind(nodes, (sampler or {}).get("positive")) or next(_texts(nodes), "")
    if not prompt:
        return None
    settings = {name: _said(sampler[name]) for name in SAMPLER_INPUTS if sampler and _said(sampler.get(name))}
    models = [_said(inputs.get(name)) for inputs in nodes.values() for name in MODEL_INPUTS]
    if model := next(filter(None, models), ""):
        settings["model"] = model
    negative = _text_behind(nodes, (sampler or {}).get("negative"))
    return FileInfo(
        writer=Writer.COMFYUI,
        prompt=_whole(prompt),
        negative_prompt="" if negative == prompt else _whole(negative),
        settings={name: _whole(value) for name, value in settings.items()},
    )


def _is_node(node: object) -> bool:
    return isinstance(node, dict) and isinstance(node.get("inputs"), dict)


def _texts(nodes: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    return (inputs["text"] for inputs in nodes.values() if isinstance(inputs.get("text"), str) and inputs["text"])


def _text_behind(nodes: Mapping[str, Mapping[str, Any]], link: object) -> str:
    """Follow the inputs of a graph, which may be a circle, to the first text; a link is [node, output]."""
    for _ in range(MAX_HOPS):
        if isinstance(link, str):
            return link
        if not (isinstance(link, list) and link and (inputs := nodes.get(str(link[0])))):
            return ""
        names = ("text", "conditioning", "positive", "string", "value")
        link = next((inputs[name] for name in names if name in inputs), None)
    return ""


def _whole(text: str) -> str:
    """Replace half characters, which JSON may hold and nobody can send."""
    return text.encode("utf-8", "replace").decode()


def _said(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return (
        f"{value:g}" if isinstance(value, float) else str(value) if isinstance(value, str) or abs(value) < 2**64 else ""
    )
