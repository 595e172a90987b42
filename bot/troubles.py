"""Which entry of `docs/troubleshooting.md` a message about trouble leads to. Pure.

Both languages of that page have the same entries under the same anchors; `tests/test_troubleshooting.py` sees to that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bot.jobs import FailureCode

PAGE: Final = "docs/troubleshooting.md"

OF_FAILURES: Final[Mapping[FailureCode, str]] = {
    FailureCode.GENERATION_FAILED: "black-image",
    FailureCode.OUT_OF_MEMORY: "out-of-memory",
    FailureCode.TIMEOUT: "too-long",
    FailureCode.INTERRUPTED: "interrupted",
    FailureCode.MODEL_MISSING: "download-failed",
    FailureCode.LORA_MISSING: "lora-missing",
    FailureCode.INVALID_SPEC: "settings",
    FailureCode.STORAGE: "disk-full",
    FailureCode.UNREADABLE: "settings",
    FailureCode.NEWER_RELEASE: "settings",
    FailureCode.INPUT_GONE: "input-gone",
    FailureCode.BLOCKED: "blocked",
    FailureCode.OTHER: "settings",
}
# By the names of errors, which belong to several parts; a subclass has the entry of its nearest base.
OF_ERRORS: Final[Mapping[str, str]] = {
    "OutOfMemory": "out-of-memory",
    "ModelFilesMissing": "download-failed",
    "HubSilent": "download-failed",
    "FetchFailed": "download-failed",
    "LoraUnusable": "lora-missing",
    "LoraMisfit": "lora-missing",
    "DiskFull": "disk-full",
    "GpuUnusable": "no-gpu",
    "EngineDead": "gpu-gave-up",
    "GenerationFailed": "black-image",
    "AlreadyRunning": "already-running",
    "DatabaseUnusable": "database",
    "BackupFailed": "backup",
    "BackupUnusable": "backup",
}
# By the topics of what `check` reports.
OF_TOPICS: Final[Mapping[str, str]] = {
    "token": "token-refused",
    "database": "database",
    "backup": "backup",
    "disk": "disk-full",
    "gpu": "no-gpu",
    "files": "download-failed",
    "memory": "out-of-memory",
    "gpu memory": "out-of-memory",
    "console": "port-taken",
    "discord": "no-commands",
}
OF_FRONTENDS: Final[Mapping[str, str]] = {"discord": "token-refused", "console": "port-taken"}


def place(entry: str) -> str:
    """Return where an entry is, to be opened or typed."""
    return f"{PAGE}#{entry}"


def entry_of(error: BaseException) -> str | None:
    """Return the entry about an error; None if there is none."""
    named = (OF_ERRORS.get(kind.__name__) for kind in type(error).__mro__)
    found = next((entry for entry in named if entry is not None), None)
    return found or OF_FRONTENDS.get(str(getattr(error, "frontend", "")))
