"""Is every concept recognised in its picture? By the product's own eyes, `pipeline/demo/scoring.py`.

Colours, counts, places and pairs are measured on the product itself: `imagine-bot bench quality`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pipeline.demo import scoring
from training.scenes import compose
from training.sprites import Atlas
from training.vocabulary import LANGUAGES, Concept, Language

WHITE_GROUND = {"en": " on a white background", "zh": "，白色背景"}
CUTOUT_SCENE_SIZE = 0.76  # as a single object is drawn
Draw = Callable[[Sequence[str], Sequence[int]], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """Shares of pictures whose concept is the most similar reference, or among the first five."""

    top1: float
    top5: float
    by_language: Mapping[Language, float]
    missed: list[tuple[str, str]]  # prompt, what was seen instead


def retrieval(concepts: Sequence[Concept], draw: Draw) -> Retrieval:
    """Ask for every concept once in each language, half of them with a white background named."""
    jobs = [(concept, language) for concept in concepts for language in LANGUAGES]
    prompts = [
        concept.names[language][0] + (WHITE_GROUND[language] if number % 4 >= 2 else "")
        for number, (concept, language) in enumerate(jobs)
    ]
    references = scoring.references()
    first, fifth, missed = [], [], []
    for prompt, (concept, _), picture in zip(prompts, jobs, draw(prompts, range(len(jobs))), strict=True):
        height, width, _ = picture.shape
        seen = [each.key for each in references.nearest(scoring.picture_of(picture.numpy().tobytes(), width, height))]
        first.append(seen[0] == concept.key)
        fifth.append(concept.key in seen)
        if not first[-1]:
            missed.append((prompt, seen[0]))
    by_language = {
        language: float(np.mean([hit for hit, job in zip(first, jobs, strict=True) if job[1] == language]))
        for language in LANGUAGES
    }
    return Retrieval(top1=float(np.mean(first)), top5=float(np.mean(fifth)), by_language=by_language, missed=missed)


def write_references(concepts: Sequence[Concept], atlas: Atlas, folder: Path) -> None:
    """Write what `scoring.py` compares with: names, and a sheet of cutouts (column: concept, row: style)."""
    side = scoring.CUTOUT_PX
    sheet = np.zeros((2 * side, len(concepts) * side, 3), np.uint8)
    for (concept, style), sprite in atlas.number.items():
        objects = torch.tensor([[[float(sprite), 0.5, 0.5, CUTOUT_SCENE_SIZE]]])
        picture = compose(atlas, objects, torch.tensor([[0.0] + [255.0] * 6]))[0].permute(1, 2, 0).cpu()
        pixels = ((picture + 1) * 127.5).round().to(torch.uint8).numpy()
        cut = scoring.cutout(scoring.picture_of(pixels.tobytes(), *pixels.shape[1::-1]))
        sheet[style * side : (style + 1) * side, concept * side : (concept + 1) * side] = (cut * 255).round()
    Image.fromarray(sheet).save(folder / "cutouts.png", optimize=True)
    rows = [{"key": concept.key, **{name: list(concept.names[name]) for name in LANGUAGES}} for concept in concepts]
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / "concepts.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
