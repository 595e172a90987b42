"""What to draw: `ImageOptions` as a person typed them, `ImageSpec` with every gap filled.

Rules here hold for any model; what only one model knows (its sizes, its step counts) is on its card in
`models.py`. Must not know people, queues or tensors.

Longer than other files on purpose: a field is added with its rule, its text and its way to JSON and back in one place.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from pipeline.errors import InvalidSpec
from pipeline.lora_uses import read_uses
from pipeline.tiling import tile_side

MAX_PROMPT_CHARS: Final = 2000
MAX_SEED: Final = 2**32 - 1  # inside Discord's (±2⁵³), SQLite's and JSON's integers
MAX_STEPS: Final = 50
MAX_SIDE_PX: Final = 4096  # a bound for files from elsewhere; what a model draws well is on its card
MAX_GUIDANCE: Final = 100.0
MIN_ASKED_CFG: Final = 1.0  # at which the second pass changes nothing
MAX_ASKED_SCALE: Final = 30.0  # of CFG and of embedded guidance, where the sliders of other programs end too
MAX_CLIP_SKIP: Final = 12  # the layers of CLIP ViT-L/14, the smallest text encoder that skips any
MAX_REFERENCES: Final = 3  # images that an edit looks at
UPSCALE: Final = 2  # how many times larger each side of an upscaled image is
RANDOM_SEED: Final = -1
SIDE_MULTIPLE_PX: Final = 16  # VAE ÷ 8, then 2 × 2 patches
SPEC_VERSION: Final = 1
ZERO_WIDTH_JOINER: Final = "\u200d"
ZERO_WIDTH_NON_JOINER: Final = "\u200c"
# Scripts whose letters are written otherwise with a non-joiner between them: Arabic's (Persian), India's and their kin.
JOINING: Final = re.compile("[\u0600-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u18af\ufb50-\ufdff\ufe70-\ufeff]")
# 🏴, then a country and its part in tag characters, and the tag that ends them: England, Scotland, Wales.
FLAG: Final = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,6}\U000e007f")


class Aspect(StrEnum):
    """Named picture shapes; each model card maps them to sizes that it draws well."""

    SQUARE = "square"
    PORTRAIT = "portrait"
    LANDSCAPE = "landscape"
    PHONE = "phone"
    WIDE = "wide"


class Size(StrEnum):
    """Named picture sizes: how large a shape is drawn; each model card says which of them it offers."""

    DRAFT = "draft"
    NORMAL = "normal"
    LARGE = "large"


class Strength(StrEnum):
    """Named strengths: how much of an init image is redrawn; each model card has their numbers."""

    SUBTLE = "subtle"
    MEDIUM = "medium"
    STRONG = "strong"


class Sampler(StrEnum):
    """Named ways from noise to an image; each model card says which of them its model offers."""

    DPMPP_2M_KARRAS = "dpmpp-2m-karras"
    EULER = "euler"
    DDIM = "ddim"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimensions:
    """An exact size in px, in place of a shape and a named size. What may be drawn is checked against the model."""

    width: int
    height: int

    def __str__(self) -> str:
        """As people type it: `448x448`."""
        return f"{self.width}x{self.height}"


# Fields that the first releases did not know.
_LATER: Final = frozenset(
    {
        "negative_prompt",
        "sampler",
        "clip_skip",
        "upscale",
        "loras",
        "references",
        "reference_pixels",
        "translated",
        "translated_negative",
    }
)
# Annotation of a field → what its value may be, and how that is said. `bool` is an `int` to Python, never to a person.
_KINDS: Final[dict[str, tuple[type | tuple[type, ...], str]]] = {
    "str": (str, "must be text"),
    "int": (int, "must be a whole number"),
    "float": ((float, int), "must be a number"),
    "Aspect": (Aspect, "must be a shape"),
    "Size": ((Size, Dimensions), "must be a size"),
    "Sampler": (Sampler, "must be a sampler"),
    "Strength": ((Strength, float, int), "must be a strength"),
}
_PART: Final = re.compile(r"([0-9]{1,5}(?:[.,][0-9]{0,15})?|[.,][0-9]{1,15})\s*(%?)")
_REFERENCES: Final = re.compile(f"[0-9a-f]{{64}}(,[0-9a-f]{{64}}){{0,{MAX_REFERENCES - 1}}}")
_DIMENSIONS: Final = re.compile(r"([0-9]{1,6})\s*[x×*]\s*([0-9]{1,6})")
_SAMPLER_TITLES: Final[dict[str, str]] = {
    Sampler.DPMPP_2M_KARRAS: "DPM++ 2M Karras",
    Sampler.EULER: "Euler",
    Sampler.DDIM: "DDIM",
}
# As AUTOMATIC1111, ComfyUI and diffusers spell them, letters and digits only. DPM++ 2M alone means Karras' steps: that
# is its automatic schedule (AUTOMATIC1111/stable-diffusion-webui:modules/sd_samplers_kdiffusion.py).
_SAMPLERS: Final[dict[str, Sampler]] = {
    "dpmpp2mkarras": Sampler.DPMPP_2M_KARRAS,
    "dpm2mkarras": Sampler.DPMPP_2M_KARRAS,
    "dpmpp2m": Sampler.DPMPP_2M_KARRAS,
    "dpm2m": Sampler.DPMPP_2M_KARRAS,
    "euler": Sampler.EULER,
    "ddim": Sampler.DDIM,
}
_FULL_WIDTH: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}  # as written on Chinese keyboards


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOptions:
    """What a person asked for; None where they said nothing. Seed −1 means random, like None.

    size: None for the normal one. `Dimensions` leave nothing for `aspect` to say.
    negative_prompt: "" for none at all, even if the model has one of its own.
    upscale: see `ImageSpec`; `aspect` and `size` are then those of the image that is enlarged.
    loras: see `ImageSpec`.
    """

    prompt: str
    seed: int | None = None
    steps: int | None = None
    aspect: Aspect | None = None
    size: Size | Dimensions | None = None
    model: str | None = None
    strength: Strength | float | None = None
    negative_prompt: str | None = None
    cfg_scale: float | None = None
    guidance: float | None = None
    sampler: Sampler | None = None
    clip_skip: int | None = None
    upscale: int | None = None
    loras: str | None = None

    def __post_init__(self) -> None:
        """Check the types; ranges are checked in the spec.

        Raises:
            InvalidSpec: a field is of another type.
        """
        _check_types(self)

    @classmethod
    def read(cls, **values: object) -> ImageOptions:
        """Make options of what came from outside: the one door for form, endpoint, slash command and shell.

        JSON writes whole numbers as 7.0 and forms leave "" in a list where nothing was chosen; both are understood.

        Raises:
            InvalidSpec: a value is of a type that its field cannot have, or names no shape, size, strength or sampler.
        """
        read = {"prompt": None, **values}
        for name in ("seed", "steps", "clip_skip", "upscale"):
            if isinstance(value := read.get(name), float) and value.is_integer():  # false for NaN and infinity
                read[name] = int(value)
        for name in ("strength", "cfg_scale", "guidance"):
            if isinstance(value := read.get(name), int) and not isinstance(value, bool):
                read[name] = float(value) if abs(value) <= MAX_SEED else math.inf
        for name in ("aspect", "model"):
            read[name] = None if read.get(name) == "" else read.get(name)
        if isinstance(aspect := read["aspect"], str):
            try:
                read["aspect"] = Aspect(aspect)
            except ValueError as error:
                raise InvalidSpec("aspect", f"must be one of {', '.join(Aspect)}") from error
        if isinstance(size := read.get("size"), str) and not isinstance(size, Size):
            read["size"] = read_size(size)
        if isinstance(strength := read.get("strength"), str) and not isinstance(strength, Strength):
            read["strength"] = read_strength(strength)
        if isinstance(sampler := read.get("sampler"), str) and not isinstance(sampler, Sampler):
            read["sampler"] = read_sampler(sampler)
        return cls(**read)  # type: ignore[arg-type]  # `__post_init__` checks them


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSpec:
    """Everything that decides a picture. Equal specs give equal pictures on the same machine.

    source: SHA-256 of the pixels to start from, in hexadecimal digits; "" to start from noise alone.
    strength: how far back towards noise the source is taken, over 0 to 1; at 1 nothing of it is left.
    negative_prompt: what the second pass of CFG steers away from.
    sampler: a name of `Sampler`; "" with a model that leaves no choice.
    clip_skip: the layer of CLIP that is used, counted from the last one, which is 1; 0 with a model that fixes it.
    upscale: how many times larger each side is than that of the source, which is enlarged and redrawn in tiles; 0 if
        the image is drawn as a whole, from a source of its own size.
    loras: what the model is changed by, as `pipeline/lora_uses.py` writes it; "" for nothing.
    references: SHA-256 of each image that an edit looks at, see `pipeline.engine.Reference`, with commas between them;
        "" if the image is no edit. Their order counts.
    reference_pixels: of all of them together, which every step computes on, too; 0 if the release that wrote it did not
        count them.
    translated: what the model reads in place of the prompt, which it could not read; "" if it reads the prompt itself.
    translated_negative: likewise, of the negative prompt.
    """

    prompt: str
    seed: int
    steps: int
    width: int
    height: int
    guidance: float
    cfg_scale: float
    model: str
    source: str = ""
    strength: float = 1.0
    negative_prompt: str = ""
    sampler: str = ""
    clip_skip: int = 0
    upscale: int = 0
    loras: str = ""
    references: str = ""
    reference_pixels: int = 0
    translated: str = ""
    translated_negative: str = ""

    def __post_init__(self) -> None:
        """Raises InvalidSpec, see `check`."""
        self.check()

    @classmethod
    def accepted(cls, **fields: str | int | float) -> ImageSpec:
        """Make a spec that was accepted before, perhaps by a release with other bounds, from all fields."""
        spec = object.__new__(cls)
        for name, value in fields.items():
            object.__setattr__(spec, name, value)
        return spec

    def check(self) -> None:
        """Check what is true for any model.

        Raises:
            InvalidSpec: a field is of another type or out of range.
        """
        _check_types(self)
        if not self.prompt:
            raise InvalidSpec("prompt", "is empty", detail="empty")
        for name in ("prompt", "negative_prompt", "translated", "translated_negative"):
            text = getattr(self, name)
            if len(text) > MAX_PROMPT_CHARS:
                raise InvalidSpec(name, f"has {len(text)} characters, at most {MAX_PROMPT_CHARS} are allowed")
            if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
                raise InvalidSpec(name, "has control characters")
        if not 0 <= self.seed <= MAX_SEED:
            raise InvalidSpec("seed", f"must be {RANDOM_SEED} (random) or 0 to {MAX_SEED}")
        if not 1 <= self.steps <= MAX_STEPS:
            raise InvalidSpec("steps", f"must be 1 to {MAX_STEPS}")
        for name, side in (("width", self.width), ("height", self.height)):
            if not 0 < side <= MAX_SIDE_PX or side % SIDE_MULTIPLE_PX:
                raise InvalidSpec(name, f"must be a multiple of {SIDE_MULTIPLE_PX} up to {MAX_SIDE_PX}")
        for name, scale in (("guidance", self.guidance), ("cfg_scale", self.cfg_scale)):
            if not (math.isfinite(scale) and 0 <= scale <= MAX_GUIDANCE):
                raise InvalidSpec(name, f"must be 0 to {MAX_GUIDANCE:g}")
        if not self.model:
            raise InvalidSpec("model", "is empty")
        if self.source and not re.fullmatch(r"[0-9a-f]{64}", self.source):
            raise InvalidSpec("source", "is not a SHA-256 in hexadecimal digits")
        if self.references and not _REFERENCES.fullmatch(self.references):
            raise InvalidSpec("references", f"must be up to {MAX_REFERENCES} SHA-256 in hexadecimal digits")
        if self.references and self.source:
            raise InvalidSpec("references", "cannot be looked at by what starts from an image")
        if not 0 <= self.reference_pixels <= len(self.reference_keys) * MAX_SIDE_PX**2:
            raise InvalidSpec("reference_pixels", "must be those of the references")
        read_uses(self.loras)
        if not 0 < self.strength <= 1:
            raise InvalidSpec("strength", "must be over 0, at most 1")
        if not self.source and self.strength != 1:
            raise InvalidSpec("strength", "needs an image to start from", detail="without-image")
        if self.sampler not in ("", *Sampler):
            raise InvalidSpec("sampler", f"must be one of {', '.join(Sampler)}")
        if not 0 <= self.clip_skip <= MAX_CLIP_SKIP:
            raise InvalidSpec("clip_skip", f"must be 1 to {MAX_CLIP_SKIP}")
        if self.upscale not in (0, UPSCALE):
            raise InvalidSpec("upscale", f"must be {UPSCALE}")
        if self.upscale and not self.source:
            raise InvalidSpec("upscale", "needs an image to start from")
        if self.upscale and any(side % (self.upscale * SIDE_MULTIPLE_PX) for side in (self.width, self.height)):
            raise InvalidSpec("upscale", f"needs sides that are multiples of {self.upscale * SIDE_MULTIPLE_PX}")

    @property
    def text(self) -> str:
        """What the model reads."""
        return self.translated or self.prompt

    @property
    def negative_text(self) -> str:
        """What the model reads as the negative prompt."""
        return self.translated_negative or self.negative_prompt

    @property
    def reference_keys(self) -> tuple[str, ...]:
        """The SHA-256 of each image that an edit looks at."""
        return tuple(self.references.split(",")) if self.references else ()

    @property
    def source_size(self) -> tuple[int, int]:
        """(width, height) of the image that it starts from, in px; of the whole image if it is not enlarged."""
        times = max(1, self.upscale)
        return self.width // times, self.height // times

    @property
    def tile_size(self) -> tuple[int, int]:
        """(width, height) that is computed on at a time, in px: of a tile, or of the whole image."""
        count = max(1, self.upscale)
        return tile_side(self.width, count), tile_side(self.height, count)

    @property
    def step_pixels(self) -> int:
        """How many pixels a step computes on: where tiles overlap as often as they are, and references as well."""
        width, height = self.tile_size
        return width * height * max(1, self.upscale) ** 2 + self.reference_pixels

    @property
    def pixel_steps(self) -> int:
        """Pixels × steps: the size of the job. Of an upscale, only the steps that are taken."""
        return self.step_pixels * (last_steps(self.steps, self.strength) if self.upscale else self.steps)

    def to_json(self) -> str:
        """One line of JSON with a version, readable by `from_json` of this and later releases.

        Without the fields of `_LATER` that say nothing, it is readable by releases that did not know them as well.
        """
        fields = {name: value for name, value in dataclasses.asdict(self).items() if value or name not in _LATER}
        return json.dumps({"version": SPEC_VERSION, **fields}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> ImageSpec:
        """Read what `to_json` wrote.

        Raises:
            InvalidSpec: not our JSON, a newer version, a missing or unknown field, a value out of range.
        """
        try:
            fields: Any = json.loads(text)
        except (ValueError, RecursionError) as error:  # recursion: thousands of nested brackets
            raise InvalidSpec("json", str(error)) from error
        if not isinstance(fields, dict):
            raise InvalidSpec("json", "is not an object")
        if fields.pop("version", None) != SPEC_VERSION:
            raise InvalidSpec("version", f"is not {SPEC_VERSION}")
        expected = {field.name: field.type for field in dataclasses.fields(cls)}
        optional = {field.name for field in dataclasses.fields(cls) if field.default is not dataclasses.MISSING}
        if missing := expected.keys() - optional - fields.keys():
            raise InvalidSpec(min(missing), "is missing")
        if unknown := fields.keys() - expected.keys():
            raise InvalidSpec(min(unknown), "is unknown")
        for name, value in fields.items():
            kind = expected[name]
            if kind == "float" and type(value) is int and abs(value) <= MAX_SEED:  # 3 for 3.0
                fields[name] = float(value)
            elif type(value).__name__ != kind:
                raise InvalidSpec(name, f"must be {kind}")
        return cls(**fields)


def last_steps(steps: int, strength: float) -> int:
    """Say how many steps are taken, the last ones: at least one. As in diffusers' img2img pipelines."""
    return max(int(steps * strength), 1)


