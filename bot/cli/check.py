"""`imagine-bot check`: prints what the parts find about their setup, in the order of a start. Starts nothing.

Each part has its own `preflight`; this module only collects and prints. Leaves no files behind, and may run beside a
running bot.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.output import ConfigPath, ask_the_hub_through, printable, say
from bot.errors import ExitCode

if TYPE_CHECKING:
    from bot.findings import Finding


def check(
    config_path: ConfigPath = None,
    is_offline: Annotated[bool, typer.Option("--offline", help="Do not ask Discord.")] = False,
    with_updates: Annotated[
        bool,
        typer.Option(
            "--updates", help="Ask whether newer versions of this program and of the models that are here exist."
        ),
    ] = False,
    with_newer: Annotated[bool, typer.Option("--newer", hidden=True, help="The same as --updates.")] = False,
) -> None:
    """Check whether everything is in place: config, token, database, disk, GPU, model, Discord."""
    import asyncio

    problems = asyncio.run(_check(config_path, is_offline=is_offline, with_updates=with_updates or with_newer))
    if problems:
        say(f"\n{problems} to fix", style="bold red", on_stderr=False)
        raise typer.Exit(ExitCode.FAILED)
    say("\nall in place", style="bold green", on_stderr=False)


async def _check(config_path: Path | None, *, is_offline: bool, with_updates: bool) -> int:
    """Print findings as they arrive. Returns the number of problems."""
    from bot.findings import Mark
    from bot.logs import redacted
    from bot.troubles import OF_TOPICS, place

    styles = {Mark.OK: "green", Mark.NOTE: "yellow", Mark.PROBLEM: "bold red"}
    problems = 0
    async for finding in examine(config_path, is_offline=is_offline, with_updates=with_updates):
        text = f"{finding.topic:<11}" + "\n".join(map(printable, finding.text.split("\n")))
        text += f"\n{' ' * 13}→ {finding.way_out}" if finding.way_out else ""
        if finding.mark is Mark.PROBLEM and finding.topic in OF_TOPICS:
            text += f"\n{' ' * 13}→ more in {place(OF_TOPICS[finding.topic])}"
        say(finding.mark.value, redacted(text), style=styles[finding.mark], on_stderr=False)
        problems += finding.mark is Mark.PROBLEM
    return problems


async def examine(config_path: Path | None, *, is_offline: bool, with_updates: bool = False) -> AsyncIterator[Finding]:
    """Run every `preflight` in the order of a start and yield its findings.

    A config that cannot be read ends the check, because everything else depends on it. Discord is asked last, and not
    at all if `is_offline`. Where this program and the models came from is asked only if `with_updates`.
    """
    import asyncio
    from functools import partial

    from bot.cli.program_updates import look_for_newer_program
    from bot.config.preflight import preflight as look_at_config
    from bot.executors.newer_files import look_for_newer_files
    from bot.executors.preflight import preflight as look_at_machine
    from bot.executors.translator_files import look_at_translator
    from bot.findings import Mark, note
    from bot.frontends.discord_app import preflight as discord
    from bot.frontends.web.preflight import preflight as look_at_page
    from bot.store.preflight import check_backups, is_in_use
    from bot.store.preflight import preflight as look_at_store

    config, findings = look_at_config(config_path)
    for finding in findings:
        yield finding
    if config is None:
        return
    token, findings = discord.check_token(config.discord, is_asked=not is_offline)
    for finding in findings:
        yield finding
    is_running = await asyncio.to_thread(is_in_use, config.storage)
    for finding in await asyncio.to_thread(look_at_store, config.storage, is_running=is_running):
        yield finding
    for finding in await asyncio.to_thread(check_backups, config.backup):
        yield finding
    of_translator = await asyncio.to_thread(look_at_translator, config.translator, config.pipeline)
    machine = partial(look_at_machine, is_translated=all(finding.mark is Mark.OK for finding in of_translator))
    for finding in await asyncio.to_thread(machine, config.pipeline, is_running=is_running):
        yield finding
    for finding in of_translator:
        yield finding
    if with_updates:
        for finding in await asyncio.to_thread(look_for_newer_program):
            yield finding
        ask_the_hub_through(config.discord.proxy)
        for finding in await asyncio.to_thread(look_for_newer_files, config.pipeline):
            yield finding
    if token is None or config.console.enabled:
        for finding in look_at_page(config.console, is_running=is_running):
            yield finding
    if is_offline:
        yield note("discord", "not asked (--offline)")
    elif token is None:
        yield note("discord", "not asked: there is no token")
    else:
        for finding in await discord.preflight(config.discord, token):
            yield finding
