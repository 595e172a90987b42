"""`imagine-bot models`: what it lists, adds and forgets, as people see it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from bot.errors import ExitCode
from pipeline.images.png_metadata import read_spec
from tests.bot.cli.command_line import COMMAND, environment, invoke
from tests.bot.findings import only
from tests.pipeline.catalog import miniature_headers as heads
from tests.pipeline.catalog import miniature_loras as make
from tests.pipeline.catalog.trees import LORA, write_comfyui, write_companions, write_flux

pytestmark = pytest.mark.usefixtures("clean_place", "clean_logging")


@pytest.fixture(autouse=True)
def models_dir(clean_place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMAGINE_BOT__PIPELINE__MODELS_DIR", str(clean_place / "models"))
    return clean_place / "models"


@pytest.mark.usefixtures("no_gpu")
def test_list_names_every_model_its_licence_and_how_to_get_it_and_writes_nothing(models_dir: Path) -> None:
    result = invoke("models")
    assert result.exit_code == ExitCode.OK
    assert "• flux1-dev: FLUX.1 [dev]" in result.stdout
    assert "→ imagine-bot fetch flux1-dev" in result.stdout
    assert "✔ demo: Demo: emoji scenes (the default: no NVIDIA" in result.stdout
    assert "no commercial use" in result.stdout and "commercial use allowed" in result.stdout
    assert "imagine-bot models add FILE…" in result.stdout
    assert not models_dir.exists()


@pytest.mark.usefixtures("gpu")
def test_list_ends_with_what_suits_the_computer_in_the_operators_language(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("LC_ALL", ""), ("LC_MESSAGES", ""), ("LANG", "zh_CN.UTF-8")):
        monkeypatch.setenv(name, value)
    listed = invoke("models").stdout
    assert "Z-Image-Turbo (z-image-turbo) 更适合这台电脑，需要下载 21 GB" in listed
    assert "→ imagine-bot fetch z-image-turbo" in listed
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("IMAGINE_BOT__PIPELINE__COMMERCIAL_ONLY", "true")
    assert "Z-Image-Turbo (z-image-turbo) would suit this computer better" in invoke("models").stdout


@pytest.mark.usefixtures("no_gpu")
def test_models_that_may_not_be_used_commercially_are_hidden_and_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("IMAGINE_BOT__PIPELINE__COMMERCIAL_ONLY", "true")
    listed = invoke("models").stdout
    assert "[pipeline] commercial_only hides majicflus-v1, flux1-dev." in listed
    assert "flux1-dev:" not in listed and "flux1-schnell:" in listed
    for command in (["fetch", "flux1-dev"], ["draw", "a fox", "--model", "flux1-dev"]):
        result = invoke(*command)
        assert result.exit_code == ExitCode.USAGE
        assert "flux1-dev is hidden, since [pipeline] commercial_only is set" in result.stderr


@pytest.mark.usefixtures("gpu")
def test_added_folder_is_listed_with_what_its_files_are_and_where(clean_place: Path) -> None:
    folder = write_comfyui(clean_place)
    added = invoke("models", "add", str(folder))
    assert added.exit_code == ExitCode.OK
    assert "✔ schnell: -schnell (added)" in added.stdout
    assert f"✘ {folder}/loras/style.safetensors is a LoRA" in added.stdout
    listed = invoke("models").stdout
    assert "✔ v2: 真实系 “模型” 'v2'" in listed
    assert "FLUX.1 [dev] transformer, bf16" in listed
    assert f"{folder}/text_encoders/t5xxl_fp16.safetensors (T5 text encoder)" in listed
    assert "(the default: " in listed.partition("flux1-dev-2: flux1-dev ")[2].partition("\n")[0] + "(the default: "


@pytest.mark.usefixtures("gpu")
def test_model_is_added_once_and_forgotten_without_its_files(clean_place: Path, models_dir: Path) -> None:
    write_companions(clean_place)
    file = write_flux(clean_place / "unet" / "a.safetensors")
    assert "added" in invoke("models", "add", str(file), "--name", "mine", "--title", "Mine!").stdout
    assert "✔ mine: Mine! (known already)" in invoke("models", "add", str(file)).stdout
    (models_dir / "packed").mkdir()
    for name in ("mine.dit.int8.safetensors", "mine.t5.int8.part", "mine.q4.dit.int8.safetensors"):
        (models_dir / "packed" / name).touch()
    removed = invoke("models", "remove", "mine")
    assert removed.exit_code == ExitCode.OK
    assert str(file) in removed.stdout and "mine.dit.int8.safetensors (packed weights" in removed.stdout
    assert "mine.t5.int8.part" in removed.stdout and "mine.q4" not in removed.stdout  # which is another model's
    assert file.exists()
    assert "mine" not in invoke("models").stdout


@pytest.mark.usefixtures("gpu")
def test_lora_is_added_listed_checked_drawn_with_and_forgotten(clean_place: Path, models_dir: Path) -> None:
    notes = {"modelspec.title": "Ink \x1b[2Jwash", "modelspec.trigger_phrase": "inkstyle"}
    file = make.write_lora(clean_place / "loras" / "Ink Wash_v2.safetensors", notes=notes)
    loha = heads.write_safetensors(
        clean_place / "loras" / "loha.safetensors", heads.lora("lora_unet_x", ends=("hada_w1_a", "hada_w1_b"))
    )
    added = invoke("models", "add", str(clean_place / "loras"))
    assert added.exit_code == ExitCode.OK
    assert "✔ ink-wash_v2: Ink [2Jwash LoRA (added)" in added.stdout
    assert f"✘ {loha} is a LoHa: only low-rank factors" in added.stdout
    assert "for FLUX.1 · rank 16 · weight 1 · words: inkstyle" in added.stdout and str(file) in added.stdout
    assert "(known already)" in invoke("models", "add", str(file)).stdout
    assert "✔ ink-wash_v2: Ink [2Jwash LoRA\n" in invoke("models").stdout
    checked = invoke("check", "--offline").stdout
    assert "lora       Ink [2Jwash (ink-wash_v2): for FLUX.1, rank 16, word: inkstyle" in checked
    drawn = invoke("draw", "a fox", "--model", "fake", "--lora", "Ink-Wash_v2:0.5", "--seed", "7")
    assert drawn.exit_code == ExitCode.OK and "loras    ink-wash_v2:0.5" in drawn.stdout
    assert "\x1b" not in added.stdout + checked + drawn.stdout + drawn.stderr
    spec = read_spec((clean_place / "a-fox-7.png").read_bytes())
    assert spec is not None and spec.loras == "ink-wash_v2:0.5"
    file.rename(file.with_suffix(".gone"))
    assert "✘ ink-wash_v2: LoRA\n" in (listed := invoke("models").stdout) and "which is no file" in listed
    assert "ink-wash_v2 needs" in invoke("check", "--offline").stdout
    assert invoke("models", "remove", "ink-wash_v2").exit_code == ExitCode.OK
    assert "ink-wash" not in invoke("models").stdout


def test_lora_gets_the_name_and_title_that_are_asked_for(clean_place: Path) -> None:
    file = make.write_lora(clean_place / "x.safetensors")
    assert "✔ ink: Ink! LoRA (added)" in invoke("models", "add", str(file), "--name", "ink", "--title", "Ink!").stdout
    again = invoke("models", "add", str(file), "--name", "other")
    assert again.exit_code == ExitCode.USAGE and "this LoRA is there already, as ink" in again.stderr
    other = make.write_lora(clean_place / "y.safetensors")
    for name, says in (
        ("demo", "there is 'demo' already"),
        ("Ink Wash", "for example ink-wash"),
        ("none", "a name is"),
    ):
        refused = invoke("models", "add", str(other), "--name", name)
        assert refused.exit_code == ExitCode.USAGE and says in refused.stderr
    (clean_place / "config.toml").write_text(f"[[loras]]\nname = 'film'\nfile = '{other}'\n")
    assert "film stands in the config file: take its [[loras]] out" in invoke("models", "remove", "film").stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--lora", "nothing"], "there is no nothing; for fake there is film, ink, turbo"),
        (["--lora", "ink:9"], "must have numbers from -4 to 4, not 0, as weights"),
        (["--lora", "ink", "--lora", "film", "--lora", "turbo", "--lora", "sd"], "must be made for fake"),
        (["--lora", "sd"], "must be made for fake, and sd is not"),
        (["--model", "demo", "--lora", "ink"], "cannot be used with demo"),
        (["--model", "demo", "--fast"], "speed cannot be chosen with demo"),
    ],
)
def test_lora_that_cannot_be_drawn_with_is_one_sentence(clean_place: Path, arguments: list[str], says: str) -> None:
    write_loras(clean_place)
    result = invoke("draw", "a fox", *(["--model", "fake"] if "--model" not in arguments else []), *arguments)
    assert result.exit_code == ExitCode.USAGE and says in result.stderr


def test_fast_draws_with_few_steps_and_tags_are_understood(clean_place: Path) -> None:
    write_loras(clean_place)
    result = invoke("draw", "a fox <lora:ink:0.5> <lora:../x:1>", "--model", "fake", "--fast")
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert (lines["loras"], lines["steps"]) == ("ink:0.5, turbo:1", "8")
    assert "Not known here: <lora:../x:1>" in result.stderr


def write_loras(folder: Path) -> None:
    """A config with three LoRAs for FLUX.1, one of them fast, and one for Stable Diffusion."""
    files = {name: make.write_lora(folder / f"{name}.safetensors") for name in ("ink", "film")}
    files["sd"] = heads.write_safetensors(folder / "sd.safetensors", make.kohya(make.SD15))
    files["turbo"] = make.write_lora(folder / "turbo.safetensors")
    text = "".join(f"[[loras]]\nname = '{name}'\nfile = '{file}'\n" for name, file in files.items())
    (folder / "config.toml").write_text(f"{text}speed = 'fast'\nsteps = 8\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["remove", "demo"], "demo belongs to this program"),
        (["remove", "x"], "no model 'x' was added"),
        (["remove", "configured"], "configured stands in the config file"),
        (["add", "style.safetensors"], "is a LoRA for some other model: its few layers are in FLUX.1 and in FLUX.2"),
        (["add", "none.gguf"], "none.gguf is not there"),
        (["add", "a.safetensors", "--name", "A b"], "for example a-b"),
        (["add", "a.safetensors", "--name", "flux1-dev"], "there is a model 'flux1-dev' already"),
        (["add", "a.safetensors", "--title", "a\nb"], "the title must be one line of text"),
        (["add", "a.safetensors", "--title", "x" * 81], "the title "),
        (["add", "~nobody/x.safetensors"], "x.safetensors is not there"),
        (["add", "vae.safetensors", "--name", "x"], "a name and a title are for one model, and these are 0"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_code_2(
    clean_place: Path, arguments: list[str], says: str
) -> None:
    heads.write_safetensors(clean_place / "style.safetensors", LORA)
    heads.write_safetensors(clean_place / "vae.safetensors", heads.vae())
    write_flux(clean_place / "a.safetensors")
    (clean_place / "config.toml").write_text("[[models]]\nname = 'configured'\nfiles = ['a.safetensors']\n")
    result = invoke("models", *arguments)
    assert result.exit_code == ExitCode.USAGE
    assert says in result.stderr
    assert isinstance(result.exception, SystemExit)


def test_damaged_list_is_said_and_the_bot_goes_on(clean_place: Path, models_dir: Path) -> None:
    models_dir.mkdir()
    (models_dir / "added-models.json").write_text("{")
    result = invoke("models")
    assert result.exit_code == ExitCode.OK
    assert "added-models.json is damaged" in result.stdout
    added = invoke("models", "add", str(write_flux(clean_place / "a.safetensors")))
    assert "put aside as" in added.stderr
    assert (models_dir / "added-models.json.damaged").read_text() == "{"


@pytest.mark.usefixtures("gpu")
def test_added_model_that_the_config_names_can_be_lost_and_added_again(clean_place: Path, models_dir: Path) -> None:
    add = ("models", "add", str(write_flux(clean_place / "a.safetensors")), "--name", "mine")
    invoke(*add)
    (clean_place / "config.toml").write_text("[pipeline]\nmodel = 'mine'\n[[models]]\nname = 'mine'\nsteps = 9\n")
    (models_dir / "added-models.json").write_text("{")
    for command, code in ((["check", "--offline"], ExitCode.FAILED), (["draw", "a fox"], ExitCode.USAGE)):
        result = invoke(*command)
        assert result.exit_code == code
        assert "mine is not known: " in result.output and "models add FILE… --name mine" in result.output
    assert invoke(*add).exit_code == ExitCode.OK
    removed = invoke("models", "remove", "mine")
    assert removed.exit_code == ExitCode.OK
    assert "the config names mine in [pipeline] model" in removed.stderr and "in [[models]]" in removed.stderr
    assert "✘ mine: the config names it, and there is no such model" in invoke("models").stdout
    assert "must have files, or be models that are there: 'mine' is neither" in invoke("draw", "a fox").stderr
    assert invoke(*add).exit_code == ExitCode.OK


def test_names_of_files_never_reach_the_terminal_as_commands(clean_place: Path) -> None:
    file = write_flux(clean_place / "a\x1b]0;owned\x07\nb.safetensors")
    lora = heads.write_safetensors(clean_place / "\x1b[2Jlora.safetensors", LORA)
    shown = [invoke("models", "add", str(file), str(lora)), invoke("models"), invoke("check", "--offline")]
    assert "a�]0;owned��b.safetensors must hold no control characters; rename it" in shown[0].stderr
    shown += [invoke("models", "add", str(lora)), invoke("models", "remove", "\x1b[2J")]
    assert not [each for each in shown if "\x1b" in each.output or "\x07" in each.output]


def test_file_whose_name_is_no_unicode_is_added_and_listed(clean_place: Path) -> None:
    file = write_flux(clean_place / os.fsdecode(b"Fl\xfcx.safetensors"))
    for arguments in (["add", str(file)], []):
        command = [*COMMAND, "models", *arguments]
        done = subprocess.run(command, env=environment(), capture_output=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        assert "fl-x: Fl?x" in done.stdout.decode()


@pytest.mark.usefixtures("no_gpu")
def test_own_files_of_the_demo_draw_the_same_picture(clean_place: Path) -> None:
    import pipeline.demo

    weights = Path(pipeline.demo.__file__).parent / "weights"
    places = [weights / "dit", *(weights / f"{name}.safetensors" for name in ("clip", "t5", "vae"))]
    assert invoke("models", "add", *map(str, places), "--name", "mine").exit_code == ExitCode.OK
    for name in ("mine", "demo"):
        drawn = invoke(
            "draw", "a fox", "--seed", "1", "--steps", "1", "--size", "draft", "--model", name, "-o", f"{name}.png"
        )
        assert drawn.exit_code == ExitCode.OK, drawn.output
    from PIL import Image

    assert Image.open("mine.png").tobytes() == Image.open("demo.png").tobytes()


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("command", [["draw", "a fox"], ["run"]])
def test_wrong_file_in_a_models_place_ends_with_2_and_says_what_it_is(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    place = models_dir / "black-forest-labs" / "FLUX.1-dev"
    heads.write_safetensors(place / "flux1-dev.safetensors", LORA)
    heads.write_safetensors(place / "ae.safetensors", heads.vae())
    heads.write_safetensors(place / "text_encoder" / "model.safetensors", heads.clip())
    heads.write_shards(place / "text_encoder_2", heads.t5())
    monkeypatch.setenv("IMAGINE_BOT__PIPELINE__MODEL", "flux1-dev")
    monkeypatch.setenv("IMAGINE_BOT__STORAGE__DATA_DIR", str(models_dir.parent / "data"))
    result = invoke(*command)
    assert result.exit_code == ExitCode.USAGE
    assert "flux1-dev.safetensors is a LoRA for FLUX.1" in result.stderr
    assert isinstance(result.exception, SystemExit)


@pytest.mark.usefixtures("gpu")
def test_check_lists_own_models_each_with_its_finding(clean_place: Path, models_dir: Path) -> None:
    from bot.executors.preflight import preflight
    from bot.findings import Mark
    from pipeline.config import PipelineConfig

    write_companions(clean_place)
    gone = write_flux(clean_place / "unet" / "gone.safetensors")
    invoke("models", "add", str(write_flux(clean_place / "unet" / "here.safetensors")), str(gone))
    gone.unlink()
    config = PipelineConfig(models_dir=models_dir, commercial_only=False)
    findings = [each for each in preflight(config, is_running=False) if each.topic == "own model"]
    assert [(each.mark, each.text.partition(" ")[0]) for each in findings] == [(Mark.OK, "here"), (Mark.NOTE, "gone")]
    hidden = preflight(config.model_copy(update={"commercial_only": True}), is_running=False)
    assert "majicflus-v1, flux1-dev" in only(hidden, "licences").text
