"""The files that a model needs from the hub: its card matched with the hub's listing and with what was fetched before.

Asks the hub and looks at the disk; reads no content and changes nothing. No torch.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from pipeline.catalog import fetch_record, files
from pipeline.catalog.fetch_record import FetchedFile
from pipeline.catalog.file_owner import FileOwner
from pipeline.catalog.hub import Hub, HubFile, in_plain_words
from pipeline.catalog.layouts import identify
from pipeline.catalog.model_card import ModelFile
from pipeline.errors import FetchFailed, HubSilent

WEIGHTS_SUFFIXES: Final = frozenset({".safetensors", ".gguf"})
SIMILAR_SHARE: Final = 0.1  # of the hub's size; another version in the same layout has about the same
ASIDE: Final = re.compile(r".*\.rejected(-\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One file to fetch and where to.

    recorded: its content when it was fetched, if that is noted.
    """

    repo: str
    revision: str
    listed: HubFile
    target: Path
    recorded: FetchedFile | None

    @property
    def has_its_size(self) -> bool:
        """Whether a file of the hub's size is there."""
        return self.target.is_file() and self.target.stat().st_size == self.listed.size_bytes

    @property
    def is_another_layout(self) -> bool:
        """Whether weights lie there that somebody placed, in fewer bits than the hub has them, or in more."""
        if self.recorded is not None or self.target.suffix not in WEIGHTS_SUFFIXES or not self.target.is_file():
            return False
        ratio = self.target.stat().st_size / max(1, self.listed.size_bytes)
        return not 1 - SIMILAR_SHARE < ratio < 1 + SIMILAR_SHARE and bool(identify(self.target).parts)

    @property
    def replaced(self) -> FetchedFile | None:
        """What was fetched, if the hub has replaced it since."""
        if self.recorded is None:
            return None
        if self.listed.sha256 is None:
            is_same = self.listed.size_bytes == self.recorded.size_bytes
        else:
            is_same = self.listed.sha256.lower() == self.recorded.sha256
        return None if is_same else self.recorded

    @property
    def bytes_begun(self) -> int:
        """Bytes of an interrupted download, which lie beside the target under longer names."""
        parts = self.target.parent.glob(f"{glob.escape(self.target.name)}?*")
        return sum(part.stat().st_size for part in parts if not ASIDE.fullmatch(part.name))

    @property
    def bytes_arrived(self) -> int:
        """Bytes that are there of it, whole or begun."""
        return self.listed.size_bytes if self.has_its_size else self.bytes_begun


def list_wanted(card: FileOwner, models_dir: Path, hub: Hub) -> list[Wanted]:
    """Match a card's entries with the hub's listing, at the revisions that the card names.

    A file is not wanted if it lies there in another layout, and can be drawn with.

    Raises:
        HubSilent: a repository could not be listed.
        FetchFailed: the hub has no such file.
    """
    by_repo: dict[str, list[ModelFile]] = {}
    for name, file in card.files.items():
        if file.repo is not None and not files.has_other(card, name, models_dir):
            by_repo.setdefault(file.repo, []).append(file)
    revisions = {repo: entries[0].revision for repo, entries in by_repo.items()}
    listings = _list(card, revisions, hub)
    wanted: dict[Path, Wanted] = {}
    reasons: dict[Path, str] = {}
    for repo, entries in by_repo.items():
        recorded = fetch_record.read(models_dir / repo).files
        for file in entries:
            found = [listed for listed in listings[repo] if _belongs(listed.path, file)]
            if not found:
                reasons[files.path_of(file, models_dir)] = f"is not in {repo}"
            for listed in found:
                target = models_dir / repo / listed.path
                wanted[target] = Wanted(
                    repo=repo,
                    revision=revisions[repo],
                    listed=listed,
                    target=target,
                    recorded=recorded.get(listed.path),
                )
    if reasons:
        raise FetchFailed(card.name, reasons)
    flawed = {flaw.path for flaw in files.missing(card, models_dir)}
    return [file for file in wanted.values() if file.target in flawed or not file.is_another_layout]


def by_repository(wanted: Iterable[Wanted]) -> dict[str, list[Wanted]]:
    """Sort files by where they come from."""
    found: dict[str, list[Wanted]] = {}
    for file in wanted:
        found.setdefault(file.repo, []).append(file)
    return found


def _list(card: FileOwner, revisions: dict[str, str], hub: Hub) -> dict[str, Sequence[HubFile]]:
    listings: dict[str, Sequence[HubFile]] = {}
    reasons: dict[str, str] = {}
    for repo, revision in revisions.items():
        try:
            listings[repo] = hub.list_files(repo, revision)
        except Exception as error:  # noqa: BLE001 - a library's errors, told in plain words
            reasons[repo] = in_plain_words(error)
            if isinstance(error, OSError):  # the network: asking for the rest takes many seconds and changes nothing
                reasons |= {other: reasons[repo] for other in revisions if other not in listings}
                break
    if reasons:
        raise HubSilent(card.name, reasons)
    return listings


def _belongs(path: str, file: ModelFile) -> bool:
    """Whether a listed path is one that an entry asks for, and safe to write and to read."""
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or parts.suffix in files.UNSAFE_SUFFIXES:
        return False
    return path.startswith(file.path) if file.is_folder else path == file.path
