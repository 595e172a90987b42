"""The hub that model files come from: ModelScope, its library tamed, its errors in plain words. No torch."""

from __future__ import annotations

import errno
import functools
import glob
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

_SECONDS_OF_A_MONTH: Final = 30 * 86_400
LET_WRITE: Final = "let this user write there, or set [pipeline] models_dir to another folder"
_LOG_IN: Final = "log in, and agree to the licence on its page, then set MODELSCOPE_API_TOKEN, see docs/operating.md"
_IN_BETWEEN: Final = "the log-in page of a network may stand in between: open any page in a browser, then try again"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """A file as the hub lists it; `sha256` and `modified_at`, of its last commit, are None where the hub gives none."""

    path: str
    size_bytes: int
    sha256: str | None = None
    modified_at: datetime | None = None


class Hub(Protocol):
    """A place to fetch from; `ModelScope`, or a fake in tests."""

    def list_files(self, repo: str, revision: str) -> Sequence[HubFile]:
        """List every file of a repository at a revision: a branch, a tag or a commit."""

    def download(
        self, repo: str, revision: str, paths: Sequence[str], folder: Path, on_bytes: Callable[[int], None]
    ) -> None:
        """Bring files to `folder / path`, resuming what an earlier call began.

        `on_bytes` is told how many more have arrived, from any thread. Raises whatever went wrong; files
        that are whole by then stay.
        """


class ModelScope:
    """The ModelScope hub. Its library takes a second to import, so that waits until it is needed."""

    def __init__(self, endpoint: str | None) -> None:
        self._endpoint = endpoint

    def list_files(self, repo: str, revision: str) -> list[HubFile]:
        """Ask the hub for sizes, hashes and dates."""
        from modelscope_hub import HubApi

        _tame_modelscope()
        api = HubApi(endpoint=self._endpoint)
        if self._endpoint is None:
            api = HubApi(endpoint=api.resolve_endpoint_for_read(repo))
        return [
            HubFile(
                path=file.path,
                size_bytes=file.size,
                sha256=file.sha256,
                modified_at=file.last_modified if isinstance(file.last_modified, datetime) else None,
            )
            for file in api.list_repo_files(repo, "model", revision=revision)
            if not file.is_dir
        ]

    def download(
        self, repo: str, revision: str, paths: Sequence[str], folder: Path, on_bytes: Callable[[int], None]
    ) -> None:
        """Fetch with modelscope, which resumes, retries and checks each file."""
        from modelscope import snapshot_download
        from modelscope_hub import ProgressCallback

        class Report(ProgressCallback):
            """Made by modelscope for each file."""

            def update(self, size: int) -> None:
                on_bytes(size)

        _tame_modelscope()
        snapshot_download(
            repo,
            revision=revision,
            local_dir=str(folder),
            allow_patterns=[glob.escape(path) for path in paths],
            progress_callbacks=[Report],
            endpoint=self._endpoint,
        )


def _tame_modelscope() -> None:
    """Take away modelscope's own progress bar and log lines, and what makes it give up, or not, where we would not."""
    from modelscope_hub import _download, _legacy_api, _openapi

    _download.tqdm = functools.partial(_download.tqdm, disable=True)  # type: ignore[attr-defined]
    for name in ("modelscope", "modelscope_hub"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.CRITICAL + 1)  # we say it in our words
    # An hour for each file is little on a slow line. What stands still for a minute is given up.
    _download.DOWNLOAD_TOTAL_TIMEOUT = _SECONDS_OF_A_MONTH  # type: ignore[attr-defined]
    _download.DOWNLOAD_MIN_BYTES_PER_SECOND = 1  # type: ignore[attr-defined]
    # What arrived wrong would be fetched twice more, tens of gigabytes, without a word.
    _download.DOWNLOAD_HASH_RETRY_TIMES = 1
    # Who has no connection shall know within seconds: two tries.
    _legacy_api.REPO_TREE_PAGE_MAX_ATTEMPTS = 2  # type: ignore[attr-defined]
    _openapi.API_MAX_RETRIES = 2  # type: ignore[attr-defined]


def in_plain_words(error: BaseException) -> str:
    """What went wrong and the way out, in English: modelscope's messages are partly Chinese and full of addresses.

    Its errors are told apart by what they share with others: builtin base classes, `status_code`, `suggestion`.
    """
    match getattr(error, "status_code", None):
        case 401 | 403 as status:
            return f"the hub refuses access (HTTP {status}): {_LOG_IN}"
        case 404:
            return "the hub does not have it (HTTP 404): [pipeline] endpoint may name the wrong hub"
        case int() as status:
            return f"the hub answered with an error (HTTP {status}): try again later"
    match type(error).__name__:
        case "FileIntegrityError":
            return (
                "File SHA256 checksum mismatch, so what arrived was thrown away: what stands between this machine and "
                "the hub may change downloads, or the hub is being updated: try again later"
            )
        case "FileSizeMismatchError":
            return f"the hub sends another size than it lists: {_IN_BETWEEN}"
    text = str(error).strip().partition("\n")[0]
    if "SOCKS" in text:
        return "SOCKS proxies are not supported: name an HTTP proxy in HTTPS_PROXY, or unset ALL_PROXY"
    if isinstance(error, ValueError) and not hasattr(error, "suggestion"):  # of a JSON reader
        return f"what answered is not the hub, or not as it should: {_IN_BETWEEN}"
    if hasattr(error, "suggestion"):
        if "proxyerror" in text.lower() or "cannot connect to proxy" in text.lower():
            return "no connection to the proxy: look at HTTPS_PROXY, or [discord] proxy"
        if "certificate" in text.lower():
            return f"the hub's certificate cannot be verified: {_IN_BETWEEN}"
        if isinstance(error, TimeoutError):
            return "no answer from the hub in time: check the connection"
        if isinstance(error, ConnectionError):
            return "no connection to the hub: check the network"
        if not text.isascii():
            return str(error.suggestion)
    if isinstance(error, PermissionError) or (isinstance(error, OSError) and error.errno == errno.EROFS):
        return f"{text}: {LET_WRITE}"
    return text or type(error).__name__
