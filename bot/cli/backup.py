"""`imagine-bot backup` and `imagine-bot restore`: a copy of database and images, and the way back.

What is in a backup is `bot/store/backups/`.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from bot.cli.output import ConfigPath, printable, release, say


def backup(
    file: Annotated[
        Path | None,
        typer.Argument(help="The file to write; default: a new name here.", metavar="FILE", show_default=False),
    ] = None,
    has_images: Annotated[
        bool, typer.Option("--images/--no-images", help="Copy the images, too, or the database alone.")
    ] = True,
    config_path: ConfigPath = None,
) -> None:
    """Copy database and images into one file, also while the bot runs, and read it back to verify it."""
    import time

    from bot.config import load_config
    from bot.store.backups.nightly import backup_name
    from bot.store.backups.writing import make_backup

    config, _ = load_config(config_path)
    path = Path(backup_name(time.time())) if file is None else file
    if path.is_dir():
        path /= backup_name(time.time())
    made = make_backup(config.storage.data_dir, path, release=release(), with_images=has_images)
    size = f"{_images(made.images)}, {made.bytes / 1e6:.1f} MB"
    say("✔", f"{printable(str(made.path))}: {size}, read back and verified", style="green", on_stderr=False)
    if made.missing:
        text = f"{_images(len(made.missing))} that the database names could not be opened, nor put into it"
        say("•", text, style="yellow", on_stderr=False)


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `backup` wrote.", metavar="FILE")],
    may_overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace the database that is there; it is kept beside.", show_default=False),
    ] = False,
    config_path: ConfigPath = None,
) -> None:
    """Put a backup in place. The bot has to be stopped; if anything is wrong with the file, nothing changes."""
    from bot.config import load_config
    from bot.store.backups.restoring import restore_backup

    config, _ = load_config(config_path)
    restored = restore_backup(file, config.storage.data_dir, may_overwrite=may_overwrite)
    made = datetime.fromtimestamp(restored.made_at).astimezone()
    text = f"{config.storage.data_dir} is as it was on {made:%Y-%m-%d %H:%M}, with {_images(restored.images)}"
    say("✔", printable(text), style="green", on_stderr=False)
    if restored.aside is not None:
        text = f"what was there is kept as {printable(str(restored.aside))}"
        say("•", text, style="yellow", on_stderr=False)
    if restored.erased_again:
        people = "one person" if restored.erased_again == 1 else f"{restored.erased_again} people"
        text = f"{people} had everything deleted since: the next start deletes it again"
        say("•", text, style="yellow", on_stderr=False)
