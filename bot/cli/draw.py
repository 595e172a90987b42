"""`imagine-bot draw`: one image without Discord, database or queue, saved as a PNG.

Checks everything that can be checked first, because importing torch takes seconds.
"""

from __future__ import annotations

import itertools
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bot.cli.output import MIB, PROGRAM, THREAD_GRACE_S, ConfigPath, fail, printable, progress_bars, release, say
from bot.errors import ExitCode
from pipeline.spec import (
    MAX_ASKED_SCALE,
    MAX_CLIP_SKIP,
    MAX_REFERENCES,
    MAX_SEED,
    MAX_STEPS,
    MIN_ASKED_CFG,
    UPSCALE,
    Aspect,
    ImageOptions,
    Sampler,
    Size,
    Strength,
    sampler_title,
)

if TYPE_CHECKING:
    from bot.config import Config
    from bot.requests.prompt_flags import ReadPrompt
    from pipeline import GeneratedImage, ImageSpec, Progress, Reference
    from pipeline.catalog.models import ModelCard
    from pipeline.config import PipelineConfig

TRANSLATED_WITHIN_S: Final = 120.0  # nobody else waits
NAME_CHARS: Final = 48  # of the prompt in a file name; 4 bytes each still fit into the 255 that file systems allow
FOREIGN_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
SHAPES: Final = ", ".join(Aspect)
SIZES: Final = ", ".join(Size)
SAMPLERS: Final = ", ".join(Sampler)


