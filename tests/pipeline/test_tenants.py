"""What is shared never names a family, and no family another one."""

from __future__ import annotations

from pathlib import Path

import pytest

import pipeline
from pipeline.catalog.models import MODELS

ROOT = Path(pipeline.__file__).parent
SHARED = ("streaming", "device")
WORDS = {folder.name for folder in (ROOT / "families").iterdir() if folder.is_dir() and folder.name.isidentifier()}
WORDS = {word for word in WORDS if not word.startswith("__")} | set(MODELS)


def test_there_are_families() -> None:
    assert "flux" in WORDS


@pytest.mark.parametrize("package", SHARED)
def test_shared_code_names_no_family_and_no_model(package: str) -> None:
    for path in (ROOT / package).glob("*.py"):
        text = path.read_text("utf-8").lower()
        assert not [word for word in WORDS if word in text], path
