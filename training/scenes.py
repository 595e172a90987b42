"""Scenes as tensors: the loader that invents them with their captions, and their composition on the device.

Letters in shapes: B scenes, K = `MAX_OBJECTS`, T text tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

import pipeline.demo
from training.captions import Author, Scene
from training.sprites import SIZE_PX, Atlas
from training.vocabulary import Concept, load_unknown

MAX_OBJECTS: Final = 4
OBJECT: Final = ("sprite", "x", "y", "size", "turn", "side")  # sprite −1: none; turn in radians; side −1: mirrored
CAPTIONS: Final = 4  # phrasings of every scene
TEXT_LENGTH: Final = 48
TOKENIZER: Final = Path(pipeline.demo.__file__).parent / "tokenizer_2" / "tokenizer.json"
Batch = tuple[Tensor, Tensor, Tensor]


def tensors(scenes: Sequence[Scene], atlas_number: dict[tuple[int, int], int]) -> tuple[Tensor, Tensor]:
    """→ objects (B, K, `OBJECT`) and backgrounds (B, 7: gradient, two colours 0…255)."""
    objects = torch.full((len(scenes), MAX_OBJECTS, len(OBJECT)), -1.0)
    grounds = torch.zeros(len(scenes), 7)
    for i, scene in enumerate(scenes):
        for k, placed in enumerate(scene.objects):
            sprite = atlas_number[placed.concept, placed.style]
            turn = math.radians(placed.turn_deg)
            objects[i, k] = torch.tensor(
                [sprite, placed.x, placed.y, placed.size, turn, -1 if placed.is_mirrored else 1]
            )
        grounds[i] = torch.tensor([scene.gradient, *scene.colours[0], *scene.colours[1]], dtype=torch.float32)
    return objects, grounds


class SceneStream(IterableDataset[Batch]):
    """Endless batches: objects, grounds, token ids (B, CAPTIONS, T), int16."""

    def __init__(
        self,
        concepts: Sequence[Concept],
        number: dict[tuple[int, int], int],
        batch: int,
        *,
        seed: int,
        variety: float = 1.0,
    ) -> None:
        self._concepts, self._number, self._batch = concepts, number, batch
        self._seed, self._variety = seed, variety

    def __iter__(self) -> Iterator[Batch]:
        from tokenizers import Tokenizer

        worker = get_worker_info()
        seed = self._seed * 1000 + (worker.id if worker else 0)
        author = Author(self._concepts, seed=seed, unknown=load_unknown(), variety=self._variety)
        tokenizer = Tokenizer.from_file(str(TOKENIZER))
        tokenizer.enable_truncation(TEXT_LENGTH)
        tokenizer.enable_padding(length=TEXT_LENGTH, pad_id=0, pad_token="<pad>")
        while True:
            scenes = [author.scene() for _ in range(self._batch)]
            captions = [author.caption(scene) for scene in scenes for _ in range(CAPTIONS)]
            ids = torch.tensor([encoding.ids for encoding in tokenizer.encode_batch(captions)], dtype=torch.int16)
            yield (*tensors(scenes, self._number), ids.view(self._batch, CAPTIONS, TEXT_LENGTH))


def batches(
    concepts: Sequence[Concept],
    number: dict[tuple[int, int], int],
    batch: int,
    *,
    seed: int,
    workers: int,
    variety: float = 1.0,
) -> Iterator[Batch]:
    """Scenes from `workers` processes (0: this one). Make it before CUDA is first used: workers are forked."""
    stream = SceneStream(concepts, number, batch, seed=seed, variety=variety)
    context = "fork" if workers else None
    return iter(DataLoader(stream, batch_size=None, num_workers=workers, multiprocessing_context=context))


@torch.no_grad()
def compose(atlas: Atlas, objects: Tensor, grounds: Tensor, *, side_px: int = SIZE_PX) -> Tensor:
    """Draw scenes: (B, 3, side, side) in −1…1, on the atlas's device.

    `objects` stay on the CPU, where it is decided which sprite goes where: so nothing waits for the device.
    """
    device = atlas.whole.device
    picture = _paint_grounds(grounds.to(device, non_blocking=True), side_px)
    for k in range(objects.shape[1]):
        is_whole = objects[:, k, 3] * side_px >= SIZE_PX // 2
        for level, fits in ((atlas.whole, is_whole), (atlas.half, ~is_whole)):
            chosen = ((objects[:, k, 0] >= 0) & fits).nonzero()[:, 0]
            if len(chosen) == 0:
                continue
            sprite = objects[chosen, k, 0]
            theta = _to_sprite(objects[chosen, k]).to(device, non_blocking=True)
            grid = functional.affine_grid(theta, [len(chosen), 4, side_px, side_px], False)
            pixels = level[sprite.long().to(device, non_blocking=True)].float() / 255
            drawn = functional.grid_sample(pixels, grid, align_corners=False)
            where = chosen.to(device, non_blocking=True)
            picture[where] = drawn[:, :3] + picture[where] * (1 - drawn[:, 3:])
    return picture.clamp(0, 1) * 2 - 1


def _to_sprite(objects: Tensor) -> Tensor:
    """(B, `OBJECT`) → (B, 2, 3): from the picture's coordinates to the sprite's, both −1…1."""
    _, x, y, size, turn, side = objects.unbind(1)
    x, y, cosine, sine = 2 * x - 1, 2 * y - 1, turn.cos() / size, turn.sin() / size
    right = torch.stack([cosine, sine, -(cosine * x + sine * y)], 1) * side[:, None]
    down = torch.stack([-sine, cosine, sine * x - cosine * y], 1)
    return torch.stack([right, down], 1)


def _paint_grounds(grounds: Tensor, side_px: int) -> Tensor:
    """(B, 7) → (B, 3, side, side) in 0…1."""
    line = (torch.arange(side_px, device=grounds.device) + 0.5) / side_px
    y, x = line[:, None].expand(side_px, side_px), line[None, :].expand(side_px, side_px)
    radius = (((x - 0.5) ** 2 + (y - 0.5) ** 2).sqrt() / 0.7072).clamp(0, 1)
    shapes = torch.stack([torch.zeros_like(x), y, x, (x + y) / 2, radius])
    share = shapes[grounds[:, 0].long()][:, None]
    first, second = grounds[:, 1:4, None, None] / 255, grounds[:, 4:7, None, None] / 255
    return first + (second - first) * share