def draw(
    context: typer.Context,
    prompt: Annotated[
        str,
        typer.Argument(
            help='What to draw, such as "a red apple": in English; the demo reads Chinese, too.', metavar="PROMPT"
        ),
    ],
    seed: Annotated[int | None, typer.Option(help=f"0 to {MAX_SEED}; -1 or nothing: random.")] = None,
    steps: Annotated[int | None, typer.Option(help=f"1 to {MAX_STEPS}; default: what suits the model.")] = None,
    aspect: Annotated[str | None, typer.Option(help=f"Shape: {SHAPES}; default: square, or the --image's.")] = None,
    size: Annotated[
        str | None, typer.Option(help=f"{SIZES}, or WIDTHxHEIGHT in multiples of 16, like 448x448; default: normal.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model to draw with; default: the config's.")] = None,
    negative: Annotated[str | None, typer.Option(help="What to avoid; models of the FLUX family have no such.")] = None,
    cfg: Annotated[
        float | None, typer.Option(help=f"CFG scale, {MIN_ASKED_CFG:g} to {MAX_ASKED_SCALE:g}; default: the model's.")
    ] = None,
    guidance: Annotated[
        float | None, typer.Option(help=f"Of the FLUX family, 0 to {MAX_ASKED_SCALE:g}; default: the model's.")
    ] = None,
    sampler: Annotated[str | None, typer.Option(help=f"{SAMPLERS}; default: the model's.")] = None,
    clip_skip: Annotated[
        int | None, typer.Option(help=f"1 (the last layer) to {MAX_CLIP_SKIP}; default: the model's.")
    ] = None,
    lora: Annotated[
        list[str] | None, typer.Option(help="LoRA to draw with, as NAME or NAME:WEIGHT; up to three times.")
    ] = None,
    is_fast: Annotated[bool, typer.Option("--fast", help="Fewer steps, with the LoRA of the config for that.")] = False,
    image: Annotated[
        Path | None, typer.Option(help="Image to start from: PNG, JPEG or WebP; brought to the shape.")
    ] = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            help=f"Image to edit, as the prompt says; up to {MAX_REFERENCES}, for models that edit.", metavar="FILE"
        ),
    ] = None,
    strength: Annotated[
        str | None,
        typer.Option(help=f"How much of it is drawn anew: {', '.join(Strength)}, or over 0, up to 1; default: medium."),
    ] = None,
    is_upscaled: Annotated[
        bool,
        typer.Option(
            "--upscale",
            help="Draw it at twice its size; with much --strength, every part gets its own things.",
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="PNG file to write; default: named after prompt and seed, here."),
    ] = None,
    is_forced: Annotated[bool, typer.Option("--force", help="Overwrite the file if it is there.")] = False,
    config_path: ConfigPath = None,
) -> None:
    """Draw one image, without Discord, and save it as a PNG."""
    if context.args:
        whole = " ".join([prompt, *context.args])
        fail(f'the prompt is one argument: put it in quotes, {PROGRAM} draw "{whole}"', ExitCode.USAGE)
    import asyncio
    import secrets

    from bot import logs
    from bot.config import LogConfig, load_config
    from bot.requests.inputs import Inputs, fit_inputs
    from bot.text_files import read_text
    from pipeline.catalog.model_hash import ModelHashes, lora_hashes, weights_file
    from pipeline.catalog.models import choose_model, demand_files, demand_means, find_model
    from pipeline.device.runtime_estimate import check_memory
    from pipeline.images.init_image import resolve_with_source
    from pipeline.images.png_metadata import FileHashes, encode_png

    try:
        prompt = read_text(prompt)
    except UnicodeError:
        fail("the prompt is not UTF-8 text", ExitCode.USAGE)
    said = {"model": model, "aspect": aspect, "size": size, "sampler": sampler, "strength": strength}
    for name, value in (*said.items(), *(("lora", each) for each in lora or ())):
        if isinstance(value, str) and not value.strip():
            fail(f"--{name} is empty: say what it is to be, or leave it out", ExitCode.USAGE)
    config, _ = load_config(config_path)
    logs.setup(LogConfig(level="warning", format=config.log.format), stream=sys.stderr)
    card = find_model(model, config.pipeline) if model else choose_model(config.pipeline)[0]
    given: dict[str, object] = {"seed": seed, "steps": steps, "aspect": aspect, "size": size, "model": model}
    given["strength"] = strength
    given |= {"negative_prompt": negative, "cfg_scale": cfg, "guidance": guidance}
    given |= {"sampler": sampler, "clip_skip": clip_skip}
    given |= {"loras": ", ".join(lora or ()), "speed": "fast" if is_fast else None}
    read = _read_prompt(prompt, card, config.pipeline, given).with_image(is_given=image is not None)
    options = replace(ImageOptions.read(**read.options), upscale=UPSCALE if is_upscaled else None)
    card = find_model(options.model or card.name, config.pipeline)
    random_seed, source = secrets.randbelow(MAX_SEED + 1), None
    references = read_references(reference or ())
    if image is None:
        fitted = fit_inputs(card, options, Inputs(references=references), random_seed=random_seed)
        spec = fitted.spec
    elif references:
        fail("--image starts from an image and --reference edits one: leave one of them out", ExitCode.USAGE)
    else:
        spec, start = resolve_with_source(card, options, read_upload(image), random_seed=random_seed)
        source = start.tobytes()
    path = png_path(output, spec.prompt, spec.seed)
    demand_files(card, config.pipeline)  # now rather than after importing torch
    demand_means(card, config.pipeline)
    check_memory(card, config.pipeline, spec)
    translated, translated_negative = _translate(spec, card, config)
    spec = replace(spec, translated=translated, translated_negative=translated_negative)
    _say_notes(read)
    if spec.translated:
        say("•", f"the model reads: {printable(spec.translated)}", style="dim")
    if spec.translated_negative:
        say("•", f"and avoids: {printable(spec.translated_negative)}", style="dim")
    _say_unread(spec, config.pipeline)
    drawn = asyncio.run(_draw(config.pipeline, spec, source, references))
    weights = weights_file(card, config.pipeline.models_dir)
    known = ModelHashes.of(config.pipeline)
    model_hash = "" if weights is None else known.known(weights)
    hashes = FileHashes(model_hash, lora_hashes(known, spec, config.pipeline))
    written = write_new(path, encode_png(drawn, release(), hashes=hashes), is_forced=is_forced)
    _show_picture(drawn, written, inputs=reference or ([image] if image else []))
    if output is not None and not output.is_dir() and path != output:
        say("•", f"images are PNG files: {output} became {path}", style="yellow")
    if written != path:
        say("•", f"{path} is there already: the image went to {written} (--force overwrites)", style="yellow")


def png_path(output: Path | None, prompt: str, seed: int) -> Path:
    """Return where the picture goes: `output`, or a name made of prompt and seed. Checked before drawing."""
    try:
        path = _png_path(output, prompt, seed)
        path.exists()
    except OSError as error:  # for example, the name is too long
        fail(f"{output} cannot be written: {error.strerror}; choose another with -o", ExitCode.USAGE)
    return path


