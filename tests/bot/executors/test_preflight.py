"""What `check` finds of the machine and the model, and that every problem has a way out."""

from __future__ import annotations

import json
import re
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from bot.executors import preflight as look
from bot.executors.preflight import preflight
from bot.findings import Mark
from pipeline.catalog import files
from pipeline.catalog.fetch_speed import last_speed, note_speed
from pipeline.catalog.models import DEMO, MAJICFLUS_V1, MODELS
from pipeline.config import PipelineConfig
from pipeline.device.gpu import TorchBuild
from pipeline.device.gpu_profile import write_profile
from pipeline.families.flux.architecture import FLUX
from tests.bot.findings import CARD, marks, only
from tests.pipeline.catalog import miniature_headers as heads
from tests.pipeline.catalog.test_vocabulary import write_tokenizer
from tests.pipeline.measured import measured_card

pytestmark = pytest.mark.usefixtures("clean_place", "clean_logging")


SHAPES = {"dit": heads.flux(), "vae": heads.vae(), "clip": heads.clip(), "t5": heads.t5()}


def write_model(models_dir: Path) -> None:
    """MajicFLUX in miniature."""
    for kind, file in MAJICFLUS_V1.files.items():
        place = models_dir / str(file.repo) / file.path
        for name in file.needs:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text("{}")
        if kind in SHAPES:
            heads.write_safetensors(place / "model.safetensors" if file.is_folder else place, SHAPES[kind])


@pytest.mark.usefixtures("no_gpu")
def test_without_a_card_the_demo_draws_on_the_cpu(clean_place: Path) -> None:
    findings = preflight(PipelineConfig(models_dir=clean_place), is_running=False)
    assert marks(findings) == "•✔✔✔"
    assert "demo" in only(findings, "model").text
    assert "CPU" in only(findings, "gpu").text


@pytest.mark.usefixtures("no_gpu")
def test_a_big_model_without_a_card_is_a_problem(clean_place: Path) -> None:
    findings = preflight(PipelineConfig(models_dir=clean_place, model="flux1-dev"), is_running=False)
    assert only(findings, "gpu").mark is Mark.PROBLEM
    assert "driver" in only(findings, "gpu").way_out


@pytest.mark.usefixtures("gpu")
def test_a_card_without_the_models_files_draws_the_demo_and_says_how_to_change_that(clean_place: Path) -> None:
    findings = preflight(PipelineConfig(models_dir=clean_place), is_running=False)
    assert only(findings, "gpu").text == "Test RTX, 8192 MiB, driver 1.2"
    assert only(findings, "model").mark is Mark.NOTE
    assert only(findings, "model").way_out.startswith("imagine-bot fetch majicflus-v1")


@pytest.mark.usefixtures("gpu")
def test_every_file_that_is_missing_or_cut_off_is_named(clean_place: Path) -> None:
    write_model(clean_place)
    vae = clean_place / "black-forest-labs" / "FLUX.1-dev" / "ae.safetensors"
    vae.write_bytes(vae.read_bytes()[:-7])
    (clean_place / "MAILAND" / "majicflus_v1" / "majicflus_v134.safetensors").unlink()
    findings = preflight(PipelineConfig(models_dir=clean_place, model="majicflus-v1"), is_running=False)
    flaws = [finding for finding in findings if finding.topic == "files"]
    assert marks(flaws) == "✘✘"
    assert {flaw.way_out for flaw in flaws} == {"imagine-bot fetch majicflus-v1"}
    assert any("majicflus_v134.safetensors is absent" in flaw.text for flaw in flaws)
    assert any("ae.safetensors is a safetensors file that is cut off" in flaw.text for flaw in flaws)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("model", ["flux1-dev", "majicflus-v1"])
def test_files_that_are_absent_are_one_line_with_the_size_of_the_download(clean_place: Path, model: str) -> None:
    config = PipelineConfig(models_dir=clean_place, model=model)
    finding = only(preflight(config, is_running=False), "files")
    assert re.fullmatch(rf".+ \({model}\) lacks \d+ files, about 34 GB in all", finding.text)
    assert finding.way_out == f"imagine-bot fetch {model}"
    note_speed(clean_place, count=10**9, took_s=100.0)
    finding = only(preflight(config, is_running=False), "files")
    assert finding.text.endswith(", about 34 GB in all, 57 min at 10.0 MB/s as the last time")
    note_speed(clean_place, count=10**8, took_s=100.0)
    assert only(preflight(config, is_running=False), "files").text.endswith("9.4 hours at 1.0 MB/s as the last time")


@pytest.mark.parametrize("content", [b"", b"0", b"-5", b"nan", b"inf", b"1e300", b"\xff", b"1" * 10**6, b"fast"])
def test_speed_that_is_none_is_not_known(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".fetch_speed").write_bytes(content)
    assert last_speed(tmp_path) is None


