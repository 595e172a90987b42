"""The operator's LoRAs by name: from the config and from the list, usable or not, noticed when they change."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.catalog.added_models import change_added, list_path, read_added
from pipeline.catalog.adding_loras import check_lora_name, unique_lora_name
from pipeline.catalog.architecture import Feature
from pipeline.catalog.loras import demand_loras, find_lora, fits, loras_of, own_loras
from pipeline.catalog.models import FLUX1_DEV, SD15, find_model
from pipeline.config import LoraEntry, PipelineConfig
from pipeline.errors import LoraUnusable, UnknownLora
from pipeline.spec import ImageOptions
from tests.pipeline.catalog import miniature_headers as heads
from tests.pipeline.catalog import miniature_loras as make

FAKE = find_model("fake")


def config_of(folder: Path, *entries: LoraEntry) -> PipelineConfig:
    return PipelineConfig(models_dir=folder / "models", loras=entries)


def test_card_says_what_head_and_entry_say(tmp_path: Path) -> None:
    notes = {"modelspec.title": "Ink wash", "modelspec.trigger_phrase": "inkstyle"}
    path = make.write_lora(tmp_path / "ink.safetensors", notes=notes)
    fast = LoraEntry(name="turbo", file=path, title="Turbo", triggers=(), weight=0.125, speed="fast", steps=8)
    cards = loras_of(config_of(tmp_path, LoraEntry(name="ink", file=path), fast))
    ink, turbo = cards["ink"], cards["turbo"]
    assert (ink.title, ink.triggers, ink.base, ink.rank, ink.weight, ink.steps) == (
        "Ink wash",
        ("inkstyle",),
        "flux",
        16,
        1.0,
        0,
    )
    assert (turbo.title, turbo.triggers, turbo.weight, turbo.steps, turbo.file) == ("Turbo", (), 0.125, 8, path)


def test_cards_are_the_same_until_a_file_changes(tmp_path: Path) -> None:
    path = make.write_lora(tmp_path / "ink.safetensors")
    config = config_of(tmp_path, LoraEntry(name="ink", file=path))
    first = loras_of(config)
    assert loras_of(config) is first
    make.write_lora(path, rank=32)
    assert loras_of(config)["ink"].rank == 32
    path.unlink()
    assert not loras_of(config)
    with pytest.raises(LoraUnusable, match="no file") as caught:
        find_lora(config, "ink")
    assert "[[loras]]" in caught.value.way_out and str(path) in caught.value.reason


def test_unknown_name_is_told_with_those_that_are_known(tmp_path: Path) -> None:
    config = config_of(tmp_path, LoraEntry(name="ink", file=make.write_lora(tmp_path / "ink.safetensors")))
    with pytest.raises(UnknownLora, match="unknown LoRA 'film'; known: ink") as caught:
        find_lora(config, "film")
    assert caught.value.known == ("ink",)
    with pytest.raises(UnknownLora, match="known: none"):
        find_lora(config_of(tmp_path), "film")


def test_bad_ones_are_listed_with_the_reason(tmp_path: Path) -> None:
    loha = heads.write_safetensors(
        tmp_path / "loha.safetensors", heads.lora("lora_unet_mid_block_x", ends=("hada_w1_a", "hada_w1_b"))
    )
    model = heads.write_safetensors(tmp_path / "model.safetensors", heads.flux())
    entries = [LoraEntry(name="loha", file=loha), LoraEntry(name="model", file=model)]
    found = own_loras(config_of(tmp_path, *entries))
    assert [own.card for own in found] == [None, None]
    assert "a LoHa" in found[0].reason and "is no LoRA" in found[1].reason


def test_added_ones_follow_those_of_the_config(tmp_path: Path) -> None:
    path = make.write_lora(tmp_path / "ink.safetensors")
    config = config_of(tmp_path, LoraEntry(name="ink", file=path, title="Configured"))
    more = (LoraEntry(name="ink", file=path, title="Added"), LoraEntry(name="film", file=path, triggers=("film",)))
    change_added(config.models_dir, lambda added: replace(added, loras=more))
    assert read_added(config.models_dir).loras == more
    assert [(card.name, card.title) for card in loras_of(config).values()] == [("ink", "Configured"), ("film", "ink")]
    path.unlink()
    with pytest.raises(LoraUnusable) as caught:
        find_lora(config, "film")
    assert "models remove film" in caught.value.way_out


@pytest.mark.parametrize("listed", ["x", {"a": 1}, [3], [{"name": "../x", "file": "y"}], [{"name": "ink"}], None])
def test_damaged_list_stops_nothing(listed: object, tmp_path: Path) -> None:
    config = config_of(tmp_path)
    config.models_dir.mkdir()
    list_path(config.models_dir).write_text(json.dumps({"version": 1, "models": [], "loras": listed}))
    added = read_added(config.models_dir)
    assert not added.loras and "LoRA 1 is damaged" in added.flaws[0]
    assert not loras_of(config)


def test_list_of_an_earlier_release_has_none(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    config.models_dir.mkdir()
    list_path(config.models_dir).write_text(json.dumps({"version": 1, "models": [], "companions": []}))
    assert read_added(config.models_dir).flaws == () and not own_loras(config)


def test_lora_fits_models_of_its_base_that_support_it(tmp_path: Path) -> None:
    config = config_of(tmp_path, LoraEntry(name="ink", file=make.write_lora(tmp_path / "ink.safetensors")))
    ink = find_lora(config, "ink")
    supporting = replace(FLUX1_DEV, architecture=replace(FLUX1_DEV.architecture, features=frozenset(Feature)))
    supporting = replace(supporting, supports=supporting.supports | {Feature.LORA})
    assert fits(ink, supporting) and fits(ink, FAKE)
    assert not fits(ink, replace(supporting, supports=supporting.supports - {Feature.LORA}))
    assert not fits(ink, SD15)


def test_job_demands_that_its_loras_are_there_and_fit(tmp_path: Path) -> None:
    path = make.write_lora(tmp_path / "ink.safetensors")
    sd = heads.write_safetensors(tmp_path / "sd.safetensors", make.kohya(make.SD15))
    config = config_of(tmp_path, LoraEntry(name="ink", file=path), LoraEntry(name="sd", file=sd))
    ink, other = (FAKE.resolve(ImageOptions(prompt="x", loras=uses), random_seed=1) for uses in ("ink:0.8", "sd:1"))
    demand_loras(ink, FAKE, config)
    with pytest.raises(LoraUnusable, match="made for sd15") as caught:
        demand_loras(other, FAKE, config)
    assert caught.value.known == ("ink",)
    path.unlink()
    with pytest.raises(LoraUnusable, match="no file"):
        demand_loras(ink, FAKE, config)


@pytest.mark.parametrize(
    "values",
    [
        {"name": "../x"},
        {"name": "Ink"},
        {"name": "none"},
        {"name": "a:b"},
        {"name": ""},
        {"weight": 0},
        {"weight": "nan"},
        {"weight": float("inf")},
        {"weight": 1e308},
        {"weight": 0.00001},
        {"speed": "fast"},
        {"steps": 8},
        {"speed": "slow", "steps": 8},
        {"triggers": ("a\nb",)},
        {"triggers": ("a",) * 6},
        {"title": "x" * 81},
        {"file": "a\x00b"},
        {"scale": 3},
    ],
)
def test_entry_that_makes_no_sense_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LoraEntry.model_validate({"name": "ink", "file": "ink.safetensors", **values})


def test_names_are_unique(tmp_path: Path) -> None:
    twice = (LoraEntry(name="ink", file=tmp_path), LoraEntry(name="ink", file=tmp_path))
    with pytest.raises(ValidationError, match="ink stands there twice"):
        config_of(tmp_path, *twice)


def test_two_hundred_are_looked_up_quickly(tmp_path: Path) -> None:
    path = make.write_lora(tmp_path / "ink.safetensors")
    config = config_of(tmp_path, *(LoraEntry(name=f"ink-{n}", file=path) for n in range(200)))
    assert len(loras_of(config)) == 200
    begin = time.process_time()
    for _ in range(10):
        loras_of(config)
    assert (time.process_time() - begin) / 10 < 0.05


def test_file_of_any_name_gets_one_that_can_be_typed() -> None:
    taken: list[str] = []
    odd = ("a" * 300, "--x", "<lora:ink:1>", "a,b:c", "\u202e", "")
    for stem in ("Ink Wash (v2)", "水墨", "墨", "..", "none", "CAFÉ", "ink wash (v2)", *odd):
        taken.append(unique_lora_name(stem, taken))
        check_lora_name(taken[-1])
    assert taken[:7] == ["ink-wash-v2", "lora", "lora-2", "lora-3", "none-2", "cafe", "ink-wash-v2-2"]
    assert len(set(taken)) == len(taken)
