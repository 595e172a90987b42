"""The judge is right about pictures whose content is known, and not fooled by empty ones."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from PIL import Image

from pipeline.bench import image_scoring
from pipeline.bench.image_scoring import FOLDER, Array, references


def blank(*colour: float) -> Array:
    return np.ones((128, 128, 3)) * np.array(colour or (1.0, 1.0, 1.0))


@cache
def sheet() -> Image.Image:
    """Every concept's reference cutout, 32 px each."""
    with Image.open(FOLDER / "cutouts.png") as file:
        return file.convert("RGB")


def paste(picture: Array, key: str, *, x: float = 0.5, y: float = 0.5, size: int = 48) -> Array:
    """Put a concept's own reference cutout onto a picture."""
    column = [concept.key for concept in references().concepts].index(key)
    box = (column * 32, 0, column * 32 + 32, 32)
    cut = np.asarray(sheet().crop(box).resize((size, size), Image.Resampling.BILINEAR)) / 255
    top, left = int(y * 128 - size / 2), int(x * 128 - size / 2)
    place = picture[top : top + size, left : left + size]
    place[...] = np.where(cut.min(-1, keepdims=True) < 0.97, cut, place)
    return picture


def test_every_concept_is_told_from_all_others_by_its_own_cutout() -> None:
    found = [references().nearest(paste(blank(), concept.key))[0].key for concept in references().concepts]
    right = [name == concept.key for name, concept in zip(found, references().concepts, strict=True)]
    assert np.mean(right) > 0.9  # some emoji differ in a detail only


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_separate_objects_are_counted(number: int) -> None:
    picture = blank()
    for index in range(number):
        paste(picture, "red apple", x=0.25 + 0.5 * (index % 2), y=0.25 + 0.5 * (index // 2), size=36)
    assert image_scoring.count_objects(picture) == number


def test_sides_are_looked_at_apart() -> None:
    picture = paste(paste(blank(), "banana", x=0.25), "red apple", x=0.75)
    assert references().nearest(picture, "left")[0].key == "banana"
    assert references().nearest(picture, "right")[0].key == "red apple"


@pytest.mark.parametrize(("turn_deg", "is_mirrored"), [(10, False), (-10, False), (0, True), (10, True)])
def test_turned_and_mirrored_things_are_recognised_on_each_side(turn_deg: int, is_mirrored: bool) -> None:
    halves = []
    for key in ("trumpet", "telescope"):  # which look elsewhere in a mirror
        half = Image.fromarray((paste(blank(), key)[:, 32:96] * 255).astype(np.uint8))
        half = half.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if is_mirrored else half
        halves.append(np.asarray(half.rotate(turn_deg, Image.Resampling.BICUBIC, fillcolor="white")) / 255)
    picture = np.concatenate(halves, axis=1)
    assert references().nearest(picture, "left")[0].key == "trumpet"
    assert references().nearest(picture, "right")[0].key == "telescope"


def test_background_and_place_are_found() -> None:
    picture = paste(blank(0.1, 0.4, 0.9), "banana", x=0.25, y=0.75, size=40)
    assert image_scoring.background(picture) == pytest.approx([0.1, 0.4, 0.9])
    assert image_scoring.centre(picture) == pytest.approx((0.25, 0.75), abs=0.05)


def test_specks_on_the_border_are_no_part_of_the_object() -> None:
    picture = paste(blank(0.1, 0.4, 0.9), "banana", size=64)
    alone = image_scoring.cutout(picture)
    picture[:3, :3] = picture[-3:, -3:] = 0
    assert (image_scoring.cutout(picture) == alone).all()
    assert image_scoring.count_objects(picture) == 1


def test_empty_picture_has_no_object() -> None:
    assert image_scoring.centre(blank()) is None
    assert image_scoring.count_objects(blank()) == 0
    assert (image_scoring.cutout(blank()) == 1).all()
    assert len(references().nearest(blank())) == 5


def test_lab_is_that_of_the_standard() -> None:
    """White, and pure red as in the tables of CIE Lab for sRGB and D65."""
    assert image_scoring.lab(np.array([1.0, 1.0, 1.0])) * 100 == pytest.approx([100, 0, 0], abs=0.1)
    assert image_scoring.lab(np.array([1.0, 0.0, 0.0])) * 100 == pytest.approx([53.24, 80.09, 67.20], abs=0.1)


def test_psnr_is_infinite_for_equal_pictures_and_known_for_one_level() -> None:
    picture = bytes(range(200)) * 3
    assert image_scoring.psnr(picture, picture) == float("inf")
    assert image_scoring.psnr(picture, bytes(value + 1 for value in picture)) == pytest.approx(48.13, abs=0.01)
