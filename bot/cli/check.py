"""`imagine-bot check`: everything that a start needs, looked at without starting anything.

Each check returns findings; a problem always carries the way out. Writes nothing that lasts and may run beside a
running bot. How findings are shown and which exit code follows is the command line's business.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum
from math import prod
from pathlib import Path
from typing import Final

import psutil
from pydantic import SecretStr
from safetensors import safe_open

from bot.app import DATABASE_NAME, IMAGES_FOLDER
from bot.config import (
    ENV_PREFIX,
    TOKEN_ENV,
    Config,
    ConsoleConfig,
    DiscordConfig,
    StorageConfig,
    load_config,
    load_password,
    load_token,
    looks_like_token,
    near_misses,
    proxy_of,
    without_credentials,
)
from bot.errors import ConfigError, FrontendUnavailable, FrontendUnreachable, OperatorError
from bot.executors import ANY_DEVICE
from bot.frontends.discord_app import preflight as discord_preflight
from bot.frontends.web.server import PORT_WAY_OUT, check_exposure, listen
from bot.logs import redact
from bot.presentation.wording import LANGUAGES, wording_for
from bot.store import preflight
from bot.store.database import LET_WRITE, NAME_A_FOLDER, file_in_the_way, rehearse_migrations
from bot.store.image_store import ImageStore
from bot.store.lock import holder_of
from pipeline import PackedDirReadOnly, UnknownModel
from pipeline.catalog import files
from pipeline.catalog.architecture import Kind
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.models import AUTO, DEMO, MAJICFLUS_V1, choose_model, demand_means
from pipeline.catalog.vocabulary import count_unread
from pipeline.config import LEAST_LIMIT_MIB, PipelineConfig
from pipeline.device.gpu import MIB, Gpu, GpuState, look_at_gpu
from pipeline.device.runtime_estimate import estimate_runtime

_BYTES_PER_WEIGHT: Final = 4  # of small models, which are float32
# Python, PyTorch and what drawing needs beside the weights: `draw` peaks at 1082 MiB with the demo's 86 (Linux, CPU).
_BASE_MIB: Final = 1000


CHINESE: Final = "红苹果"  # a red apple; a model that cannot read this reads no other Chinese


class Mark(Enum):
    """How a finding is to be taken."""

    OK = "✔"
    NOTE = "•"  # worth knowing, nothing to do
    PROBLEM = "✘"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the page; `way_out` says what to do about a problem."""

    mark: Mark
    topic: str
    text: str
    way_out: str = ""


def ok(topic: str, text: str, way_out: str = "") -> Finding:
    """Something is as it should be."""
    return Finding(Mark.OK, topic, text, way_out)


def note(topic: str, text: str, way_out: str = "") -> Finding:
    """Something works, but perhaps not as the operator expects."""
    return Finding(Mark.NOTE, topic, text, way_out)


def problem(topic: str, text: str, way_out: str) -> Finding:
    """Something that has to be mended first."""
    return Finding(Mark.PROBLEM, topic, text, way_out)


async def examine(config_path: Path | None, *, is_offline: bool) -> AsyncIterator[Finding]:
    """Look at everything in the order of a start; findings come as they are made.

    A config that cannot be read ends the page: nothing else could be judged. Discord is asked last, and not
    at all if `is_offline`.
    """
    try:
        config, path = load_config(config_path)
    except ConfigError as error:
        for text in error.problems:
            source = text.partition(":")[0]
            if source.upper().startswith(ENV_PREFIX):
                way_out = f"correct the environment variable {source}, or unset it"
            else:
                way_out = error.way_out or "mend this line; config.example.toml explains every key"
            yield problem("config", text, way_out)
        return
    yield ok("config", str(path.resolve()) if path else "no file, defaults for everything")
    for line in near_misses(os.environ):
        yield note("config", line)

    token, findings = check_token(config.discord)
    for finding in findings:
        yield finding
    is_running = await asyncio.to_thread(is_in_use, config.storage.data_dir / DATABASE_NAME)
    for finding in [
        *await asyncio.to_thread(check_database, config.storage, is_running=is_running),
        *check_disk(config.storage),
        *await asyncio.to_thread(check_machine, config.pipeline, is_running=is_running),
    ]:
        yield finding
    if token is None or config.console.enabled:
        yield check_console(config.console, is_running=is_running)
    if is_offline:
        yield note("discord", "not asked (--offline)")
    elif token is None:
        yield note("discord", "not asked: there is no token")
    else:
        for finding in await check_discord(config, token):
            yield finding


