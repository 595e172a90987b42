"""Presets: settings and words under a name, which `/imagine preset:` adds to a prompt. Knows no front end.

A person has their own; the operator's are for everybody. One of a person hides one of the operator's with the same
name. What a preset loses against is `defaults.py`. A stored preset may be of a later release: what is not understood is
left out, and the rest counts.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Any, Final

from bot.config import PresetConfig
from bot.errors import ConfigError, NoSuchPreset, PresetEmpty, PresetNameInvalid, TooManyPresets, WordsOnly
from bot.jobs import UserKey
from bot.preset_names import MAX_PRESETS, MAX_WORDS, folded, normal_name
from bot.requests.loras import check as check_loras
from bot.requests.loras import with_weights
from bot.requests.models import Models
from bot.requests.prompt_flags import read_prompt
from bot.store.preset_store import PresetStore
from pipeline.catalog.lora_card import LoraCard
from pipeline.errors import InvalidSpec
from pipeline.lora_uses import read_uses
from pipeline.spec import Dimensions, ImageOptions, clean_prompt

log = logging.getLogger(__name__)

VERSION: Final = 1
HALF: Final = re.compile("[\ud800-\udfff]")  # of a character: JSON may hold it, and nobody can send it
ANY_DIGEST: Final = "0" * 64  # of an init image that is not there yet
# The fields of ImageOptions that a preset may hold.
FIELDS: Final = (
    "aspect",
    "size",
    "steps",
    "model",
    "negative_prompt",
    "cfg_scale",
    "guidance",
    "sampler",
    "clip_skip",
    "strength",
    "loras",
)

Value = str | int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What is added to a request.

    options: by field of ImageOptions, as JSON holds them.
    """

    prefix: str = ""
    suffix: str = ""
    options: Mapping[str, Value] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing."""
        return not (self.prefix or self.suffix or self.options)

    @classmethod
    def of_options(cls, options: ImageOptions) -> Preset:
        """Keep the settings of a request, but neither its words nor its seed."""
        values = {name: getattr(options, name) for name in FIELDS}
        return cls(options={name: _plain(value) for name, value in values.items() if value is not None})

    def to_json(self) -> str:
        """Return what `from_json` reads, in this and later releases."""
        return json.dumps(
            {"version": VERSION, "prefix": self.prefix, "suffix": self.suffix, **self.options}, ensure_ascii=False
        )

    @classmethod
    def from_json(cls, text: str) -> Preset:
        """Read a stored preset; whatever is damaged or of a later release is left out."""
        try:
            stored: Any = json.loads(text)
        except (ValueError, RecursionError):
            stored = {}
        return cls.of(stored if isinstance(stored, dict) else {})

    @classmethod
    def of(cls, values: Mapping[str, object]) -> Preset:
        """Make one of values from outside; those that cannot be are left out."""
        options = {name: read for name in FIELDS if (read := _read(name, values.get(name))) is not None}
        return cls(prefix=_words(values.get("prefix")), suffix=_words(values.get("suffix")), options=options)


NO_PRESET: Final = Preset()


class Presets:
    """The presets of every person, and those of the operator.

    shared: the operator's, by their names as people type them.
    """

    def __init__(self, store: PresetStore, shared: Mapping[str, Preset] | None = None) -> None:
        self._store = store
        self.shared = {normal_name(name): preset for name, preset in (shared or {}).items()}

    async def of(self, user: UserKey) -> dict[str, Preset]:
        """Return a person's own presets, by name.

        Raises:
            StoreUnavailable
        """
        rows = await self._store.of(user, limit=MAX_PRESETS)
        return {name: Preset.from_json(options) for name, options in rows}

    async def find(self, user: UserKey, typed: str) -> Preset:
        """Return the preset of that name, however it is written.

        Raises:
            NoSuchPreset, StoreUnavailable
        """
        try:
            name = normal_name(typed)
        except PresetNameInvalid as error:
            raise NoSuchPreset from error
        if (stored := await self._store.get(user, name)) is not None:
            return Preset.from_json(stored)
        if (shared := self.shared.get(name)) is not None:
            return shared
        raise NoSuchPreset

    async def suggest(self, user: UserKey, typed: str, *, with_shared: bool = True) -> list[str]:
        """Return at most MAX_PRESETS names that hold what was typed: a person's own, then those of the operator.

        Raises:
            StoreUnavailable
        """
        names = [name for name, _ in await self._store.of(user, limit=MAX_PRESETS)]
        wanted = folded(typed)
        shared = self.shared if with_shared else ()
        found = (name for name in dict.fromkeys([*names, *shared]) if wanted in name and _can_be_typed(name))
        return list(islice(found, MAX_PRESETS))

    async def save(self, user: UserKey, typed: str, preset: Preset) -> str:
        """Keep a preset, in place of the person's own one of that name. Returns the name as it is kept.

        Raises:
            PresetNameInvalid, PresetEmpty, TooManyPresets, StoreUnavailable
        """
        name = normal_name(typed)
        if preset.is_empty:
            raise PresetEmpty
        if not await self._store.put(user, name, preset.to_json(), limit=MAX_PRESETS):
            raise TooManyPresets(limit=MAX_PRESETS)
        return name

    async def delete(self, user: UserKey, typed: str) -> None:
        """Forget a preset.

        Raises:
            NoSuchPreset: the person has none of their own of that name.
            StoreUnavailable
        """
        try:
            name = normal_name(typed)
        except PresetNameInvalid as error:
            raise NoSuchPreset from error
        if not await self._store.delete(user, name):
            raise NoSuchPreset


def check(preset: Preset, models: Models) -> None:
    """Check that some model can follow a preset: the one that it names, else any.

    Raises:
        InvalidSpec: as the model says that is asked first.
        WordsOnly: its words hold flags, or are too long.
    """
    for words in (preset.prefix, preset.suffix):
        check_words(words, models, most=MAX_WORDS)
    options = ImageOptions.read(prompt="x", **preset.options)
    models_asked = models.all if options.model is None else (models.demand(options.model),)
    source = "" if options.strength is None else ANY_DIGEST
    flaws = []
    for card in models_asked:
        try:
            card.resolve(options, random_seed=0, source=source)
            check_loras(options.loras or "", models, card)
        except InvalidSpec as error:
            flaws.append(error)
    if len(flaws) == len(models_asked):
        raise flaws[0]


def shared_presets(sections: Mapping[str, PresetConfig], loras: Mapping[str, LoraCard]) -> dict[str, Preset]:
    """Make presets of the sections of the config; `loras` are those that are here, by name."""
    return {name: Preset.of(_with_weights(section.values(), loras)) for name, section in sections.items()}


def _with_weights(values: dict[str, Any], loras: Mapping[str, LoraCard]) -> dict[str, Any]:
    return {**values, "loras": with_weights(values["loras"], loras)} if "loras" in values else values


def check_shared(presets: Presets, models: Models) -> None:
    """Check the operator's presets. One that no model of today can follow is told in the log; a model may come back.

    Raises:
        ConfigError: their words hold flags.
    """
    problems = []
    for name, preset in presets.shared.items():
        try:
            check(preset, models)
        except WordsOnly:
            problems.append(f"[presets.{name}]: prefix and suffix must be words only; flags are keys of their own")
        except InvalidSpec as error:
            log.warning("no model here can follow the preset %s: %s", name, error)
    if problems:
        raise ConfigError(problems)


def check_words(words: str, models: Models, *, most: int) -> None:
    """Check words that are to be added to prompts.

    Raises:
        WordsOnly: they hold flags, or are too long.
    """
    if len(words) > most:
        raise WordsOnly(most=most)
    if words and read_prompt(words, models).prompt != words:
        raise WordsOnly(most=most)


def _can_be_typed(name: str) -> bool:
    """Whether a stored name is one by which a preset is found."""
    try:
        return normal_name(name) == name
    except PresetNameInvalid:
        return False


def _words(value: object) -> str:
    return clean_prompt(value) if isinstance(value, str) and len(value) <= 2 * MAX_WORDS else ""


def _read(name: str, value: object) -> Value | None:
    """Return a value that this field may have; None if it may not, or if there is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str) and HALF.search(value):
        return None
    try:
        if name == "loras":
            return value if isinstance(value, str) and read_uses(value) else None
        read = getattr(ImageOptions.read(prompt="x", **{name: value}), name)
    except (InvalidSpec, OverflowError):
        return None
    return None if read is None else _plain(read)


def _plain(value: Any) -> Value:
    if isinstance(value, Dimensions):
        return str(value)
    plain: Value = value.value if isinstance(value, StrEnum) else value
    return plain
