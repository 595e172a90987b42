"""What the hub replaces after it was fetched: noticed, said, and taken only by whoever asks for it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.catalog import fetch_record
from pipeline.catalog.download import fetch
from pipeline.catalog.files import missing
from pipeline.catalog.hub import HubFile
from pipeline.catalog.model_card import MAIN_BRANCH
from pipeline.catalog.models import MODELS
from pipeline.catalog.newer import compare_with_hub, is_here
from pipeline.errors import FetchFailed, HubSilent
from tests.pipeline.catalog.test_download import CONTENT, FETCHED, MemoryHub, sha256
from tests.pipeline.catalog.test_files import CARD, REPO, safetensors

NEW = {"same size": CONTENT["dit.safetensors"][:-1] + b"!", "another size": safetensors(3100)}
COMMITTED = datetime(2031, 5, 17, 12, 30, tzinfo=UTC)


def moved_on(new: bytes = NEW["another size"]) -> MemoryHub:
    """The hub after somebody has replaced one file there."""
    hub = MemoryHub()
    hub.content["dit.safetensors"], hub.hashes["dit.safetensors"] = new, sha256(new)
    return hub


@pytest.fixture
def dit(tmp_path: Path) -> Path:
    """A file of a model that was fetched before the hub moved on."""
    fetch(CARD, tmp_path, hub=MemoryHub())
    return tmp_path / REPO / "dit.safetensors"


def record_of(tmp_path: Path) -> fetch_record.FetchRecord:
    return fetch_record.read(tmp_path / REPO)


def test_what_was_fetched_is_noted_with_its_revision_and_content(tmp_path: Path, dit: Path) -> None:
    record = record_of(tmp_path)
    assert record.revision == MAIN_BRANCH
    assert {name: file.sha256 for name, file in record.files.items()} == {
        name: sha256(CONTENT[name]) for name in FETCHED
    }
    content = json.loads((dit.parent / fetch_record.NAME).read_text())
    assert (content["repo"], content["files"][dit.name]["size_bytes"]) == (REPO, dit.stat().st_size)


@pytest.mark.parametrize("new", NEW.values(), ids=NEW)
def test_file_that_the_hub_has_replaced_is_kept_and_said(tmp_path: Path, dit: Path, new: bytes) -> None:
    for _ in range(2):  # the second time as the first
        hub = moved_on(new)
        found = fetch(CARD, tmp_path, hub=hub)
        assert (found.newer, found.aside, hub.asked) == ((dit,), (), [])
    assert dit.read_bytes() == CONTENT[dit.name]
    assert record_of(tmp_path).files[dit.name].sha256 == sha256(CONTENT[dit.name])


def test_newer_file_is_taken_by_an_update_and_the_old_one_put_aside(tmp_path: Path, dit: Path) -> None:
    found = fetch(CARD, tmp_path, hub=moved_on(), is_update=True)
    assert dit.read_bytes() == NEW["another size"]
    assert [path.read_bytes() for path in found.aside] == [CONTENT[dit.name]]
    again = fetch(CARD, tmp_path, hub=moved_on())
    assert (again.newer, again.aside) == ((), ())


def test_interrupted_update_is_resumed_by_any_fetch(tmp_path: Path, dit: Path) -> None:
    hub = moved_on()
    hub.break_after = 1000
    with pytest.raises(FetchFailed):
        fetch(CARD, tmp_path, hub=hub, is_update=True)
    second = moved_on()
    fetch(CARD, tmp_path, hub=second)
    assert dit.read_bytes() == NEW["another size"]
    assert second.sent == len(NEW["another size"]) - 1000


@pytest.mark.parametrize("is_there", [True, False], ids=["damaged", "deleted"])
def test_file_that_can_no_longer_be_had_as_it_was_is_said_and_not_silently_another(
    tmp_path: Path, dit: Path, is_there: bool
) -> None:
    damaged = b"!" + CONTENT[dit.name][1:]
    if is_there:
        dit.write_bytes(damaged)
    else:
        dit.unlink()
    hub = moved_on()
    with pytest.raises(FetchFailed, match=r"was fetched on \d{4}-\d\d-\d\d, .*fetch .* --update takes") as raised:
        fetch(CARD, tmp_path, hub=hub)
    assert (list(raised.value.reasons), hub.asked) == ([dit], [])
    assert not is_there or dit.read_bytes() == damaged
    fetch(CARD, tmp_path, hub=moved_on(), is_update=True)
    assert dit.read_bytes() == NEW["another size"]


def test_damaged_file_is_fetched_again_while_the_hub_has_the_same(tmp_path: Path, dit: Path) -> None:
    dit.write_bytes(b"!" + CONTENT[dit.name][1:])
    fetch(CARD, tmp_path, hub=MemoryHub())
    assert dit.read_bytes() == CONTENT[dit.name]


def test_files_that_came_otherwise_are_noted_once_they_were_compared(tmp_path: Path, dit: Path) -> None:
    (dit.parent / fetch_record.NAME).unlink()
    hub = MemoryHub()
    fetch(CARD, tmp_path, hub=hub)
    assert (hub.asked, set(record_of(tmp_path).files)) == ([], FETCHED)


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"[]",
        b"{",
        b"[" * 100_000,
        b"\xff",
        b'{"version": 1}',
        b'{"version": 2, "revision": "x", "files": {}}',
        b'{"version": 1, "revision": "master", "files": {"dit.safetensors": {"size_bytes": true, "sha256": 1}}}',
        b'{"version": 1, "revision": "master", "files": {"dit.safetensors": {"size_bytes": 1, "sha256": "%s", '
        b'"fetched_at": 1e300}}}' % (b"0" * 64),
    ],
    ids=range(9),
)
def test_note_that_makes_no_sense_counts_as_none(tmp_path: Path, dit: Path, note: bytes) -> None:
    (dit.parent / fetch_record.NAME).write_bytes(note)
    assert fetch(CARD, tmp_path, hub=MemoryHub()).aside == ()
    assert set(record_of(tmp_path).files) == FETCHED


def test_folder_that_cannot_be_written_is_compared_all_the_same(
    tmp_path: Path, dit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (dit.parent / fetch_record.NAME).unlink()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(fetch_record, "write_atomically", refuse)
    assert fetch(CARD, tmp_path, hub=MemoryHub()).aside == ()
    assert missing(CARD, tmp_path) == []


def test_comparison_names_what_is_newer_and_changes_nothing(tmp_path: Path, dit: Path) -> None:
    class Dated(MemoryHub):
        def list_files(self, repo: str, revision: str) -> list[HubFile]:
            return [replace(file, modified_at=COMMITTED) for file in super().list_files(repo, revision)]

    hub = Dated()
    assert compare_with_hub(CARD, tmp_path, hub=hub).newer == ()
    hub.content["dit.safetensors"] = NEW["another size"]
    hub.hashes["dit.safetensors"] = sha256(NEW["another size"])
    before = {path: path.read_bytes() for path in dit.parent.rglob("*") if path.is_file()}
    found = compare_with_hub(CARD, tmp_path, hub=hub)
    assert [(each.path, each.changed_at) for each in found.newer] == [(dit, COMMITTED)]
    assert (found.unknown, found.revisions, hub.asked) == ((), (MAIN_BRANCH,), [])
    assert {path: path.read_bytes() for path in dit.parent.rglob("*") if path.is_file()} == before


def test_comparison_calls_nothing_newer_that_was_put_there_by_hand(tmp_path: Path, dit: Path) -> None:
    (dit.parent / fetch_record.NAME).unlink()
    found = compare_with_hub(CARD, tmp_path, hub=moved_on())
    assert (found.newer, {path.name for path in found.unknown}) == ((), {Path(name).name for name in FETCHED})


def test_comparison_without_a_hub_says_so(tmp_path: Path) -> None:
    with pytest.raises(HubSilent):
        compare_with_hub(CARD, tmp_path, endpoint="http://127.0.0.1:9")


def test_model_is_here_once_one_of_its_files_is(tmp_path: Path) -> None:
    assert not is_here(CARD, tmp_path)
    fetch(CARD, tmp_path, hub=MemoryHub())
    assert is_here(CARD, tmp_path)


def test_files_of_a_repository_are_pinned_to_one_revision() -> None:
    for card in MODELS.values():
        pinned = {(file.repo, file.revision) for file in card.files.values() if file.repo is not None}
        assert len(pinned) == len({repo for repo, _ in pinned}), card.name