def _png_path(output: Path | None, prompt: str, seed: int) -> Path:
    words = "-".join(re.findall(r"\w+", prompt.lower()))[:NAME_CHARS].rstrip("-_") or "image"
    default = f"{words}-{seed}.png"
    try:
        os.fsencode(default)
    except UnicodeEncodeError:  # the locale has no such characters, but the file system takes their bytes
        default = os.fsdecode(default.encode())
    if output is None:
        path = Path(default)
    elif output.is_dir():
        path = output / default
    elif output.suffix.lower() in FOREIGN_SUFFIXES:
        fail(f"{output}: images are written as PNG; end the name in .png", ExitCode.USAGE)
    else:
        path = output if output.suffix.lower() == ".png" else output.with_name(f"{output.name}.png")
    if not path.parent.is_dir():
        fail(f"{path}: there is no folder {path.parent}; create it first", ExitCode.USAGE)
    if not os.access(path.parent, os.W_OK):
        fail(f"{path}: the folder {path.parent} cannot be written; choose another with -o", ExitCode.USAGE)
    return path


def read_upload(path: Path) -> bytes:
    """Read the init image, at most one byte more than is allowed."""
    from bot.text_files import read_file
    from pipeline.images.init_image import MAX_SOURCE_BYTES

    try:
        return read_file(path, most_bytes=MAX_SOURCE_BYTES)
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror}", ExitCode.USAGE)


def read_references(paths: Sequence[Path]) -> tuple[Reference, ...]:
    """Read the pictures that an edit looks at; one that is named twice is looked at once.

    Raises:
        InvalidSpec: there are too many, or one is no picture.
    """
    from bot.requests.inputs import check_count
    from pipeline.images.reference import read_reference

    check_count(paths)
    references = [read_reference(read_upload(path)) for path in paths]
    return tuple({each.key: each for each in references}.values())


def write_new(path: Path, content: bytes, *, is_forced: bool) -> Path:
    """Write a file and return its path. Unless forced, an existing file is kept and the new one gets `-2`, `-3` …"""
    places = itertools.chain([path], (path.with_name(f"{path.stem}-{n}{path.suffix}") for n in itertools.count(2)))
    for place in places:
        try:
            with place.open("wb" if is_forced else "xb") as file:
                file.write(content)
        except FileExistsError:
            continue
        except OSError as error:
            fail(f"{place} cannot be written: {error.strerror}; choose another with -o", ExitCode.FAILED)
        return place
    raise AssertionError("there is always a next number")


def _read_prompt(prompt: str, card: ModelCard, config: PipelineConfig, given: Mapping[str, object]) -> ReadPrompt:
    """Take flags and pasted settings out of the prompt; the options of the command win."""
    from bot.errors import InvalidFlag
    from bot.presentation.wording import wording_for
    from bot.requests.models import Models
    from bot.requests.prompt_flags import read_prompt
    from pipeline.catalog.loras import loras_of
    from pipeline.catalog.models import catalog_of

    others = tuple(other for other in catalog_of(config).public if other.name != card.name)
    models = Models(usual=card, others=others, loras=partial(loras_of, config))
    try:
        return read_prompt(prompt, models, given=given, most=1)
    except InvalidFlag as error:
        fail(wording_for("en").refusal(error, format_time=str), ExitCode.USAGE)


def _translate(spec: ImageSpec, card: ModelCard, config: Config) -> list[str]:
    """Return what the model reads in place of the prompt and the negative one; "" if it reads that itself."""
    from bot.executors.translator_files import FETCH, open_translator
    from pipeline.translation.answers import NotTranslated
    from pipeline.translation.foreign_text import needs_translation

    prompts, found = (spec.prompt, spec.negative_prompt), ["", ""]
    foreign = [number for number, prompt in enumerate(prompts) if needs_translation(card, prompt)]
    if not foreign or not config.translator.enabled:
        return found
    if (translator := open_translator(config.translator, config.pipeline)) is None:
        say("•", f"{card.name} reads English only; {FETCH} has prompts translated for it", style="yellow")
        return found
    try:
        for number in foreign:
            try:
                asked = translator.ask(prompts[number], within_s=TRANSLATED_WITHIN_S, reads_han="zh" in card.reads)
                found[number] = asked.result()
            except NotTranslated as error:
                say("•", f"the {'negative ' if number else ''}prompt was not translated: {error}", style="yellow")
    finally:
        translator.close()
    return found


