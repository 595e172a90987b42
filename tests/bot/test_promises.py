"""What messages promise is what happens: 200 images of ten people on a bot that is started twice, on simulated time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bot.simulation import BEGINNING, Messages, Said, World

PICTURES = 200
THREE = {"small": 0.4, "large": 0.35, "other": 0.25}
LEAST_S, SHARE = 3.0, 0.3  # by which a promise may be wrong, in seconds and of the time that is left
KEPT = 0.9
KEPT_OF_THREE = 0.85  # nobody can foretell for which model the next people ask


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> Messages:
    folder: Path = tmp_path_factory.mktemp("world")
    return World(folder=folder, seed=1, pictures=PICTURES).run()


def promises(messages: Messages) -> Iterator[tuple[Said, float]]:
    """Every finish time that a message named, and when its last image was ready, from the second image on."""
    ready = {key: max(messages.ended[seed] for seed in seeds) for key, seeds in messages.seeds.items() if seeds}
    first = min(ready, key=ready.__getitem__)
    for said in messages.said:
        if said.promise is not None and said.key != first:
            yield said, ready[said.key]


def is_kept(said: Said, ready_at: float) -> bool:
    assert said.promise is not None
    return abs(said.promise - BEGINNING - ready_at) <= max(LEAST_S, SHARE * (ready_at - said.at))


def test_nine_of_ten_promises_are_kept(messages: Messages) -> None:
    kept = [is_kept(said, ready_at) for said, ready_at in promises(messages)]
    assert len(messages.ended) >= PICTURES and len(kept) > 2 * PICTURES
    assert sum(kept) >= KEPT * len(kept)


def test_promises_during_both_cold_starts_are_made(messages: Messages) -> None:
    loading = [said for said in messages.said if "load" in said.text and said.place is not None]
    assert any(said.at < messages.stopped_at for said in loading)
    assert any(said.at > messages.stopped_at for said in loading)


def test_no_two_messages_claim_the_same_place_at_one_moment(messages: Messages) -> None:
    places: dict[str, int | None] = {}
    for said in messages.said:
        places[said.key] = said.place
        claimed = [place for place in places.values() if place is not None]
        assert len(claimed) == len(set(claimed)), said
    assert sum(said.place is not None for said in messages.said) > PICTURES


def test_no_edit_says_what_the_message_says_already(messages: Messages) -> None:
    texts: dict[str, str] = {}
    for said in messages.said:
        assert texts.get(said.key) != said.text
        texts[said.key] = said.text


def test_any_moment_is_said_after_the_last_step_and_getting_ready_before_the_load_ended(messages: Messages) -> None:
    assert [said for said in messages.said if said.is_too_soon or said.is_too_late] == []
    assert any("any moment" in said.text for said in messages.said)
    assert any("· loading " in said.text for said in messages.said)


@pytest.fixture(scope="module")
def of_three(tmp_path_factory: pytest.TempPathFactory) -> Messages:
    """Ten people who ask for three models in turn."""
    folder: Path = tmp_path_factory.mktemp("three")
    return World(folder=folder, seed=2, pictures=100, shares=THREE, several=0.0).run()


def changes(models: list[str]) -> int:
    return sum(model != before for before, model in itertools.pairwise(models))


def test_images_of_three_models_are_grouped_and_none_waits_for_ever(of_three: Messages) -> None:
    asked = changes(list(of_three.models.values()))
    assert len(of_three.begun) >= 100 and set(of_three.begun) == set(THREE)
    assert changes(of_three.begun) < 0.7 * asked


def test_promises_count_the_time_in_which_models_are_changed(of_three: Messages) -> None:
    kept = [is_kept(said, ready_at) for said, ready_at in promises(of_three)]
    assert len(kept) > 200 and sum(kept) >= KEPT_OF_THREE * len(kept)


def test_message_names_the_model_that_is_being_loaded(of_three: Messages) -> None:
    for model in THREE:
        loading = [said for said in of_three.said if f"🎨 @you · loading {model}" in said.text]
        assert loading and all(said.text.endswith(f" · {model}") for said in loading)
    assert [said for said in of_three.said if said.is_too_late] == []
