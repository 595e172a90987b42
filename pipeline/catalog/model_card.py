"""What is true of a model before loading it: `ModelCard`, and how it turns options into a spec.

The cards themselves are in `models.py`; where their files lie is the business of `files.py`.

Longer than other files on purpose: a card is one value, and filling the gaps of a request needs all of it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pipeline.catalog.architecture import Architecture, Feature, Kind, StepCost
from pipeline.errors import InvalidSpec
from pipeline.spec import (
    MAX_ASKED_SCALE,
    MAX_CLIP_SKIP,
    MAX_SIDE_PX,
    MIN_ASKED_CFG,
    RANDOM_SEED,
    SIDE_MULTIPLE_PX,
    UPSCALE,
    Aspect,
    Dimensions,
    ImageOptions,
    ImageSpec,
    Sampler,
    Size,
    Strength,
    clean_prompt,
)

MAIN_BRANCH: Final = "master"  # of every repository on ModelScope
USUAL_STRENGTHS: Final[Mapping[Strength, float]] = MappingProxyType(
    {Strength.SUBTLE: 0.4, Strength.MEDIUM: 0.6, Strength.STRONG: 0.8}
)
ONLY_NORMAL: Final[Mapping[Size, float]] = MappingProxyType({Size.NORMAL: 1.0})
SHAPE_WEIGHT: Final = 4  # people see another shape sooner than a few px more or fewer
UPSCALE_STRENGTH: Final = 0.3  # unless a card says otherwise
LEAST_ENLARGEMENT: Final = 1.25  # in pixels: below it, a final image would show no more than the one that is there


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The exact sizes that a model draws well.

    max_ratio: of the longer side to the shorter one.
    """

    min_side: int
    max_pixels: int
    max_ratio: float

    def __post_init__(self) -> None:
        """See that there is always a nearest size.

        Raises:
            ValueError
        """
        if self.min_side <= 0 or self.min_side % SIDE_MULTIPLE_PX or self.max_pixels < self.min_side**2:
            raise ValueError("there is no such size")

    def allow(self, width: int, height: int) -> bool:
        """Whether an image of so many px is drawn well."""
        return (
            width % SIDE_MULTIPLE_PX == height % SIDE_MULTIPLE_PX == 0
            and min(width, height) >= self.min_side
            and width * height <= self.max_pixels
            and max(width, height) <= self.max_ratio * min(width, height)
        )

    def nearest(self, width: float, height: float) -> Dimensions:
        """Return the allowed size that is most like the given one, in shape and in the number of pixels."""
        width, height = max(1.0, width), max(1.0, height)
        ratio = min(max(width / height, 1 / self.max_ratio), self.max_ratio)
        pixels = min(max(width * height, self.min_side**2), self.max_pixels)
        wide, high = self._around(math.sqrt(pixels * ratio)), self._around(math.sqrt(pixels / ratio))
        choices = [(self.min_side, self.min_side), *itertools.product(wide, high)]

        def distance(size: tuple[int, int]) -> float:
            shape, area = math.log(size[0] / size[1] / ratio), math.log(size[0] * size[1] / pixels)
            return SHAPE_WEIGHT * abs(shape) + abs(area)

        best = min((size for size in choices if self.allow(*size)), key=distance)
        return Dimensions(width=best[0], height=best[1])

    def _around(self, side: float) -> list[int]:
        below = int(side) // SIDE_MULTIPLE_PX
        return [max(self.min_side, (below + more) * SIDE_MULTIPLE_PX) for more in (-1, 0, 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """One file or folder of a model.

    repo: `<namespace>/<name>` on the hub; None for files that ship inside this package, or lie elsewhere.
    revision: of the repository: a branch, a tag or a commit at the hub; one for all files of a repository.
    path: relative to the repository (or to this package); a trailing slash means the folder.
    needs: names that a folder must hold, beside the shards that its index or its file names call for.
    place: where a file of the operator's own lies, absolute; taken from there by reference, and never fetched.
    fallback: what ships with this program and does as well while a file that it needs is not there.
    others: what may lie in the same repository's folder instead, as patterns: the same model in another layout.
    """

    repo: str | None = None
    revision: str = MAIN_BRANCH
    path: str
    needs: tuple[str, ...] = ()
    place: Path | None = None
    fallback: ModelFile | None = None
    others: tuple[str, ...] = ()

    @property
    def is_folder(self) -> bool:
        """Whether `path` names a folder."""
        return self.path.endswith("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """The facts of one model.

    is_commercial: whether the licence allows commercial use.
    files: by the names of the architecture's components; weights are safetensors only.
    supports: what people may ask of it, of what the architecture's engine can do.
    sizes: of its shapes, (width, height) px; SQUARE is always there and the default.
    scales: its named sizes, as what each side is multiplied by; NORMAL is always there, the default, and 1.
    bounds: what else may be asked for, as exact sizes.
    guidance: embedded in the transformer's input; 0 if the model was trained without, so that nobody may ask for it.
    cfg_scale: unless a person says otherwise; 1 is a single pass per step.
    negative_prompt: what it is steered away from unless a person says otherwise, if it supports that.
    samplers: the first is the default; empty if its engine leaves no choice.
    clip_skip: the layer of CLIP that it was trained with, counted from the last one, which is 1; 0 if that is fixed.
    strengths: how far an init image is taken back towards noise, by name, rising; the medium one is the default.
    final_strength: how far a draft is redrawn at the normal size, so that what it shows stays and gets its details.
    upscale_strength: how far an image is redrawn at twice its size, so that all that is in it stays and becomes sharp.
    is_streamed: it is larger than a small GPU, so its blocks take turns there.
    needs_gpu: drawing on a CPU takes hours, so nobody is left to it who did not ask for it by name.
    fetch_gb: about how much is fetched if nothing of it is there.
    packed_gb: of disk that its packed weights take; 0 if they are read from its files at every start.
    step_gb: of weights that every step needs, in 8 bits: those of its transformer or UNet.
    reads: the languages of prompts, `en` or `zh`; empty if any will do.
    vocabulary: file of this package with the words that it knows; "" if they are too many for a list.
    examples: prompts to try it with, by the reader's language (`en`, `zh-CN`, `zh-TW`); if any, then English ones.
    """

    name: str
    title: str
    architecture: Architecture
    supports: frozenset[Feature] = frozenset()
    licence: str
    licence_url: str
    is_commercial: bool = False
    files: Mapping[str, ModelFile] = field(default_factory=dict)
    sizes: Mapping[Aspect, tuple[int, int]]
    scales: Mapping[Size, float] = field(default_factory=lambda: ONLY_NORMAL)
    bounds: Bounds
    strengths: Mapping[Strength, float] = field(default_factory=lambda: USUAL_STRENGTHS)
    final_strength: float = 0.6
    upscale_strength: float = UPSCALE_STRENGTH
    default_steps: int = 20
    guidance: float = 3.5
    cfg_scale: float = 1.0
    negative_prompt: str = ""
    samplers: tuple[Sampler, ...] = ()
    clip_skip: int = 0
    is_streamed: bool = False
    needs_gpu: bool = False
    packed_gb: int = 0
    step_gb: float = 0.0
    fetch_gb: int = 0
    reads: tuple[str, ...] = ()
    vocabulary: str = ""
    examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    is_hidden: bool = False  # for tests; users are not told of it
    assumed_step_s: float = 1.0  # a guess for the first finish times, before anything was measured here
    assumed_fixed_s: float = 1.0  # text encoding + decoding, likewise
    assumed_load_s: float = 10.0  # from the start of the process until it can draw, likewise

    def __post_init__(self) -> None:
        """See that the card promises nothing that its architecture cannot do, and names no file that it does not know.

        Raises:
            ValueError
        """
        if Aspect.SQUARE not in self.sizes or self.scales.get(Size.NORMAL) != 1:
            raise ValueError(f"{self.name} has no square, or no normal size")
        numbers = [self.strengths.get(name, 0.0) for name in Strength]
        if not 0 < numbers[0] < numbers[1] < numbers[2] < 1:
            raise ValueError(f"{self.name} has strengths that do not rise")
        if beyond := self.supports - self.architecture.features:
            raise ValueError(f"{self.architecture.name} has no {', '.join(sorted(beyond))}")
        if unknown := self.files.keys() - self.architecture.components.keys():
            raise ValueError(f"{self.architecture.name} has no component {', '.join(sorted(unknown))}")
        if bool(self.samplers) != (Feature.SAMPLER in self.supports):
            raise ValueError(f"{self.name} offers samplers and does not support choosing one, or the other way round")
        if bool(self.clip_skip) != (Feature.CLIP_SKIP in self.supports):
            raise ValueError(f"{self.name} skips layers of CLIP and does not support that, or the other way round")

    @property
    def tells_unread(self) -> bool:
        """Whether people are told of text that it cannot read; see `vocabulary.py`."""
        return Feature.LANGUAGES not in self.supports

    @property
    def default_strength(self) -> float:
        """How much of an init image is redrawn unless a person says otherwise."""
        return self.strengths[Strength.MEDIUM]

    def examples_for(self, language: str) -> tuple[str, ...]:
        """Return the examples for a reader's language, else the English ones."""
        return self.examples.get(language) or self.examples.get("en", ())

    def files_of(self, *kinds: Kind) -> dict[str, ModelFile]:
        """The files of these kinds of components, by name."""
        return {name: file for name, file in self.files.items() if self.architecture.components[name].kind in kinds}

    def size(self, aspect: Aspect, size: Size = Size.NORMAL) -> tuple[int, int]:
        """(width, height) of a shape in a named size, in px.

        Raises:
            InvalidSpec: this model has no such shape, or no such size.
        """
        if aspect not in self.sizes:
            choice = "one of " if len(self.sizes) > 1 else ""
            raise InvalidSpec("aspect", f"must be {choice}{', '.join(self.sizes)} with {self.name}")
        if size not in self.scales:
            names = ", ".join(self.scales)
            reason = f"must be {'one of ' if len(self.scales) > 1 else ''}{names} with {self.name}"
            raise InvalidSpec("size", reason, detail="not-offered", model=self.title, sizes=names)
        width, height = self.sizes[aspect]
        if size is Size.NORMAL:
            return width, height
        scaled = self.bounds.nearest(width * self.scales[size], height * self.scales[size])
        return scaled.width, scaled.height

    def pixels_of(self, options: ImageOptions) -> tuple[int, int]:
        """(width, height) that options ask for, in px; a square where they leave the shape open.

        Raises:
            InvalidSpec: this model has no such shape or size.
        """
        if not isinstance(options.size, Dimensions):
            return self.size(options.aspect or Aspect.SQUARE, options.size or Size.NORMAL)
        width, height = options.size.width, options.size.height
        if not self.can_draw(width, height):
            nearest = str(self.bounds.nearest(width, height))
            reason = f"{options.size} cannot be drawn with {self.name}; the nearest that can is {nearest}"
            raise InvalidSpec("size", reason, detail="nearest", model=self.title, nearest=nearest)
        return width, height

    def can_draw(self, width: int, height: int) -> bool:
        """Whether it draws images of so many px."""
        return self.bounds.allow(width, height) or self.name_of_size(width, height) is not None

    def name_of_size(self, width: int, height: int) -> tuple[Aspect, Size] | None:
        """Return the shape and the named size that `size` makes into so many px; None if it is an exact size."""
        names = itertools.product(self.sizes, sorted(self.scales, key=lambda size: size is not Size.NORMAL))
        return next((name for name in names if self.size(*name) == (width, height)), None)

    def final_size(self, width: int, height: int) -> Size | Dimensions | None:
        """Return the size in which a smaller image of so many px becomes a final one; None if it is large enough.

        It keeps the shape. A named shape becomes the normal one of that name, anything else as many px as a square has.
        """
        name = self.name_of_size(width, height)
        full = self.sizes[Aspect.SQUARE if name is None else name[0]]
        growth = full[0] * full[1] / max(1, width * height)
        if growth < LEAST_ENLARGEMENT:
            return None
        if name is not None:
            return Size.NORMAL
        return self.bounds.nearest(width * math.sqrt(growth), height * math.sqrt(growth))

    @property
    def can_upscale(self) -> bool:
        """Whether it draws images anew at twice their size."""
        return {Feature.INIT_IMAGE, Feature.UPSCALE} <= self.supports

    def upscales(self, spec: ImageSpec) -> bool:
        """Whether it draws such an image anew at twice its size; one that it cannot draw itself, or that was, never."""
        is_larger_possible = max(spec.width, spec.height) * UPSCALE <= MAX_SIDE_PX
        return self.can_upscale and not spec.upscale and is_larger_possible and self.can_draw(spec.width, spec.height)

    def largest_cost(self) -> StepCost:
        """What the largest of its images takes."""
        width, height = max(self.sizes.values(), key=lambda size: size[0] * size[1])
        return self.architecture.cost(width, height, self.default_steps)

    def nearest_aspect(self, width: int, height: int) -> Aspect:
        """The shape that cuts least off a picture of this size."""
        ratio = math.log(max(1, width) / max(1, height))
        return min(self.sizes, key=lambda aspect: abs(math.log(self.sizes[aspect][0] / self.sizes[aspect][1]) - ratio))

    def resolve(
        self,
        options: ImageOptions,
        *,
        random_seed: int,
        source: str = "",
        references: Sequence[str] = (),
        translated: str = "",
    ) -> ImageSpec:
        """Fill the gaps of `options` and check them against this model.

        `random_seed` is used where the options leave the seed open (None or −1); `source` is the key of the
        picture to start from; `references` and `translated`: see `ImageSpec`.

        Raises:
            InvalidSpec: a value is out of range, or this model has no such shape, size or setting, or cannot start from
                an image.
        """
        if source and Feature.INIT_IMAGE not in self.supports:
            raise self._not_offered("image")
        if options.upscale and not self.can_upscale:
            raise self._not_offered("upscale")
        if references and Feature.EDIT not in self.supports:
            raise self._not_offered("references")
        if options.loras and Feature.LORA not in self.supports:
            raise self._not_offered("loras")
        width, height = self.pixels_of(options)
        times = options.upscale or 1
        return ImageSpec(
            prompt=clean_prompt(options.prompt),
            seed=random_seed if options.seed in (None, RANDOM_SEED) else options.seed,
            steps=self.default_steps if options.steps is None else options.steps,
            width=width * times,
            height=height * times,
            guidance=self._guidance(options.guidance),
            cfg_scale=self._cfg_scale(options.cfg_scale),
            model=self.name,
            source=source,
            strength=self._strength(options, source),
            negative_prompt=self._negative_prompt(options.negative_prompt),
            sampler=self._sampler(options.sampler),
            clip_skip=self._clip_skip(options.clip_skip),
            upscale=options.upscale or 0,
            loras=options.loras or "",
            references=",".join(references),
            translated=translated,
        )

    def offers(self, option: str) -> bool:
        """Whether people may ask it for this field of `ImageOptions`; true for those that every model has."""
        match option:
            case "negative_prompt":
                return Feature.NEGATIVE_PROMPT in self.supports
            case "cfg_scale":
                return Feature.CFG in self.supports
            case "guidance":
                return self.guidance > 0
            case "sampler":
                return bool(self.samplers)
            case "clip_skip":
                return self.clip_skip > 0
            case "loras":
                return Feature.LORA in self.supports
            case "strength":
                return Feature.INIT_IMAGE in self.supports
            case _:
                return True

    def _strength(self, options: ImageOptions, source: str) -> float:
        asked = options.strength
        if asked is not None:
            return self.strengths[asked] if isinstance(asked, Strength) else asked
        if not source:
            return 1.0
        return self.upscale_strength if options.upscale else self.default_strength

    def _negative_prompt(self, asked: str | None) -> str:
        if not self.offers("negative_prompt"):
            if asked is not None and clean_prompt(asked):
                raise self._not_offered("negative_prompt")
            return ""
        return clean_prompt(self.negative_prompt if asked is None else asked)

    def _cfg_scale(self, asked: float | None) -> float:
        if asked is None or asked == self.cfg_scale:
            return self.cfg_scale
        if not self.offers("cfg_scale"):
            raise self._not_offered("cfg_scale")
        if not MIN_ASKED_CFG <= asked <= MAX_ASKED_SCALE:
            raise InvalidSpec("cfg_scale", f"must be {MIN_ASKED_CFG:g} to {MAX_ASKED_SCALE:g}")
        return asked

    def _guidance(self, asked: float | None) -> float:
        if asked is None or asked == self.guidance:
            return self.guidance
        if not self.offers("guidance"):
            raise self._not_offered("guidance")
        if not 0 <= asked <= MAX_ASKED_SCALE:
            raise InvalidSpec("guidance", f"must be 0 to {MAX_ASKED_SCALE:g}")
        return asked

    def _sampler(self, asked: Sampler | None) -> str:
        if asked is None:
            return self.samplers[0].value if self.samplers else ""
        if not self.samplers:
            raise self._not_offered("sampler")
        if asked not in self.samplers:
            names = ", ".join(self.samplers)
            reason = f"must be one of {names} with {self.name}"
            raise InvalidSpec("sampler", reason, detail="other", model=self.title, samplers=names)
        return asked.value

    def _clip_skip(self, asked: int | None) -> int:
        if asked is None or asked == self.clip_skip:
            return self.clip_skip
        if not self.offers("clip_skip"):
            raise self._not_offered("clip_skip")
        if not 1 <= asked <= MAX_CLIP_SKIP:
            raise InvalidSpec("clip_skip", f"must be 1 to {MAX_CLIP_SKIP}")
        return asked

    def _not_offered(self, option: str) -> InvalidSpec:
        return InvalidSpec(option, f"cannot be set with {self.name}", detail="not-offered", model=self.title)
