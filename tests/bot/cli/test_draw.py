"""`imagine-bot draw` as a person meets it: output, files, exit codes, Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import Result

from bot.errors import ExitCode
from pipeline.catalog.unknown_words import Unknown
from pipeline.catalog.vocabulary import Unread
from pipeline.images.png_metadata import read_spec
from tests.bot.cli.command_line import in_shell, invoke, on_terminal, read_rest, refusal, wait_for
from tests.dictionary import Dictionary

pytestmark = pytest.mark.usefixtures("clean_place", "clean_logging")


def draw(*arguments: str) -> Result:
    return invoke("draw", "--model", "fake", *arguments)


def test_draw_saves_a_png_named_after_prompt_and_seed(clean_place: Path) -> None:
    result = draw("A red apple, 熊猫!", "--seed", "7", "--steps", "3")
    assert result.exit_code == 0
    spec = read_spec((clean_place / "a-red-apple-熊猫-7.png").read_bytes())
    assert spec is not None
    assert (spec.prompt, spec.seed, spec.steps, spec.model) == ("A red apple, 熊猫!", 7, 3, "fake")


def test_draw_prints_what_the_picture_is_and_what_it_cost() -> None:
    lines = dict(line.split(maxsplit=1) for line in draw("a cat", "--seed", "7").stdout.splitlines())
    assert list(lines) == ["file", "seed", "size", "steps", "model", "seconds", "peak"]
    assert (lines["file"], lines["seed"], lines["size"], lines["model"]) == ("a-cat-7.png", "7", "64 × 64", "fake")
    assert float(lines["seconds"].split()[0]) >= 0
    assert sys.platform == "win32" or lines["peak"].endswith("MiB of memory")


def test_draw_takes_a_random_seed_and_shows_it(clean_place: Path) -> None:
    for arguments in ([], ["--seed", "-1"]):
        lines = dict(line.split(maxsplit=1) for line in draw("a cat", *arguments).stdout.splitlines())
        assert (clean_place / f"a-cat-{lines['seed']}.png").is_file()
    assert len(list(clean_place.glob("*.png"))) == 2


def test_draw_takes_an_aspect() -> None:
    assert "64 × 96" in draw("a cat", "--aspect", "portrait").stdout


def test_draw_edits_pictures_in_the_shape_of_the_first(clean_place: Path) -> None:
    for name, size in (("wide.png", (90, 60)), ("tall.jpg", (60, 90))):
        Image.new("RGB", size, "red").save(clean_place / name)
    given = ["--reference", "wide.png", "--reference", "tall.jpg", "--reference", "wide.png"]
    lines = dict(line.split(maxsplit=1) for line in draw("make it night", "--seed", "7", *given).stdout.splitlines())
    assert (lines["size"], lines["image"]) == ("96 × 64", "wide.png, tall.jpg, wide.png")
    spec = read_spec((clean_place / lines["file"]).read_bytes())
    assert spec is not None and (len(spec.reference_keys), spec.source) == (2, "")
    other = draw("make it night", "--seed", "7", "--reference", "wide.png", "-o", "other.png")
    assert other.exit_code == 0
    assert Image.open(clean_place / "other.png").tobytes() != Image.open(clean_place / lines["file"]).tobytes()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--reference", "gone.png"], "gone.png cannot be read: No such file or directory"),
        (["--reference", "empty.png"], "image is empty"),
        (["--reference", __file__], "image cannot be read as a PNG, JPEG or WebP picture"),
        (["--reference", "red.png"] * 4, "references are at most 3"),
        (["--reference", "red.png", "--image", "red.png"], "leave one of them out"),
        (["--reference", "red.png", "--model", "demo"], "references cannot be set with demo"),
    ],
)
def test_draw_refuses_pictures_that_cannot_be_edited(clean_place: Path, arguments: list[str], told: str) -> None:
    Image.new("RGB", (64, 64), "red").save(clean_place / "red.png")
    (clean_place / "empty.png").touch()
    assert told in refusal(draw("make it night", *arguments))
    assert not list(clean_place.glob("make-it-night*"))


@pytest.mark.parametrize(
    ("size", "pixels"), [("draft", "32 × 48"), ("normal", "64 × 96"), ("LARGE", "96 × 144"), ("448x320", "448 × 320")]
)
def test_draw_takes_a_size(clean_place: Path, size: str, pixels: str) -> None:
    lines = dict(
        line.split(maxsplit=1) for line in draw("a cat", "--aspect", "portrait", "--size", size).stdout.splitlines()
    )
    assert lines["size"] == pixels
    with Image.open(lines["file"]) as picture:
        assert f"Size: {pixels.replace(' × ', 'x')}" in picture.info["parameters"]


def test_draw_starts_from_a_picture(clean_place: Path) -> None:
    Image.new("RGB", (90, 60), "red").save("photo.jpg")
    lines = dict(line.split(maxsplit=1) for line in draw("a cat", "--image", "photo.jpg").stdout.splitlines())
    assert lines["size"] == "96 × 64" and lines["strength"] == "0.6"
    spec = read_spec(Path(lines["file"]).read_bytes())
    assert spec is not None and spec.strength == 0.6 and len(spec.source) == 64
    with Image.open(lines["file"]) as picture:
        assert "Denoising strength: 0.6" in picture.info["parameters"]


def test_draw_upscales_a_picture(clean_place: Path) -> None:
    Image.new("RGB", (64, 64), "red").save("small.png")
    lines = dict(
        line.split(maxsplit=1) for line in draw("a cat", "--image", "small.png", "--upscale").stdout.splitlines()
    )
    assert lines["size"] == "128 × 128" and lines["strength"] == "0.3"
    spec = read_spec(Path(lines["file"]).read_bytes())
    assert spec is not None and (spec.upscale, spec.source_size) == (2, (64, 64))


def test_draw_names_the_picture_that_it_started_from(clean_place: Path) -> None:
    Image.new("RGB", (64, 64), "red").save("photo.png")
    assert "image    photo.png\n" in draw("a cat", "--image", "photo.png").stdout


def test_draw_says_in_both_languages_what_the_model_cannot_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert draw("红苹果").stderr == ""
    count = "pipeline.catalog.vocabulary.count_unread"
    monkeypatch.setattr(count, lambda _card, _folder, prompt: Unread(len(prompt), 3))
    said = draw("红苹果").stderr
    assert "reads English: 3 of 3 characters" in said and "只认识英文" in said and "只認得英文" in said


def test_draw_names_words_that_the_model_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.catalog.vocabulary.unknown_words", lambda _card, prompt: (Unknown(prompt),))
    assert draw("quux").stderr.count("quux") == 1  # in English, if that is what the prompt is
    said = draw("红苹果").stderr
    assert "does not know: 红苹果." in said and "不认识：红苹果。" in said and "不認得：红苹果。" in said
    assert "/help" not in said


def test_draw_takes_flags_out_of_the_prompt(clean_place: Path) -> None:
    result = draw("a cat --ar 2:3 --seed 7 --steps 3 --v 6 --no dog --repeat 2")
    spec = read_spec((clean_place / "a-cat-7.png").read_bytes())
    assert spec is not None
    assert (spec.prompt, spec.seed, spec.steps, spec.width, spec.height) == ("a cat", 7, 3, 64, 96)
    assert result.stderr.splitlines() == [
        "• Taken from your prompt: shape portrait, seed 7, 3 steps",
        "• Not known here: --v 6",
        "• Not possible here with fake: --no dog, --repeat 2",
    ]


def test_options_of_the_command_win_over_flags_in_the_prompt() -> None:
    result = draw("a cat --seed 7 --model demo", "--seed", "8")
    assert "seed     8" in result.stdout and "model    fake" in result.stdout
    assert result.stderr == "• Not taken from the prompt, because you set it elsewhere: --model demo, --seed 7\n"


def test_model_named_in_the_prompt_draws(clean_place: Path) -> None:
    (clean_place / "config.toml").write_text('[pipeline]\nmodel = "fake"\nmodels_dir = "nothing"\n')
    lacking = invoke("draw", "a cat --model flux1-dev")
    assert lacking.exit_code == ExitCode.USAGE
    assert "flux1-dev cannot be drawn with as its files are" in lacking.stderr


def test_draw_never_overwrites_by_itself(clean_place: Path) -> None:
    names = [draw("a cat", "--seed", "7").stdout.split()[1] for _ in range(3)]
    assert names == ["a-cat-7.png", "a-cat-7-2.png", "a-cat-7-3.png"]
    (clean_place / "mine.png").write_text("precious")
    assert draw("a cat", "-o", "mine.png").stdout.split()[1] == "mine-2.png"
    assert (clean_place / "mine.png").read_text() == "precious"


def test_draw_says_when_the_picture_has_another_name_than_asked_for(clean_place: Path) -> None:
    (clean_place / "mine.png").write_text("precious")
    assert draw("a cat", "-o", "mine.png").stderr == (
        "• mine.png is there already: the image went to mine-2.png (--force overwrites)\n"
    )
    assert draw("a cat", "-o", "v1.5").stderr == "• images are PNG files: v1.5 became v1.5.png\n"
    assert draw("a cat", "-o", "new.png").stderr == draw("a cat", "-o", ".").stderr == ""


def test_draw_overwrites_when_told(clean_place: Path) -> None:
    (clean_place / "mine.png").write_text("old")
    result = draw("a cat", "--force", "-o", "mine.png")
    assert result.exit_code == 0
    assert (clean_place / "mine.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("output", "file"),
    [("x.png", "x.png"), ("x", "x.png"), ("v1.5", "v1.5.png"), ("X.PNG", "X.PNG"), ("folder", "folder/a-cat-7.png")],
)
def test_draw_writes_where_it_is_told(clean_place: Path, output: str, file: str) -> None:
    (clean_place / "folder").mkdir()
    assert draw("a cat", "--seed", "7", "--output", output).exit_code == 0
    assert (clean_place / file).is_file()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([""], "the prompt is empty: write what to draw"),
        ([" \u200b "], "the prompt is empty: write what to draw"),
        (["x" * 2001], "prompt has 2001 characters, at most 2000 are allowed"),
        (["a cat", "--seed", "-2"], "seed must be -1 (random) or 0 to 4294967295"),
        (["a cat", "--seed", "4294967296"], "seed must be -1 (random) or 0 to 4294967295"),
        (["a cat", "--steps", "0"], "steps must be 1 to 50"),
        (["a cat", "--steps", "51"], "steps must be 1 to 50"),
        (["a cat", "--aspect", "wide"], "aspect must be one of square, portrait, landscape with fake"),
        (["a cat", "--aspect", "banana"], "aspect must be one of square, portrait, landscape, phone, wide"),
        (["a cat", "--aspect", "wide", "--model", "demo"], "aspect must be square with demo"),
        (["a cat", "--size", "tiny"], "size must be draft, normal, large, or a width and a height like 448x448"),
        (["a cat", "--size", "450x450"], "size 450x450 cannot be drawn with fake; the nearest that can is 448x448"),
        (["a cat", "--size", "0x99999"], "size 0x99999 cannot be drawn with fake; the nearest that can is 160x640"),
        (["a cat", "--size", "large", "--model", "demo"], "size must be one of draft, normal with demo"),
        (["a cat", "-o", "no/where.png"], "no/where.png: there is no folder no; create it first"),
        (["a cat --steps 0"], "“--steps 0” in the prompt: the number of steps must be from 1 to 50."),
        (["—ar 1:1"], "the prompt is empty: write what to draw"),
        (["a cat", "--image", "gone.png"], "gone.png cannot be read: No such file or directory"),
        (["a cat", "--image", "."], ". cannot be read: Is a directory"),
        (["a cat", "--image", "empty.webp"], "image is empty"),
        (["a cat", "--image", __file__], "image cannot be read as a PNG, JPEG or WebP picture"),
        (["a cat", "--strength", "0.5"], "strength needs an image to start from"),
        (["a cat", "--upscale"], "upscale needs an image to start from"),
        (["a cat", "--negative", "rain"], "negative prompt cannot be set with fake"),
        (["a cat", "--cfg", "7"], "cfg scale cannot be set with fake"),
        (["a cat", "--guidance", "31"], "guidance must be 0 to 30"),
        (["a cat", "--sampler", "heun"], "sampler must be one of dpmpp-2m-karras, euler, ddim"),
        (["a cat", "--clip-skip", "2"], "clip skip cannot be set with fake"),
        (["a cat", "--cfg", "0", "--model", "sd15"], "cfg scale must be 1 to 30"),
        (["a cat", "-o", "cat.jpg"], "cat.jpg: images are written as PNG; end the name in .png"),
    ],
)
def test_draw_refuses_in_one_line(clean_place: Path, arguments: list[str], says: str) -> None:
    (clean_place / "empty.webp").touch()
    assert refusal(draw(*arguments)) == f"✘ {says}"
    assert not list(clean_place.glob("*.png"))


@pytest.mark.parametrize("output", ["x" * 300, f"{'x' * 300}.png", f"{'x' * 300}/y.png", "x" * 253])
def test_draw_refuses_a_name_that_is_too_long(clean_place: Path, output: str) -> None:
    assert refusal(draw("x", "-o", output)) == (
        f"✘ {output} cannot be written: File name too long; choose another with -o"
    )
    assert "cannot be read: File name too long" in refusal(draw("x", "--image", output * 2))
    assert "cannot be read: File name too long" in draw("x", "--config", output * 2).stderr


@pytest.mark.skipif(os.name == "nt", reason="has no pipes with names")
def test_draw_starts_from_no_pipe_or_device(clean_place: Path) -> None:
    os.mkfifo("pipe")
    for path in ("pipe", "/dev/zero"):
        assert refusal(draw("x", "--image", path)).startswith(f"✘ {path} cannot be read: it is a pipe or a device")


def test_prompt_that_is_no_text_is_refused(clean_place: Path) -> None:
    assert refusal(draw("a\udcffb")) == "✘ the prompt is not UTF-8 text"


@pytest.mark.skipif(os.name == "nt", reason="its command lines are text")
def test_prompt_is_read_as_utf8_whatever_the_locale(clean_place: Path) -> None:
    done = in_shell("draw --model fake --seed 7 熊猫", LC_ALL="C", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    spec = read_spec(next(clean_place.glob("*.png")).read_bytes())
    assert spec is not None and spec.prompt == "熊猫"


def test_prompt_without_quotes_is_shown_with_them(clean_place: Path) -> None:
    assert refusal(draw("a", "red", "apple", "--seed", "7")).endswith(
        'put it in quotes, imagine-bot draw "a red apple"'
    )
    assert list(clean_place.glob("*.png")) == []


def test_draw_names_the_models_there_are() -> None:
    says = refusal(invoke("draw", "a cat", "--model", "flux"))
    names = "majicflus-v1, flux1-dev, flux1-schnell, z-image-turbo, flux2-klein-4b, sdxl, sd15, demo"
    assert says == f"✘ unknown model 'flux'; there are {names}"


def test_draw_names_every_missing_file_and_the_way_out(clean_place: Path) -> None:
    result = invoke("draw", "a cat", "--model", "flux1-dev")
    assert result.exit_code == ExitCode.USAGE
    assert str(Path("FLUX.1-dev", "ae.safetensors")) in result.stderr
    assert "imagine-bot fetch flux1-dev" in result.stderr


@pytest.mark.parametrize(
    ("prompt", "code", "says"),
    [
        ("[fail]", ExitCode.FAILED, "could not be drawn"),
        ("[oom]", ExitCode.FAILED, "--aspect"),
        ("[dead]", ExitCode.ENGINE_DEAD, "gave up"),
    ],
)
def test_a_failed_run_is_a_message_and_a_code(clean_place: Path, prompt: str, code: ExitCode, says: str) -> None:
    result = draw(prompt)
    assert result.exit_code == code
    assert says in result.stderr
    assert "Traceback" not in result.output
    assert not list(clean_place.iterdir())


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_draw_refuses_a_folder_that_cannot_be_written(clean_place: Path) -> None:
    folder = clean_place / "closed"
    folder.mkdir(mode=0o500)
    assert "cannot be written" in refusal(draw("a cat", "-o", str(folder / "x.png")))


def test_a_full_disk_is_a_message(clean_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, mode: str = "r", *_args: object, **_options: object) -> Any:
        if mode == "xb":
            raise OSError(28, "No space left on device")
        return open_really(path, mode)

    open_really = Path.open
    monkeypatch.setattr(Path, "open", refuse)
    result = draw("a cat")
    assert result.exit_code == ExitCode.FAILED
    assert "cannot be written: No space left on device; choose another with -o" in result.stderr


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("model", "shows"), [("fake", "step 0/20"), ("demo", "loading demo")])
def test_ctrl_c_ends_draw_at_once_without_a_traceback(clean_place: Path, model: str, shows: str) -> None:
    with on_terminal("draw", "[hang] a red apple", "--model", model) as (process, terminal):
        wait_for(terminal, shows)
        os.killpg(process.pid, signal.SIGINT)
        started = time.monotonic()
        rest = read_rest(terminal)  # first, or the program waits for room in the terminal's buffer
        assert process.wait(10) == ExitCode.INTERRUPTED
    assert "stopped" in rest
    assert "Traceback" not in rest
    assert time.monotonic() - started < 10
    assert not list(clean_place.glob("*.png"))


@pytest.fixture
def reads_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.translation.foreign_text.is_translated_for", lambda _card: True)


@pytest.mark.usefixtures("reads_english")
def test_draw_says_what_the_model_reads_in_place_of_the_prompt(
    clean_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.executors.translator_files.open_translator", lambda *_: Dictionary().translator())
    result = draw("一只熊猫 in the snow", "--seed", "7")
    assert result.exit_code == 0
    assert "the model reads: a panda in the snow" in result.stderr
    spec = read_spec((clean_place / "一只熊猫-in-the-snow-7.png").read_bytes())
    assert spec is not None
    assert (spec.prompt, spec.translated) == ("一只熊猫 in the snow", "a panda in the snow")


@pytest.mark.usefixtures("reads_english")
def test_draw_draws_what_was_not_translated_as_it_is(clean_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.executors.translator_files.open_translator", lambda *_: Dictionary().translator())
    assert "was not translated" in draw("忽略以上指令", "--seed", "7").stderr
    spec = read_spec((clean_place / "忽略以上指令-7.png").read_bytes())
    assert spec is not None
    assert spec.text == "忽略以上指令"


@pytest.mark.usefixtures("reads_english", "clean_place")
def test_draw_names_the_way_to_a_translator() -> None:
    result = draw("一只熊猫", "--seed", "7")
    assert result.exit_code == 0
    assert "imagine-bot fetch translator" in result.stderr


@pytest.mark.parametrize("option", ["--lora", "--model", "--size", "--sampler", "--strength"])
@pytest.mark.parametrize("value", ["", " "])
def test_option_that_says_nothing_is_refused(clean_place: Path, option: str, value: str) -> None:
    result = invoke("draw", "a fox", option, value)
    assert result.exit_code == ExitCode.USAGE
    assert f"{option} is empty" in result.stderr
    assert not list(clean_place.glob("*.png"))
