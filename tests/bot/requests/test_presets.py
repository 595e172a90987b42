"""Presets last, are one person's, and no name, value or later release breaks them."""

from __future__ import annotations

import json
import time

import pytest

from bot.config import PresetConfig
from bot.errors import ConfigError, NoSuchPreset, PresetEmpty, PresetNameInvalid, TooManyPresets, WordsOnly
from bot.jobs import UserKey
from bot.preset_names import MAX_NAME, MAX_PRESETS, normal_name
from bot.requests.models import Models
from bot.requests.presets import Preset, Presets, check, check_shared, shared_presets
from bot.store.database import Database
from bot.store.preset_store import PresetStore
from pipeline.catalog.models import FAKE
from pipeline.errors import InvalidSpec
from tests.cards import PAINTER
from tests.loras import LORAS

ANN, BOB = UserKey(frontend="test", id="ann"), UserKey(frontend="test", id="bob")
MODELS = Models(usual=FAKE, others=(PAINTER,))
NIGHT = Preset(prefix="a photo of", suffix="at night", options={"aspect": "portrait", "size": "96x96", "steps": 7})


async def test_preset_is_found_however_its_name_is_written(presets: Presets) -> None:
    assert await presets.save(ANN, "  Ｎight   Sky ", NIGHT) == "night sky"
    assert await presets.find(ANN, "NIGHT\u200b sky") == NIGHT
    assert await presets.of(ANN) == {"night sky": NIGHT}
    with pytest.raises(NoSuchPreset):
        await presets.find(BOB, "night sky")


async def test_saving_again_replaces_and_deleting_twice_is_refused(presets: Presets) -> None:
    await presets.save(ANN, "a", NIGHT)
    await presets.save(ANN, "A", Preset(suffix="at noon"))
    assert (await presets.find(ANN, "a")).suffix == "at noon"
    await presets.delete(ANN, "a")
    for name in ("a", "", "@everyone"):
        with pytest.raises(NoSuchPreset):
            await presets.delete(ANN, name)


async def test_there_is_room_for_so_many_and_each_can_still_be_replaced(presets: Presets) -> None:
    for number in range(MAX_PRESETS):
        await presets.save(ANN, f"n{number}", NIGHT)
    with pytest.raises(TooManyPresets):
        await presets.save(ANN, "one more", NIGHT)
    await presets.save(ANN, "n7", Preset(suffix="new"))
    await presets.save(BOB, "one more", NIGHT)
    assert len(await presets.of(ANN)) == MAX_PRESETS


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "\u200b\u2060",
        "x" * (MAX_NAME + 1),
        "@everyone",
        "<@1>",
        "a`b",
        "**a**",
        "a|b",
        "#a",
        "a\\b",
        "a/b",
        "[a](b)",
    ],
)
async def test_hostile_name_is_refused(presets: Presets, name: str) -> None:
    with pytest.raises(PresetNameInvalid):
        await presets.save(ANN, name, NIGHT)
    with pytest.raises(NoSuchPreset):
        await presets.find(ANN, name)


@pytest.mark.parametrize("name", ["夜景", "🌙 moon", "don't", "a-b_c.d", "ночь", "नमस्ते"])
def test_names_of_all_languages_are_fine_and_normal_already(name: str) -> None:
    assert normal_name(normal_name(name)) == normal_name(name)


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        ("[]", Preset()),
        ("7", Preset()),
        ('"x"', Preset()),
        (
            '{"version": 9, "suffix": "at night", "mood": ["dark"], "steps": 7}',
            Preset(suffix="at night", options={"steps": 7}),
        ),
        ('{"steps": "many", "aspect": "round", "size": {}, "cfg_scale": true, "suffix": 3, "sampler": "x"}', Preset()),
        (
            '{"steps": 7.0, "cfg_scale": 4, "size": "DRAFT"}',
            Preset(options={"size": "draft", "steps": 7, "cfg_scale": 4}),
        ),
        (r'{"model": "\ud800", "negative_prompt": "\ud800", "suffix": "a\ud800"}', Preset(suffix="a")),
        (json.dumps({"suffix": "x" * 10_000, "clip_skip": 10**30}), Preset(options={"clip_skip": 10**30})),
    ],
)
async def test_what_a_later_release_or_damage_left_is_read_as_far_as_it_goes(
    presets: Presets, database: Database, stored: str, read: Preset
) -> None:
    assert await PresetStore(database).put(ANN, "a", stored, limit=1)
    assert await presets.find(ANN, "a") == read


