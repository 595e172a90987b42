"""`imagine-bot models`: lists what can be drawn with here and what could be fetched; adds and forgets own files.

LoRAs are listed, added and forgotten by the same commands.

What files are and where they are noted is in `pipeline/catalog/`; this module only prints.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bot.cli.help_format import Command, Group
from bot.cli.output import PROGRAM, ConfigPath, fail, operator_locale, printable, say
from bot.errors import ExitCode
from pipeline.errors import UnknownModel

if TYPE_CHECKING:
    from pipeline.catalog.adding import Addition
    from pipeline.catalog.catalog import Catalog
    from pipeline.catalog.loras import OwnLora
    from pipeline.catalog.model_card import ModelCard
    from pipeline.config import PipelineConfig

MOST_REFUSED: Final = 20  # files of no use that are named one by one
INDENT: Final = " " * 6

app = typer.Typer(
    cls=Group, invoke_without_command=True, help="List the models that are here and that could be, add and forget own."
)


@app.callback()
def models(context: typer.Context, config_path: ConfigPath = None) -> None:
    """List the models that are here and that could be."""
    context.obj = config_path
    if context.invoked_subcommand is None:
        _list(_config(config_path))


@app.command(cls=Command)
def add(
    context: typer.Context,
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Files of one model, or folders to search, wherever they are; nothing is copied.", metavar="FILE…"
        ),
    ],
    name: Annotated[str | None, typer.Option(help="What to ask for; default: made of the name of its file.")] = None,
    title: Annotated[str | None, typer.Option(help="What people read; default: the name of its file.")] = None,
    config_path: ConfigPath = None,
) -> None:
    """Draw with files of your own, wherever they are: from ComfyUI, Forge, A1111, Hugging Face."""
    from pipeline.catalog.adding import add_models
    from pipeline.catalog.models import catalog_of

    config = _config(config_path or context.obj)
    added = add_models(paths, catalog_of(config), name=name, title=title)
    if added.aside is not None:
        say("•", f"the list of added models was damaged; it was put aside as {added.aside}", style="yellow")
    catalog = catalog_of(config)
    for names, what in ((added.new, "added"), (added.changed, "takes these files, too"), (added.same, "known already")):
        for each in names:
            _show(each, catalog, config, remark=what)
    _show_loras(config, dict.fromkeys(added.loras.new, "added") | dict.fromkeys(added.loras.same, "known already"))
    for layout in added.companions:
        text = f"{layout.path}: {layout.title}, for models that lack it"
        say("•", printable(text), style="dim", on_stderr=False)
    _say_refused(added)


@app.command(cls=Command)
def remove(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the model or LoRA to forget.", metavar="NAME")],
    config_path: ConfigPath = None,
) -> None:
    """Forget a model or a LoRA that was added. Its files stay where they are."""
    from pipeline.catalog.adding import remove_model
    from pipeline.catalog.models import catalog_of
    from pipeline.device.gpu_profile import packed_files

    config = _config(config_path or context.obj)
    catalog = catalog_of(config)
    try:
        forgotten = remove_model(name, catalog)
    except UnknownModel as error:
        if any(each.name == name for each in config.models):
            fail(f"{name} stands in the config file: take its [[models]] out there", ExitCode.USAGE)
        if any(each.name == name for each in config.loras):
            fail(f"{name} stands in the config file: take its [[loras]] out there", ExitCode.USAGE)
        if name in catalog.built_in:
            fail(f"{name} belongs to this program; to free its disk space, delete its files", ExitCode.USAGE)
        known = f"; those that were are {', '.join(error.known)}" if error.known else ""
        fail(f"no model {name!r} was added{known}", ExitCode.USAGE)
    say("✔", f"{name} is forgotten; its files stay:", style="green", on_stderr=False)
    for path in forgotten:
        typer.echo(f"{INDENT}{printable(str(path))}")
    for path in packed_files(config.packed_folder, name):
        typer.echo(f"{INDENT}{printable(str(path))} (packed weights, which nothing else needs)")
    for place in ["[pipeline] model"] * (config.model == name) + ["[[models]]"] * (name in _changed(config)):
        say("•", f"the config names {name} in {place}: change that, or nothing starts", style="yellow")


def _changed(config: PipelineConfig) -> set[str]:
    """The models to which the config gives other defaults."""
    return {entry.name for entry in config.models if not entry.files}


def _config(path: Path | None) -> PipelineConfig:
    from bot.config import load_config
    from bot.config.sections import unknown_models_allowed

    with unknown_models_allowed():  # one that the config names may be added by this very command
        return load_config(path)[0].pipeline


def _list(config: PipelineConfig) -> None:
    from bot.presentation.recommendations import advice_for
    from pipeline.catalog.models import AUTO, catalog_of, choose_model
    from pipeline.device.gpu import look_at_gpu

    catalog = catalog_of(config)
    for flaw in catalog.added.flaws:
        say("✘", flaw, style="bold red", on_stderr=False)
    try:
        card, reason = choose_model(config)
        default = card.name
    except UnknownModel:  # what stands in its way is said of it
        card, default, reason = None, config.model, "named in the configuration"
    hidden = [card.name for card in catalog.all if not catalog.allows(card)]
    names = dict.fromkeys([*catalog.entries, *(card.name for card in catalog.all)])
    unknown = [name for name in (config.model, *_changed(config)) if name not in {AUTO, *catalog.built_in, *names}]
    for name in dict.fromkeys(unknown):
        text = f"{name}: the config names it, and there is no such model"
        say("✘", f"{text}\n→ add it, or change the config", style="bold red", on_stderr=False)
    for name in (name for name in names if name not in hidden):
        _show(name, catalog, config, remark=f"the default: {reason}" if name == default else "")
    _show_loras(config)
    if hidden:
        typer.echo(f"\n[pipeline] commercial_only hides {', '.join(hidden)}.")
    if card is not None:
        advice = advice_for(card, config, look_at_gpu(), operator_locale())
        typer.echo(f"\n{advice.text}" + (f"\n→ {advice.way_out}" if advice.way_out else ""))
    typer.echo(f"\n{PROGRAM} models add FILE… draws with files of your own, LoRAs too; docs/models.md says which.")


def _show_loras(config: PipelineConfig, remarks: Mapping[str, str] | None = None) -> None:
    """Print the LoRAs, or those that are remarked upon: what each is for, its words, where it is, what is wrong."""
    from pipeline.catalog.loras import own_loras

    for own in own_loras(config):
        if remarks is not None and own.entry.name not in remarks:
            continue
        remark = f" ({remarks[own.entry.name]})" if remarks else ""
        style, mark = ("green", "✔") if own.card is not None else ("bold red", "✘")
        title = printable(own.card.title if own.card is not None else own.entry.title or "")
        say(mark, f"{own.entry.name}: {' '.join(filter(None, (title, 'LoRA')))}{remark}", style=style, on_stderr=False)
        for line in _lines_of(own):
            typer.echo(f"{INDENT}{printable(line)}")


def _lines_of(own: OwnLora) -> list[str]:
    if own.card is None:
        return [own.reason, f"→ {own.way_out}"]
    facts = [f"for {own.base_title}", f"rank {own.card.rank}", f"weight {own.card.weight:g}"]
    facts += [f"words: {', '.join(own.card.triggers)}"] if own.card.triggers else []
    facts += [f"speed: fast, {own.card.steps} steps"] if own.card.steps else []
    return [" · ".join(facts), str(own.entry.file)]


def _show(name: str, catalog: Catalog, config: PipelineConfig, *, remark: str = "") -> None:
    """Print a model: whether it can be drawn with, what its file is, its size and licence, and what is to be done."""
    from pipeline.catalog.files import missing
    from pipeline.catalog.models import obstacle_of, size_of

    own = next((each for each in catalog.own if each.entry.name == name), None)
    card = own.card if own is not None else next((each for each in catalog.all if each.name == name), None)
    obstacle = obstacle_of(name, config)
    is_broken = own is not None and (card is None or bool(missing(card, config.models_dir)))
    style, mark = ("green", "✔") if obstacle is None else ("bold red", "✘") if is_broken else ("yellow", "•")
    title = own.title if own is not None else card.title if card is not None else ""
    say(mark, f"{name}: {title}{f' ({remark})' if remark else ''}", style=style, on_stderr=False)
    lines = []
    if card is not None:
        what = own.layouts[0].title if own is not None and own.layouts else ""
        use = "commercial use allowed" if card.is_commercial else "no commercial use"
        if own is not None and own.entry.commercial is None:
            use = "commercial use only if its page allows it"
        lines.append(" · ".join(each for each in (what, _size(size_of(card, config)), use) if each))
        lines.append(f"{card.licence} ({card.licence_url})")
    if own is not None:
        lines += [str(path) for path in own.entry.files]
        lines += own.notes
    if card is not None and own is not None:
        lines += _borrowed(card, own.entry.files)
    if obstacle is not None:
        lines += [f"{obstacle.reason}", f"→ {obstacle.way_out}"]
    for line in lines:
        typer.echo(f"{INDENT}{printable(line)}")


def _size(size: int) -> str:
    if size >= 10**8:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.0f} MB" if size else ""


def _borrowed(card: ModelCard, named: Iterable[Path]) -> list[str]:
    """The files that a model takes parts from though nobody named them."""
    known = set(named)
    borrowed: dict[Path, list[str]] = {}
    for component, file in card.files.items():
        if file.place is not None and not any(file.place == path or path in file.place.parents for path in known):
            borrowed.setdefault(file.place, []).append(str(card.architecture.components[component].part))
    return [f"{path} ({', '.join(dict.fromkeys(parts))})" for path, parts in borrowed.items()]


def _say_refused(added: Addition) -> None:
    shown: Mapping[Path, str] = dict(list(added.refused.items())[:MOST_REFUSED])
    for path, reason in shown.items():
        say("✘", printable(f"{path} {reason}"), style="yellow", on_stderr=False)
    if rest := list(added.refused.values())[MOST_REFUSED:]:
        kinds = Counter(reason.partition(":")[0].removeprefix("is ") for reason in rest)
        said = ", ".join(f"{count} × {kind}" for kind, count in kinds.most_common(8))
        say("✘", f"and {len(rest)} more of no use: {said}", style="yellow", on_stderr=False)
    for path in added.unreadable:
        say("✘", printable(f"{path} may not be read by this user"), style="yellow", on_stderr=False)
    if added.is_cut_off:
        say("•", "there is more than a search looks at: name the folder or file that you mean", style="yellow")
