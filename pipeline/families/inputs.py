"""The images that an image is drawn from, checked and in the size that engines need. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

from PIL import Image

from pipeline.catalog.architecture import Architecture, StepCost
from pipeline.engine import Reference
from pipeline.spec import ImageSpec


class Inputs(NamedTuple):
    """What is drawn from beside words.

    init_image: at the size that is drawn, if there is one.
    references: what an edit looks at.
    """

    init_image: Image.Image | None
    references: Sequence[Reference]

    @classmethod
    def of(cls, spec: ImageSpec, source: bytes | None, references: Sequence[Reference]) -> Self:
        """Take checked images."""
        init_image, size = None, (spec.width, spec.height)
        if source is not None:
            init_image = Image.frombytes("RGB", spec.source_size, source)
            if init_image.size != size:
                init_image = init_image.resize(size, Image.Resampling.LANCZOS)
        return cls(init_image, references)

    def cost(self, architecture: Architecture, spec: ImageSpec) -> StepCost:
        """What drawing from them takes."""
        pixels = sum(each.width * each.height for each in self.references)
        return architecture.cost_of(*spec.tile_size, spec.steps, reference_pixels=pixels)
