"""Newer versions are asked for only where this copy came from, and no answer can do more than not be known."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from bot.cli import program_updates as module
from bot.cli.program_updates import Unanswered, look_for_newer_program
from bot.findings import Mark


class Installed:
    """A copy of version 1.2.3 that came from somewhere."""

    version = "1.2.3"

    def __init__(self, origin: object) -> None:
        self.origin = origin

    def read_text(self, _name: str) -> str | None:
        return self.origin if isinstance(self.origin, str | None) else json.dumps(self.origin)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    return tmp_path


def look(monkeypatch: pytest.MonkeyPatch, origin: object, answer: str) -> tuple[Mark, str, list[Sequence[str]]]:
    asked: list[Sequence[str]] = []

    def ask(command: Sequence[str]) -> str:
        asked.append(command)
        return answer

    monkeypatch.setattr(module, "distribution", lambda _name: Installed(origin))
    (finding,) = look_for_newer_program(ask)
    return finding.mark, finding.text, asked


@pytest.mark.parametrize(
    ("tags", "mark", "said"),
    [
        ("a\trefs/tags/v1.10.0\nb\trefs/tags/v1.9.0\n", Mark.NOTE, "version 1.10.0 is there, yours is 1.2.3"),
        ("a\trefs/tags/v1.2.3\n", Mark.OK, "nothing newer"),
        ("a\trefs/tags/v2.0.0rc1\nb\trefs/tags/2\nc\trefs/tags/9.9.9/x\n", Mark.OK, "nothing newer"),
        ("", Mark.OK, "nothing newer"),
        ("\x1b[31m\x00" + "refs/tags/v99999999.0.0\n" * 3, Mark.OK, "nothing newer"),
    ],
)
def test_tags_of_a_clone_are_compared_as_numbers(
    monkeypatch: pytest.MonkeyPatch, clone: Path, tags: str, mark: Mark, said: str
) -> None:
    found, text, asked = look(monkeypatch, {"url": clone.as_uri(), "dir_info": {"editable": True}}, tags)
    assert (found, said in text) == (mark, True)
    assert asked == [["git", "-C", str(clone), "ls-remote", "--tags", "--refs"]]


def test_index_is_asked_by_its_own_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_pip", lambda: ["pip"])
    mark, text, asked = look(monkeypatch, None, "imagine-bot (1.4.0)\nAvailable versions: 1.4.0, 1.2.3, 1.5.0rc1\n")
    assert (mark, asked) == (Mark.NOTE, [["pip", "index", "versions", "imagine-bot"]]) and "1.4.0" in text


@pytest.mark.parametrize(
    "origin",
    [
        {"url": "ext::sh -c evil", "vcs_info": {}},
        {"url": "--upload-pack=evil", "vcs_info": {}},
        {"url": "https://example.org/imagine_bot.whl", "archive_info": {}},
        {"url": "file:///nowhere"},
    ],
)
def test_origin_that_is_no_repository_is_not_asked(monkeypatch: pytest.MonkeyPatch, origin: object) -> None:
    mark, text, asked = look(monkeypatch, origin, "refs/tags/v9.9.9")
    assert (mark, asked) == (Mark.NOTE, []) and "not known" in text


@pytest.mark.parametrize("origin", ["{", "[" * 100_000, "[1]", "null", "{}", ""])
def test_damaged_origin_counts_as_none(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    monkeypatch.setattr(module, "_pip", lambda: ["pip"])
    assert look(monkeypatch, origin, "")[0] is Mark.OK


def test_who_does_not_answer_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unanswered, match="is not installed"):
        module._ask(["no-such-program-here"])
    failed = subprocess.CompletedProcess([], 128, b"", b"warning\nfatal: no route\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(Unanswered, match=r"does not answer \(fatal: no route\)"):
        module._ask(["git"])

    def hang(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("git", 30)

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(Unanswered, match="no answer"):
        module._ask(["git"])