def test_speed_is_noted_if_it_says_something(tmp_path: Path) -> None:
    for count, took_s in ((10, 1.0), (10**9, 0.0), (10**18, 1.0)):
        note_speed(tmp_path, count=count, took_s=took_s)
    note_speed(tmp_path / "missing", count=10**9, took_s=1.0)
    assert last_speed(tmp_path) is None
    note_speed(tmp_path, count=10**9, took_s=2.0)
    assert last_speed(tmp_path) == 5e8


@pytest.mark.usefixtures("gpu")
def test_memory_is_counted_where_weights_rest(clean_place: Path) -> None:
    """All of which fits on the card."""
    write_model(clean_place)
    findings = preflight(PipelineConfig(models_dir=clean_place), is_running=False)
    assert marks(findings) == "✔✔✔✔✔•"
    assert "majicflus-v1" in only(findings, "model").text
    assert only(findings, "memory").text.startswith("1000 MiB needed")
    assert only(findings, "gpu memory").text == "2000 MiB needed, 7600 MiB free, of which 7004 MiB are used"
    assert "loaded once" in only(findings, "speed").text


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("when", ["parts_of", "header_of"])
def test_file_that_vanishes_while_memory_is_counted_ends_no_check(
    clean_place: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    write_model(clean_place)
    place = clean_place / str(MAJICFLUS_V1.files["dit"].repo) / MAJICFLUS_V1.files["dit"].path
    real = getattr(look, when)

    def vanish(*arguments: object) -> object:
        place.unlink(missing_ok=True)
        return real(*arguments)

    monkeypatch.setattr(look, when, vanish)
    assert only(preflight(PipelineConfig(models_dir=clean_place), is_running=False), "memory").mark is Mark.OK


@pytest.mark.usefixtures("gpu")
def test_big_model_of_other_parts_is_checked_as_well(clean_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(clean_place)
    parts = {kind: file for kind, file in MAJICFLUS_V1.files.items() if kind != "dit"} | {
        "unet": MAJICFLUS_V1.files["dit"]
    }
    components = {"unet": FLUX.components["dit"], **FLUX.components}
    other = replace(MAJICFLUS_V1, files=parts, architecture=replace(FLUX, components=components))
    monkeypatch.setattr("bot.executors.preflight.choose_model", lambda _config: (other, "for a test"))
    findings = preflight(PipelineConfig(models_dir=clean_place), is_running=False)
    assert only(findings, "memory").mark is Mark.OK


@pytest.mark.usefixtures("gpu")
def test_speed_is_told_from_what_was_measured_and_packed(clean_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(clean_place)
    write_measured(clean_place)
    finding = only(preflight(PipelineConfig(models_dir=clean_place), is_running=False), "speed")
    assert finding.mark is Mark.OK
    assert finding.text.startswith("int8: 4.")
    assert "streamed at every step at 12.5 GB/s; about " in finding.text
    assert "int8 110" in finding.text
    config = PipelineConfig(models_dir=clean_place, vram_limit_mib=2000)
    assert only(preflight(config, is_running=False), "speed").mark is Mark.NOTE
    (clean_place / "packed" / "majicflus-v1.t5.int8.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    finding = only(preflight(PipelineConfig(models_dir=clean_place), is_running=False), "speed")
    assert finding.mark is Mark.NOTE


@pytest.mark.usefixtures("gpu")
def test_read_only_folder_for_packed_weights_is_a_problem_until_they_are_there(
    clean_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(clean_place)
    monkeypatch.setattr("pipeline.catalog.models.is_writable", lambda folder: folder == clean_place / "elsewhere")
    config = PipelineConfig(models_dir=clean_place)
    found = only(preflight(config, is_running=False), "packed")
    assert found.mark is Mark.PROBLEM
    assert "17 GB" in found.text and str(clean_place / "packed") in found.text
    assert "packed_dir" in found.way_out
    elsewhere = config.model_copy(update={"packed_dir": clean_place / "elsewhere"})
    for each in (elsewhere, config):
        if each is config:
            write_measured(clean_place)
        assert not [one for one in preflight(each, is_running=False) if one.topic == "packed"]


def write_measured(models_dir: Path) -> None:
    """What the first load of a large model leaves behind, with the sizes of FLUX.1 in 8 bits."""
    write_profile(
        models_dir / "packed",
        measured_card(gpu=CARD.name, driver=CARD.driver),
    )
    double = {f"blocks.{number}": 227 * 10**6 for number in range(19)}
    single = {f"single_blocks.{number}": 113 * 10**6 for number in range(38)}
    modulation = {f"{name}#modulation": 57 * 10**6 for name in (*double, *single)}
    parts = {
        "dit.int8": {"": 90 * 10**6, **double, **single, **modulation},
        "t5.int8": {"": 10**6, "shared": 263 * 10**6, **{f"encoder.block.{n}": 190 * 10**6 for n in range(24)}},
        "clip.bfloat16": {"": 10**6, "token_embedding": 76 * 10**6, "encoders.0": 14 * 10**6},
    }
    for part, sizes in parts.items():
        header = {name: {"dtype": "U8", "shape": [size], "data_offsets": [0, size]} for name, size in sizes.items()}
        text = json.dumps({"__metadata__": {"source": "x"}, **header}).encode()
        path = models_dir / "packed" / f"majicflus-v1.{part}.safetensors"
        path.write_bytes(struct.pack("<Q", len(text)) + text)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(("is_running", "mark"), [(False, Mark.PROBLEM), (True, Mark.NOTE)])
def test_too_little_memory_is_a_problem_unless_the_bot_itself_holds_it(
    clean_place: Path, monkeypatch: pytest.MonkeyPatch, is_running: bool, mark: Mark
) -> None:
    write_model(clean_place)
    memory = psutil.virtual_memory()._replace(available=999 * 2**20)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    config = PipelineConfig(models_dir=clean_place, vram_limit_mib=7700)
    findings = preflight(config, is_running=is_running)
    assert only(findings, "memory").mark is mark
    assert only(findings, "gpu memory").mark is mark
    if mark is Mark.PROBLEM:
        assert "vram_limit_mib to at most 7600" in only(findings, "gpu memory").way_out


@pytest.mark.usefixtures("gpu")
def test_a_torch_without_cuda_beside_a_card_is_a_problem(clean_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.device.gpu.torch_build", lambda: TorchBuild(version="2.15.0+cpu", cuda=None))
    finding = only(preflight(PipelineConfig(models_dir=clean_place), is_running=False), "gpu")
    assert finding.mark is Mark.PROBLEM
    assert "PyTorch" in finding.text


@pytest.mark.usefixtures("enough_memory")
@pytest.mark.parametrize(("model", "way_out"), [("auto", 'device = "cpu"'), ("flux1-dev", 'model = "demo"')])
def test_card_or_driver_that_torch_cannot_use_is_a_problem_and_never_counts_as_one(
    clean_place: Path, monkeypatch: pytest.MonkeyPatch, model: str, way_out: str
) -> None:
    old = replace(CARD, name="NVIDIA GeForce GTX 1070", driver="535.183.01", compute_capability=(6, 1))
    monkeypatch.setattr("pipeline.device.gpu.find_gpu", lambda: old)
    write_model(clean_place)
    findings = preflight(PipelineConfig(models_dir=clean_place, model=model), is_running=False)
    found = only(findings, "gpu")
    assert found.mark is Mark.PROBLEM
    assert "GTX 1070" in found.text and "535.183.01" in found.text and "6.1" in found.text
    assert "7.5" in found.way_out and found.way_out.endswith(way_out)
    assert not [finding for finding in findings if finding.topic == "gpu memory"]
    if model == "auto":
        assert "(demo)" in only(findings, "model").text


@pytest.mark.usefixtures("gpu")
def test_that_a_model_reads_no_chinese_is_noted_in_every_language(clean_place: Path) -> None:
    write_model(clean_place)
    assert not [
        each for each in preflight(PipelineConfig(models_dir=clean_place), is_running=False) if each.topic == "prompts"
    ]
    folder = clean_place / "black-forest-labs" / "FLUX.1-dev" / "tokenizer_2"
    shutil.rmtree(folder)
    write_tokenizer(clean_place)
    (folder / "tokenizer_config.json").write_text("{}")
    findings = preflight(PipelineConfig(models_dir=clean_place), is_running=False)
    notes = [each for each in findings if each.topic == "prompts"]
    assert [each.mark for each in notes] == [Mark.NOTE] * 3
    said = ("reads English: 3 of 3", "只认识英文", "只認得英文")
    assert all(words in note.text for note, words in zip(notes, said, strict=True))


@pytest.mark.usefixtures("no_gpu")
def test_large_model_on_the_cpu_is_said_to_take_hours(clean_place: Path) -> None:
    config = PipelineConfig(models_dir=clean_place, model="flux1-dev", device="cpu")
    found = only(preflight(config, is_running=False), "gpu")
    assert found.mark is Mark.NOTE
    assert "hours" in found.text


@pytest.mark.usefixtures("no_gpu")
def test_device_that_is_not_there_is_a_problem_with_both_ways_out(clean_place: Path) -> None:
    config = PipelineConfig(models_dir=clean_place, device="cuda")
    finding = only(preflight(config, is_running=False), "gpu")
    assert finding.mark is Mark.PROBLEM
    assert "driver" in finding.way_out and finding.way_out.endswith('set [pipeline] device = "auto"')
    large = config.model_copy(update={"model": "flux1-dev"})
    finding = only(preflight(large, is_running=False), "gpu")
    assert finding.way_out.endswith('set [pipeline] device = "auto" and set [pipeline] model = "demo"')


def test_an_unknown_model_is_a_problem_that_lists_the_known(clean_place: Path) -> None:
    [finding] = preflight(PipelineConfig(models_dir=clean_place, model="fluxx"), is_running=False)
    assert finding.mark is Mark.PROBLEM
    assert finding.way_out == f"set [pipeline] model to one of auto, {', '.join(MODELS)}"


def test_the_demo_is_whole() -> None:
    assert files.missing(DEMO, Path("nowhere")) == []
