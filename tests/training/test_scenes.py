"""Scenes become the pictures that they describe."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from training.captions import Author, Placed
from training.scenes import CAPTIONS, MAX_OBJECTS, OBJECT, TEXT_LENGTH, batches, compose, tensors
from training.sprites import SIZE_PX, Atlas
from training.vocabulary import Concept, load_concepts

WHITE = torch.tensor([[0.0] + [255.0] * 6])


def place(*objects: tuple[float, ...]) -> torch.Tensor:
    """(1, K, `OBJECT`)."""
    slots = torch.full((1, MAX_OBJECTS, len(OBJECT)), -1.0)
    slots[0, : len(objects)] = torch.tensor(objects).view(-1, len(OBJECT))
    return slots


@pytest.fixture
def flag() -> Atlas:
    """One sprite: black in the upper left quarter, clear elsewhere."""
    sprite = np.zeros((1, SIZE_PX, SIZE_PX, 4), np.uint8)
    sprite[0, : SIZE_PX // 2, : SIZE_PX // 2, 3] = 255
    return Atlas(sprite, {(0, 0): 0})


def quarters(picture: torch.Tensor) -> list[bool]:
    """Whether upper left, upper right, lower left and lower right are dark in their middles."""
    return [bool(picture[0, 0, y, x] < 0) for y in (64, 192) for x in (64, 192)]


def test_empty_scene_is_its_background(atlas: Atlas) -> None:
    assert torch.equal(compose(atlas, place(), WHITE), torch.ones(1, 3, 256, 256))


def test_object_lies_where_it_was_put(atlas: Atlas) -> None:
    picture = compose(atlas, place((0, 0.25, 0.75, 0.4, 0, 1)), WHITE)[0]
    assert picture[1, 192, 64] == -1
    assert picture[1, 64, 192] == 1


@pytest.mark.parametrize(
    ("turn_deg", "side", "where"), [(0, 1, 0), (0, -1, 1), (90, 1, 1), (-90, 1, 2), (180, 1, 3), (90, -1, 3)]
)
def test_object_is_mirrored_first_and_then_turned_clockwise(flag: Atlas, turn_deg: int, side: int, where: int) -> None:
    picture = compose(flag, place((0, 0.5, 0.5, 1, math.radians(turn_deg), side)), WHITE)
    assert quarters(picture) == [quarter == where for quarter in range(4)]


def test_scene_and_tensor_say_the_same(flag: Atlas) -> None:
    placed = Placed(concept=0, style=0, x=0.25, y=0.5, size=0.5, turn_deg=90, is_mirrored=True)
    scene = dataclasses.replace(Author(load_concepts(1), seed=0, kinds={"one": 1}).scene(), objects=(placed,))
    objects, _ = tensors([scene], {(0, 0): 0})
    assert objects[0, 0].tolist() == pytest.approx([0, 0.25, 0.5, 0.5, math.pi / 2, -1])


def test_vertical_gradient_goes_from_top_to_bottom(atlas: Atlas) -> None:
    ground = torch.tensor([[1.0, 0, 0, 0, 255, 255, 255]])
    picture = compose(atlas, place(), ground)[0, 0]
    assert picture[0].max() < -0.9
    assert picture[-1].min() > 0.9
    assert picture[128].std() < 1e-6


def test_stream_gives_tokens_for_every_phrasing(atlas: Atlas, concepts: list[Concept]) -> None:
    objects, grounds, ids = next(batches(concepts, atlas.number, 3, seed=0, workers=0))
    assert objects.shape == (3, MAX_OBJECTS, len(OBJECT))
    assert grounds.shape == (3, 7)
    assert ids.shape == (3, CAPTIONS, TEXT_LENGTH)
    assert (ids == 1).any(-1).all()