def _say_notes(read: ReadPrompt) -> None:
    """Say what stood in the prompt beside words."""
    from bot.presentation.phrases import Voice
    from bot.presentation.wording import wording_for

    voice = Voice(wording=wording_for("en"), write_moment=str)
    for phrase in read.phrases():
        say("•", voice.say(phrase), style="yellow")


def _say_unread(spec: ImageSpec, config: PipelineConfig) -> None:
    """Warn about parts of the prompt that the model cannot make sense of: in every language, unless it is English."""
    from bot.presentation.job_view import unread_notes
    from bot.presentation.phrases import Voice
    from bot.presentation.wording import LANGUAGES, wording_for
    from pipeline.catalog.models import unread_of

    notes = unread_notes(unread_of(config, spec), spec.model)
    for language in LANGUAGES[:1] if spec.prompt.isascii() else LANGUAGES:
        own = {"unknown-words": "console-unknown-words"}  # there is no /help here
        voice = Voice(wording=wording_for(language), write_moment=str, own=own)
        for note in notes:
            say("•", voice.say(note).removeprefix("⚠️ "), style="yellow")


async def _draw(
    config: PipelineConfig, spec: ImageSpec, source: bytes | None, references: Sequence[Reference]
) -> GeneratedImage:
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn

    from bot.executors import create_executor
    from bot.jobs import StopSignal
    from pipeline import Stage

    executor = create_executor(config, stop_grace_s=THREAD_GRACE_S)
    with progress_bars(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()) as bars:
        bar = bars.add_task(f"loading {spec.model}", total=None)

        def show(progress: Progress) -> None:
            match progress.stage:
                case Stage.LOADING:
                    bars.update(bar, description=f"loading {spec.model}", total=None)
                case Stage.ENCODING:
                    bars.update(bar, description="reading the prompt", total=None)
                case Stage.DENOISING:
                    text = f"step {progress.step}/{progress.steps}"
                    bars.update(bar, description=text, total=progress.steps, completed=progress.step)
                case Stage.DECODING:
                    bars.update(bar, description="decoding", total=progress.steps, completed=progress.steps)

        try:
            await executor.start(spec.model)
            return await executor.run(spec, on_progress=show, stop=StopSignal(), source=source, references=references)
        finally:
            await executor.close(THREAD_GRACE_S)


def _show_picture(image: GeneratedImage, path: Path, *, inputs: Sequence[Path]) -> None:
    if image.peak_mib is not None:
        peak = f"{image.peak_mib} MiB of GPU memory"
    elif (resident_mib := peak_resident_mib()) is not None:
        peak = f"{resident_mib} MiB of memory"
    else:
        peak = "unknown"
    parts = f"encoding {image.encode_s:.1f}, steps {image.denoise_s:.1f}, decoding {image.decode_s:.1f}"
    for name, value in {
        "file": str(path),
        "seed": str(image.spec.seed),
        "size": f"{image.width} × {image.height}",
        "steps": str(image.spec.steps),
        **({"image": ", ".join(map(str, inputs))} if inputs else {}),
        **({"strength": f"{image.spec.strength:g}"} if image.spec.source else {}),
        "model": image.spec.model,
        **({"sampler": sampler_title(image.spec.sampler)} if image.spec.sampler else {}),
        **({"cfg": f"{image.spec.cfg_scale:g}"} if image.spec.sampler else {}),
        **({"reads": image.spec.translated} if image.spec.translated else {}),
        **({"loras": image.spec.loras.replace(",", ", ")} if image.spec.loras else {}),
        **({"avoids": image.spec.negative_text} if image.spec.negative_text else {}),
        "seconds": f"{image.seconds:.1f} ({parts})",
        "peak": peak,
    }.items():
        typer.echo(f"{name:<8} {value}")


def peak_resident_mib() -> int | None:
    """Return the peak memory of this process; None if the system does not report it (Windows)."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // MIB if sys.platform == "darwin" else peak // 1024  # bytes there, KiB elsewhere
