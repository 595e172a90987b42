"""The measures say what their docstrings claim, on pictures whose answers are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.bench import image_scoring
from training import evaluation
from training.__main__ import main
from training.sprites import Atlas
from training.vocabulary import UNKNOWN_IS_DRAWN_AS, Concept


def plain(*shades: int) -> torch.Tensor:
    """(shade, 64, 64, RGB): pictures of one grey each."""
    return torch.stack([torch.full((64, 64, 3), shade, dtype=torch.uint8) for shade in shades])


def drawn(key: str, *, turn_deg: float = 0.0, is_mirrored: bool = False) -> torch.Tensor:
    """(256, 256, RGB): the reference cutout of a concept in its flat style, on pale blue."""
    index = [concept.key for concept in image_scoring.references().concepts].index(key)
    side = image_scoring.CUTOUT_PX
    with Image.open(image_scoring.FOLDER / "cutouts.png") as sheet:
        cut = sheet.convert("RGB").crop((index * side, side, (index + 1) * side, 2 * side))
    picture = Image.new("RGB", (256, 256), "white")
    picture.paste(cut.resize((160, 160), Image.Resampling.BICUBIC), (48, 48))
    if is_mirrored:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    turned = picture.rotate(turn_deg, Image.Resampling.BICUBIC, fillcolor="white")
    return torch.from_numpy(np.array(turned))


def test_equal_pictures_have_no_variety() -> None:
    assert evaluation.variety(plain(90, 90, 90)) == evaluation.Variety(picture=0.0, thing=0.0)


def test_variety_is_the_mean_over_all_pairs() -> None:
    assert evaluation.variety(plain(0, 30, 60)).picture == pytest.approx((30 + 60 + 30) / 3)


def test_another_ground_or_place_is_no_variety_of_the_thing() -> None:
    pictures = plain(255, 200)
    pictures[0, 10:30, 10:30] = pictures[1, 40:60, 30:50] = torch.tensor([200, 0, 0], dtype=torch.uint8)
    measured = evaluation.variety(pictures)
    assert measured.picture > 40
    assert measured.thing < 10


@pytest.mark.parametrize(("turn_deg", "is_mirrored"), [(0.0, False), (0.0, True), (10.0, False), (-10.0, True)])
def test_turned_and_mirrored_drawings_are_recognised(turn_deg: float, is_mirrored: bool) -> None:
    for key in ("rocket", "guitar", "dolphin"):
        assert evaluation.nearest(drawn(key, turn_deg=turn_deg, is_mirrored=is_mirrored))[0] == key


def test_retrieval_counts_what_is_recognised_by_language(concepts: list[Concept]) -> None:
    english_only = [picture for concept in concepts for picture in (drawn(concept.key), drawn("rocket"))]
    scores = evaluation.retrieval(concepts, lambda _prompts, _seeds: torch.stack(english_only))
    assert scores.by_language == {"en": 1.0, "zh": 0.0}
    assert scores.top1 == 0.5
    assert {seen for _, seen in scores.missed} == {"rocket"}


def test_unknown_probes_count_when_they_give_the_thinking_face() -> None:
    pictures = [drawn(UNKNOWN_IS_DRAWN_AS)] * len(evaluation.UNKNOWN_PROBES)
    pictures[3] = drawn("rocket")
    share, missed = evaluation.unknown(lambda _prompts, _seeds: torch.stack(pictures))
    assert share == pytest.approx(1 - 1 / len(evaluation.UNKNOWN_PROBES))
    assert missed == [(evaluation.UNKNOWN_PROBES[3], "rocket")]


def test_references_are_written_as_scoring_reads_them(atlas: Atlas, concepts: list[Concept], tmp_path: Path) -> None:
    evaluation.write_references(concepts, atlas, tmp_path)
    with Image.open(tmp_path / "cutouts.png") as sheet:
        assert sheet.size == (2 * image_scoring.CUTOUT_PX, 2 * image_scoring.CUTOUT_PX)
    rows = json.loads((tmp_path / "concepts.json").read_text("utf-8"))
    assert [row["key"] for row in rows] == [concept.key for concept in concepts]


def test_seeds_sheet_is_drawn_and_measured(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    sheet = tmp_path / "seeds.png"
    main(["evaluate", "--device", "cpu", "--steps", "1", "--prompts", "a cat", "--seeds-sheet", str(sheet)])
    with Image.open(sheet) as image:
        assert image.size == (8 * 96, 96)
    assert "variety of 8 seeds" in caplog.text
