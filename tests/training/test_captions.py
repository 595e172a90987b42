"""Scenes and captions say the same."""

from __future__ import annotations

import pytest

from training.captions import KINDS, Author
from training.vocabulary import LANGUAGES, load_concepts, load_unknown
from training.words import plural, with_article


def test_every_name_belongs_to_one_concept() -> None:
    for language in LANGUAGES:
        names = [name for concept in load_concepts() for name in concept.names[language]]
        assert len(names) == len(set(names))


def test_every_concept_has_a_name_in_both_languages() -> None:
    assert all(concept.names[language] for concept in load_concepts() for language in LANGUAGES)


def test_unknown_names_are_not_names_of_concepts() -> None:
    unknown = load_unknown()
    for language in LANGUAGES:
        known = {name for concept in load_concepts() for name in concept.names[language]}
        assert not known & set(unknown[language])


def test_same_seed_gives_the_same_scene_and_caption() -> None:
    concepts = load_concepts()
    first, second = (Author(concepts, seed=3, unknown=load_unknown()) for _ in range(2))
    scenes = [first.scene(), second.scene()]
    assert scenes[0] == scenes[1]
    assert first.caption(scenes[0]) == second.caption(scenes[1])


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
        assert 0 < placed.x < 1
        assert 0 < placed.y < 1
        assert 0 < placed.size <= 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [("cat", "cats"), ("cherry", "cherries"), ("ear of corn", "ears of corn"), ("fox", "foxes"), ("man", "men")],
)
def test_plural(name: str, expected: str) -> None:
    assert plural(name) == expected


def test_article_follows_the_sound() -> None:
    assert (with_article("apple"), with_article("pear")) == ("an apple", "a pear")
