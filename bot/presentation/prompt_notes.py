"""What is said about the settings that stood in a prompt: which were taken, and which were not and why. Pure.

`bot/requests/prompt_flags.py` finds them. What a person typed is shown in part: lists and names are cut, so that the
notes about any prompt fit under a message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bot.presentation.phrases import Phrase, Typed, Value
from pipeline.spec import clean_prompt, sampler_title

SETTING_KEYS: Final[Mapping[str, str]] = {
    "negative_prompt": "setting-negative-prompt",
    "cfg_scale": "setting-cfg-scale",
    "guidance": "setting-guidance",
    "sampler": "setting-sampler",
    "clip_skip": "setting-clip-skip",
    "loras": "setting-loras",
}
MAX_NAMES: Final = 8
MAX_NAME_CHARS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptNotes:
    """The settings that stood in one prompt, as they were typed.

    taken: the option → its value; the options are those of ImageOptions, `count` and `fresh`.
    unknown: flags that nothing here knows.
    unsupported: flags that the model called `model`, or the place where the person asked, cannot follow.
    unused: names of settings from another program.
    overridden: flags that lost against what the person had set elsewhere.
    triggers: (title, words) of LoRAs whose trigger words the prompt lacks.
    most_images: how many images there are at most, if the prompt asked for more.
    """

    taken: Mapping[str, str | int | float] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = ()
    model: str = ""
    unused: tuple[str, ...] = ()
    overridden: tuple[str, ...] = ()
    triggers: tuple[tuple[str, tuple[str, ...]], ...] = ()
    most_images: int | None = None

    def phrases(self) -> tuple[Phrase, ...]:
        """Return what to say, one sentence each; empty if the prompt held words only."""
        said = [
            Phrase("flags-taken", {"settings": tuple(_taken(self.taken))}) if self.taken else None,
            None if self.most_images is None else Phrase("flags-most-images", {"most": self.most_images}),
            Phrase("flags-unknown", {"names": _names(self.unknown)}) if self.unknown else None,
            Phrase("flags-unsupported", {"model": self.model, "names": _names(self.unsupported)})
            if self.unsupported
            else None,
            Phrase("flags-unused", {"names": _names(self.unused)}) if self.unused else None,
            Phrase("flags-overridden", {"names": _names(self.overridden)}) if self.overridden else None,
            *(trigger_phrase(title, words) for title, words in self.triggers),
        ]
        return tuple(phrase for phrase in said if phrase is not None)


def trigger_phrase(title: str, words: Sequence[str]) -> Phrase:
    """Say which words call what a LoRA was trained on."""
    return Phrase("lora-triggers", {"title": Typed(shortened(title)), "words": tuple(Typed(word) for word in words)})


def lost_phrase(model: str, names: Sequence[str]) -> Phrase:
    """Say which settings of an earlier picture another model does not have."""
    return Phrase("settings-lost", {"model": model, "names": tuple(Phrase(SETTING_KEYS[name]) for name in names)})


def shortened(text: str) -> str:
    """Return a name as it is shown: what can be seen of it, on one line, and cut."""
    line = clean_prompt(text)
    return line if len(line) <= MAX_NAME_CHARS else f"{line[: MAX_NAME_CHARS - 1]}…"


def _taken(taken: Mapping[str, str | int | float]) -> list[Phrase]:
    phrases = {
        "aspect": "flags-taken-aspect",
        "size": "flags-taken-size",
        "seed": "flags-taken-seed",
        "steps": "flags-taken-steps",
        "count": "flags-taken-count",
        "model": "flags-taken-model",
        "negative_prompt": "flags-taken-negative",
        "cfg_scale": "flags-taken-cfg",
        "guidance": "flags-taken-guidance",
        "sampler": "flags-taken-sampler",
        "clip_skip": "flags-taken-clip-skip",
        "strength": "flags-taken-strength",
        "loras": "flags-taken-loras",
        "fresh": "flags-taken-fresh",
    }
    if taken.get("negative_prompt") == "":
        phrases["negative_prompt"] = "flags-taken-no-negative"
    values = {name: _shown(name, value) for name, value in taken.items()}
    return [Phrase(key, {"value": values[name]}) for name, key in phrases.items() if name in values]


def _shown(name: str, value: str | int | float) -> Value:
    if isinstance(value, float):
        return f"{value:g}"
    if name == "sampler":
        return sampler_title(str(value))
    return Typed(shortened(value)) if name in ("size", "negative_prompt") and isinstance(value, str) else value


def _names(names: Sequence[str]) -> tuple[Value, ...]:
    shown: list[Value] = [Typed(shortened(name)) for name in names[:MAX_NAMES]]
    if more := len(names) - len(shown):
        shown.append(Phrase("flags-more", {"count": more}))
    return tuple(shown)
