"""The entry of the `imagine-bot` script and of `python -m bot`. What the commands do is in `bot/cli/`."""

from __future__ import annotations

from bot.cli.draw import app, main

__all__ = ["app", "main"]

if __name__ == "__main__":
    main()
