"""Fixtures for tests of `bot`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import structlog

from bot import logs
from tests.bot.findings import CARD


@pytest.fixture
def clean_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Logging, and the list of secrets, as they were before, whatever a test sets up."""
    monkeypatch.setattr(logs, "_secrets", set())
    # Imported by an earlier test of the process, it writes its lines itself; in service that is a print like any other.
    monkeypatch.setattr(logging.getLogger("modelscope"), "handlers", [])
    monkeypatch.setattr(logging.getLogger("modelscope"), "propagate", True)
    root = logging.getLogger()
    loggers = [logging.getLogger(name) for name in logs.OUR_PACKAGES]
    handlers, levels = root.handlers[:], [(logger, logger.level) for logger in (root, *loggers)]
    yield
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    for logger, level in levels:
        logger.setLevel(level)


@pytest.fixture
def clean_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty working folder, and user folders inside it."""
    for name in ("HOME", "USERPROFILE", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def enough_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """16 GiB of main memory, of which half is free."""
    memory = psutil.virtual_memory()._replace(available=8 * 2**30, total=16 * 2**30)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, enough_memory: None) -> None:
    """An 8 GB card with its driver."""
    monkeypatch.setattr("pipeline.device.gpu.find_gpu", lambda: CARD)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch, enough_memory: None) -> None:
    """No card, whatever this machine has."""
    monkeypatch.setattr("pipeline.device.gpu.find_gpu", lambda: None)


@pytest.fixture
def data_dir(clean_place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of the config, which is not there yet."""
    monkeypatch.setenv("IMAGINE_BOT__STORAGE__DATA_DIR", str(clean_place / "data"))
    monkeypatch.setenv("IMAGINE_BOT__STORAGE__MIN_FREE_MIB", "1")
    return clean_place / "data"
