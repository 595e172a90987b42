"""Scenes become the pictures that they describe."""

from __future__ import annotations

import torch

from training.scenes import CAPTIONS, MAX_OBJECTS, TEXT_LENGTH, batches, compose
from training.sprites import Atlas
from training.vocabulary import Concept

WHITE = torch.tensor([[0.0] + [255.0] * 6])


def place(*objects: tuple[float, float, float, float]) -> torch.Tensor:
    """(1, K, 4): sprite, x, y, size."""
    slots = torch.full((1, MAX_OBJECTS, 4), -1.0)
    slots[0, : len(objects)] = torch.tensor(objects).view(-1, 4)
    return slots


def test_empty_scene_is_its_background(atlas: Atlas) -> None:
    assert torch.equal(compose(atlas, place(), WHITE), torch.ones(1, 3, 256, 256))


def test_object_lies_where_it_was_put(atlas: Atlas) -> None:
    picture = compose(atlas, place((0, 0.25, 0.75, 0.4)), WHITE)[0]
    assert picture[1, 192, 64] == -1
    assert picture[1, 64, 192] == 1


def test_vertical_gradient_goes_from_top_to_bottom(atlas: Atlas) -> None:
    ground = torch.tensor([[1.0, 0, 0, 0, 255, 255, 255]])
    picture = compose(atlas, place(), ground)[0, 0]
    assert picture[0].max() < -0.9
    assert picture[-1].min() > 0.9
    assert picture[128].std() < 1e-6


def test_stream_gives_tokens_for_every_phrasing(atlas: Atlas, concepts: list[Concept]) -> None:
    objects, grounds, ids = next(batches(concepts, dict(atlas.number), 3, seed=0, workers=0))
    assert objects.shape == (3, MAX_OBJECTS, 4)
    assert grounds.shape == (3, 7)
    assert ids.shape == (3, CAPTIONS, TEXT_LENGTH)
    assert (ids == 1).any(-1).all()