def check_token(config: DiscordConfig) -> tuple[SecretStr | None, list[Finding]]:
    """Is there a token, does it look like one, and can only its owner read it?"""
    way_out = (
        "create an application and a bot on https://discord.com/developers/applications, then set "
        f"{TOKEN_ENV}, or write the token into a file and name it in [discord] token_file"
    )
    try:
        token = load_token(config)
    except ConfigError as error:
        return None, [problem("token", "; ".join(error.problems), error.way_out)]
    if token is None:
        return None, [note("token", "none: the local page runs alone; to add Discord", way_out)]
    redact(token)
    if not looks_like_token(token):
        text = f"has {len(token.get_secret_value())} characters and does not look like a bot token"
        return token, [problem("token", text, "copy the token of the Bot page again, not the secret or the id")]
    file = None if os.environ.get(TOKEN_ENV, "").strip() else config.token_file
    if file is not None and os.name == "posix" and file.expanduser().stat().st_mode & 0o077:
        return token, [note("token", f"others may read {file}", f"chmod 600 {file}")]
    return token, [ok("token", f"from {file or TOKEN_ENV}")]


def check_console(config: ConsoleConfig, *, is_running: bool) -> Finding:
    """Can the page listen where it should, and does it ask for a password if others can reach it?"""
    try:
        if (password := load_password(config)) is not None:
            redact(password)
        check_exposure(config, password)
        if not is_running:
            listening, _ = listen(config)
            listening.close()
    except ConfigError as error:
        return problem("console", "; ".join(error.problems), error.way_out)
    except FrontendUnavailable as error:
        return problem("console", error.reason.partition("\n")[0], PORT_WAY_OUT)
    place = config.url(config.port) if config.port else f"{config.host}, any free port"
    if config.root_path:
        place += f", shown by a proxy at {config.root_path}"
    return ok("console", f"the page: {place}{', with a password' if password else ''}")


def is_in_use(database: Path) -> bool:
    """Whether a running bot holds the database, as far as this user may know. Blocks."""
    return holder_of(database) is not None


def check_database(config: StorageConfig, *, is_running: bool) -> list[Finding]:
    """Can the database be opened, brought up to date and written? Blocks; migrates a copy in memory only."""
    path = config.data_dir / DATABASE_NAME
    folder = _nearest_folder(path)
    if (file := file_in_the_way(config.data_dir.expanduser().absolute())) is not None:
        return [problem("database", f"{file} is no folder", NAME_A_FOLDER)]
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
        pending = rehearse_migrations(path)
    except OSError as error:
        return [problem("database", f"{folder} cannot be written: {error.strerror}", LET_WRITE)]
    except OperatorError as error:
        text, _, way_out = str(error).partition("; ")
        return [problem("database", text, way_out or "see docs/operating.md")]
    if path.exists() and not os.access(path, os.W_OK):
        return [problem("database", f"{path} is read-only", "give the bot's user the right to write it")]
    state = "in use by a running bot" if is_running else "will be created" if not path.exists() else "ready"
    if pending and path.exists():
        state += f", will be brought up to date by {', '.join(pending)}"
    return [ok("database", f"{path} ({state})"), *_check_contents(config, is_running=is_running)]


