"""The hashes of models and LoRAs that image files name: found one after the other, looked up for each image."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial

from bot.deadline import Deadline
from pipeline import ImageSpec
from pipeline.catalog.loras import loras_of
from pipeline.catalog.model_hash import ModelHashes, Part, learn, lora_hashes, weights_file
from pipeline.catalog.models import ModelCard
from pipeline.config import PipelineConfig
from pipeline.images.png_metadata import FileHashes


def file_hashes(
    hashes: ModelHashes, cards: Mapping[str, ModelCard], config: PipelineConfig, spec: ImageSpec
) -> FileHashes:
    """Return the hashes of the files that an image is drawn from, as far as they are known by now."""
    path = weights_file(cards[spec.model], config.models_dir) if spec.model in cards else None
    return FileHashes("" if path is None else hashes.known(path), lora_hashes(hashes, spec, config))


async def hash_models(
    hashes: ModelHashes,
    cards: Iterable[ModelCard],
    config: PipelineConfig,
    is_loaded: asyncio.Event,
    deadline: Deadline,
) -> None:
    """Find the hashes of all models and LoRAs, one after the other, once nothing waits for the disk any more."""
    await is_loaded.wait()
    for card in cards:
        if not deadline.has_begun:
            await asyncio.to_thread(learn, hashes, card, config.models_dir, lambda: deadline.has_begun)
    for lora in loras_of(config).values():
        find = partial(hashes.find, lora.file, lambda: deadline.has_begun, part=Part.TENSORS)
        await asyncio.to_thread(find)
    await deadline.wait_for_begin()
