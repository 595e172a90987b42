"""What is true of a model before loading it: `ModelCard`, and how it turns options into a spec.

The cards themselves are in `models.py`; where their files lie is the business of `files.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

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

    kinds of `files`: dit, vae, clip, t5 (weights, safetensors only), tokenizer_1 (CLIP's), tokenizer_2 (T5's).
    """

    name: str
    title: str
    family: str
    licence: str
    licence_url: str
    files: Mapping[str, ModelFile] = field(default_factory=dict)
    sizes: Mapping[Aspect, tuple[int, int]]  # (width, height) px; SQUARE is always there and the default
    default_steps: int = 20
    guidance: float = 3.5
    cfg_scale: float = 1.0
    is_offloaded: bool = False  # too big for an 8 GB card: its blocks take turns there
    tells_unread: bool = False  # people are told of text that its T5 cannot read; see `vocabulary.py`
    is_hidden: bool = False  # for tests; users are not told of it
    assumed_step_s: float = 1.0  # a guess for the first finish times, before anything was measured here
    assumed_fixed_s: float = 1.0  # text encoding + decoding, likewise

    def size(self, aspect: Aspect) -> tuple[int, int]:
        """(width, height) of a shape, in px.

        Raises:
            InvalidSpec: this model has no such shape.
        """
        if aspect not in self.sizes:
            choice = "one of " if len(self.sizes) > 1 else ""
            raise InvalidSpec("aspect", f"must be {choice}{', '.join(self.sizes)} with {self.name}")
        return self.sizes[aspect]

    def nearest_aspect(self, width: int, height: int) -> Aspect:
        """The shape that cuts least off a picture of this size."""
        ratio = math.log(width / height)
        return min(self.sizes, key=lambda aspect: abs(math.log(self.sizes[aspect][0] / self.sizes[aspect][1]) - ratio))

    def resolve(self, options: ImageOptions, *, random_seed: int, source: str = "") -> ImageSpec:
        """Fill the gaps of `options` and check them against this model.

        `random_seed` is used where the options leave the seed open (None or −1); `source` is the key of the
        picture to start from.

        Raises:
            InvalidSpec: a value is out of range or this model has no such size.
        """
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
