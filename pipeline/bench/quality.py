"""How good are the pictures: the demo model as an instrument that scores a setting of the engine.

Its pictures are simple enough to be judged without another network (`demo/scoring.py`), so what 8 bits, fewer
steps or another guidance cost can be told in numbers. Torch-free: pictures come from `create_engine`.
"""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.bench import image_scoring
from pipeline.bench.image_scoring import Concept
from pipeline.catalog.models import DEMO, create_engine
from pipeline.config import PipelineConfig
from pipeline.spec import ImageOptions, ImageSpec, Size

REFERENCE_PRECISION: Final = "float32"

# English name, Chinese name, sRGB.
COLOURS: Final = (
    ("white", "白色", (255, 255, 255)),
    ("black", "黑色", (16, 16, 18)),
    ("gray", "灰色", (146, 148, 152)),
    ("red", "红色", (222, 44, 48)),
    ("orange", "橙色", (250, 144, 36)),
    ("yellow", "黄色", (250, 220, 56)),
    ("green", "绿色", (52, 172, 76)),
    ("blue", "蓝色", (44, 108, 228)),
    ("purple", "紫色", (134, 66, 196)),
    ("pink", "粉色", (250, 150, 190)),
    ("brown", "棕色", (134, 84, 48)),
    ("light blue", "浅蓝色", (168, 212, 250)),
)
COUNTS: Final = ((1, "one", "一"), (2, "two", "两"), (3, "three", "三"), (4, "four", "四"))
# English, Chinese, where the object's middle should be, as (x, y) in 0…1.
PLACES: Final = (
    ("on the left", "左边", (0.24, 0.5)),
    ("on the right", "右边", (0.76, 0.5)),
    ("at the top", "上方", (0.5, 0.24)),
    ("at the bottom", "下方", (0.5, 0.76)),
    ("in the top left corner", "左上角", (0.25, 0.25)),
    ("in the top right corner", "右上角", (0.75, 0.25)),
    ("in the bottom left corner", "左下角", (0.25, 0.75)),
    ("in the bottom right corner", "右下角", (0.75, 0.75)),
    ("in the center", "中间", (0.5, 0.5)),
)
# Concepts in one piece and one outline, which can be counted and cut apart.
SOLID: Final = (
    "red apple", "banana", "strawberry", "penguin", "pizza", "hamburger", "rocket", "ghost", "robot", "fox",
    "lion", "star", "red heart", "sunflower", "soccer ball", "tomato", "carrot", "octopus", "turtle",
    "mushroom", "cactus", "crown", "bread", "pear", "lemon", "key",
)  # fmt: skip

