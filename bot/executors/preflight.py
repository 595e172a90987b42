"""What `check` reports about drawing on this machine: the GPU, the chosen model, its files, and memory.

Reads file headers and asks the driver; loads nothing. Knows no jobs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from pathlib import Path
from typing import Final

import psutil

from bot.executors import ANY_DEVICE
from bot.findings import Finding, note, ok, problem
from bot.presentation.recommendations import advice_for
from bot.presentation.wording import LANGUAGES, wording_for
from pipeline import PackedDirReadOnly, UnknownModel
from pipeline.catalog import files
from pipeline.catalog.fetch_speed import last_speed
from pipeline.catalog.headers import NotWeights, header_of
from pipeline.catalog.loras import own_loras
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.model_parts import parts_of
from pipeline.catalog.models import AUTO, DEMO, catalog_of, choose_model, demand_means, obstacle_of
from pipeline.catalog.parts import Part, Storage
from pipeline.catalog.vocabulary import count_unread
from pipeline.config import LEAST_LIMIT_MIB, PipelineConfig
from pipeline.device.gpu import MIB, Gpu, GpuState, look_at_gpu
from pipeline.device.runtime_estimate import estimate_runtime
from pipeline.errors import ModelUnusable
from pipeline.translation.foreign_text import needs_translation

_BYTES_PER_WEIGHT: Final = 4  # of small models, which are float32
# Python, PyTorch and what drawing needs beside the weights: `draw` peaks at 1082 MiB with the demo's 86 (Linux, CPU).
_BASE_MIB: Final = 1000
CHINESE: Final = "红苹果"  # a red apple; a model that cannot read this reads no other Chinese


def preflight(
    config: PipelineConfig, *, is_running: bool, is_translated: bool = False, locale: str = ""
) -> list[Finding]:
    """Check the GPU, the model that would be used, its files, and whether memory suffices. Blocks.

    Args:
        is_translated: whether what the model cannot read is put into English for it.
        locale: of the operator, who is told in it which model suits.
    """
    state = look_at_gpu()
    gpu = state.gpu
    try:
        card, reason = choose_model(config)
    except ModelUnusable as error:
        return [problem("model", f"{error.name} {error.reason}", error.way_out), *_check_others(None, config)]
    except UnknownModel as error:
        return [problem("model", str(error), f"set [pipeline] model to one of auto, {', '.join(error.known)}")]
    flaws = files.missing(card, config.models_dir)
    text = f"{card.title} ({card.name}): {reason}"
    is_fallback = config.model == AUTO and card is DEMO and gpu is not None
    findings = [*_check_gpu(state, card, config), (note if is_fallback else ok)("model", text)]
    advice = advice_for(card, config, state, locale)
    findings.append((ok if advice.is_fine else note)("advice", advice.text, advice.way_out))
    if flaws:
        findings += _check_missing(card, flaws, config)
        return findings + _check_others(card, config, told={flaw.path for flaw in flaws})
    findings.append(ok("files", f"all files of {card.name} are there and whole"))
    unread = count_unread(card, config.models_dir, CHINESE)
    said = [wording_for(language).unread(unread) for language in LANGUAGES]
    if not (is_translated and needs_translation(card, CHINESE)):
        findings += [note("prompts", f"{CHINESE}: {text}") for text in said if text]
    on_gpu = state.is_usable and config.device != "cpu"
    findings += _check_memory(gpu if on_gpu else None, card, config, is_running=is_running)
    if on_gpu and card.packed_gb:
        try:
            demand_means(card, config)
        except PackedDirReadOnly as error:
            return [*findings, problem("packed", error.reason, error.way_out), *_check_others(card, config)]
        findings.append(_check_outlook(card, config))
    return findings + _check_others(card, config)


def _check_missing(card: ModelCard, flaws: Sequence[files.MissingFile], config: PipelineConfig) -> list[Finding]:
    """Report all files that are not there in one line, with what fetching the model amounts to; others one by one."""
    way_out = f"imagine-bot fetch {card.name}"
    absent = [flaw for flaw in flaws if flaw.reason is files.Flaw.ABSENT]
    if len(absent) <= 1:
        return [problem("files", f"{flaw.path} {flaw.told}", way_out) for flaw in flaws]
    text = f"{card.title} ({card.name}) lacks {len(absent)} files"
    if card.fetch_gb and card.name in catalog_of(config).built_in:
        text += f", about {card.fetch_gb} GB in all{_fetch_time(card, config)}"
    found = [problem("files", text, way_out)]
    return found + [problem("files", f"{flaw.path} {flaw.told}", way_out) for flaw in flaws if flaw not in absent]


def _fetch_time(card: ModelCard, config: PipelineConfig) -> str:
    """How long fetching takes at the speed of the last download here; nothing before there was one."""
    if (speed := last_speed(config.models_dir)) is None:
        return ""
    minutes = max(1, round(card.fetch_gb * 1e9 / speed / 60))
    hours = f"{minutes / 60:.1f} hours" if minutes >= 120 else f"{minutes} min"
    return f", {hours} at {speed / 1e6:.1f} MB/s as the last time"


def _check_others(chosen: ModelCard | None, config: PipelineConfig, told: Iterable[Path] = ()) -> list[Finding]:
    """Report on the operator's own models, on files of no use in the places of others, and on what a licence hides.

    They stop nothing, since another model draws.
    """
    catalog, told = catalog_of(config), set(told)
    way_out = "imagine-bot models add FILE… adds a model again"
    findings = [note("models", flaw, way_out) for flaw in catalog.added.flaws]
    for own in catalog.own:
        name, text = own.entry.name, f"{own.title} ({own.entry.name})"
        findings += [note("own model", f"{text}: {each}") for each in own.notes]
        if (obstacle := obstacle_of(name, config)) is None:
            findings.append(ok("own model", f"{text}: {own.layouts[0].title}, can be drawn with"))
        elif name != (config.model if chosen is None else chosen.name):
            findings.append(note("own model", f"{text} {obstacle.reason}", obstacle.way_out))
    for card in catalog.public:
        if card.name in catalog.entries or (chosen is not None and card.name == chosen.name):
            continue
        for flaw in files.missing(card, config.models_dir):
            if flaw.reason is not files.Flaw.ABSENT and flaw.path not in told:
                told.add(flaw.path)
                findings.append(note("files", f"{flaw.path} {flaw.told}", f"imagine-bot fetch {card.name}"))
    findings += _check_loras(config)
    if hidden := [card.name for card in catalog.all if not catalog.allows(card)]:
        findings.append(note("licences", f"[pipeline] commercial_only hides {', '.join(hidden)}"))
    return findings


def _check_loras(config: PipelineConfig) -> list[Finding]:
    """Report on the operator's LoRAs; one that cannot be used stops nothing."""
    findings = []
    for own in own_loras(config):
        if own.card is None:
            findings.append(note("lora", f"{own.entry.name} {own.reason}", own.way_out))
            continue
        facts = [f"for {own.base_title}", f"rank {own.card.rank}", *(f"word: {word}" for word in own.card.triggers)]
        findings.append(ok("lora", f"{own.card.title} ({own.entry.name}): {', '.join(facts)}"))
    return findings