async def test_name_that_nobody_can_type_is_not_suggested(presets: Presets, database: Database) -> None:
    store = PresetStore(database)
    for name in ("", " ", "x" * 500, "a\0b", "Night", "night"):
        assert await store.put(ANN, name, "{}", limit=9)
    assert await presets.suggest(ANN, "") == ["night"]


def test_what_is_kept_can_be_read_again() -> None:
    assert Preset.from_json(NIGHT.to_json()) == NIGHT
    assert Preset.from_json("{" * 100_000) == Preset()


async def test_preset_that_says_nothing_is_not_kept(presets: Presets) -> None:
    with pytest.raises(PresetEmpty):
        await presets.save(ANN, "a", Preset())


def test_preset_that_some_model_can_follow_is_fine() -> None:
    check(Preset(options={"sampler": "ddim", "negative_prompt": "rain"}), MODELS)
    check(Preset(options={"strength": 0.4}), MODELS)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"model": "gone"}, "model"),
        ({"model": FAKE.name, "negative_prompt": "rain"}, "negative_prompt"),
        ({"size": "17x17"}, "size"),
        ({"clip_skip": 10**30}, "clip_skip"),
        ({"strength": 2.0}, "strength"),
    ],
)
def test_preset_that_no_model_can_follow_is_refused(options: dict[str, str | int | float], field: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        check(Preset(options=options), MODELS)
    assert caught.value.field == field


@pytest.mark.parametrize("words", ["cat --ar 16:9", "x" * 501, "--seed 3", "/imagine prompt:x seed:3"])
def test_words_with_flags_in_them_are_refused(words: str) -> None:
    with pytest.raises(WordsOnly):
        check(Preset(suffix=words), MODELS)


async def test_own_preset_hides_the_operators_and_comes_first(database: Database) -> None:
    shared = {f"team {number}": Preset(suffix="ours") for number in range(30)}
    presets = Presets(PresetStore(database), {**shared, "Night": Preset(suffix="theirs")})
    assert (await presets.find(ANN, "night")).suffix == "theirs"
    await presets.save(ANN, "night", NIGHT)
    assert await presets.find(ANN, "night") == NIGHT
    suggested = await presets.suggest(ANN, "")
    assert suggested[0] == "night" and len(suggested) == MAX_PRESETS
    assert await presets.suggest(ANN, "ＴEAM 2") == ["team 2", *(f"team 2{number}" for number in range(10))]
    assert await presets.suggest(ANN, "", with_shared=False) == ["night"]


async def test_operators_presets_with_flags_stop_the_start_and_others_are_told(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    sections = {
        "night": PresetConfig(suffix="at night", strength="60%", negative_prompt=""),
        "Rainless": PresetConfig(model=FAKE.name, negative_prompt="rain"),
    }
    presets = Presets(PresetStore(database), shared_presets(sections, LORAS))
    options = {"strength": 0.6, "negative_prompt": ""}
    assert await presets.find(ANN, "Night") == Preset(suffix="at night", options=options)
    check_shared(presets, MODELS)
    assert "preset rainless" in caplog.text and "preset night" not in caplog.text
    wide = Presets(PresetStore(database), shared_presets({"wide": PresetConfig(prefix="x --ar 16:9")}, LORAS))
    with pytest.raises(ConfigError, match=r"\[presets.wide\]: prefix and suffix must be words only"):
        check_shared(wide, MODELS)


async def test_suggestions_take_far_less_than_a_tenth_of_a_second(presets: Presets) -> None:
    for number in range(MAX_PRESETS):
        await presets.save(ANN, f"n{number}", NIGHT)
    took = []
    for _ in range(200):
        started = time.process_time()
        await presets.suggest(ANN, "n1")
        took.append(time.process_time() - started)
    assert sorted(took)[197] < 0.1


async def test_operators_preset_has_loras_with_their_strengths(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Those that say none have the LoRA's own; one that is not here is told in the log, and may come back."""
    sections = {"ink": PresetConfig(loras="ink, film : 0.5"), "gone": PresetConfig(loras="gone")}
    presets = Presets(PresetStore(database), shared_presets(sections, LORAS))
    assert (await presets.find(ANN, "ink")).options == {"loras": "film:0.5,ink:0.8"}
    check_shared(presets, Models(usual=FAKE, loras=lambda: LORAS))
    assert "preset gone" in caplog.text and "preset ink" not in caplog.text
