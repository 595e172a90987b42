"""Who holds a database."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.store.lock import holder_of


@pytest.mark.parametrize("name", ["imagine-bot.db", "x" * 300, f"{'x' * 300}/imagine-bot.db", "x/" * 5000])
def test_database_that_cannot_be_there_is_held_by_nobody(tmp_path: Path, name: str) -> None:
    assert holder_of(tmp_path / name) is None