def _check_gpu(state: GpuState, card: ModelCard, config: PipelineConfig) -> list[Finding]:
    gpu = state.gpu
    text = state.obstacle if gpu is None else f"{gpu.name}, {gpu.total_mib} MiB, driver {gpu.driver}"
    if config.device == "cpu":
        slow = f"{text}; {card.name} draws on the CPU, as [pipeline] device says"
        if card.needs_gpu:
            return [note("gpu", f"{slow}: an image takes hours, and tens of gigabytes of memory")]
        return [note("gpu", slow) if gpu is None else ok("gpu", slow)]
    if state.is_usable:
        return [ok("gpu", text)]
    settings = [ANY_DEVICE] if config.device == "cuda" else []
    settings += ['set [pipeline] model = "demo"'] if card.needs_gpu else []
    if gpu is None and not settings:
        return [note("gpu", f"{text}; {card.name} draws on the CPU")]
    if gpu is not None:
        text = f"{text}; but {state.obstacle}"
        settings = settings or ['set [pipeline] device = "cpu"']
    return [problem("gpu", text, f"{state.way_out}, or {' and '.join(settings)}")]


def _check_outlook(card: ModelCard, config: PipelineConfig) -> Finding:
    """Report how the model will run on the GPU, from what its last load measured and packed."""
    outlook = estimate_runtime(card, config)
    if outlook is None or outlook.plan is None or outlook.step_s is None:
        cost = f"{card.packed_gb} GB of disk, minutes"
        text = f"not known before {card.name} was loaded once, which packs its weights: {cost}"
        return note("speed", text)
    speed, plan = outlook.speed, outlook.plan
    rates = ", ".join(f"{name} {rate:.0f}" for name, rate in speed.tflops.items())
    return ok(
        "speed",
        f"{outlook.weight_format}: {plan.resident_bytes / 1e9:.1f} GB of weights stay on the card, "
        f"{plan.streamed_bytes / 1e9:.1f} GB are streamed at every step at {speed.link_gb_s:.1f} GB/s; about "
        f"{outlook.step_s:.2f} s per step of a large square image (TFLOP/s: {rates})",
    )


