"""Documents agree with the tree: what they name exists, and prose has one sentence per line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAPS = ("docs/architecture.md", "docs/glossary.md", "CONTRIBUTING.md")
PROSE = (
    *("README.md", "README.zh-CN.md", "CONTRIBUTING.md", "CHANGELOG.md"),
    *sorted(f"docs/{path.name}" for path in ROOT.glob("docs/*.md")),
)
CODE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
FILE = r"\.?[\w-]+(?:\.[\w-]+)*\.(?:py|md|toml|sql|ftl|js|css)"
PLACE = re.compile(rf"(?:\.?[\w-]+/)+(?:{FILE})?|{FILE}")
ENDED = r"[.!?][”\")*]*"  # a sentence, in what closes around it
CROWDED = re.compile(rf"(?<!\be\.g)(?<!\bi\.e){ENDED} +[“\"(*`\[]*[A-Z]|[。！？][^”）」*\s]")
UNBROKEN = re.compile(rf"(?:{ENDED}|[:。：？！]\**)$| · ?|^!?\[.*\)$")  # may be followed by another line
PATTERNS = ("NNNN_words.sql",)  # names of files that are still to be written
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
PROMISES = ("docs/features.md", "docs/security.md")  # what shows that each of them is kept


def read(document: str) -> str:
    return ROOT.joinpath(document).read_text("utf-8")


def places(text: str) -> Iterator[str]:
    """What looks like a file or a folder, in backticks."""
    for quoted in re.findall(r"`([^`\n]+)`", text):
        if PLACE.fullmatch(quoted) and quoted not in PATTERNS:
            yield quoted


def tree(text: str) -> Iterator[str]:
    """The paths in the tree of the architecture: names, indented by two spaces for each folder, then what they are."""
    block = text.partition("## The tree\n\n```\n")[2].partition("\n```\n")[0]
    folders: list[str] = []
    for line in block.splitlines():
        depth = len(line) - len(line.lstrip())
        if depth > 8:  # what the names on the line above are
            continue
        names, _, words = line.strip().partition("  ")
        folders[depth // 2 :] = [names.rstrip("/")]
        above = "".join(f"{folder}/" for folder in folders[:-1])
        yield from (above + name for name in names.split(", "))
        if names.endswith("/"):
            yield from (f"{above}{names}{inner}" for inner in re.findall(r"(?<!\S)[\w]+(?:\.py|/)(?!\S\w)", words))


def paragraphs(text: str) -> Iterator[list[str]]:
    """The lines of each paragraph or list item, without code, tables, headings and quotations."""
    lines: list[str] = []
    for line in [*CODE.sub("", text).splitlines(), ""]:
        is_prose = bool(line.strip()) and not line.startswith(("#", "|", "    ", "> "))
        item = re.match(r" *(?:[-*]|\d+\.) ", line)
        if lines and (item or not is_prose):
            yield lines
            lines = []
        if is_prose:
            lines.append(line[item.end() :] if item else line.strip())


@pytest.mark.parametrize("document", MAPS)
def test_every_file_and_folder_that_a_map_names_exists(document: str) -> None:
    named = set(places(read(document)))
    assert len(named) > 10
    assert [place for place in sorted(named) if not (ROOT / place).exists()] == []


def test_tree_of_the_architecture_exists_and_shows_every_package() -> None:
    shown = set(tree(read("docs/architecture.md")))
    assert len(shown) > 40
    assert [path for path in sorted(shown) if not (ROOT / path).exists()] == []
    packages = [
        path.parent.relative_to(ROOT) for top in ("bot", "pipeline") for path in (ROOT / top).glob("*/__init__.py")
    ]
    assert {f"{package.as_posix()}/" for package in packages} - shown == set()


def test_glossary_defines_each_term_once_and_shows_where_it_lives() -> None:
    rows = [line.strip("| ").split(" | ") for line in read("docs/glossary.md").splitlines() if line.startswith("| ")]
    terms = [row for row in rows if row[0] not in ("term", "---")]
    assert len({term[0] for term in terms}) == len(terms) > 30
    for term, _meaning, chinese, where in terms:
        assert chinese.count(" · ") == 1, term
        path, *names = re.findall(r"`([^`]+)`", where)
        place = ROOT / path
        code = "".join(file.read_text("utf-8") for file in (place.glob("*.py") if place.is_dir() else [place]))
        assert all(re.search(rf"\b{name}\b", code) for name in names), term


@pytest.mark.parametrize("document", PROMISES)
def test_every_test_that_a_promise_names_exists(document: str) -> None:
    named = set(TEST.findall(read(document)))
    assert len(named) > 10
    code = {path: (ROOT / path).read_text("utf-8") if (ROOT / path).is_file() else "" for path, _ in named}
    missing = [(path, test) for path, test in sorted(named) if not re.search(rf"\bdef {test}\(", code[path])]
    assert missing == []
    assert len(named) == len(set(re.findall(r"tests/[^`\s]*::[^`\s]*", read(document))))  # none is written otherwise


def test_every_feature_has_its_own_number_and_a_test() -> None:
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", read("docs/features.md"), re.MULTILINE)
    features = [number for number, cells in rows if not TEST.search(cells)]
    shown = [number for number, cells in rows if TEST.search(cells)]
    assert features == shown == [str(number) for number in range(1, len(features) + 1)]
    assert {cells.count(" | ") for number, cells in rows if not TEST.search(cells)} == {8}  # a cell for every bot


@pytest.mark.parametrize("document", PROSE)
def test_prose_has_one_sentence_per_line(document: str) -> None:
    found = list(paragraphs(read(document)))
    assert len(found) > 0
    assert [line for lines in found for line in lines if CROWDED.search(line)] == []
    assert [line for lines in found for line in lines[:-1] if not UNBROKEN.search(line)] == []