def _check_contents(config: StorageConfig, *, is_running: bool) -> list[Finding]:
    """Is there anything among the rows, or missing from them, that a start would complain about?"""
    contents, findings = preflight.look(config.data_dir / DATABASE_NAME), []
    if contents.unreadable:
        numbers = ", ".join(f"#{number}" for number in contents.unreadable[:10])
        text = f"{len(contents.unreadable)} waiting job(s) cannot be read by this release and will fail: {numbers}"
        findings.append(note("database", text, "if a later release wrote them, start that one"))
    highest = ImageStore(config.data_dir / IMAGES_FOLDER).highest_number_now()
    if highest > contents.last_number and not is_running:
        text = f"there are pictures up to number {highest}, and the database knows {contents.last_number or 'none'}"
        way_out = "if it was moved away, replaced, or lost its -wal file: put it back before the bot starts"
        findings.append(note("database", text, way_out))
    return findings


def check_disk(config: StorageConfig) -> list[Finding]:
    """Is there more room than the floor below which jobs are refused?"""
    folder = _nearest_folder(config.data_dir)
    free_mib = shutil.disk_usage(folder).free // MIB
    text = f"{free_mib} MiB free at {folder}, {config.min_free_mib} MiB are the floor"
    if free_mib > config.min_free_mib:
        return [ok("disk", text)]
    return [problem("disk", text, "free some space, or move [storage] data_dir to another disk")]


def check_machine(config: PipelineConfig, *, is_running: bool) -> list[Finding]:
    """The card, the model that would be used and its files, and memory against what it takes. Blocks."""
    state = look_at_gpu()
    gpu = state.gpu
    try:
        card, reason = choose_model(config)
    except UnknownModel as error:
        return [problem("model", str(error), f"set [pipeline] model to one of auto, {', '.join(error.known)}")]
    flaws = files.missing(card, config.models_dir)
    text = f"{card.title} ({card.name}): {reason}"
    is_fallback = config.model == AUTO and card is DEMO and gpu is not None
    way_out = f"imagine-bot fetch {MAJICFLUS_V1.name}, to draw with it" if is_fallback else ""
    findings = [*_check_gpu(state, card, config), (note if is_fallback else ok)("model", text, way_out)]
    if flaws:
        way_out = f"imagine-bot fetch {card.name}"
        return findings + [problem("files", f"{flaw.path} {flaw.reason}", way_out) for flaw in flaws]
    findings.append(ok("files", f"all files of {card.name} are there and whole"))
    unread = count_unread(card, config.models_dir, CHINESE)
    said = [wording_for(language).unread(unread) for language in LANGUAGES]
    findings += [note("prompts", f"{CHINESE}: {text}") for text in said if text]
    on_gpu = state.is_usable and config.device != "cpu"
    findings += _check_memory(gpu if on_gpu else None, card, config, is_running=is_running)
    if on_gpu and card.packed_gb:
        try:
            demand_means(card, config)
        except PackedDirReadOnly as error:
            return [*findings, problem("packed", error.reason, error.way_out)]
        findings.append(_check_outlook(card, config))
    return findings


def _check_gpu(state: GpuState, card: ModelCard, config: PipelineConfig) -> list[Finding]:
    gpu = state.gpu
    text = state.obstacle if gpu is None else f"{gpu.name}, {gpu.total_mib} MiB, driver {gpu.driver}"
    if config.device == "cpu":
        slow = f"{text}; {card.name} draws on the CPU, as [pipeline] device says"
        if card.needs_gpu:
            return [note("gpu", f"{slow}: a picture takes hours, and tens of gigabytes of memory")]
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
    """How the model will run on the card, from what its last load measured and packed."""
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
        f"{outlook.step_s:.2f} s per step of a large square picture (TFLOP/s: {rates})",
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