Judge = Callable[[image_scoring.Array], dict[str, bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One prompt and the judge of its picture: measure → whether it is right."""

    prompt: str
    seed: int
    judge: Judge


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is compared."""

    precision: str
    steps: int
    cfg_scale: float
    guidance: float
    size: Size = Size.NORMAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How a setting did. Shares are 0…1; a measure without tasks is missing."""

    setting: Setting
    pictures: int
    shares: dict[str, float]
    psnr_db: float | None  # median against float32 with the same seeds; None for float32 itself
    seconds: float  # median per picture


def make_tasks(pictures: int) -> list[Task]:
    """About `pictures` tasks: half names, the rest colours, counts, places and pairs; English and Chinese in turn."""
    shown = image_scoring.references().concepts
    by_key = {concept.key: concept for concept in shown}
    solid = [by_key[key] for key in SOLID if key in by_key]
    names = [shown[index * len(shown) // max(1, pictures // 2)] for index in range(min(len(shown), pictures // 2))]
    each = max(1, pictures // 8)
    tasks: list[tuple[str, Judge]] = [_name_task(concept, index % 2 == 1) for index, concept in enumerate(names)]
    for index in range(each):
        concept, other = solid[index % len(solid)], solid[(index + 7) % len(solid)]
        is_chinese = index % 2 == 1
        tasks += [
            _colour_task(concept, index % len(COLOURS), is_chinese),
            _count_task(concept, index % len(COUNTS), is_chinese),
            _place_task(concept, index % len(PLACES), is_chinese),
            _pair_task(concept, other, is_chinese),
        ]
    return [Task(prompt=prompt, seed=seed, judge=judge) for seed, (prompt, judge) in enumerate(tasks)]


def measure(
    settings: Sequence[Setting],
    tasks: Sequence[Task],
    config: PipelineConfig,
    *,
    on_picture: Callable[[], None] = lambda: None,
) -> Iterator[Score]:
    """Draw every task with every setting and score it; float32 runs first, since the others are compared with it.

    Raises:
        PipelineError
    """
    drawn: dict[Setting, list[bytes]] = {}
    ordered = sorted(settings, key=lambda setting: setting.precision != REFERENCE_PRECISION)
    for precision, group in itertools.groupby(ordered, key=lambda setting: setting.precision):
        engine = create_engine(DEMO.name, config.model_copy(update={"precision": precision}))
        try:
            for setting in group:
                marks: defaultdict[str, list[bool]] = defaultdict(list)
                pixels, seconds = [], []
                for task in tasks:
                    image = engine.generate(
                        _spec(task, setting), on_progress=lambda _progress: None, should_stop=lambda: False
                    )
                    for name, is_right in task.judge(
                        image_scoring.picture_of(image.pixels, image.width, image.height)
                    ).items():
                        marks[name].append(is_right)
                    pixels.append(image.pixels)
                    seconds.append(image.seconds)
                    on_picture()
                key = dataclasses.replace(setting, precision=REFERENCE_PRECISION)
                if precision == REFERENCE_PRECISION:
                    drawn[key] = pixels
                psnr_db = None
                if precision != REFERENCE_PRECISION and key in drawn:
                    psnr_db = statistics.median(map(image_scoring.psnr, pixels, drawn[key]))
                yield Score(
                    setting=setting,
                    pictures=len(tasks),
                    shares={name: statistics.mean(right) for name, right in marks.items()},
                    psnr_db=psnr_db,
                    seconds=statistics.median(seconds),
                )
        finally:
            engine.close()


def _spec(task: Task, setting: Setting) -> ImageSpec:
    options = ImageOptions(prompt=task.prompt, seed=task.seed, steps=setting.steps, size=setting.size)
    spec = DEMO.resolve(options, random_seed=0)
    return dataclasses.replace(spec, cfg_scale=setting.cfg_scale, guidance=setting.guidance)


def _name(concept: Concept, is_chinese: bool) -> str:
    return concept.zh[0] if is_chinese and concept.zh else concept.en[0]


def _name_task(concept: Concept, is_chinese: bool) -> tuple[str, Judge]:
    name = _name(concept, is_chinese)
    # Several concepts may share a name ("cat"): any of them is right.
    meant = {each.key for each in image_scoring.references().concepts if name in {each.key, *each.en, *each.zh}}

    def judge(picture: image_scoring.Array) -> dict[str, bool]:
        found = [each.key in meant for each in image_scoring.references().nearest(picture)]
        language = "zh" if is_chinese else "en"
        return {"top1": found[0], "top5": any(found), f"top1 {language}": found[0]}

    return name, judge


def _colour_task(concept: Concept, index: int, is_chinese: bool) -> tuple[str, Judge]:
    english, chinese, _ = COLOURS[index]
    palette = image_scoring.lab(np.array([rgb for *_, rgb in COLOURS], np.float64) / 255)

    def judge(picture: image_scoring.Array) -> dict[str, bool]:
        distances = np.linalg.norm(palette - image_scoring.lab(image_scoring.background(picture)), axis=1)
        return {"colour": int(distances.argmin()) == index}

    if is_chinese:
        return f"{chinese}背景，{_name(concept, True)}", judge
    return f"{_a(_name(concept, False))} on a {english} background", judge


def _count_task(concept: Concept, index: int, is_chinese: bool) -> tuple[str, Judge]:
    number, english, chinese = COUNTS[index]

    def judge(picture: image_scoring.Array) -> dict[str, bool]:
        return {"count": image_scoring.count_objects(picture) == number}

    if is_chinese:
        return f"{chinese}个{_name(concept, True)}", judge
    return f"{english} {_plural(_name(concept, False)) if number > 1 else _name(concept, False)}", judge


def _place_task(concept: Concept, index: int, is_chinese: bool) -> tuple[str, Judge]:
    english, chinese, wanted = PLACES[index]

    def judge(picture: image_scoring.Array) -> dict[str, bool]:
        found = image_scoring.centre(picture)
        is_there = (
            found is not None
            and max(abs(found[0] - wanted[0]), abs(found[1] - wanted[1])) < image_scoring.PLACE_TOLERANCE
        )
        return {"place": is_there}

    if is_chinese:
        return f"{_name(concept, True)}在{chinese}", judge
    return f"{_a(_name(concept, False))} {english}", judge


def _pair_task(left: Concept, right: Concept, is_chinese: bool) -> tuple[str, Judge]:
    def judge(picture: image_scoring.Array) -> dict[str, bool]:
        sides: tuple[tuple[image_scoring.Side, Concept], ...] = (("left", left), ("right", right))
        return {"pair": all(concept in image_scoring.references().nearest(picture, side) for side, concept in sides)}

    if is_chinese:
        return f"左边是{_name(left, True)}，右边是{_name(right, True)}", judge
    return f"{_a(_name(left, False))} next to {_a(_name(right, False))}", judge


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _plural(noun: str) -> str:
    if noun.endswith(("s", "x", "ch", "sh", "o")):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2] not in "aeiou" else f"{noun}s"