def _check_types(values: ImageOptions | ImageSpec) -> None:
    for field in dataclasses.fields(values):
        value = getattr(values, field.name)
        name, _, nothing = str(field.type).partition(" | ")
        kind, reason = _KINDS[name]
        if value is None and nothing:
            continue
        if not isinstance(value, kind) or isinstance(value, bool):
            raise InvalidSpec(field.name, reason)


def read_size(text: str) -> Size | Dimensions | None:
    """Read a named size or `WIDTHxHEIGHT`, as people type it; None if there is nothing but white space.

    Raises:
        InvalidSpec: it is neither.
    """
    typed = text.translate(_FULL_WIDTH).strip().casefold()
    if typed in set(Size):
        return Size(typed)
    if found := _DIMENSIONS.fullmatch(typed):
        return Dimensions(width=int(found[1]), height=int(found[2]))
    if typed:
        raise InvalidSpec("size", f"must be {', '.join(Size)}, or a width and a height like 448x448")
    return None


def read_strength(text: str) -> Strength | float | None:
    """Read a strength as people type it, `subtle`, `0.6`, `0,6` or `60%`; None if there is nothing but white space.

    Raises:
        InvalidSpec: it is none of these. How large a number may be is checked in the spec.
    """
    typed = text.translate(_FULL_WIDTH).strip().casefold()
    if not typed:
        return None
    if typed in set(Strength):
        return Strength(typed)
    if (found := _PART.fullmatch(typed)) is None:
        raise InvalidSpec("strength", f"must be {', '.join(Strength)}, or a number over 0, at most 1")
    number = float(found[1].replace(",", "."))
    return number / 100 if found[2] else number


