"""The images that a job needs, read from the disk just before it is drawn."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import NamedTuple, TypeVar

from bot.scheduling.failures import InputGone, StorageFailed
from bot.store.image_store import ImageStore
from pipeline import ImageSpec, Reference

T = TypeVar("T")


class Inputs(NamedTuple):
    """What `Engine.generate` takes beside the spec."""

    source: bytes | None
    references: tuple[Reference, ...]


async def read_inputs(spec: ImageSpec, images: ImageStore) -> Inputs:
    """Read the images that a spec names.

    Raises:
        InputGone, StorageFailed
    """
    source = await _read(images.read_source(spec.source)) if spec.source else None
    references = [await _read(images.read_reference(key)) for key in spec.reference_keys]
    return Inputs(source, tuple(references))


async def _read(reading: Awaitable[T]) -> T:
    try:
        return await reading
    except FileNotFoundError as error:
        raise InputGone(f"an image that it needs is gone: {error}") from error
    except Exception as error:  # the system's, and many of Pillow's about a file that was damaged
        raise StorageFailed(f"an image that it needs cannot be read: {error}") from error
