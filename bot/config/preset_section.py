"""`[presets.NAME]`: settings and words that everybody may draw with. Frozen, like all sections."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, model_validator

from bot.errors import PresetNameInvalid
from bot.preset_names import MAX_NAME, MAX_PRESETS, MAX_WORDS, normal_name
from pipeline.errors import InvalidSpec
from pipeline.lora_uses import LORA_NAME, MAX_LORAS, MAX_WEIGHT
from pipeline.spec import (
    MAX_ASKED_SCALE,
    MAX_CLIP_SKIP,
    MAX_PROMPT_CHARS,
    MAX_STEPS,
    MIN_ASKED_CFG,
    Aspect,
    ImageOptions,
    Sampler,
    Strength,
    read_size,
)

STRENGTH_RULE: Final = f"must be {', '.join(Strength)}, or a number over 0, at most 1"
LORAS_RULE: Final = (
    f"must be names of LoRAs, each with a strength from -{MAX_WEIGHT:g} to {MAX_WEIGHT:g} but 0 if you like, "
    "as in 'ink:0.8, film'"
)
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]{1,2}(?:\.[0-9]{0,15})?|\.[0-9]{1,15})")
LIKE: Final = "like [presets.night]"


def _name(text: str) -> str:
    try:
        normal_name(text)
    except PresetNameInvalid as error:
        raise ValueError(
            f"must have a name of 1 to {MAX_NAME} letters, digits, emoji, spaces or dashes, {LIKE}"
        ) from error
    return text


def _size(text: str) -> str:
    try:
        read = read_size(text)
    except InvalidSpec as error:
        raise ValueError(error.reason) from error
    if read is None:
        raise ValueError("must be a size; leave the key out for that of the model")
    return text


def _strength(value: Any) -> float | str:
    try:
        read = ImageOptions.read(prompt="x", strength=value).strength
    except InvalidSpec as error:
        raise ValueError(STRENGTH_RULE) from error
    if read is None or (isinstance(read, float) and not 0 < read <= 1):
        raise ValueError(STRENGTH_RULE)
    return read


def _loras(text: str) -> str:
    names = []
    for part in text.split(","):
        name, colon, number = (each.strip() for each in part.partition(":"))
        if LORA_NAME.fullmatch(name) is None or (colon and not _is_weight(number)):
            raise ValueError(LORAS_RULE)
        names.append(name)
    if len(set(names)) < len(names) or len(names) > MAX_LORAS:
        raise ValueError(f"must be at most {MAX_LORAS} LoRAs, each once")
    return text


def _is_weight(number: str) -> bool:
    return _NUMBER.fullmatch(number) is not None and 0 < abs(round(float(number), 4)) <= MAX_WEIGHT


class PresetConfig(BaseModel):
    """`[presets.<name>]`: what a request gets that names the preset and leaves it open."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prefix: str = Field("", max_length=MAX_WORDS, description="words that come before the prompt")
    suffix: str = Field("", max_length=MAX_WORDS, description="words that come after it")
    aspect: Aspect | None = Field(None, description="shape")
    size: Annotated[str, AfterValidator(_size)] | None = Field(None, description="a named size, or width x height")
    steps: int | None = Field(None, ge=1, le=MAX_STEPS, description="steps of one picture")
    model: str | None = Field(None, description="name of the model to draw with")
    negative_prompt: str | None = Field(None, max_length=MAX_PROMPT_CHARS, description="what to keep out")
    cfg_scale: float | None = Field(None, ge=MIN_ASKED_CFG, le=MAX_ASKED_SCALE, description="of Stable Diffusion")
    guidance: float | None = Field(None, ge=0, le=MAX_ASKED_SCALE, description="of FLUX.1 [dev]")
    sampler: Sampler | None = Field(None, description="of Stable Diffusion")
    clip_skip: int | None = Field(None, ge=1, le=MAX_CLIP_SKIP, description="likewise; 1 = the last layer")
    strength: Annotated[float | str, PlainValidator(_strength)] | None = Field(
        None, description="how much of a starting image is redrawn"
    )

    loras: Annotated[str, AfterValidator(_loras)] | None = Field(
        None, description="LoRAs with their strengths, as in 'ink:0.8, film'"
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.values():
            raise ValueError("must have a key at least, for example suffix = 'at night'")
        return self

    def values(self) -> dict[str, Any]:
        """Return what is set, by key, as JSON holds it."""
        left_out = {key for key in ("prefix", "suffix") if not getattr(self, key)}
        return self.model_dump(mode="json", exclude_unset=True, exclude=left_out)


PresetName = Annotated[str, AfterValidator(_name)]


def check_names(names: list[str]) -> None:
    """Check that people can tell presets apart.

    Raises:
        ValueError: with a line about each that has the name of an earlier one.
    """
    normal = list(map(normal_name, names))
    lines = [
        f"[presets.{name}]: must have a name of its own; [presets.{names[normal.index(normal[place])]}] is the same"
        for place, name in enumerate(names)
        if normal.index(normal[place]) < place
    ]
    if len(names) > MAX_PRESETS:
        lines.append(f"[presets]: must be at most {MAX_PRESETS} sections, not {len(names)}")
    if lines:
        raise ValueError("\n".join(lines))
