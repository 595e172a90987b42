"""Two concepts with drawn sprites, so that no icon package is needed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.demo.model import SmallClip, SmallDiT, SmallT5, SmallVAEDecoder, SmallVAEEncoder
from training.networks import Networks
from training.sprites import SIZE_PX, Atlas
from training.vocabulary import Concept, load_concepts


@pytest.fixture
def concepts() -> list[Concept]:
    return load_concepts(2)


@pytest.fixture
def atlas() -> Atlas:
    """A red and a blue square for each concept: opaque in the middle, clear around."""
    sprites = np.zeros((4, SIZE_PX, SIZE_PX, 4), np.uint8)
    middle = slice(SIZE_PX // 8, -SIZE_PX // 8)
    for number in range(4):
        sprites[number, middle, middle] = (200, 0, 0, 255) if number < 2 else (0, 0, 200, 255)
    return Atlas(sprites, {(concept, style): 2 * concept + style for concept in range(2) for style in range(2)})


@pytest.fixture
def miniature() -> Networks:
    """Parts with one layer each, and random weights."""
    torch.manual_seed(0)
    return Networks(
        dit=SmallDiT(dim=64, heads=1, joint_blocks=1, single_blocks=1),
        t5=SmallT5(layers=1),
        clip=SmallClip(layers=1),
        encoder=SmallVAEEncoder(widths=(32, 32, 32, 32)),
        decoder=SmallVAEDecoder(widths=(32, 32, 32, 32)),
    )
