"""A prompt as it was typed → its words, and the settings in it as they were written. Pure.

`flag_scanner.py` finds flags such as `--ar 16:9`, `pasted_settings.py` takes text of other programs apart; here both
get the names of the options that they set. What becomes of the values says `prompt_flags.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from bot.requests.flag_scanner import split_flags
from bot.requests.pasted_settings import split_command, split_lora, split_pasted, unwrapped
from pipeline.spec import RANDOM_SEED, clean_prompt

# Flag → the option that it sets; all other flags are unknown here.
FLAGS: Final[Mapping[str, str]] = {
    "ar": "aspect",
    "aspect": "aspect",
    "seed": "seed",
    "steps": "steps",
    "repeat": "count",
    "r": "count",
    "count": "count",
    "size": "size",
    "model": "model",
    "no": "negative_prompt",
    "neg": "negative_prompt",
    "negative": "negative_prompt",
    "cfg": "cfg_scale",
    "cfg-scale": "cfg_scale",
    "cfg_scale": "cfg_scale",
    "guidance": "guidance",
    "sampler": "sampler",
    "clip-skip": "clip_skip",
    "clip_skip": "clip_skip",
    "clipskip": "clip_skip",
    "strength": "strength",
    "lora": "loras",
}
PASTED: Final[Mapping[str, str]] = {
    "steps": "steps",
    "seed": "seed",
    "size": "size",
    "model": "model",
    "cfg scale": "cfg_scale",
    "distilled cfg scale": "guidance",
    "sampler": "sampler",
    "clip skip": "clip_skip",
}
SCHEDULE: Final = "schedule type"
# What /imagine calls an option that has another name in ImageOptions.
COMMAND: Final[Mapping[str, str]] = {"negative": "negative_prompt", "cfg": "cfg_scale", "lora": "loras"}
FRESH: Final = "fresh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A setting as it was typed.

    is_pasted: from another program, so that a value of no use here is no mistake.
    schedule: how another program spaces the steps of a sampler; "" if it does not say.
    has_guidance: it is the CFG scale of a model with embedded guidance, whose value is pasted with it.
    """

    option: str
    value: str
    shown: str
    is_pasted: bool = False
    schedule: str = ""
    has_guidance: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A text taken apart: the words to draw, and what stood beside them.

    tags: of LoRAs.
    unknown: flags that nothing here knows, and tags in negative prompts.
    unused: names of settings from another program that mean nothing here.
    """

    prompt: str
    tags: tuple[str, ...] = ()
    settings: tuple[Setting, ...] = ()
    unknown: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()


def take_apart(text: str) -> Found:
    """Take a text apart. Where flags, pasted settings and options of a command disagree, the last of these count."""
    typed = unwrapped(text)
    line, command = split_command(typed)
    prompt, flags = split_flags(line)
    pasted = split_pasted(prompt)
    prompt, tags = split_lora(pasted.prompt)
    if line == typed and not flags and not tags and pasted.is_prompt_only:
        return Found(prompt=text)
    settings, unused = _pasted_settings(pasted.settings)
    if pasted.negative_prompt:
        shown = "Negative prompt"
        settings.insert(0, Setting(option="negative_prompt", value=pasted.negative_prompt, shown=shown, is_pasted=True))
    words = {"draft": ("size", "draft"), "fresh": (FRESH, "yes")}
    for flag in flags:
        option, value = words.get(flag.name) or (FLAGS.get(flag.name), flag.value)
        if option is not None:
            settings.append(Setting(option=option, value=value, shown=flag.shown))
    settings += [
        Setting(option=COMMAND.get(name, name), value=value, shown=f"{name}:{value}") for name, value in command.items()
    ]
    kept, negative_tags = _without_lora_of(settings)
    return Found(
        prompt=clean_prompt(prompt),
        tags=tags,
        settings=kept,
        unknown=(*(flag.shown for flag in flags if flag.name not in (*FLAGS, *words)), *negative_tags),
        unused=unused,
    )


def _without_lora_of(settings: Iterable[Setting]) -> tuple[tuple[Setting, ...], tuple[str, ...]]:
    """Return settings without LoRA tags in negative prompts, and the tags; nothing but tags is no setting."""
    kept: list[Setting] = []
    tags: list[str] = []
    for setting in settings:
        rest, found = split_lora(setting.value) if setting.option == "negative_prompt" else (setting.value, ())
        tags += found
        if rest or not found:
            kept.append(dataclasses.replace(setting, value=rest) if found else setting)
    return tuple(kept), tuple(tags)


def _pasted_settings(pasted: Mapping[str, str]) -> tuple[list[Setting], tuple[str, ...]]:
    """Return the settings of another program that mean something here, and the names of the others."""
    settings, unused = [], []
    schedule = next((value for key, value in pasted.items() if key.casefold() == SCHEDULE), "")
    options = {PASTED.get(key.casefold()) for key in pasted}
    has_sampler, has_guidance = "sampler" in options, "guidance" in options
    for key, value in pasted.items():
        if key.casefold() == SCHEDULE and has_sampler:  # said with the sampler
            continue
        option = PASTED.get(key.casefold())
        if option is None:
            unused.append(key)
            continue
        if value != str(RANDOM_SEED):  # which says nothing
            spaced = schedule if option == "sampler" else ""
            settings.append(
                Setting(
                    option=option,
                    value=value,
                    shown=key,
                    is_pasted=True,
                    schedule=spaced,
                    has_guidance=has_guidance and option == "cfg_scale",
                )
            )
    return settings, tuple(unused)
