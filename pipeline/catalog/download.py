"""Fetching model files from their hub, through modelscope.

What is there is compared with the hub first (`listing.py`); then room, then bytes, then a check of what arrived. What
is interrupted is resumed by the next call. A wrong file is put aside, so that nothing loads it. What was fetched is
noted (`fetch_record.py`): a file that the hub has replaced since is said and kept, unless the newer one is asked for.
Where files lie is the business of `files.py`. No torch.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Final

from pipeline.catalog import fetch_record, files
from pipeline.catalog.fetch_record import FetchedFile, FetchRecord
from pipeline.catalog.file_owner import FileOwner
from pipeline.catalog.hub import LET_WRITE, Hub, ModelScope, in_plain_words
from pipeline.catalog.listing import Wanted, by_repository, list_wanted
from pipeline.errors import DiskFull, FetchFailed

MARGIN_BYTES: Final = 256 * 2**20  # left free beside the files: databases and logs live on this disk too
_HASH_CHUNK_BYTES: Final = 8 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchProgress:
    """How far a fetch is. Bytes count files that were there before."""

    is_checking: bool
    done_bytes: int
    total_bytes: int


OnFetchProgress = Callable[[FetchProgress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What a fetch found beside the files that it brought.

    aside: where files went that had been there with another content; the hub's are in their places now.
    newer: files that were kept as they were fetched, though the hub has newer ones.
    """

    aside: tuple[Path, ...] = ()
    newer: tuple[Path, ...] = ()


class _State(Enum):
    """What a file that a model needs is, beside the one that the hub lists."""

    WHOLE = auto()  # the same
    KEPT = auto()  # the one that was fetched; the hub has replaced it since
    LACKING = auto()  # not there, or something else
    GONE = auto()  # the same, and what was fetched is no longer to be had


def fetch(
    card: FileOwner,
    models_dir: Path,
    *,
    endpoint: str | None = None,
    on_progress: OnFetchProgress = lambda _progress: None,
    hub: Hub | None = None,
    is_update: bool = False,
) -> Fetched:
    """Bring every file of a model to its place and check sizes and sha256. Blocks for minutes to hours.

    Files that are as the hub has them are not fetched again; each file is hashed once. `on_progress` is called
    from several threads, one at a time. Files that the hub has replaced are replaced here if `is_update`.

    Raises:
        HubSilent: there is nothing to compare with or to fetch from; no file was touched.
        DiskFull: before the first byte, or when the disk fills up meanwhile.
        FetchFailed: says what is wrong with which file; calling again goes on from there.
    """
    hub = hub or ModelScope(endpoint)
    wanted = list_wanted(card, models_dir, hub)
    total_bytes = sum(file.listed.size_bytes for file in wanted)
    checked = _Count(0, total_bytes, on_progress, is_checking=True)
    states = {file: _state_of(file, checked.add, is_update=is_update) for file in wanted}
    _demand_that_nothing_is_gone(card, states)
    lacking = [file for file in wanted if states[file] is _State.LACKING]
    _demand_room(models_dir, lacking)
    if lacking:
        _demand_folder(card, models_dir)
    for file in wanted:
        if states[file] is _State.WHOLE and file.listed.sha256 is not None:  # what is left of another download is not
            for part in files.parts_beside(file.target):
                part.unlink(missing_ok=True)
    _note(models_dir, states, {file for file in wanted if states[file] is _State.WHOLE})
    # What lies there with another content, or another size, may be dear to somebody; the hub's library would delete it.
    aside = tuple(_put_aside(file.target) for file in lacking if file.target.is_file())

    count = _Count(total_bytes - sum(file.listed.size_bytes for file in lacking), total_bytes, on_progress)
    failures: dict[Path, str] = {}
    for repo, files_of_it in by_repository(lacking).items():
        failures |= _download(files_of_it, models_dir / repo, hub, count)

    reasons = _check(lacking, failures, checked)
    kept = {file for file in wanted if states[file] is _State.KEPT}
    _note(models_dir, states, {file for file in wanted if file not in kept and file.target not in reasons})
    if reasons:
        raise FetchFailed(card.name, reasons, aside=aside)
    return Fetched(aside=aside, newer=tuple(file.target for file in wanted if file in kept))


