"""Which model changes an image by words, and how."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.jobs import USUAL, Allowance
from bot.requests.edits import Way, changed, notes_on, way_to_change
from bot.requests.models import Models
from pipeline import ImageOptions, InvalidSpec
from pipeline.catalog.architecture import Feature
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.models import FAKE


def card(name: str, *features: Feature) -> ModelCard:
    return replace(FAKE, name=name, title=name.title(), supports=frozenset(features))


EDITOR, OTHER_EDITOR = card("editor", Feature.EDIT), card("other-editor", Feature.EDIT, Feature.INIT_IMAGE)
STARTER, OTHER_STARTER = card("starter", Feature.INIT_IMAGE), card("other-starter", Feature.INIT_IMAGE)
NEITHER = card("neither")
ONLY_STARTER = Allowance(models=("starter",))


@pytest.mark.parametrize(
    ("cards", "is_chosen", "allowance", "name", "is_edit"),
    [
        ([EDITOR, STARTER], False, USUAL, "editor", True),
        ([EDITOR, OTHER_EDITOR], True, USUAL, "editor", True),
        ([STARTER, NEITHER, OTHER_EDITOR, EDITOR], False, USUAL, "other-editor", True),
        ([STARTER, EDITOR], True, USUAL, "starter", False),
        ([STARTER, EDITOR], False, ONLY_STARTER, "starter", False),
        ([NEITHER, STARTER], False, USUAL, "starter", False),
        ([STARTER, OTHER_STARTER], False, USUAL, "starter", False),
        ([NEITHER, EDITOR], True, USUAL, "neither", False),
    ],
)
def test_model_that_was_asked_for_edits_else_one_that_can_else_it_starts_from_the_image(
    cards: list[ModelCard], is_chosen: bool, allowance: Allowance, name: str, is_edit: bool
) -> None:
    models = Models(usual=cards[0], others=tuple(cards[1:]))
    way = way_to_change(models, allowance, is_chosen=is_chosen)
    assert (way.card.name, way.is_edit) == (name, is_edit)


@pytest.mark.parametrize("others", [(), (EDITOR,)])
def test_where_no_model_can_it_is_refused(others: tuple[ModelCard, ...]) -> None:
    with pytest.raises(InvalidSpec, match="image"):
        way_to_change(Models(usual=NEITHER, others=others), Allowance(models=("neither",)))


def test_edit_looks_at_all_images_and_has_no_strength() -> None:
    batch = changed(Way(card=EDITOR, is_edit=True), ImageOptions(prompt="x", strength=0.4), [b"1", b"2"], count=2)
    assert (batch.init_image, batch.references, len(batch.images)) == (None, (b"1", b"2"), 2)
    assert {(image.model, image.strength) for image in batch.images} == {("editor", None)}


def test_what_cannot_edit_starts_from_the_first_image_and_says_so() -> None:
    way = Way(card=STARTER, is_edit=False)
    batch = changed(way, ImageOptions(prompt="x"), [b"1", b"2"])
    assert (batch.init_image, batch.references) == (b"1", ())
    assert [note.key for note in notes_on(way, [b"1", b"2"])] == ["edit-started-from", "edit-first-only"]
    assert [note.key for note in notes_on(way, [b"1"], is_told=True)] == []
    assert notes_on(Way(card=EDITOR, is_edit=True), [b"1", b"2"]) == ()
