"""`imagine-bot fetch`: downloads the files of a model, and packs its weights for this GPU on request.

The download itself is in `pipeline/catalog/download.py`, its progress display in `fetch_progress.py`.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from bot.cli.output import PUT_ASIDE, ConfigPath, ask_the_hub_through, say
from pipeline.errors import FetchFailed, HubSilent

GOOD: Final[dict[str, Any]] = {"style": "green", "on_stderr": False}

if TYPE_CHECKING:
    from bot.config import Config
    from pipeline.catalog.file_owner import FileOwner
    from pipeline.catalog.model_card import ModelCard
    from pipeline.config import PipelineConfig


def fetch(
    model: Annotated[
        str | None,
        typer.Argument(help="A model that `models` lists, or `translator`; default: the config's.", metavar="MODEL"),
    ] = None,
    prepare: Annotated[
        bool | None,
        typer.Option(
            "--prepare/--no-prepare",
            help="Pack the weights for this GPU now, or when they are first used. Default: ask.",
            show_default=False,
        ),
    ] = None,
    is_agreed: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask whether the licence is agreed to.", show_default=False)
    ] = False,
    is_update: Annotated[
        bool, typer.Option("--update", help="Replace files of which the hub has newer ones; else they are kept.")
    ] = False,
    config_path: ConfigPath = None,
) -> None:
    """Download the files of a model and compare them with the hub; goes on where an earlier download stopped.

    Of a model of your own, only what its files lack.
    """
    from bot import logs
    from bot.config import LogConfig, load_config
    from pipeline.catalog import files
    from pipeline.catalog.models import AUTO, MAJICFLUS_V1, catalog_of, find_model
    from pipeline.device.gpu import look_at_gpu
    from pipeline.translation.translator_card import QWEN3

    config, _ = load_config(config_path)
    logs.setup(LogConfig(level="error", format=config.log.format), stream=sys.stderr)
    name = model or config.pipeline.model
    if name == QWEN3.name and all(card.name != name for card in catalog_of(config.pipeline).all):
        _fetch_translator(config, is_update=is_update, is_agreed=is_agreed)
        return
    card = find_model(MAJICFLUS_V1.name if name == AUTO else name, config.pipeline)
    ask_the_hub_through(config.discord.proxy)
    say(card.title, f"→ {config.pipeline.models_dir}", style="bold", on_stderr=False)
    typer.echo(f"Licence: {card.licence}\n         {card.licence_url}")
    if any(file.repo for file in card.files.values()):
        if files.missing(card, config.pipeline.models_dir) and not is_agreed and can_ask():
            typer.confirm("Fetch it under this licence?", default=True, abort=True)
        _fetch(config.pipeline, card, is_update=is_update)
    else:
        _demand_whole(card, config.pipeline)
        say("✔", "there is nothing to fetch: its files are your own, or ship with this program", **GOOD)
    if card.packed_gb and config.pipeline.device != "cpu" and look_at_gpu().is_usable:
        logs.setup(LogConfig(level="info", format=config.log.format), stream=sys.stderr)
        _prepare(config.pipeline, card, is_wanted=prepare)


def _fetch_translator(config: Config, *, is_update: bool, is_agreed: bool) -> None:
    """Fetch the language model that translates prompts, or see that the operator's own is whole."""
    from bot.executors.translator_files import card_of
    from pipeline.translation.translator_card import flaws_of

    card, models_dir = card_of(config.translator), config.pipeline.models_dir
    ask_the_hub_through(config.discord.proxy)
    if config.translator.path is None:
        say(card.title, f"→ {models_dir}", style="bold", on_stderr=False)
        typer.echo(f"Licence: {card.licence}\n         {card.licence_url}")
        if flaws_of(card, models_dir) and not is_agreed and can_ask():
            typer.confirm("Fetch it under this licence?", default=True, abort=True)
        _fetch(config.pipeline, card, is_update=is_update)
    if flaws := flaws_of(card, models_dir):
        raise FetchFailed(card.name, flaws)
    if config.translator.path is not None:
        say("✔", "there is nothing to fetch: [translator] path names files of your own", **GOOD)
    if not config.translator.enabled:
        say("•", "it is not used: [translator] enabled is false", style="yellow", on_stderr=False)


def _fetch(config: PipelineConfig, card: FileOwner, *, is_update: bool) -> None:
    from bot.cli.fetch_progress import fetch_and_show
    from pipeline.catalog import download as hub
    from pipeline.catalog import files

    try:
        fetched = fetch_and_show(
            config,
            card,
            fetch=partial(hub.fetch, is_update=is_update),
            say=lambda text: say("•", text, style="dim", on_stderr=False),
        )
    except HubSilent as error:
        if files.missing(card, config.models_dir):
            raise
        reasons = "".join(f"\n  {repo}: {reason}" for repo, reason in error.reasons.items())
        say("•", f"the files look whole, but were not compared with the hub:{reasons}", style="yellow", on_stderr=False)
    else:
        for path in fetched.aside:
            say("•", f"{PUT_ASIDE}: {path}", style="yellow", on_stderr=False)
        for path in fetched.newer:
            text = f"kept, though the hub has a newer one, which imagine-bot fetch {card.name} --update takes: {path}"
            say("•", text, style="yellow", on_stderr=False)
        _demand_whole(card, config)
        say("✔", "all files are there and whole", **GOOD)


def _demand_whole(card: FileOwner, config: PipelineConfig) -> None:
    """See that nothing is left to mend: files of one's own, and others that somebody placed, are not fetched.

    Raises:
        FetchFailed
    """
    from pipeline.catalog import files

    if flaws := files.missing(card, config.models_dir):
        raise FetchFailed(card.name, {flaw.path: flaw.told for flaw in flaws})


def _prepare(config: PipelineConfig, card: ModelCard, *, is_wanted: bool | None) -> None:
    """Load a model once, which packs its weights and compiles its code for this GPU."""
    from pipeline.catalog.models import create_engine

    cost = f"{card.packed_gb} GB of disk, some minutes"
    if is_wanted is None:
        is_wanted = can_ask() and typer.confirm(f"Pack the weights for this GPU now ({cost})?", default=True)
    if not is_wanted:
        say("•", f"its weights are packed when it is first used: {cost}", style="yellow", on_stderr=False)
        return
    engine = create_engine(card.name, config)
    engine.load()
    engine.close()
    say("✔", "ready to draw", style="green", on_stderr=False)


def can_ask() -> bool:
    """Return whether standard input is a terminal."""
    return sys.stdin.isatty()