def _check_memory(gpu: Gpu | None, card: ModelCard, config: PipelineConfig, *, is_running: bool) -> list[Finding]:
    free_mib = psutil.virtual_memory().available // MIB
    need_mib = _BASE_MIB + _weights_mib(card, config, gpu)
    checks = [
        ("memory", need_mib, free_mib, "", "close other programs, or add memory or swap: weights rest there"),
    ]
    if gpu is not None:
        way_out = "close what uses the card"
        if config.vram_limit_mib and gpu.free_mib >= LEAST_LIMIT_MIB:
            way_out += f", or set [pipeline] vram_limit_mib to at most {gpu.free_mib}"
        need = config.vram_limit_mib or LEAST_LIMIT_MIB
        used = f", of which {min(config.limit_mib(gpu.total_mib), gpu.free_mib)} MiB are used"
        checks.append(("gpu memory", need, gpu.free_mib, used, way_out))
    findings = []
    for topic, need, free, used, way_out in checks:
        text = f"{need} MiB needed, {free} MiB free"
        if need <= free:
            findings.append(ok(topic, text + used))
        elif is_running:
            findings.append(note(topic, f"{text} beside the running bot"))
        else:
            findings.append(problem(topic, text, way_out))
    return findings


def _weights_mib(card: ModelCard, config: PipelineConfig, gpu: Gpu | None) -> int:
    """Return the host memory for the loaded weights, from the shapes in the file headers.

    With a GPU, host memory holds the part of a large model's transformer that does not fit there, in 8 bits; everything
    else is read from the disk when needed.
    """
    parts, _ = parts_of(card, config.models_dir)
    if card.is_streamed and gpu is not None:
        transformer = parts.get(card.architecture.transformer)  # none if its file has changed just now
        weights = 0 if transformer is None else _weights(transformer)
        return max(0, weights // MIB - config.limit_mib(gpu.total_mib))
    return _BYTES_PER_WEIGHT * sum(map(_weights, parts.values())) // MIB


def _weights(part: Part) -> int:
    """Count the weights in one part of a model; four bits each are two to a byte. 0 if its file has just changed."""
    try:
        tensors = [each for path in part.paths for each in header_of(path).tensors.items()]
    except NotWeights:
        return 0
    count = sum(prod(info.shape) for name, info in tensors if name.startswith(part.prefix))
    return 2 * count if part.storage is Storage.NF4 else count
