"""Random scenes, and what people would ask for to get them, English and Chinese.

A scene is what is drawn; a caption is one way to say it, so one scene has many. What a caption leaves open, the
scene varies: there the seed decides, so that another seed is another drawing. It varies what is decided early and
cannot blur: tints, place and size have no wrong value between two right ones, and mirrored or not and one style or
the other are told apart by most of the picture. With less `variety` names are learned sooner, since the mean picture
of a name is sharp.

Runs in loader processes: standard library only. Randomness comes in as a seed.
"""

from __future__ import annotations

import colorsys
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from training import unknown
from training.vocabulary import ONE_WAY_ROUND, UNKNOWN_IS_DRAWN_AS, Concept, Language
from training.words import (
    COLOUR_WEIGHTS,
    COLOURS,
    CONTEXT_EN,
    CONTEXT_ZH,
    MEASURE_WORDS,
    NUMBERS_EN,
    NUMBERS_ZH,
    OPENINGS_EN,
    OPENINGS_ZH,
    PLACES,
    PRAISE_EN,
    PRAISE_ZH,
    STYLE_EN,
    STYLE_ZH,
    STYLES,
    plural,
    with_article,
)

Kind = Literal["one", "size", "place", "count", "pair", "trio"]
Rgb = tuple[int, int, int]
KINDS: Final[Mapping[Kind, float]] = {"one": 44, "size": 7, "place": 10, "count": 11, "pair": 23, "trio": 5}
UNKNOWN_KINDS: Final[Mapping[Kind, float]] = {"one": 80, "size": 6, "place": 8, "count": 6}
NAMED_STYLE_SHARE: Final = 0.3
UNKNOWN_SHARE: Final = 0.12
CONTEXT_SHARE: Final = 0.08  # of single objects: unknown words beside a name, which must not hide it
SIZES: Final = (0.6, 0.9)  # of a single object, as a share of the picture's side
USUAL_STYLE: Final = STYLES.index("flat")
USUAL_SHARE: Final = 0.75  # of the pictures without variety, if no style is named
TURN_DEG: Final = 12.0
# Tints of backgrounds that are not named; their gradients are flat enough for `pipeline.bench.image_scoring`.
TINT_SATURATION: Final = 0.3
TINT_DARKNESS: Final = 0.08
GRADIENT_HUES: Final = 0.03  # of the whole circle
GRADIENT_FADING: Final = 0.7  # of the saturation
ENGLISH_SHARE: Final = 0.55
ALIAS_SHARE: Final = 0.06
PAIR_EN: Final[Mapping[str, Sequence[str]]] = {
    "side": ("{} and {}", "{} next to {}", "{} beside {}", "{} with {}", "{} and {} side by side", "{}, {}"),
    "left": (
        "{0} to the left of {1}",
        "{0} on the left and {1} on the right",
        "{1} to the right of {0}",
        "{0} left, {1} right",
    ),
    "above": ("{0} above {1}", "{0} on top of {1}", "{1} below {0}", "{1} under {0}", "{0} over {1}"),
}
PAIR_ZH: Final[Mapping[str, Sequence[str]]] = {
    "side": ("{}和{}", "{}在{}旁边", "{}与{}", "{}、{}", "{}和{}并排", "{}挨着{}", "{}跟{}"),
    "left": ("{0}在{1}的左边", "左边是{0}，右边是{1}", "{1}在{0}的右边", "{0}在左，{1}在右"),
    "above": ("{0}在{1}上面", "{1}在{0}下面", "上面是{0}，下面是{1}", "{0}在{1}的上方", "{1}在{0}的下方"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One object: concept's index, drawing style, centre and size as shares of the picture's side.

    It is mirrored left to right first, then turned clockwise.
    """

    concept: int
    style: int
    x: float
    y: float
    size: float
    turn_deg: float
    is_mirrored: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is drawn, and what a caption may say of it.

    gradient: 0 none, 1 vertical, 2 horizontal, 3 diagonal, 4 radial; detail: size, place, relation or number.
    """

    kind: Kind
    concepts: tuple[int, ...]
    objects: tuple[Placed, ...]
    detail: str
    gradient: int
    colours: tuple[Rgb, Rgb]
    named_colours: tuple[str, ...]
    named_style: int | None
    is_unknown: bool


class Author:
    """Invents scenes and captions. Not for sharing between threads."""

    def __init__(
        self,
        concepts: Sequence[Concept],
        *,
        seed: int,
        unknown: Mapping[Language, Sequence[str]] | None = None,
        kinds: Mapping[Kind, float] = KINDS,
        variety: float = 1.0,
    ) -> None:
        """
        Args:
            unknown: words that mean nothing; without them, every caption names what is drawn.
            variety: 0…1, how far what no caption names strays from what is usual.
        """
        self._concepts = concepts
        self._random = random.Random(seed)
        self._unknown = unknown
        self._kinds = kinds
        self._variety = variety
        self._puzzled = next((i for i, concept in enumerate(concepts) if concept.key == UNKNOWN_IS_DRAWN_AS), None)

    # scenes

    def scene(self) -> Scene:
        """Invent a scene."""
        chance = self._random
        is_unknown = bool(self._unknown) and self._puzzled is not None and chance.random() < UNKNOWN_SHARE
        kinds = UNKNOWN_KINDS if is_unknown else self._kinds
        kind = chance.choices(list(kinds), list(kinds.values()))[0]
        wanted = {"pair": 2, "trio": 3}.get(kind, 1)
        picked = [self._puzzled] if is_unknown else chance.choices(range(len(self._concepts)), k=wanted)
        concepts = tuple(index for index in picked if index is not None)
        is_style_named = chance.random() < NAMED_STYLE_SHARE
        style = self._style(is_style_named)
        detail, places = self._layout(kind)
        is_mirrored = chance.random() < 0.5 * self._variety
        most_deg = TURN_DEG * self._variety if kind == "one" else 0.0  # elsewhere there is no room for it
        shown = concepts * len(places) if len(concepts) == 1 else concepts
        gradient, colours, named_colours = self._background()
        return Scene(
            kind=kind,
            concepts=concepts,
            objects=tuple(
                Placed(
                    concept=concept,
                    style=style,
                    x=x,
                    y=y,
                    size=size,
                    turn_deg=chance.uniform(-most_deg, most_deg),
                    is_mirrored=is_mirrored and self._concepts[concept].key not in ONE_WAY_ROUND,
                )
                for concept, (x, y, size) in zip(shown, places, strict=True)
            ),
            detail=detail,
            gradient=gradient,
            colours=colours,
            named_colours=named_colours,
            named_style=style if is_style_named else None,
            is_unknown=is_unknown,
        )

    def _style(self, is_named: bool) -> int:
        if is_named or self._random.random() < self._variety:
            return self._random.randrange(len(STYLES))
        is_usual = self._random.random() < USUAL_SHARE
        return USUAL_STYLE if is_usual else self._random.choice([i for i in range(len(STYLES)) if i != USUAL_STYLE])

    def _near(self, value: float, spread: float = 0.01) -> float:
        return value + self._random.uniform(-spread, spread)

    def _layout(self, kind: Kind) -> tuple[str, list[tuple[float, float, float]]]:
        """The detail and (x, y, size) of each object."""
        chance = self._random
        match kind:
            case "one":
                smallest, largest = SIZES
                size = self._near((smallest + largest) / 2, (largest - smallest) / 2 * self._variety)
                room = max(0.0, 0.48 - 0.55 * size) * self._variety  # a tenth more than its size: it may be turned
                return "", [(self._near(0.5, room), self._near(0.5, room), size)]
            case "size":
                detail = chance.choice(["small", "large"])
                size = self._near(0.33, 0.02) if detail == "small" else self._near(0.96, 0.012)
                return detail, [(self._near(0.5), self._near(0.5), size)]
            case "place":
                detail = chance.choice(list(PLACES))
                x, y = PLACES[detail][:2]
                return detail, [(self._near(x), self._near(y), self._near(0.43, 0.015))]
            case "count":
                number = chance.choices([2, 3, 4], [5, 4, 2])[0]
                size = self._near({2: 0.435, 3: 0.3, 4: 0.415}[number], 0.008)
                rows = {
                    2: [(0.26, 0.5), (0.74, 0.5)],
                    3: [(0.18, 0.5), (0.5, 0.5), (0.82, 0.5)],
                    4: [(0.26, 0.26), (0.74, 0.26), (0.26, 0.74), (0.74, 0.74)],
                }[number]
                return str(number), [(self._near(x, 0.003), y, size) for x, y in rows]
            case "pair":
                detail = chance.choices(["side", "left", "above"], [55, 20, 25])[0]
                places = [(0.5, 0.26), (0.5, 0.74)] if detail == "above" else [(0.26, 0.5), (0.74, 0.5)]
                return detail, [(self._near(x), self._near(y), self._near(0.44, 0.01)) for x, y in places]
            case "trio":
                return "", [(self._near(x, 0.003), self._near(0.5), self._near(0.3, 0.006)) for x in (0.18, 0.5, 0.82)]

    def _shade(self, name: str) -> Rgb:
        _, _, (red, green, blue), jitter = COLOURS[name]

        def moved(value: int) -> int:
            return min(255, max(0, value + self._random.randint(-jitter, jitter)))

        return moved(red), moved(green), moved(blue)

    def _tints(self) -> tuple[Rgb, Rgb]:
        """A pale colour and a neighbour of it; from white on, in any hue."""
        chance = self._random
        hue, saturation = chance.random(), chance.uniform(0, TINT_SATURATION * self._variety)
        value = 1 - chance.uniform(0, TINT_DARKNESS * self._variety)

        def rgb(hue: float, saturation: float) -> Rgb:
            red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue % 1, saturation, value))
            return red, green, blue

        faded = saturation * chance.uniform(GRADIENT_FADING, 1)
        return rgb(hue, saturation), rgb(self._near(hue, GRADIENT_HUES), faded)

    def _background(self) -> tuple[int, tuple[Rgb, Rgb], tuple[str, ...]]:
        chance = self._random.random()
        if chance < 0.4:
            return self._random.randint(0, 4), self._tints(), ()
        if chance < 0.88:
            weights = [COLOUR_WEIGHTS.get(name, 1.0) for name in COLOURS]
            name = self._random.choices(list(COLOURS), weights)[0]
            shade = self._shade(name)
            return 0, (shade, shade), (name,)
        first, second = self._random.sample(list(COLOURS), 2)
        return self._random.randint(1, 4), (self._shade(first), self._shade(second)), (first, second)

    # captions

    def caption(self, scene: Scene, language: Language | None = None) -> str:
        """Say what the scene shows; each call may use other words."""
        language = language or ("en" if self._random.random() < ENGLISH_SHARE else "zh")
        return self._english(scene) if language == "en" else self._chinese(scene)

    def _names(self, scene: Scene, language: Language) -> list[str]:
        if scene.is_unknown and self._unknown:
            return [unknown.caption(self._random, self._unknown, language)]
        return [self._name(self._concepts[index], language) for index in scene.concepts]

    def _name(self, concept: Concept, language: Language) -> str:
        chance = self._random.random()
        if chance < ALIAS_SHARE and concept.aliases[language]:
            return self._random.choice(concept.aliases[language])
        names = concept.names[language]
        return names[0] if chance < 0.6 else self._random.choice(names)

    def _tags(self, scene: Scene, language: Language) -> list[str]:
        tags = self._concepts[scene.concepts[0]].tags[language]
        if scene.kind != "one" or scene.is_unknown or not tags or self._random.random() > 0.08:
            return []
        return self._random.sample(list(tags), min(len(tags), self._random.randint(1, 2)))

    def _in_context(self, text: str, scene: Scene, language: Language, patterns: Sequence[str]) -> str:
        """Add unknown words to a known name."""
        if not self._unknown or scene.kind != "one" or scene.is_unknown or self._random.random() >= CONTEXT_SHARE:
            return text
        return self._random.choice(patterns).format(text, *self._random.sample(self._unknown[language], 2))

    def _english(self, scene: Scene) -> str:
        pick, chance = self._random.choice, self._random.random
        names, article = self._names(scene, "en"), chance()

        def thing(name: str) -> str:
            return with_article(name) if article < 0.55 else f"the {name}" if article < 0.6 else name

        match scene.kind:
            case "one":
                text = ", ".join([thing(names[0]), *self._tags(scene, "en")])
                text = self._in_context(text, scene, "en", CONTEXT_EN)
            case "size":
                small, large = ("small", "tiny", "little", "mini"), ("large", "big", "huge", "giant")
                text = thing(f"{pick(small if scene.detail == 'small' else large)} {names[0]}")
            case "place":
                place = pick(PLACES[scene.detail][2])
                text = f"{thing(names[0])} {place}" if chance() < 0.75 else f"{place}, {thing(names[0])}"
            case "count":
                text = f"{pick(NUMBERS_EN[int(scene.detail)])} {plural(names[0]) if chance() < 0.8 else names[0]}"
            case "pair":
                text = pick(PAIR_EN[scene.detail]).format(*map(thing, names))
            case "trio":
                text = pick(["{}, {} and {}", "{} and {} and {}", "{}, {}, {}"]).format(*map(thing, names))
        text = pick(OPENINGS_EN) + text
        if scene.named_colours:
            words = [pick(COLOURS[name][0]) for name in scene.named_colours]
            templates = (
                ["{} background", "{} background", "{} backdrop", "solid {} background"]
                if len(words) == 1
                else ["gradient background from {} to {}", "{} to {} gradient background"]
            )
            ground, where = pick(templates).format(*words), chance()
            if where < 0.6:
                text += f" {pick(['on', 'on', 'with', 'against'])} {with_article(ground)}"
            else:
                text = f"{text}, {ground}" if where < 0.85 else f"{ground}, {text}"
        return self._with_extras(text, scene, ", ", STYLE_EN, PRAISE_EN)

    def _chinese(self, scene: Scene) -> str:
        pick, chance = self._random.choice, self._random.random
        names, has_measure = self._names(scene, "zh"), chance() < 0.6

        def measure(concept: Concept) -> str:
            default = ["只", "只", "个"] if concept.is_animal else ["个"]
            return pick(MEASURE_WORDS.get(concept.subgroup, default))

        def thing(index: int, adjective: str = "") -> str:
            one = f"一{measure(self._concepts[scene.concepts[index]])}" if has_measure else ""
            return one + adjective + names[index]

        match scene.kind:
            case "one":
                text = "，".join([thing(0), *self._tags(scene, "zh")])
                text = self._in_context(text, scene, "zh", CONTEXT_ZH)
            case "size":
                small, large = ("小小的", "很小的", "迷你的"), ("大大的", "很大的", "巨大的")
                text = thing(0, pick(small if scene.detail == "small" else large))
            case "place":
                templates = ["{o}在{p}", "{p}有{o}", "{p}的{o}", "{o}，在{p}", "{p}是{o}"]
                text = pick(templates).format(o=thing(0), p=pick(PLACES[scene.detail][3]))
            case "count":
                number = pick(NUMBERS_ZH[int(scene.detail)])
                text = number + measure(self._concepts[scene.concepts[0]]) + names[0]
            case "pair":
                text = pick(PAIR_ZH[scene.detail]).format(thing(0), thing(1))
            case "trio":
                text = pick(["{}、{}和{}", "{}和{}和{}", "{}，{}，{}"]).format(*(thing(i) for i in range(3)))
        if scene.named_colours:
            words = [pick(COLOURS[name][1]) for name in scene.named_colours]
            templates = (
                ["{}背景", "{}的背景", "{}底色"] if len(words) == 1 else ["从{}到{}的渐变背景", "{}到{}渐变背景"]
            )
            ground = pick(templates).format(*words)
            text = pick(["{s}，{b}", "{s}，{b}", "{b}上的{s}", "{b}，{s}", "在{b}上的{s}", "{s} {b}"]).format(
                s=text, b=ground
            )
        return self._with_extras(pick(OPENINGS_ZH) + text, scene, "，", STYLE_ZH, PRAISE_ZH)

    def _with_extras(
        self, text: str, scene: Scene, comma: str, styles: Mapping[str, Sequence[str]], praise: Sequence[str]
    ) -> str:
        extras = [] if scene.named_style is None else [self._random.choice(styles[STYLES[scene.named_style]])]
        if self._random.random() < 0.18:
            extras += self._random.sample(list(praise), self._random.randint(1, 2))
        for extra in extras:
            text = f"{text}{comma}{extra}" if self._random.random() < 0.8 else f"{extra}{comma}{text}"
        return text
