"""Fetching model files from their hub, through modelscope.

What is there is compared with the hub first; then room, then bytes, then a check of what arrived. What is
interrupted is resumed by the next call. A wrong file is put aside, so that nothing loads it. Where files lie is
the business of `files.py`. No torch.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import itertools
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from pipeline.catalog import files
from pipeline.catalog.hub import LET_WRITE, Hub, HubFile, ModelScope, in_plain_words
from pipeline.catalog.layouts import identify
from pipeline.catalog.model_card import ModelCard, ModelFile
from pipeline.errors import DiskFull, FetchFailed, HubSilent

MARGIN_BYTES: Final = 256 * 2**20  # left free beside the files: databases and logs live on this disk too
WEIGHTS_SUFFIXES: Final = frozenset({".safetensors", ".gguf"})
SIMILAR_SHARE: Final = 0.1  # of the hub's size; a newer version of the same layout has about the same
_HASH_CHUNK_BYTES: Final = 8 * 2**20
_ASIDE: Final = re.compile(r".*\.rejected(-\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchProgress:
    """How far a fetch is. Bytes count files that were there before."""

    is_checking: bool
    done_bytes: int
    total_bytes: int


OnFetchProgress = Callable[[FetchProgress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """One file to fetch and where to."""

    repo: str
    listed: HubFile
    target: Path

    @property
    def has_its_size(self) -> bool:
        return self.target.is_file() and self.target.stat().st_size == self.listed.size_bytes

    @property
    def is_another_layout(self) -> bool:
        """Whether weights that can be drawn with lie there in fewer bits, or in more, than the hub has them."""
        if self.target.suffix not in WEIGHTS_SUFFIXES or not self.target.is_file():
            return False
        ratio = self.target.stat().st_size / max(1, self.listed.size_bytes)
        return not 1 - SIMILAR_SHARE < ratio < 1 + SIMILAR_SHARE and bool(identify(self.target).parts)

    def has_its_hash(self, on_bytes: Callable[[int], None]) -> bool:
        """Whether the content is the hub's; as far as sizes can tell where the hub gives no hash."""
        if self.listed.sha256 is None:
            on_bytes(self.listed.size_bytes)
            return True
        return _sha256(self.target, on_bytes) == self.listed.sha256.lower()

    def put_aside(self) -> Path:
        """Rename the file so that nothing loads it, beside others that were put aside before."""
        name = f"{self.target.name}.rejected"
        names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
        free = next(place for name in names if not (place := self.target.with_name(name)).exists())
        return self.target.replace(free)

    @property
    def bytes_begun(self) -> int:
        """Bytes of an interrupted download, which lie beside the target under longer names."""
        parts = self.target.parent.glob(f"{glob.escape(self.target.name)}?*")
        return sum(part.stat().st_size for part in parts if not _ASIDE.fullmatch(part.name))

    @property
    def bytes_arrived(self) -> int:
        """Bytes that are there of it, whole or begun."""
        return self.listed.size_bytes if self.has_its_size else self.bytes_begun


def fetch(
    card: ModelCard,
    models_dir: Path,
    *,
    endpoint: str | None = None,
    on_progress: OnFetchProgress = lambda _progress: None,
    hub: Hub | None = None,
) -> list[Path]:
    """Bring every file of a model to its place and check sizes and sha256. Blocks for minutes to hours.

    Files that are as the hub has them are not fetched again, nor are those of which another layout lies in their
    place and can be drawn with; each file is hashed once. `on_progress` is called
    from several threads, one at a time.

    Returns:
        Where files went that had been there with another content: fetched again, the old ones put aside.

    Raises:
        HubSilent: there is nothing to compare with or to fetch from; no file was touched.
        DiskFull: before the first byte, or when the disk fills up meanwhile.
        FetchFailed: says what is wrong with which file; calling again goes on from there.
    """
    hub = hub or ModelScope(endpoint)
    wanted = _list_wanted(card, models_dir, hub)
    total_bytes = sum(file.listed.size_bytes for file in wanted)
    checked = _Count(0, total_bytes, on_progress, is_checking=True)
    flawed = {flaw.path for flaw in files.missing(card, models_dir)}
    wanted = [file for file in wanted if file.target in flawed or not file.is_another_layout]
    lacking = [file for file in wanted if not (file.has_its_size and file.has_its_hash(checked.add))]
    _demand_room(models_dir, lacking)
    if lacking:
        _demand_folder(card, models_dir)
    for file in wanted:
        if file not in lacking and file.listed.sha256 is not None:  # whole, so what is left of another download is not
            for part in files.parts_beside(file.target):
                part.unlink(missing_ok=True)
    # What lies there with another content, or another size, may be dear to somebody; the hub's library would delete it.
    aside = [file.put_aside() for file in lacking if file.target.is_file()]

    count = _Count(total_bytes - sum(file.listed.size_bytes for file in lacking), total_bytes, on_progress)
    failures: dict[Path, str] = {}
    for repo in dict.fromkeys(file.repo for file in lacking):
        failures |= _download([file for file in lacking if file.repo == repo], models_dir / repo, hub, count)

    reasons = _check(lacking, failures, checked)
    if reasons:
        raise FetchFailed(card.name, reasons, aside=aside)
    return aside


