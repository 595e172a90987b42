"""What is true of a model before loading it: `ModelCard`, and how it turns options into a spec.

The cards themselves are in `models.py`; where their files lie is the business of `files.py`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from pipeline.catalog.architecture import Architecture, Feature, Kind, StepCost
from pipeline.errors import InvalidSpec
from pipeline.spec import (
    DEFAULT_STRENGTH,
    RANDOM_SEED,
    SIDE_MULTIPLE_PX,
    Aspect,
    Dimensions,
    ImageOptions,
    ImageSpec,
    Size,
    clean_prompt,
)

ONLY_NORMAL: Final[Mapping[Size, float]] = MappingProxyType({Size.NORMAL: 1.0})
SHAPE_WEIGHT: Final = 4  # people see another shape sooner than a few px more or fewer
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

    repo: `<namespace>/<name>` on the hub; None for files that ship inside this package.
    path: relative to the repository (or to this package); a trailing slash means the folder.
    needs: names that a folder must hold, beside the shards that its index or its file names call for.
    """

    repo: str | None = None
    path: str
    needs: tuple[str, ...] = ()

    @property
    def is_folder(self) -> bool:
        """Whether `path` names a folder."""
        return self.path.endswith("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """The facts of one model.

    files: by the names of the architecture's components; weights are safetensors only.
    supports: what people may ask of it, of what the architecture's engine can do.
    sizes: of its shapes, (width, height) px; SQUARE is always there and the default.
    scales: its named sizes, as what each side is multiplied by; NORMAL is always there, the default, and 1.
    bounds: what else may be asked for, as exact sizes.
    final_strength: how far a draft is redrawn at the normal size, so that what it shows stays and gets its details.
    is_streamed: it is larger than a small GPU, so its blocks take turns there.
    needs_gpu: drawing on a CPU takes hours, so nobody is left to it who did not ask for it by name.
    packed_gb: of disk that its packed weights take; 0 if they are read from its files at every start.
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
    files: Mapping[str, ModelFile] = field(default_factory=dict)
    sizes: Mapping[Aspect, tuple[int, int]]
    scales: Mapping[Size, float] = field(default_factory=lambda: ONLY_NORMAL)
    bounds: Bounds
    final_strength: float = DEFAULT_STRENGTH
    default_steps: int = 20
    guidance: float = 3.5
    cfg_scale: float = 1.0
    negative_prompt: str = ""  # what it is steered away from, if it supports that
    is_streamed: bool = False
    needs_gpu: bool = False
    packed_gb: int = 0
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
        if beyond := self.supports - self.architecture.features:
            raise ValueError(f"{self.architecture.name} has no {', '.join(sorted(beyond))}")
        if unknown := self.files.keys() - self.architecture.components.keys():
            raise ValueError(f"{self.architecture.name} has no component {', '.join(sorted(unknown))}")

    @property
    def tells_unread(self) -> bool:
        """Whether people are told of text that it cannot read; see `vocabulary.py`."""
        return Feature.LANGUAGES not in self.supports

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

    def largest_cost(self) -> StepCost:
        """What the largest of its images takes."""
        width, height = max(self.sizes.values(), key=lambda size: size[0] * size[1])
        return self.architecture.cost(width, height, self.default_steps)

    def nearest_aspect(self, width: int, height: int) -> Aspect:
        """The shape that cuts least off a picture of this size."""
        ratio = math.log(max(1, width) / max(1, height))
        return min(self.sizes, key=lambda aspect: abs(math.log(self.sizes[aspect][0] / self.sizes[aspect][1]) - ratio))

    def resolve(self, options: ImageOptions, *, random_seed: int, source: str = "") -> ImageSpec:
        """Fill the gaps of `options` and check them against this model.

        `random_seed` is used where the options leave the seed open (None or −1); `source` is the key of the
        picture to start from.

        Raises:
            InvalidSpec: a value is out of range, this model has no such shape or size, or cannot start from an image.
        """
        if source and Feature.INIT_IMAGE not in self.supports:
            raise InvalidSpec("image", f"cannot be used with {self.name}")
        width, height = self.pixels_of(options)
        return ImageSpec(
            prompt=clean_prompt(options.prompt),
            seed=random_seed if options.seed in (None, RANDOM_SEED) else options.seed,
            steps=self.default_steps if options.steps is None else options.steps,
            width=width,
            height=height,
            guidance=self.guidance,
            cfg_scale=self.cfg_scale,
            model=self.name,
            source=source,
            strength=(DEFAULT_STRENGTH if source else 1.0) if options.strength is None else options.strength,
        )