async def check_discord(config: Config, token: SecretStr) -> list[Finding]:
    """Does Discord take the token, and may the bot do its work in every allowed channel?"""
    try:
        seen = await discord_preflight.probe(config.discord, token)
    except FrontendUnreachable as error:
        way_out = "look at this machine's network; https://discordstatus.com tells of outages of Discord itself"
        return [problem("discord", error.reason, way_out)]
    except FrontendUnavailable as error:
        return [problem("discord", error.reason, "reset the token on the Bot page and set the new one")]
    proxy = proxy_of(config.discord)
    through = f", through {without_credentials(proxy)}" if proxy else ""
    findings = [ok("discord", f"logged in as {seen.bot_name}{through}")]
    if seen.interactions_url:
        way_out = "empty Interactions Endpoint URL on the application's General Information page"
        findings.append(problem("discord", f"commands are sent to {seen.interactions_url}, not to the bot", way_out))
    link = discord_preflight.invite_url(seen.application_id)
    if not seen.guilds:
        findings.append(problem("server", "the bot is on no server", f"open {link}"))
    allowed = set(config.discord.allowed_channels)
    for guild in seen.guilds:
        if guild.name is None:
            findings.append(problem("server", f"{guild.id}: the bot is not on it", f"open {link}"))
        else:
            findings += _check_channels(guild, allowed)
            if guild.missing_commands:
                text = (
                    f"Discord does not offer {', '.join(f'/{name}' for name in guild.missing_commands)} on {guild.name}"
                )
                findings.append(note("commands", text, "they are registered when the bot starts: start it again"))
    known = {channel.id for guild in seen.guilds for channel in guild.channels}
    for channel_id in sorted(allowed - known):
        way_out = "correct [discord] allowed_channels (a thread counts as its channel), or let the bot see it"
        findings.append(problem("channel", f"{channel_id} is on none of the bot's servers", way_out))
    return findings


def _check_channels(guild: discord_preflight.GuildRights, allowed: set[int]) -> list[Finding]:
    """With an allow list every channel on it has to work; without one, one that works is enough."""
    listed = [channel for channel in guild.channels if not allowed or channel.id in allowed]
    findings = []
    for channel in listed:
        if channel.missing:
            text = f"#{channel.name} on {guild.name} lacks {', '.join(channel.missing)}"
            way_out = "channel settings → Permissions: allow these for the bot"
            make = problem if allowed else note
            findings.append(make("channel", text, way_out))
    usable = [channel for channel in listed if not channel.missing]
    if usable:
        names = ", ".join(f"#{channel.name}" for channel in usable)
        findings.insert(0, ok("server", f"{guild.name}: {names}"))
    elif not allowed:
        way_out = "invite the bot again with the link of `imagine-bot invite`"
        findings.insert(0, problem("server", f"{guild.name}: the bot can work in no channel", way_out))
    return findings


def _nearest_folder(path: Path) -> Path:
    """The folder itself, or the first of its parents that exists."""
    path = path.expanduser().absolute()
    return next(place for place in (path, *path.parents) if place.is_dir())


def _weights_mib(card: ModelCard, config: PipelineConfig, gpu: Gpu | None) -> int:
    """Host memory that the weights take once loaded, from the shapes in the file headers.

    On a GPU a large model keeps in it what the card does not hold of the transformer, in 8 bits; all else is read
    from the disk when it is needed.
    """
    kinds = card.files_of(Kind.TRANSFORMER, Kind.TEXT_ENCODER, Kind.VAE)
    if card.is_streamed and gpu is not None:
        weights = sum(_weights(card, kind, config) for kind in card.files_of(Kind.TRANSFORMER))
        return max(0, weights // MIB - config.limit_mib(gpu.total_mib))
    return _BYTES_PER_WEIGHT * sum(_weights(card, kind, config) for kind in kinds) // MIB


def _weights(card: ModelCard, kind: str, config: PipelineConfig) -> int:
    """How many there are in a part of a model."""
    total = 0
    for path in files.weights_of(card.files[kind], config.models_dir):
        with safe_open(path, framework="numpy") as weights:
            total += sum(prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118 - no mapping
    return total
