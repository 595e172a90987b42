"""Files of the operator's own: which model they make, where its parts come from, what is said if they make none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.catalog import files, models
from pipeline.catalog.added_models import AddedModels, change_added, list_path, read_added
from pipeline.catalog.adding import Addition, add_models, remove_model, unique_name
from pipeline.catalog.catalog import Catalog
from pipeline.catalog.file_search import search
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.model_hash import weights_file
from pipeline.catalog.models import (
    DEMO,
    MAJICFLUS_V1,
    SD15,
    SDXL,
    catalog_of,
    choose_model,
    find_model,
    obstacle_of,
    usable_models,
)
from pipeline.catalog.own_models import look_at, make_own, title_of
from pipeline.catalog.parts import Layout
from pipeline.config import ModelEntry, PipelineConfig
from pipeline.device.gpu import Gpu
from pipeline.errors import AddedModelsUnwritable, ModelFilesMissing, ModelUnusable, NothingAdded, UnknownModel
from pipeline.spec import Sampler
from tests.pipeline.catalog import miniature_headers as heads
from tests.pipeline.catalog.trees import LORA, write_comfyui, write_companions, write_flux, write_hf_cache

A_GPU = Gpu(name="card", driver="580", total_mib=8188, free_mib=7000, compute_capability=(8, 9))


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PipelineConfig:
    monkeypatch.setattr("pipeline.device.gpu.find_gpu", lambda: A_GPU)
    return PipelineConfig(models_dir=tmp_path / "models")


def add(config: PipelineConfig, *paths: Path, name: str | None = None, title: str | None = None) -> Addition:
    return add_models(paths, catalog_of(config), name=name, title=title)


def places(config: PipelineConfig, name: str) -> dict[str, str]:
    """From which file each component is read that is taken by reference."""
    card = find_model(name, config)
    return {kind: file.place.name for kind, file in card.files.items() if file.place is not None}


# --- which parts are found where ----------------------------------------------------------------------------


def test_files_that_complete_each_other_become_one_model_without_being_copied(
    config: PipelineConfig, tmp_path: Path
) -> None:
    write_companions(tmp_path / "b")
    found = [write_flux(tmp_path / "a" / "Photo Real.safetensors"), *sorted((tmp_path / "b").glob("*/*.safetensors"))]
    assert add(config, *found).new == ["photo-real"]
    assert places(config, "photo-real") == {
        "dit": "Photo Real.safetensors",
        "clip": "clip_l.safetensors",
        "t5": "t5xxl_fp16.safetensors",
        "vae": "ae.safetensors",
    }
    assert obstacle_of("photo-real", config) is None
    assert [path.name for path in config.models_dir.iterdir() if path.suffix != ".lock"] == ["added-models.json"]


@pytest.mark.parametrize(
    ("transformer", "folders"),
    [
        ("diffusion_models", {}),
        ("unet", {"t5": "clip"}),
        ("checkpoints", {"vae": "VAE"}),
        ("Stable-diffusion", {"clip": "text_encoder", "t5": "text_encoder", "vae": "VAE"}),
    ],
)
def test_parts_that_a_file_lacks_are_found_in_the_folders_of_the_same_program(
    config: PipelineConfig, tmp_path: Path, transformer: str, folders: dict[str, str]
) -> None:
    file = write_flux(tmp_path / "models" / transformer / "sub folder" / "x.safetensors")
    write_companions(tmp_path / "models", **folders)
    add(config, file)
    assert obstacle_of("x", config) is None


def test_all_in_one_file_gives_every_part(config: PipelineConfig, tmp_path: Path) -> None:
    tensors = {
        **heads.below("model.diffusion_model.", heads.flux()),
        **heads.below("text_encoders.clip_l.transformer.", heads.clip()),
        **heads.below("text_encoders.t5xxl.transformer.", heads.t5()),
        **heads.below("vae.", heads.vae()),
    }
    add(config, heads.write_safetensors(tmp_path / "all.safetensors", tensors))
    assert set(places(config, "all").values()) == {"all.safetensors"}
    assert obstacle_of("all", config) is None


@pytest.mark.parametrize(
    ("tensors", "base"), [(heads.checkpoint_sd15(), SD15), (heads.checkpoint_sdxl(), SDXL)], ids=["sd15", "sdxl"]
)
def test_checkpoint_of_stable_diffusion_is_whole_by_itself(
    config: PipelineConfig, tmp_path: Path, tensors: dict[str, heads.Typed], base: ModelCard
) -> None:
    add(config, heads.write_safetensors(tmp_path / "models" / "Stable-diffusion" / "Real Vision.safetensors", tensors))
    card = find_model("real-vision", config)
    assert obstacle_of("real-vision", config) is None
    assert (card.architecture, card.default_steps, card.licence_url) == (
        base.architecture,
        base.default_steps,
        base.licence_url,
    )
    assert not card.is_commercial  # of SDXL Turbo, say, whose shapes are those of SDXL
    changed = config.model_copy(update={"models": (ModelEntry(name="real-vision", sampler=Sampler.DDIM, clip_skip=2),)})
    card = find_model("real-vision", changed)
    assert (card.samplers[0], set(card.samplers), card.clip_skip) == (Sampler.DDIM, set(base.samplers), 2)


def test_model_that_is_recognised_and_not_drawn_yet_is_refused_by_name(config: PipelineConfig, tmp_path: Path) -> None:
    base = next(iter(catalog_of(config).bases.values()))
    catalog = Catalog(config=config, built_in={}, bases={base.name: SD15})  # of a release that draws nothing else
    file = write_flux(tmp_path / "a.safetensors")
    with pytest.raises(NothingAdded, match=r"FLUX.1 \[dev\] transformer, bf16, which is not drawn yet"):
        add_models([file], catalog, name=None, title=None)
    entry = ModelEntry(name="a", files=(file,))
    own = make_own(entry, {"sd15": SD15}, elsewhere=[], forget="forget it")
    assert own.card is None and "not drawn yet" in own.reason


def test_parts_come_from_files_that_were_added_before_and_of_the_usual_name_the_most_exact(
    config: PipelineConfig, tmp_path: Path
) -> None:
    write_companions(tmp_path / "b")
    heads.write_safetensors(tmp_path / "b" / "clip" / "ViT-L-14-long.safetensors", heads.typed(heads.clip(), "F32"))
    assert len(add(config, tmp_path / "b").companions) == 5
    add(config, write_flux(tmp_path / "a.safetensors"))
    assert places(config, "a") == {
        "dit": "a.safetensors",
        "clip": "clip_l.safetensors",
        "t5": "t5xxl_fp16.safetensors",
        "vae": "ae.safetensors",
    }


def test_text_encoder_that_the_transformer_cannot_read_is_not_taken(config: PipelineConfig, tmp_path: Path) -> None:
    heads.write_safetensors(tmp_path / "t5-base.safetensors", heads.t5(width=48))
    add(config, write_flux(tmp_path / "a.safetensors"))
    assert "t5" not in places(config, "a")


def test_what_is_found_nowhere_is_what_fetch_brings_and_nothing_else(config: PipelineConfig, tmp_path: Path) -> None:
    heads.write_safetensors(tmp_path / "clip_l.safetensors", heads.clip())
    add(config, write_flux(tmp_path / "a.safetensors"))
    card = find_model("a", config)
    assert {kind for kind, file in card.files.items() if file.repo is not None} == {"t5", "vae"}
    assert {flaw.path.name for flaw in files.missing(card, config.models_dir)} == {
        "ae.safetensors",
        "model.safetensors",
    }
    obstacle = obstacle_of("a", config)
    assert obstacle is not None and obstacle.way_out == "imagine-bot fetch a"
    fetched = config.models_dir / "black-forest-labs" / "FLUX.1-dev"
    heads.write_safetensors(fetched / "ae.safetensors", heads.vae())
    heads.write_shards(fetched / "text_encoder_2", heads.t5())
    assert obstacle_of("a", config) is None


def test_named_text_encoders_and_vae_win_over_all_others(config: PipelineConfig, tmp_path: Path) -> None:
    write_companions(tmp_path)
    t5 = heads.write_safetensors(tmp_path / "mine" / "encoder.safetensors", heads.t5())
    vae = heads.write_safetensors(tmp_path / "mine" / "sharp.safetensors", heads.vae())
    entry = ModelEntry(name="a", files=(write_flux(tmp_path / "unet" / "a.safetensors"),), text_encoders=(t5,), vae=vae)
    found = places(config.model_copy(update={"models": (entry,)}), "a")
    assert (found["t5"], found["vae"], found["clip"]) == (
        "encoder.safetensors",
        "sharp.safetensors",
        "clip_l.safetensors",
    )


def test_named_text_encoder_of_no_use_is_told(config: PipelineConfig, tmp_path: Path) -> None:
    clip = heads.write_safetensors(tmp_path / "clip.safetensors", heads.clip())
    again = heads.write_safetensors(tmp_path / "again.safetensors", heads.clip())
    vae = heads.write_safetensors(tmp_path / "vae.safetensors", heads.vae())
    file = write_flux(tmp_path / "unet" / "a.safetensors")
    entry = ModelEntry(name="a", files=(file,), text_encoders=(clip, again, vae))
    own = make_own(entry, catalog_of(config).bases, elsewhere=[], forget="forget it")
    assert [note.partition(":")[0] for note in own.notes] == [f"{again} is ignored", f"{vae} is ignored"]


# --- folders ------------------------------------------------------------------------------------------------


def test_folder_of_comfyui_gives_a_model_for_each_transformer_and_a_reason_for_the_rest(
    config: PipelineConfig, tmp_path: Path
) -> None:
    found = add(config, write_comfyui(tmp_path))
    assert found.new == ["flux1-dev-2", "schnell", "v2"]
    assert all(obstacle_of(name, config) is None for name in found.new)
    assert find_model("v2", config).title == "真实系 “模型” 'v2'"
    assert find_model("schnell", config).default_steps == 4
    refused = {path.name: reason for path, reason in found.refused.items()}
    assert set(refused) == {"old.ckpt", "style.safetensors"}
    assert "pickled" in refused["old.ckpt"] and "LoRA" in refused["style.safetensors"]
    assert (found.is_cut_off, found.unreadable) == (False, [])


def test_adding_the_same_twice_changes_nothing(config: PipelineConfig, tmp_path: Path) -> None:
    folder = write_comfyui(tmp_path)
    add(config, folder)
    before = list_path(config.models_dir).read_bytes()
    link = tmp_path / "link.safetensors"
    link.symlink_to(folder / "diffusion_models" / "flux1-dev.safetensors")
    again = add(config, folder, link)
    assert (again.new, again.changed, again.same) == ([], [], ["flux1-dev-2", "schnell", "v2"])
    assert list_path(config.models_dir).read_bytes() == before


def test_files_added_to_a_model_that_is_there_become_its_own(config: PipelineConfig, tmp_path: Path) -> None:
    file = write_flux(tmp_path / "a.safetensors")
    add(config, file)
    vae = heads.write_safetensors(tmp_path / "elsewhere" / "sharp.safetensors", heads.vae())
    assert add(config, file, vae).changed == ["a"]
    assert places(config, "a")["vae"] == "sharp.safetensors"


def test_cache_of_hugging_face_is_taken_by_its_links(config: PipelineConfig, tmp_path: Path) -> None:
    repo = write_hf_cache(tmp_path)
    assert add(config, repo.parent).new == ["flux1-dev-2"]
    card = find_model("flux1-dev-2", config)
    assert card.files["dit"].place == next(repo.glob("snapshots/*/flux1-dev.safetensors"))
    assert obstacle_of("flux1-dev-2", config) is None


def test_shards_are_one_model_whether_a_shard_or_their_folder_is_named(config: PipelineConfig, tmp_path: Path) -> None:
    shards = heads.write_shards(tmp_path / "Fine Tune" / "transformer", heads.flux_diffusers())
    assert add(config, shards[1]).new == ["fine-tune"]
    assert add(config, tmp_path / "Fine Tune").same == ["fine-tune"]
    paths = files.weights_of(find_model("fine-tune", config).files["dit"], config.models_dir)
    assert [path.name for path in paths] == [path.name for path in shards]


def test_model_whose_files_only_an_index_lists_is_read_from_all_of_them(config: PipelineConfig, tmp_path: Path) -> None:
    write_companions(tmp_path)
    folder = tmp_path / "unet"
    shards = heads.write_shards(folder, heads.flux_diffusers())
    index = next(folder.glob("*.json"))
    for shard, name in zip(shards, ("a.safetensors", "b.safetensors"), strict=True):
        index.write_text(index.read_text().replace(shard.name, name))
        shard.rename(folder / name)
    assert add(config, index, name="listed").new == ["listed"]
    card = find_model("listed", config)
    paths = files.weights_of(card.files["dit"], config.models_dir)
    assert [path.name for path in paths] == ["a.safetensors", "b.safetensors"]
    assert obstacle_of("listed", config) is None
    assert weights_file(card, config.models_dir) is None


def test_file_beside_the_shards_of_another_model_is_a_model_of_its_own(config: PipelineConfig, tmp_path: Path) -> None:
    heads.write_shards(tmp_path / "all", heads.flux_diffusers())
    write_flux(tmp_path / "all" / "other.safetensors")
    write_flux(tmp_path / "all" / "below" / "third.safetensors")
    assert sorted(add(config, tmp_path / "all").new) == ["all", "other", "third"]


def test_model_that_lost_a_shard_is_told_and_never_becomes_the_one_that_the_hub_has(
    config: PipelineConfig, tmp_path: Path
) -> None:
    shards = heads.write_shards(tmp_path / "Fine Tune" / "transformer", heads.flux_diffusers(), 3)
    write_companions(tmp_path)
    add(config, tmp_path)
    fetched = config.models_dir / "black-forest-labs" / "FLUX.1-dev"
    write_flux(fetched / "flux1-dev.safetensors")
    shards[1].unlink()
    models._catalog.cache_clear()  # as in another process
    with pytest.raises(ModelUnusable) as raised:
        find_model("fine-tune", config)
    assert f"needs {shards[0].parent}, which lacks " in raised.value.reason
    assert "models remove fine-tune" in raised.value.way_out
    entry = ModelEntry(name="a", files=(shards[0].parent, write_flux(tmp_path / "a.safetensors")))
    own = make_own(entry, catalog_of(config).bases, elsewhere=[], forget="forget it")  # of several, the whole one
    assert own.card is not None and own.card.files["dit"].place == tmp_path / "a.safetensors"


def test_search_ends_in_folders_that_are_too_many_or_too_deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path.joinpath(*"abcdefgh")
    write_flux(deep / "x.safetensors")
    assert (search(tmp_path).places, search(tmp_path).is_cut_off) == ([], True)
    monkeypatch.setattr("pipeline.catalog.file_search.MOST_ENTRIES", 3)
    for number in range(5):
        (tmp_path / f"{number}.gguf").touch()
    assert search(tmp_path).is_cut_off


def test_unreadable_folder_is_told_and_the_rest_is_found(
    config: PipelineConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_flux(tmp_path / "all" / "a.safetensors")
    (tmp_path / "all" / "locked").mkdir()
    real = os.scandir

    def scandir(path: Any) -> Any:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr("os.scandir", scandir)  # root may read everything
    found = add(config, tmp_path / "all")
    assert (found.new, found.unreadable) == (["a"], [tmp_path / "all" / "locked"])


# --- what is refused ----------------------------------------------------------------------------------------


def test_nothing_of_use_is_refused_with_what_each_file_is(config: PipelineConfig, tmp_path: Path) -> None:
    lora = heads.write_safetensors(tmp_path / "style.safetensors", LORA)
    page = tmp_path / "page.safetensors"
    page.write_text("<!DOCTYPE html><title>Sign in</title>")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingAdded) as raised:
        add(config, lora, page, tmp_path / "empty", tmp_path / "no such.gguf")
    told = "\n".join(raised.value.reasons)
    assert all(each in told for each in ("LoRA", "web page", "no file of weights", "no such.gguf is not there"))
    assert not config.models_dir.exists()


@pytest.mark.parametrize("name", ["auto", "demo", "Ä", "a b", "a/b", "../x", "-x", "con", "nul.x", "x" * 41, ""])
def test_name_that_does_not_do_is_refused_before_anything_is_written(
    config: PipelineConfig, tmp_path: Path, name: str
) -> None:
    with pytest.raises(NothingAdded, match="name"):
        add(config, write_flux(tmp_path / "a.safetensors"), name=name)
    assert read_added(config.models_dir) == AddedModels()


def test_name_that_another_command_takes_meanwhile_is_refused_and_its_model_stays(
    config: PipelineConfig, tmp_path: Path
) -> None:
    stale = catalog_of(config)
    assert stale.added == AddedModels()  # read before the other command
    first = write_flux(tmp_path / "a.safetensors")
    add(config, first, name="mine")
    with pytest.raises(NothingAdded, match="there is a model 'mine' already"):
        add_models([write_flux(tmp_path / "b.safetensors")], stale, name="mine", title=None)
    assert [entry.files for entry in read_added(config.models_dir).models] == [(first,)]


def test_another_name_for_a_model_that_is_there_is_refused(config: PipelineConfig, tmp_path: Path) -> None:
    file = write_flux(tmp_path / "a.safetensors")
    add(config, file)
    with pytest.raises(NothingAdded, match="as a; to name it mine, forget it first"):
        add(config, file, name="mine")
    assert add(config, file, name="a").same == ["a"]


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("flux1-dev-Q4_K_S", "flux1-dev-q4-k-s"),
        ("demo", "demo-2"),
        ("写实", "flux1-dev-2"),
        ("--Ünïcode  (v1.5)!", "unicode-v1.5"),
        ("CON", "my-con"),
        ("nul.x", "my-nul.x"),
        ("x" * 200, "x" * 32),
    ],
)
def test_names_are_made_of_file_names_safe_and_unique(tmp_path: Path, title: str, name: str) -> None:
    seen = look_at(write_flux(tmp_path / "a.safetensors"))
    assert isinstance(seen, Layout)
    assert unique_name(title, seen, {"demo", "flux1-dev"}) == name


def test_title_is_the_name_of_the_file_or_of_what_diffusers_wrote_it_into(tmp_path: Path) -> None:
    folder = tmp_path / "models--owner--Fine.Tune-1.0" / "snapshots" / "abc"
    assert title_of(folder / "transformer" / "diffusion_pytorch_model.safetensors") == "Fine.Tune-1.0"
    assert title_of(tmp_path / "my\x07model.v1.safetensors") == "my?model.v1"


# --- the list -----------------------------------------------------------------------------------------------


def test_removing_forgets_the_reference_and_deletes_no_file(config: PipelineConfig, tmp_path: Path) -> None:
    file = write_flux(tmp_path / "a.safetensors")
    add(config, file)
    assert remove_model("a", catalog_of(config)) == (file,)
    assert file.exists()
    assert "a" not in catalog_of(config).entries
    with pytest.raises(UnknownModel):
        remove_model("a", catalog_of(config))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b"[]",
        b"{}",
        b'{"version": 1, "models": 3}',
        b'{"version": 9, "models": []}',
        b'{"version": 1, "models": [3, {"name": "A B"}, {"name": "a", "files": "x"}, {"x": 1}]}',
    ],
)
def test_damaged_list_stops_nothing_and_is_put_aside_by_the_next_change(
    config: PipelineConfig, tmp_path: Path, content: bytes
) -> None:
    path = list_path(config.models_dir)
    path.parent.mkdir()
    path.write_bytes(content)
    assert catalog_of(config).added.flaws
    assert [card.name for card in catalog_of(config).public] == [*catalog_of(config).names]
    found = add(config, write_flux(tmp_path / "a.safetensors"))
    assert found.aside is not None and found.aside.read_bytes() == content
    assert catalog_of(config).added.flaws == ()
    assert find_model("a", config).name == "a"


def test_entries_that_are_whole_survive_beside_damaged_ones(config: PipelineConfig) -> None:
    path = list_path(config.models_dir)
    path.parent.mkdir()
    path.write_text('{"version": 1, "models": [{"name": "a", "files": ["/x"]}, {"nam": 1}], "companions": [1, "/y"]}')
    added = read_added(config.models_dir)
    assert [entry.name for entry in added.models] == ["a"]
    assert (added.companions, len(added.flaws)) == ((Path("/y"),), 1)


def test_folder_in_the_place_of_the_list_is_told(config: PipelineConfig) -> None:
    list_path(config.models_dir).mkdir(parents=True)
    assert read_added(config.models_dir).flaws
    assert read_added(config.models_dir / "a\0b") == AddedModels()


def test_list_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AddedModelsUnwritable, match="cannot be written"):
        change_added(tmp_path / "file", lambda added: added)


@pytest.mark.parametrize(("limit", "most"), [("MOST_MODELS", 2), ("MOST_BYTES", 300)])
def test_list_never_grows_beyond_what_is_read_of_it(
    config: PipelineConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, most: int
) -> None:
    monkeypatch.setattr(f"pipeline.catalog.added_models.{limit}", most)
    entries = tuple(ModelEntry(name=f"a{number}", files=(Path("/x"),)) for number in range(9))
    change_added(config.models_dir, lambda added: AddedModels(models=entries[:1]))
    with pytest.raises(AddedModelsUnwritable, match="more models than a list holds"):
        change_added(config.models_dir, lambda added: AddedModels(models=entries))
    assert read_added(config.models_dir).models == entries[:1]


# --- the catalog --------------------------------------------------------------------------------------------


def test_config_gives_defaults_to_models_and_says_what_is_ignored(config: PipelineConfig, tmp_path: Path) -> None:
    file = write_flux(tmp_path / "a.safetensors")
    entries = (
        ModelEntry(name="a", files=(file,), title="Mine", steps=7, guidance=2.5, cfg_scale=4.0, licence="MIT"),
        ModelEntry(name="demo", steps=3),
    )
    config = config.model_copy(update={"models": entries})
    card = find_model("a", config)
    assert (card.title, card.default_steps, card.guidance, card.licence) == ("Mine", 7, 2.5, "MIT")
    assert card.cfg_scale == 1.0
    [own] = catalog_of(config).own
    assert own.notes == ("cfg_scale is ignored: Mine has no such setting",)
    assert find_model("demo", config).default_steps == 3


def test_config_gives_defaults_to_a_model_that_was_added(config: PipelineConfig, tmp_path: Path) -> None:
    add(config, write_flux(tmp_path / "a.safetensors"), title="Added")
    config = config.model_copy(update={"models": (ModelEntry(name="a", steps=9),)})
    card = find_model("a", config)
    assert (card.title, card.default_steps) == ("Added", 9)


def test_own_model_has_the_licence_of_its_base_and_a_note_that_its_page_decides(
    config: PipelineConfig, tmp_path: Path
) -> None:
    add(config, write_flux(tmp_path / "a.safetensors"))
    card = find_model("a", config)
    assert card.licence.startswith("FLUX.1 [dev] Non-Commercial License: ")
    assert card.licence.endswith("so its licence holds, unless the page that the file came from says otherwise")
    assert not card.is_commercial


def test_commercial_only_hides_models_everywhere_and_refuses_them_by_name(
    config: PipelineConfig, tmp_path: Path
) -> None:
    write_companions(tmp_path / "b")
    dev, schnell = write_flux(tmp_path / "dev.safetensors"), write_flux(tmp_path / "fast.safetensors", is_schnell=True)
    add(config, dev, schnell, tmp_path / "b")
    assert [card.name for card in usable_models(config)] == ["dev", "demo", "fast"]
    config = config.model_copy(update={"commercial_only": True})
    assert [card.name for card in usable_models(config)] == ["demo"]
    assert [card.name for card in catalog_of(config).public] == [
        "flux1-schnell",
        "z-image-turbo",
        "flux2-klein-4b",
        "sdxl",
        "sd15",
        "demo",
    ]
    for name in ("dev", "fast", MAJICFLUS_V1.name):
        with pytest.raises(ModelUnusable, match="commercial_only"):
            find_model(name, config)
    allowed = config.model_copy(update={"models": (ModelEntry(name="fast", commercial=True),)})
    assert find_model("fast", allowed).is_commercial
    assert [card.name for card in usable_models(allowed)] == ["fast", "demo"]


def test_auto_takes_an_own_model_if_majicflus_is_not_there(config: PipelineConfig, tmp_path: Path) -> None:
    write_companions(tmp_path)
    add(config, write_flux(tmp_path / "unet" / "a.safetensors"))
    card, reason = choose_model(config)
    assert card.name == "a"
    assert "majicflus-v1" in reason


def test_file_that_is_gone_at_the_start_is_told_and_only_auto_falls_back(
    config: PipelineConfig, tmp_path: Path
) -> None:
    write_companions(tmp_path)
    file = write_flux(tmp_path / "unet" / "a.safetensors")
    add(config, file)
    file.unlink()
    models._catalog.cache_clear()  # as in another process
    assert choose_model(config)[0] is DEMO
    assert [card.name for card in usable_models(config)] == ["demo"]
    with pytest.raises(ModelUnusable) as raised:
        choose_model(config.model_copy(update={"model": "a"}))
    assert "is not there" in raised.value.reason
    assert "models remove a" in raised.value.way_out
    write_flux(file)
    assert choose_model(config)[0].name == "a"


def test_file_that_vanishes_later_fails_by_name_until_it_is_back(config: PipelineConfig, tmp_path: Path) -> None:
    write_companions(tmp_path)
    file = write_flux(tmp_path / "unet" / "a.safetensors")
    add(config, file)
    card = find_model("a", config)
    file.rename(tmp_path / "away")
    with pytest.raises(ModelFilesMissing, match=r"a\.safetensors is absent"):
        files.demand(find_model("a", config), config.models_dir)
    (tmp_path / "away").rename(file)
    files.demand(card, config.models_dir)


def test_file_that_becomes_another_one_is_refused(config: PipelineConfig, tmp_path: Path) -> None:
    write_companions(tmp_path)
    file = write_flux(tmp_path / "unet" / "a.safetensors")
    add(config, file)
    card = find_model("a", config)
    heads.write_safetensors(file, LORA)
    with pytest.raises(ModelFilesMissing, match="LoRA"):
        files.demand(card, config.models_dir)


@pytest.mark.parametrize("name", ["flux1-dev-Q4_K_S.gguf", "flux1-dev-fp8.safetensors", "transformer"])
def test_another_layout_in_the_place_of_a_model_is_drawn_with(
    config: PipelineConfig, tmp_path: Path, name: str
) -> None:
    place = config.models_dir / "black-forest-labs" / "FLUX.1-dev"
    card = find_model("flux1-dev", config)
    if name == "transformer":
        heads.write_shards(place / name, heads.flux_diffusers())
    elif name.endswith(".gguf"):
        heads.write_gguf(place / name, heads.flux())
    else:
        heads.write_safetensors(place / name, heads.typed(heads.flux(), "F8_E4M3"))
    write_companions(tmp_path)
    absent = {flaw.path.name for flaw in files.missing(card, config.models_dir)}
    assert absent == {"ae.safetensors", "model.safetensors"}  # and not the transformer
