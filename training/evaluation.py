"""Is every concept recognised, does another seed give another drawing, are unknown words seen as unknown?

Judged by `pipeline/bench/image_scoring.py`. Colours, counts, places and pairs are measured on the
product itself: `imagine-bot bench quality`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pipeline.bench import image_scoring
from training.scenes import OBJECT, compose
from training.sprites import Atlas
from training.vocabulary import LANGUAGES, UNKNOWN_IS_DRAWN_AS, Concept, Language

WHITE_GROUND: Final = {"en": " on a white background", "zh": "，白色背景"}
CUTOUT_SCENE_SIZE: Final = 0.76
SEEDS: Final = 8
SEED_PROMPTS: Final = ("a castle", "a cat", "a red apple", "house", "一辆汽车", "熊猫", "a robot", "一朵向日葵")
# Kept out of training: no entry of `unknown.json` occurs in them.
UNKNOWN_PROBES: Final = (
    "a beautiful landscape",
    "quantum mechanics",
    "the meaning of existence",
    "a lighthouse in a storm",
    "my grandmother's kitchen",
    "a samurai in the rain",
    "a submarine below the ice",
    "cathedral at dusk",
    "photosynthesis",
    "an escalator",
    "xylophone",
    "velociraptor",
    "asdfghjkl",
    "a wheelbarrow full of hay",
    "the decision of the committee",
    "a purple harmonica on a green background",
    "parliament, masterpiece, 4k",
    "blacksmith in flat style",
    "量子力学",
    "秀美的风光",
    "潜水艇",
    "一座灯塔",
    "哲学",
    "推土机",
    "相对论",
    "一位武士",
    "口琴，红色背景",
    "黑洞",
    "请告诉我明天的会议几点开始",
    "夕阳下的沙丘",
    "привет мир",
    "こんにちは",
    "안녕하세요",
    "84213",
)
Draw = Callable[[Sequence[str], Sequence[int]], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """Shares of pictures whose concept is the most similar reference, or among the first five."""

    top1: float
    top5: float
    by_language: Mapping[Language, float]
    missed: list[tuple[str, str]]  # prompt, what was seen instead


@dataclass(frozen=True, slots=True, kw_only=True)
class Variety:
    """How far apart two seeds' pictures of one prompt are: the mean over all pairs of the RMS difference, 0…255.

    picture: of all pixels. thing: of the object's cutout, 32 × 32 on white, so that ground, place and size are left
    out and style, side and turn remain.
    """

    picture: float
    thing: float


def retrieval(concepts: Sequence[Concept], draw: Draw) -> Retrieval:
    """Ask for every concept once in each language, half of them with a white background named."""
    jobs = [(concept, language) for concept in concepts for language in LANGUAGES]
    prompts = [
        concept.names[language][0] + (WHITE_GROUND[language] if number % 4 >= 2 else "")
        for number, (concept, language) in enumerate(jobs)
    ]
    first, fifth, missed = [], [], []
    for prompt, (concept, _), picture in zip(prompts, jobs, draw(prompts, range(len(jobs))), strict=True):
        seen = nearest(picture)
        first.append(seen[0] == concept.key)
        fifth.append(concept.key in seen[:5])
        if not first[-1]:
            missed.append((prompt, seen[0]))
    by_language = {
        language: float(np.mean([hit for hit, job in zip(first, jobs, strict=True) if job[1] == language]))
        for language in LANGUAGES
    }
    return Retrieval(top1=float(np.mean(first)), top5=float(np.mean(fifth)), by_language=by_language, missed=missed)


def unknown(draw: Draw) -> tuple[float, list[tuple[str, str]]]:
    """The share of `UNKNOWN_PROBES` that give the face for unknown words; and (prompt, what was seen) of the rest."""
    pictures = draw(UNKNOWN_PROBES, range(len(UNKNOWN_PROBES)))
    seen = [(prompt, nearest(picture)[0]) for prompt, picture in zip(UNKNOWN_PROBES, pictures, strict=True)]
    missed = [(prompt, key) for prompt, key in seen if key != UNKNOWN_IS_DRAWN_AS]
    return 1 - len(missed) / len(seen), missed


def variety(pictures: Tensor) -> Variety:
    """Measure pictures of one prompt, (seed, H, W, RGB) uint8, two or more."""
    cutouts = [255 * image_scoring.cutout(_as_seen(Image.fromarray(picture.numpy()))) for picture in pictures]
    return Variety(
        picture=_mean_distance([picture.numpy().astype(np.float64) for picture in pictures]),
        thing=_mean_distance(cutouts),
    )


def nearest(picture: Tensor) -> list[str]:
    """Keys of the five most similar concepts, best first. `picture`: (H, W, RGB) uint8."""
    return [concept.key for concept in image_scoring.references().nearest(_as_seen(Image.fromarray(picture.numpy())))]


def write_references(concepts: Sequence[Concept], atlas: Atlas, folder: Path) -> None:
    """Write what `scoring.py` compares with: names, and a sheet of cutouts (column: concept, row: style)."""
    side = image_scoring.CUTOUT_PX
    sheet = np.zeros((2 * side, len(concepts) * side, 3), np.uint8)
    for (concept, style), sprite in atlas.number.items():
        placed = {"sprite": sprite, "x": 0.5, "y": 0.5, "size": CUTOUT_SCENE_SIZE, "turn": 0, "side": 1}
        objects = torch.tensor([[[float(placed[name]) for name in OBJECT]]])
        picture = compose(atlas, objects, torch.tensor([[0.0] + [255.0] * 6]))[0].permute(1, 2, 0).cpu()
        pixels = ((picture + 1) * 127.5).round().to(torch.uint8)
        cut = image_scoring.cutout(_as_seen(Image.fromarray(pixels.numpy())))
        sheet[style * side : (style + 1) * side, concept * side : (concept + 1) * side] = (cut * 255).round()
    Image.fromarray(sheet).save(folder / "cutouts.png", optimize=True)
    rows = [{"key": concept.key, **{name: list(concept.names[name]) for name in LANGUAGES}} for concept in concepts]
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / "concepts.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def _as_seen(image: Image.Image) -> image_scoring.Array:
    return image_scoring.picture_of(image.tobytes(), *image.size)


def _mean_distance(arrays: Sequence[image_scoring.Array]) -> float:
    return float(np.mean([np.sqrt(((one - other) ** 2).mean()) for one, other in combinations(arrays, 2)]))