def _download(wanted: Sequence[_Wanted], folder: Path, hub: Hub, count: _Count) -> dict[Path, str]:
    """Fetch the files of one repository, as long as bytes arrive; why each that failed did so.

    Raises:
        DiskFull
    """
    paths = [file.listed.path for file in wanted]
    arrived = sum(file.bytes_arrived for file in wanted)
    while True:
        try:
            hub.download(wanted[0].repo, paths, folder, count.add)
            return {}
        except Exception as error:  # noqa: BLE001 - a library's errors, told in plain words
            causes: Mapping[str, BaseException] = getattr(error, "failed_files", {}) or dict.fromkeys(paths, error)
        if any(isinstance(cause, OSError) and cause.errno == errno.ENOSPC for cause in causes.values()):
            _demand_room(folder, [file for file in wanted if not file.has_its_size])
        now = sum(file.bytes_arrived for file in wanted)
        is_cut_off = all(isinstance(cause, ConnectionError | TimeoutError) for cause in causes.values())
        if not is_cut_off or now <= arrived:
            first = next(iter(causes.values()))
            return {file.target: in_plain_words(causes.get(file.listed.path, first)) for file in wanted}
        arrived = now  # a line that is cut again and again is no reason to give up


def _list_wanted(card: ModelCard, models_dir: Path, hub: Hub) -> list[_Wanted]:
    """Match a card's entries with the hub's listing.

    Raises:
        HubSilent: a repository could not be listed.
        FetchFailed: the hub has no such file.
    """
    by_repo: dict[str, list[ModelFile]] = {}
    for file in card.files.values():
        if file.repo is not None and files.other_of(file, models_dir) is None:
            by_repo.setdefault(file.repo, []).append(file)
    listings = _list(card, list(by_repo), hub)
    wanted: dict[Path, _Wanted] = {}
    reasons: dict[Path, str] = {}
    for repo, entries in by_repo.items():
        for file in entries:
            found = [listed for listed in listings[repo] if _belongs(listed.path, file)]
            if not found:
                reasons[files.path_of(file, models_dir)] = f"is not in {repo}"
            for listed in found:
                target = models_dir / repo / listed.path
                wanted[target] = _Wanted(repo=repo, listed=listed, target=target)
    if reasons:
        raise FetchFailed(card.name, reasons)
    return list(wanted.values())


def _list(card: ModelCard, repos: Sequence[str], hub: Hub) -> dict[str, Sequence[HubFile]]:
    listings: dict[str, Sequence[HubFile]] = {}
    reasons: dict[str, str] = {}
    for repo in repos:
        try:
            listings[repo] = hub.list_files(repo)
        except Exception as error:  # noqa: BLE001 - a library's errors, told in plain words
            reasons[repo] = in_plain_words(error)
            if isinstance(error, OSError):  # the network: asking for the rest takes many seconds and changes nothing
                reasons |= {other: reasons[repo] for other in repos if other not in listings}
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


def _demand_room(models_dir: Path, lacking: Iterable[_Wanted]) -> None:
    """Raise DiskFull if the disk has no room for what is lacking."""
    needed = sum(max(0, file.listed.size_bytes - file.bytes_begun) for file in lacking)
    folder = models_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if needed and needed + MARGIN_BYTES > free:
        raise DiskFull(folder, needed + MARGIN_BYTES, free)


def _demand_folder(card: ModelCard, models_dir: Path) -> None:
    """Raise FetchFailed if nothing can be written there."""
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=models_dir):
            pass
    except OSError as error:
        reason = f"cannot be written ({error.strerror or error}): {LET_WRITE}"
        raise FetchFailed(card.name, {models_dir: reason}) from error


def _check(fetched: Sequence[_Wanted], failures: Mapping[Path, str], checked: _Count) -> dict[Path, str]:
    """Compare what was fetched with the listing; name what is wrong and put wrong content aside."""
    reasons: dict[Path, str] = {}
    for file in fetched:
        if not file.has_its_size:
            have = file.target.stat().st_size if file.target.is_file() else file.bytes_begun
            arrived = f"{have} of {file.listed.size_bytes} bytes arrived"
            reasons[file.target] = f"{failures[file.target]} ({arrived})" if file.target in failures else arrived
        elif not file.has_its_hash(checked.add):
            reasons[file.target] = (
                f"has another sha256 than the hub says; put aside as {file.put_aside().name}: what stands between this "
                "machine and the hub may change downloads, or the hub is being updated: try again later"
            )
    return reasons


def _sha256(path: Path, on_bytes: Callable[[int], None]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_HASH_CHUNK_BYTES):
            digest.update(chunk)
            on_bytes(len(chunk))
    return digest.hexdigest()


class _Count:
    """Adds up bytes from several threads; never above the total, which retries would exceed."""

    def __init__(
        self, done_bytes: int, total_bytes: int, on_progress: OnFetchProgress, *, is_checking: bool = False
    ) -> None:
        self._done_bytes = done_bytes
        self._total_bytes = total_bytes
        self._on_progress = on_progress
        self._is_checking = is_checking
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self._done_bytes = min(self._done_bytes + count, self._total_bytes)
            self._on_progress(
                FetchProgress(
                    is_checking=self._is_checking,
                    done_bytes=self._done_bytes,
                    total_bytes=self._total_bytes,
                )
            )
