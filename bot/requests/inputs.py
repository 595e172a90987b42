"""The images that a request starts from or looks at: read, brought to the model's sizes, kept for the worker."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Final

from PIL import Image

from bot.jobs import Request
from bot.requests.init_images import header_of
from bot.store.image_store import ImageStore
from pipeline import ImageSpec, Reference
from pipeline.catalog.model_card import ModelCard
from pipeline.errors import InvalidSpec
from pipeline.images.init_image import SourceFile, fit_source, source_png, unpack
from pipeline.images.reference import fit_reference
from pipeline.spec import MAX_REFERENCES, Aspect, Dimensions, ImageOptions

ANY_KEY: Final = "0" * 64  # stands for an image that was not read yet
SAME_SHAPE: Final = 0.02  # of the logarithm of a ratio: nobody sees so little


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The images of one request, unpacked: one to start from, or those that an edit looks at."""

    picture: Image.Image | None = None
    references: tuple[Reference, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A spec and the images that it names."""

    spec: ImageSpec
    source: Image.Image | None = None
    references: tuple[Reference, ...] = ()


NO_INPUTS: Final = Inputs()


def check_count(references: Sequence[object]) -> None:
    """Check how many images an edit is to look at.

    Raises:
        InvalidSpec: too many.
    """
    if len(references) > MAX_REFERENCES:
        raise InvalidSpec("references", f"are at most {MAX_REFERENCES}", detail="too-many", limit=MAX_REFERENCES)


def check_settings(request: Request, card: ModelCard) -> None:
    """Check everything but the images, which cost more.

    Raises:
        InvalidSpec
    """
    options = replace(request.options, aspect=request.options.aspect or Aspect.SQUARE)
    source = "" if request.source is None else ANY_KEY
    card.resolve(options, random_seed=0, source=source, references=[ANY_KEY] * len(request.references))


async def unpack_inputs(request: Request, unpacker: Executor) -> Inputs:
    """Fetch and unpack the files of a request one after the other; `unpacker` is where the pixels are unpacked.

    An image that is given twice is looked at once.

    Raises:
        Refusal: a file cannot be fetched.
        InvalidSpec: a file is gone, or cannot be used.
    """
    loop = asyncio.get_running_loop()
    picture = None
    if request.source is not None:
        picture = await loop.run_in_executor(unpacker, unpack, await header_of(request.source))
    references: dict[str, Reference] = {}
    for file in request.references:
        reference = await loop.run_in_executor(unpacker, _reference, await header_of(file))
        references.setdefault(reference.key, reference)
    return Inputs(picture=picture, references=tuple(references.values()))


def fit_inputs(card: ModelCard, options: ImageOptions, inputs: Inputs, *, random_seed: int) -> Fitted:
    """Make the spec, and bring the images to the sizes that it needs. Blocks.

    Where neither a shape nor an exact size is asked for, an edit has the shape of its first image.

    Raises:
        InvalidSpec
    """
    if inputs.picture is not None:
        spec, source = fit_source(card, options, inputs.picture, random_seed=random_seed)
        return Fitted(spec=spec, source=source)
    keys = [reference.key for reference in inputs.references]
    if keys:
        first = inputs.references[0]
        options = shaped_like(first.width, first.height, options, card)
    spec = card.resolve(options, random_seed=random_seed, references=keys)
    pixels = sum(reference.width * reference.height for reference in inputs.references)
    return Fitted(spec=replace(spec, reference_pixels=pixels), references=inputs.references)


def shaped_like(width: int, height: int, options: ImageOptions, card: ModelCard) -> ImageOptions:
    """Return options with the shape of an image of so many px, if they leave the shape open.

    It is a shape of the model if one is like it, else an exact size with as many pixels as a square has.
    """
    if options.aspect is not None or isinstance(options.size, Dimensions):
        return options
    aspect = card.nearest_aspect(width, height)
    own_width, own_height = card.sizes[aspect]
    if options.size is not None or abs(math.log(own_width / own_height * height / width)) < SAME_SHAPE:
        return replace(options, aspect=aspect)
    pixels, ratio = math.prod(card.sizes[Aspect.SQUARE]), width / height
    return replace(options, size=card.bounds.nearest(math.sqrt(pixels * ratio), math.sqrt(pixels / ratio)))


async def store(fitted: Fitted, images: ImageStore) -> None:
    """Keep the images of a spec for the worker.

    Raises:
        OSError: the disk is full or not writable.
    """
    if fitted.source is not None:
        await images.write_source(fitted.spec.source, await asyncio.to_thread(source_png, fitted.source))
    for reference in fitted.references:
        await images.write_source(reference.key, await asyncio.to_thread(_png, reference))


def _reference(header: SourceFile) -> Reference:
    return fit_reference(unpack(header))


def _png(reference: Reference) -> bytes:
    return source_png(Image.frombytes("RGB", (reference.width, reference.height), reference.pixels))
