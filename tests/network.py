"""Processes under test that may not leave this machine: each attempt is refused and noted (network_guard/)."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[1]
GUARD = Path(__file__).parent / "network_guard"


def guarded(file: Path) -> dict[str, str]:
    """Return the variables that make Python load the guard at its start, which writes to `file`."""
    return {"PYTHONPATH": f"{GUARD}{os.pathsep}{ROOT}", "NETWORK_GUARD_FILE": str(file)}


def attempts(file: Path) -> list[str]:
    """Return where guarded processes wanted to connect to, beyond this machine."""
    assert file.with_suffix(".on").exists(), "the guard was never loaded, so nobody looked"
    return file.read_text().splitlines() if file.exists() else []