def read_sampler(text: str) -> Sampler | None:
    """Read the name of a sampler as people and other programs write it; None if there is nothing but white space.

    Raises:
        InvalidSpec: there is none of this name.
    """
    typed = text.translate(_FULL_WIDTH).strip().casefold()
    if not typed:
        return None
    if (found := _SAMPLERS.get(re.sub(r"[^a-z0-9]", "", typed))) is None:
        raise InvalidSpec("sampler", f"must be one of {', '.join(Sampler)}")
    return found


def sampler_title(name: str) -> str:
    """Return a sampler's name as it is written for people, the same in every language."""
    return _SAMPLER_TITLES.get(name, name)


def clean_prompt(text: str) -> str:
    """Fold white space and drop characters that nobody can see, so that a copied prompt stays equal.

    Control, format (zero-width, bidirectional marks) and surrogate characters go, except those that show: the
    zero-width joiner between others, which holds emoji together; the non-joiner between letters that would join, as
    in Persian; the tags of a flag. Every run of white space becomes one space. NFC, because the same text typed on two
    systems must draw the same picture. Cleaning twice changes nothing.
    """
    while (clean := _cleaned(text)) != text:  # normalized, another letter may stand beside a joiner
        text = clean
    return clean


def _cleaned(text: str) -> str:
    flags = {place for flag in FLAG.finditer(text) for place in range(*flag.span())}
    visible = "".join(
        " " if character.isspace() else character
        for place, character in enumerate(text)
        if character.isspace()
        or character in (ZERO_WIDTH_JOINER, ZERO_WIDTH_NON_JOINER)
        or place in flags
        or unicodedata.category(character) not in {"Cc", "Cf", "Cs"}
    )
    words = (_without_loose_joiners(word) for word in visible.split())
    return unicodedata.normalize("NFC", " ".join(word for word in words if word))


def _without_loose_joiners(word: str) -> str:
    """Keep joiners that stand between other characters, and single non-joiners between letters that would join."""
    parts = word.strip(ZERO_WIDTH_JOINER + ZERO_WIDTH_NON_JOINER).split(ZERO_WIDTH_NON_JOINER)
    kept = parts[0]
    for part in parts[1:]:
        joins = bool(part) and bool(kept) and JOINING.match(kept[-1]) and JOINING.match(part[0])
        kept += f"{ZERO_WIDTH_NON_JOINER}{part}" if joins else part
    return kept
