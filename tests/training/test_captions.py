"""Scenes and captions say the same."""

from __future__ import annotations

import re

import pytest

from training.captions import KINDS, USUAL_STYLE, Author
from training.evaluation import UNKNOWN_PROBES
from training.unknown import PATTERNS
from training.vocabulary import (
    LANGUAGES,
    ONE_WAY_ROUND,
    UNKNOWN_IS_DRAWN_AS,
    Language,
    load_concepts,
    load_unknown,
)
from training.words import plural, with_article


def test_every_name_belongs_to_one_concept() -> None:
    for language in LANGUAGES:
        names = [name for concept in load_concepts() for name in concept.names[language]]
        assert len(names) == len(set(names))


def test_every_concept_has_a_name_in_both_languages() -> None:
    assert all(concept.names[language] for concept in load_concepts() for language in LANGUAGES)


def test_unknown_words_are_not_names_of_concepts() -> None:
    for language, words in load_unknown().items():
        known = {name for concept in load_concepts() for name in [*concept.names[language], *concept.aliases[language]]}
        assert not known & set(words)


def test_unknown_words_are_many_and_listed_once() -> None:
    for words in load_unknown().values():
        assert len(words) == len(set(words)) > 3000


def test_unknown_probes_are_held_out_of_training() -> None:
    unknown = load_unknown()
    for probe in UNKNOWN_PROBES:
        assert not [word for word in unknown["en"] if re.search(rf"\b{re.escape(word)}\b", probe)]
        assert not [word for word in unknown["zh"] if word in probe]


@pytest.mark.parametrize("language", LANGUAGES)
def test_unknown_patterns_hold_no_known_name(language: Language) -> None:
    names = [name for concept in load_concepts() for name in concept.names[language]]
    words = r"[A-Za-z]+" if language == "en" else r"[一-龥]+"
    assert not {word for pattern in PATTERNS[language] for word in re.findall(words, pattern)} & set(names)


def test_unknown_words_are_drawn_as_the_thinking_face_and_never_called_so() -> None:
    concepts = load_concepts()
    author = Author(concepts, seed=4, unknown=load_unknown())
    scenes = [scene for scene in (author.scene() for _ in range(600)) if scene.is_unknown]
    assert 40 < len(scenes) < 110
    for scene in scenes:
        assert {concepts[placed.concept].key for placed in scene.objects} == {UNKNOWN_IS_DRAWN_AS}
        assert "thinking face" not in author.caption(scene, "en")


def test_unknown_words_beside_a_name_do_not_hide_it() -> None:
    unknown = load_unknown()
    author = Author(load_concepts(), seed=5, unknown=unknown, kinds={"one": 1.0})
    scenes = [scene for scene in (author.scene() for _ in range(400)) if not scene.is_unknown]
    captions = [author.caption(scene, "zh") for scene in scenes]
    assert any(word in caption for caption in captions for word in unknown["zh"] if len(word) > 2)


def test_same_seed_gives_the_same_scene_and_caption() -> None:
    concepts = load_concepts()
    first, second = (Author(concepts, seed=3, unknown=load_unknown()) for _ in range(2))
    scenes = [first.scene(), second.scene()]
    assert scenes[0] == scenes[1]
    assert first.caption(scenes[0]) == second.caption(scenes[1])


def test_unnamed_background_is_pale_and_a_named_white_is_white() -> None:
    author = Author(load_concepts(), seed=6)
    scenes = [author.scene() for _ in range(600)]
    unnamed = [colour for scene in scenes if not scene.named_colours for colour in scene.colours]
    assert min(min(colour) for colour in unnamed) > 150
    assert len(set(unnamed)) > len(unnamed) / 3
    white = [scene.colours for scene in scenes if scene.named_colours == ("white",)]
    assert white
    assert set(white) == {((255, 255, 255), (255, 255, 255))}


def test_plain_scenes_of_one_object_vary_in_all_that_no_caption_names() -> None:
    author = Author(load_concepts(), seed=7, kinds={"one": 1.0})
    placed = [author.scene().objects[0] for _ in range(300)]
    assert {each.style for each in placed} == {0, 1}
    assert {each.is_mirrored for each in placed} == {False, True}
    for values, spread in (
        ([each.size for each in placed], 0.25),
        ([each.x for each in placed], 0.2),
        ([each.y for each in placed], 0.2),
        ([each.turn_deg for each in placed], 20),
    ):
        assert max(values) - min(values) > spread


def test_without_variety_a_name_has_one_look_and_a_favourite_style() -> None:
    author = Author(load_concepts(), seed=7, kinds={"one": 1.0}, variety=0.0)
    scenes = [author.scene() for _ in range(600)]
    placed = [scene.objects[0] for scene in scenes]
    assert {(each.size, each.turn_deg, each.is_mirrored) for each in placed} == {(0.75, 0.0, False)}
    assert {(each.x, each.y) for each in placed} == {(0.5, 0.5)}
    white = {colour for scene in scenes if not scene.named_colours for colour in scene.colours}
    assert white == {(255, 255, 255)}
    flat = [each.style == USUAL_STYLE for each, scene in zip(placed, scenes, strict=True) if scene.named_style is None]
    assert 0.65 < sum(flat) / len(flat) < 0.85
    named = {scene.named_style for scene in scenes} - {None}
    assert named == {0, 1}


def test_what_has_writing_is_never_mirrored() -> None:
    concepts = load_concepts()
    assert {concept.key for concept in concepts} >= ONE_WAY_ROUND
    author = Author(concepts, seed=8)
    placed = [each for _ in range(2000) for each in author.scene().objects]
    assert not [each for each in placed if each.is_mirrored and concepts[each.concept].key in ONE_WAY_ROUND]


@pytest.mark.parametrize("kind", KINDS)
def test_caption_names_every_concept_of_its_scene(kind: str) -> None:
    concepts = load_concepts()
    author = Author(concepts, seed=1, kinds={kind: 1.0})  # type: ignore[dict-item]
    for _ in range(50):
        scene = author.scene()
        caption = author.caption(scene, "zh")
        for index in scene.concepts:
            concept = concepts[index]
            assert any(name in caption for name in [*concept.names["zh"], *concept.aliases["zh"]])


def test_objects_lie_inside_the_picture() -> None:
    author = Author(load_concepts(), seed=2)
    for placed in (placed for _ in range(300) for placed in author.scene().objects):
        assert 0 < placed.size <= 1
        assert placed.size / 2 - 0.02 < placed.x < 1.02 - placed.size / 2
        assert placed.size / 2 - 0.02 < placed.y < 1.02 - placed.size / 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [("cat", "cats"), ("cherry", "cherries"), ("ear of corn", "ears of corn"), ("fox", "foxes"), ("man", "men")],
)
def test_plural(name: str, expected: str) -> None:
    assert plural(name) == expected


def test_article_follows_the_sound() -> None:
    assert (with_article("apple"), with_article("pear")) == ("an apple", "a pear")