def _state_of(file: Wanted, on_bytes: Callable[[int], None], *, is_update: bool) -> _State:
    """Compare a file with the hub's listing and with what was fetched; by sizes where the hub gives no hash."""
    replaced = None if is_update else file.replaced
    sizes = {file.listed.size_bytes} if replaced is None else {file.listed.size_bytes, replaced.size_bytes}
    if file.target.is_file() and (size := file.target.stat().st_size) in sizes:
        if file.listed.sha256 is None and size == file.listed.size_bytes:
            on_bytes(size)
            return _State.WHOLE
        digest = _sha256(file.target, on_bytes)
        if file.listed.sha256 is not None and digest == file.listed.sha256.lower():
            return _State.WHOLE
        if replaced is not None and digest == replaced.sha256:
            return _State.KEPT
    return _State.LACKING if replaced is None else _State.GONE


def _demand_that_nothing_is_gone(card: FileOwner, states: Mapping[Wanted, _State]) -> None:
    """Raise FetchFailed if a file that was fetched before is to be had in another version only."""
    reasons = {
        file.target: f"was fetched on {file.replaced.day}, and the hub has replaced it since: "
        f"imagine-bot fetch {card.name} --update takes the newer one"
        for file, state in states.items()
        if state is _State.GONE and file.replaced is not None
    }
    if reasons:
        raise FetchFailed(card.name, reasons)


def _note(models_dir: Path, states: Mapping[Wanted, _State], whole: AbstractSet[Wanted]) -> None:
    """Note the content of files that are as the hub lists them; the notes of kept files stay, those of others go.

    A note that cannot be written is none: the files are there all the same.
    """
    now = int(time.time())
    for repo, wanted in by_repository(states).items():
        before = fetch_record.read(models_dir / repo)
        noted = dict(before.files)
        for file in wanted:
            if file in whole and file.listed.sha256 is not None:
                sha256 = file.listed.sha256.lower()
                if (known := noted.get(file.listed.path)) is None or known.sha256 != sha256:
                    noted[file.listed.path] = FetchedFile(
                        size_bytes=file.listed.size_bytes, sha256=sha256, fetched_at=now
                    )
            elif states[file] is not _State.KEPT:
                noted.pop(file.listed.path, None)
        record = FetchRecord(revision=wanted[0].revision, files=noted)
        if record != before and (noted or before.files):
            with contextlib.suppress(OSError):
                fetch_record.write(models_dir / repo, repo, record)


def _put_aside(target: Path) -> Path:
    """Rename a file so that nothing loads it, beside others that were put aside before."""
    name = f"{target.name}.rejected"
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    free = next(place for name in names if not (place := target.with_name(name)).exists())
    return target.replace(free)


def _download(wanted: Sequence[Wanted], folder: Path, hub: Hub, count: _Count) -> dict[Path, str]:
    """Fetch the files of one repository, as long as bytes arrive; why each that failed did so.

    Raises:
        DiskFull
    """
    paths = [file.listed.path for file in wanted]
    arrived = sum(file.bytes_arrived for file in wanted)
    while True:
        try:
            hub.download(wanted[0].repo, wanted[0].revision, paths, folder, count.add)
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


def _demand_room(models_dir: Path, lacking: Iterable[Wanted]) -> None:
    """Raise DiskFull if the disk has no room for what is lacking."""
    needed = sum(max(0, file.listed.size_bytes - file.bytes_begun) for file in lacking)
    folder = models_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if needed and needed + MARGIN_BYTES > free:
        raise DiskFull(folder, needed + MARGIN_BYTES, free)


def _demand_folder(card: FileOwner, models_dir: Path) -> None:
    """Raise FetchFailed if nothing can be written there."""
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=models_dir):
            pass
    except OSError as error:
        reason = f"cannot be written ({error.strerror or error}): {LET_WRITE}"
        raise FetchFailed(card.name, {models_dir: reason}) from error


def _check(fetched: Sequence[Wanted], failures: Mapping[Path, str], checked: _Count) -> dict[Path, str]:
    """Compare what was fetched with the listing; name what is wrong and put wrong content aside."""
    reasons: dict[Path, str] = {}
    for file in fetched:
        if not file.has_its_size:
            have = file.target.stat().st_size if file.target.is_file() else file.bytes_begun
            arrived = f"{have} of {file.listed.size_bytes} bytes arrived"
            reasons[file.target] = f"{failures[file.target]} ({arrived})" if file.target in failures else arrived
        elif file.listed.sha256 is None:
            checked.add(file.listed.size_bytes)
        elif _sha256(file.target, checked.add) != file.listed.sha256.lower():
            reasons[file.target] = (
                f"has another sha256 than the hub says; put aside as {_put_aside(file.target).name}: what stands "
                "between this machine and the hub may change downloads, or the hub is being updated: try again later"
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
