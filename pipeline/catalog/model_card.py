"""What is true of a model before loading it: `ModelCard`, and how it turns options into a spec.

The cards themselves are in `models.py`; where their files lie is the business of `files.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.catalog.architecture import Architecture, Feature, Kind, StepCost
from pipeline.errors import InvalidSpec
from pipeline.spec import DEFAULT_STRENGTH, RANDOM_SEED, Aspect, ImageOptions, ImageSpec, clean_prompt


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
    is_streamed: it is larger than a small GPU, so its blocks take turns there.
    needs_gpu: drawing on a CPU takes hours, so nobody is left to it who did not ask for it by name.
    packed_gb: of disk that its packed weights take; 0 if they are read from its files at every start.
    """

    name: str
    title: str
    architecture: Architecture
    supports: frozenset[Feature] = frozenset()
    licence: str
    licence_url: str
    files: Mapping[str, ModelFile] = field(default_factory=dict)
    sizes: Mapping[Aspect, tuple[int, int]]  # (width, height) px; SQUARE is always there and the default
    default_steps: int = 20
    guidance: float = 3.5
    cfg_scale: float = 1.0
    negative_prompt: str = ""  # what it is steered away from, if it supports that
    is_streamed: bool = False
    needs_gpu: bool = False
    packed_gb: int = 0
    is_hidden: bool = False  # for tests; users are not told of it
    assumed_step_s: float = 1.0  # a guess for the first finish times, before anything was measured here
    assumed_fixed_s: float = 1.0  # text encoding + decoding, likewise
    assumed_load_s: float = 10.0  # from the start of the process until it can draw, likewise

    def __post_init__(self) -> None:
        """See that the card promises nothing that its architecture cannot do, and names no file that it does not know.

        Raises:
            ValueError
        """
        if beyond := self.supports - self.architecture.features:
            raise ValueError(f"{self.architecture.name} has no {', '.join(sorted(beyond))}")
        if unknown := self.files.keys() - self.architecture.components.keys():
            raise ValueError(f"{self.architecture.name} has no component {', '.join(sorted(unknown))}")

    @property
    def tells_unread(self) -> bool:
        """Whether people are told of text that it cannot read; see `vocabulary.py`."""
        return Feature.LANGUAGES not in self.supports

    def files_of(self, *kinds: Kind) -> dict[str, ModelFile]:
        """The files of these kinds of components, by name."""
        return {name: file for name, file in self.files.items() if self.architecture.components[name].kind in kinds}

    def size(self, aspect: Aspect) -> tuple[int, int]:
        """(width, height) of a shape, in px.

        Raises:
            InvalidSpec: this model has no such shape.
        """
        if aspect not in self.sizes:
            choice = "one of " if len(self.sizes) > 1 else ""
            raise InvalidSpec("aspect", f"must be {choice}{', '.join(self.sizes)} with {self.name}")
        return self.sizes[aspect]

    def largest_cost(self) -> StepCost:
        """What the largest of its images takes."""
        width, height = max(self.sizes.values(), key=lambda size: size[0] * size[1])
        return self.architecture.cost(width, height, self.default_steps)

    def nearest_aspect(self, width: int, height: int) -> Aspect:
        """The shape that cuts least off a picture of this size."""
        ratio = math.log(width / height)
        return min(self.sizes, key=lambda aspect: abs(math.log(self.sizes[aspect][0] / self.sizes[aspect][1]) - ratio))

    def resolve(self, options: ImageOptions, *, random_seed: int, source: str = "") -> ImageSpec:
        """Fill the gaps of `options` and check them against this model.

        `random_seed` is used where the options leave the seed open (None or −1); `source` is the key of the
        picture to start from.

        Raises:
            InvalidSpec: a value is out of range, this model has no such size, or cannot start from an image.
        """
        if source and Feature.INIT_IMAGE not in self.supports:
            raise InvalidSpec("image", f"cannot be used with {self.name}")
        width, height = self.size(options.aspect or Aspect.SQUARE)
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
