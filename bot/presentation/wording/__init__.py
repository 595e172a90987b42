"""Every sentence that people read, by language: answers, messages, buttons, and the commands themselves.

The sentences are in `en.ftl`, `zh-CN.ftl` and `zh-TW.ftl` (Fluent, https://projectfluent.org); this module only
looks them up. Must not know Discord: a time arrives as text or through `format_time`, a person as text.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from fluent.runtime import FluentBundle, FluentResource
from fluent.runtime.types import fluent_number

from bot.errors import Refusal
from bot.jobs import FailureCode, Job
from pipeline.catalog.vocabulary import Unread
from pipeline.errors import InvalidSpec
from pipeline.images.init_image import MAX_SOURCE_BYTES, MAX_SOURCE_PIXELS, MAX_WHOLE_PIXELS
from pipeline.spec import (
    MAX_ASKED_SCALE,
    MAX_CLIP_SKIP,
    MAX_PROMPT_CHARS,
    MAX_SEED,
    MAX_STEPS,
    MIN_ASKED_CFG,
    Aspect,
    Sampler,
    Size,
    Strength,
)

log = logging.getLogger(__name__)

LANGUAGES: Final = ("en", "zh-CN", "zh-TW")  # the first has every key; the others fall back to it
# Regions and scripts that are written in traditional characters; all other Chinese is read in simplified ones.
TRADITIONAL: Final = frozenset({"tw", "hk", "mo", "hant"})
ASPECT_KEYS: Final = {
    Aspect.SQUARE: "aspect-square",
    Aspect.PORTRAIT: "aspect-portrait",
    Aspect.LANDSCAPE: "aspect-landscape",
    Aspect.PHONE: "aspect-phone",
    Aspect.WIDE: "aspect-wide",
}
SIZE_KEYS: Final = {Size.DRAFT: "size-draft", Size.NORMAL: "size-normal", Size.LARGE: "size-large"}
# Titles that are words rather than the name of a product, by the names of their models.
MODEL_KEYS: Final = {"demo": "model-demo"}
STRENGTH_KEYS: Final = {
    Strength.SUBTLE: "strength-subtle",
    Strength.MEDIUM: "strength-medium",
    Strength.STRONG: "strength-strong",
}

INVALID: Final = frozenset(
    {
        "invalid-prompt",
        "invalid-prompt-empty",
        "invalid-seed",
        "invalid-upscale-not-offered",
        "invalid-steps",
        "invalid-aspect",
        "invalid-image",
        "invalid-image-too-large",
        "invalid-image-too-many-pixels",
        "invalid-image-too-long",
        "invalid-image-unreadable",
        "invalid-image-not-offered",
        "invalid-references-too-many",
        "invalid-references-not-offered",
        "invalid-strength",
        "invalid-strength-without-image",
        "invalid-size",
        "invalid-size-nearest",
        "invalid-size-not-offered",
        "invalid-size-memory",
        "invalid-model-other",
        "invalid-negative-prompt",
        "invalid-negative-prompt-not-offered",
        "invalid-cfg-scale",
        "invalid-cfg-scale-not-offered",
        "invalid-guidance",
        "invalid-guidance-not-offered",
        "invalid-sampler",
        "invalid-sampler-other",
        "invalid-sampler-not-offered",
        "invalid-clip-skip",
        "invalid-clip-skip-not-offered",
        "invalid-loras-unreadable",
        "invalid-loras-unknown",
        "invalid-loras-none-here",
        "invalid-loras-other-base",
        "invalid-loras-no-base",
        "invalid-loras-many",
        "invalid-loras-weight",
        "invalid-loras-not-offered",
        "invalid-speed-unknown",
        "invalid-speed-not-offered",
    }
)


class Wording:
    """The sentences of one language."""

    def __init__(self, language: str, bundles: tuple[FluentBundle, ...]) -> None:
        self.language = language
        self._bundles = bundles

    def say(self, key: str, **values: str | float) -> str:
        """Say the sentence `key`. Numbers choose the plural and are written without separators.

        Raises:
            KeyError: no language has this key.
        """
        bundle = next((bundle for bundle in self._bundles if bundle.has_message(key)), None)
        pattern = bundle.get_message(key).value if bundle else None
        if bundle is None or pattern is None:
            raise KeyError(key)
        arguments = {
            name: fluent_number(value, useGrouping=False) if isinstance(value, int | float) else value
            for name, value in values.items()
        }
        text, errors = bundle.format_pattern(pattern, arguments)
        if errors:
            log.error("wording %s in %s: %s", key, self.language, errors)
        return str(text)

    def refusal(
        self,
        error: Refusal,
        *,
        format_time: Callable[[int], str],
        format_clock: Callable[[int], str] | None = None,
        place: str = "",
    ) -> str:
        """Say why a request is refused: the key is the class name, the values are the error's attributes.

        An attribute that ends in `_at` goes through `format_time`, `opens_at` through `format_clock` if there is one;
        a tuple is a list of keys, each said. A `detail` of the error stands at the end of the key. If `place` has a
        sentence of its own for this refusal (`<place>-<key>`), that one is said.
        """
        values: dict[str, str | float] = {}
        for name, value in vars(error).items():
            if name == "opens_at":
                values[name] = (format_clock or format_time)(value)
            elif name.endswith("_at"):
                values[name] = format_time(value)
            elif isinstance(value, tuple):
                values[name] = self.say("list-separator").join(self.say(key) for key in value)
            else:
                values[name] = value
        key = "-".join(filter(None, [key_of(type(error)), error.detail]))
        own = f"{place}-{key}"
        return self.say(own if self._bundles[-1].has_message(own) else key, **values)

    def invalid(self, error: InvalidSpec) -> str:
        """Say what is wrong with a value that a person typed."""
        key = "-".join(["invalid", error.field.replace("_", "-"), *filter(None, [error.detail])])
        if key not in INVALID:
            return self.say("invalid-value", field=error.field, reason=error.reason)
        bounds: Mapping[str, str | int] = {
            "max_chars": MAX_PROMPT_CHARS,
            "samplers": ", ".join(Sampler),
            "min_cfg": f"{MIN_ASKED_CFG:g}",
            "max_scale": f"{MAX_ASKED_SCALE:g}",
            "max_clip_skip": MAX_CLIP_SKIP,
            "max_seed": MAX_SEED,
            "max_steps": MAX_STEPS,
            "max_image_mib": MAX_SOURCE_BYTES // 2**20,
            "max_image_megapixels": MAX_SOURCE_PIXELS // 10**6,
            "max_whole_megapixels": MAX_WHOLE_PIXELS // 10**6,
        }
        return self.say(key, **{**bounds, **error.values})

    def prompt(self, job: Job) -> str:
        """Return the prompt as it was typed; a sentence in its place if it was erased, or if the row is damaged."""
        if job.is_erased:
            return self.say("prompt-erased")
        return job.spec.prompt or self.say("prompt-unreadable")

    def unread(self, unread: Unread) -> str:
        """Say how much of a prompt the model cannot read. Returns "" if it can read all of it."""
        if not unread.characters:
            return ""
        return self.say("unread-prompt", count=unread.characters, total=unread.total)

    def failure(self, code: FailureCode) -> str:
        """Say why a job failed and what to do about it."""
        return self.say(failure_key(code))


def language_of(locale: str) -> str:
    """Choose the language for a reader's locale, given as a BCP 47 tag (`zh-Hant-HK`) or as `zh_TW`.

    A script in the tag decides, before the region: `zh-Hans-HK` is simplified. Everything but Chinese gets English.
    """
    tag, _, _ = locale.lower().partition(";")  # an entry of Accept-Language may carry its weight
    primary, *rest = re.split("[-_]", tag.strip())
    if primary != "zh":
        return "en"
    return "zh-TW" if "hans" not in rest and TRADITIONAL.intersection(rest) else "zh-CN"


def wording_for(locale: str) -> Wording:
    """Return the wording for a reader's locale."""
    return _load(language_of(locale))


def key_of(kind: type) -> str:
    """Return the key of a class: `QueueFull` → `queue-full`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()


def failure_key(code: FailureCode) -> str:
    """The key of a reason: `OUT_OF_MEMORY` → `failure-out-of-memory`."""
    return "failure-" + code.value.replace("_", "-")


@cache
def _load(language: str) -> Wording:
    return Wording(language, tuple(_bundle(name) for name in dict.fromkeys((language, LANGUAGES[0]))))


@cache
def _bundle(language: str) -> FluentBundle:
    bundle = FluentBundle([language], use_isolating=False)  # isolation marks would travel into copied commands
    bundle.add_resource(FluentResource(Path(__file__).with_name(f"{language}.ftl").read_text("utf-8")))
    return bundle
