"""Every message about trouble leads to an entry, in both languages, and entries quote what the program really says."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from fluent.syntax import FluentParser, ast

from bot.errors import (
    AlreadyRunning,
    BackupUnusable,
    ConfigError,
    DatabaseLocked,
    DatabaseUnusable,
    FrontendUnreachable,
)
from bot.jobs import FailureCode, JobStatus
from bot.presentation.job_view import ended_view
from bot.presentation.wording import LANGUAGES, wording_for
from bot.troubles import OF_ERRORS, OF_FAILURES, OF_FRONTENDS, OF_TOPICS, PAGE, entry_of, place
from pipeline.errors import InvalidSpec, OutOfMemory
from tests.bot.frontends.discord_app.test_embeds import a_job

ROOT = Path(__file__).parents[1]
PAGES = {"en": PAGE, "zh-CN": "docs/troubleshooting.zh-CN.md"}
LINK = re.compile(r"docs/troubleshooting(?:\.zh-CN)?\.md#([a-z0-9-]+)")
SOURCES = [path for name in ("bot", "pipeline") for path in (ROOT / name).rglob("*.py")]


def read(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def anchors(page: str) -> list[str]:
    return re.findall(r'^<a id="([a-z-]+)"></a>\n\n### ', read(page), re.MULTILINE)


def entries(page: str) -> dict[str, str]:
    parts = re.split(r'^<a id="([a-z-]+)"></a>$', read(page), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def shown(pattern: ast.Pattern | None) -> str:
    """A sentence as people see it; what differs is …"""
    elements = [] if pattern is None else pattern.elements
    return "".join(each.value if isinstance(each, ast.TextElement) else "…" for each in elements)


@cache
def said(language: str) -> str:
    """All sentences of a language, and all texts in the source."""
    path = ROOT / f"bot/presentation/wording/{language}.ftl"
    parsed = FluentParser().parse(path.read_text("utf-8"))
    sentences = [shown(each.value) for each in parsed.body if isinstance(each, ast.Message)]
    sources = "\n".join(re.sub(r"\{[^{}]*\}|%\.?\d*\w", "…", path.read_text("utf-8")) for path in SOURCES)
    return "\n".join(sentences) + sources


def links() -> set[str]:
    found = {anchor for path in SOURCES for anchor in LINK.findall(path.read_text("utf-8"))}
    named = (OF_FAILURES, OF_ERRORS, OF_TOPICS, OF_FRONTENDS)
    return found | {entry for entries_of in named for entry in entries_of.values()}  # type: ignore[attr-defined]


@pytest.mark.parametrize("page", PAGES.values())
def test_every_link_has_its_entry(page: str) -> None:
    there = anchors(page)
    assert links() <= set(there), "an entry is missing"
    assert len(there) == len(set(there)) and there == anchors(PAGE), "both languages, in the same order"


@pytest.mark.parametrize("language", PAGES)
def test_every_quoted_sentence_is_one_that_the_program_says(language: str) -> None:
    quoted = re.findall(r"^> (.+)$", read(PAGES[language]), re.MULTILINE)
    assert len(quoted) > 20
    assert [each for each in quoted if each not in said(language)] == []


@pytest.mark.parametrize("language", PAGES)
@pytest.mark.parametrize("code", FailureCode)
def test_entry_of_a_failure_quotes_its_sentence(code: FailureCode, language: str) -> None:
    entry = entries(PAGES[language])[OF_FAILURES[code]]
    sentence = wording_for(language).failure(code)
    quoted = re.findall(r"^> (.+)$", entry, re.MULTILINE)
    assert any(sentence.startswith(each.rstrip("。.")) for each in quoted), sentence


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", FailureCode)
def test_failed_image_says_where_more_is_said(code: FailureCode, language: str) -> None:
    view = ended_view(a_job(status=JobStatus.FAILED, failure_code=code))
    assert view.more is not None
    text = wording_for(language).say(view.more.key, entry=str(view.more.values["entry"]))
    page, _, anchor = text[text.index("docs/") :].partition("#")
    assert anchor in anchors(page)
    assert ended_view(a_job(status=JobStatus.DONE)).more is None


def test_relative_links_of_both_pages_lead_somewhere() -> None:
    for page in PAGES.values():
        for target, _, anchor in re.findall(r"\]\(([\w.-]*)(#([\w-]+))?\)", read(page)):
            assert not target or (ROOT / "docs" / target).is_file(), target
            if anchor and not target:
                assert anchor in anchors(page)


@pytest.mark.parametrize(
    ("error", "entry"),
    [
        (OutOfMemory(), "out-of-memory"),
        (AlreadyRunning(Path("x")), "already-running"),
        (DatabaseLocked(Path("x"), "locked"), "database"),
        (DatabaseUnusable(Path("x"), "damaged"), "database"),
        (BackupUnusable(Path("x"), "none"), "backup"),
        (FrontendUnreachable("discord", "down"), "token-refused"),
        (FrontendUnreachable("of a later release", "down"), None),
        (ConfigError(["x"]), None),
        (InvalidSpec("prompt", "is empty"), None),
        (ValueError("x"), None),
    ],
)
def test_error_leads_to_its_entry_or_to_none(error: Exception, entry: str | None) -> None:
    assert entry_of(error) == entry
    assert entry is None or place(entry) == f"docs/troubleshooting.md#{entry}"


def test_names_of_errors_are_those_of_classes() -> None:
    source = "\n".join((ROOT / path).read_text("utf-8") for path in ("bot/errors.py", "pipeline/errors.py"))
    assert {name for name in OF_ERRORS if f"class {name}(" not in source} == set()
