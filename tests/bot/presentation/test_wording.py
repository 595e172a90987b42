"""Both languages say everything, with the same values, and nothing is left over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fluent.syntax import FluentParser, ast
from fluent.syntax.visitor import Visitor

import bot.frontends.discord_app.client
import bot.frontends.web.handlers  # noqa: F401 - these bring every Refusal of the front ends into being
from bot.errors import CoolingDown, JobTooLarge, QueueFull, Refusal, TooManyJobs
from bot.jobs import FailureCode
from bot.pause import PauseKind
from bot.presentation import wording as wording_module
from bot.presentation.wording import LANGUAGES, key_of, wording_for
from pipeline import InvalidSpec

FOLDER = Path(wording_module.__file__).parent
PACKAGE = FOLDER.parents[1]
SOURCES = [path for name in ("presentation", "frontends") for path in (PACKAGE / name).rglob("*.py")]


class Variables(Visitor):
    """Collects the names of the variables in a sentence."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def visit_VariableReference(self, node: ast.VariableReference) -> None:  # noqa: N802 - fluent's name
        self.names.add(node.id.name)


def sentences(language: str) -> dict[str, set[str]]:
    """Key → names of its variables."""
    resource = FluentParser().parse((FOLDER / f"{language}.ftl").read_text("utf-8"))
    found = {}
    for entry in resource.body:
        assert not isinstance(entry, ast.Junk), entry.content
        if isinstance(entry, ast.Message):
            assert entry.id.name not in found, f"{entry.id.name} is there twice"
            variables = Variables()
            variables.visit(entry)
            found[entry.id.name] = variables.names
    return found


def refusals(kind: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from refusals(subclass)


def test_languages_have_the_same_keys() -> None:
    first, *others = (sentences(language) for language in LANGUAGES)
    for other in others:
        assert other.keys() == first.keys()


def test_translations_use_no_other_variables_than_english() -> None:
    english, chinese = (sentences(language) for language in LANGUAGES)
    assert {key: names for key, names in chinese.items() if names != english[key]} == {}


def test_every_refusal_has_a_sentence() -> None:
    assert {kind.__name__ for kind in refusals() if key_of(kind) not in sentences("en")} == set()


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
@pytest.mark.parametrize("code", FailureCode)
def test_every_failure_has_a_sentence(code: FailureCode, locale: str) -> None:
    assert len(wording_for(locale).failure(code)) > 10


def test_no_sentence_is_unused() -> None:
    sources = "\n".join(path.read_text("utf-8") for path in SOURCES)
    said = set(re.findall(r'"([a-z]+(?:-[a-z]+)+)"', sources))
    said |= {f"{prefix}{key_of(kind)}" for kind in refusals() for prefix in ("", "console-")}
    said |= {"failure-" + code.value.replace("_", "-") for code in FailureCode}
    said |= {"pause-" + kind.value.replace("_", "-") for kind in PauseKind}
    assert sentences("en").keys() - said == set()


def test_every_sentence_that_is_said_exists() -> None:
    sources = "\n".join(path.read_text("utf-8") for path in SOURCES)
    said = set(re.findall(r'(?:\.say|\btext|\bPhrase)\(\s*"([^"]+)"[,)]', sources))
    assert said - sentences("en").keys() == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_can_be_said(language: str, caplog: pytest.LogCaptureFixture) -> None:
    for key, variables in sentences(language).items():
        assert wording_for(language).say(key, **dict.fromkeys(variables, 1)) or key == "list-separator"
    assert caplog.records == []


@pytest.mark.parametrize(
    ("error", "english", "chinese"),
    [
        (
            QueueFull(waiting=30, limit=30, retry_at=99),
            "The queue is full: 30 of 30 places are taken. Please try again <99>.",
            "队列满了：30 个位置已占 30 个。请 <99>再试。",
        ),
        (
            TooManyJobs(active=1, limit=1, retry_at=99),
            "You already have one picture waiting or being drawn, and 1 is the most at a time. "
            "The next one fits <99>; `/cancel` makes room at once.",
            "你已有 1 张图在排队或绘制，同时最多 1 张。<99>可以再提交；用 `/取消` 取消一张就能马上腾出位置。",
        ),
        (
            CoolingDown(retry_at=99, cooldown_s=5),
            "A moment, please: you can ask again <99>. 5 seconds have to pass between two requests.",
            "稍等一下，<99>就可以再提交。两次提交之间至少隔 5 秒。",
        ),
        (
            JobTooLarge(pixel_steps=52_428_801, limit=52_428_800, max_steps=0),
            "That is more work than one picture may be here. Please choose a smaller shape.",
            "这张图的工作量超过了这里的上限。请选小一点的画幅。",
        ),
        (
            JobTooLarge(pixel_steps=52_428_801, limit=52_428_800, max_steps=25),
            "That is more work than one picture may be here. At this size 25 steps are the most.",
            "这张图的工作量超过了这里的上限。这个尺寸最多可以用 25 步。",
        ),
    ],
)
def test_refusals_carry_numbers_and_times(error: Refusal, english: str, chinese: str) -> None:
    def say(locale: str) -> str:
        return wording_for(locale).refusal(error, format_time=lambda moment: f"<{moment}>")

    assert (say("en-GB"), say("zh-TW")) == (english, chinese)


@pytest.mark.parametrize("field", ["prompt", "seed", "steps", "aspect"])
def test_invalid_fields_have_their_own_sentences(field: str) -> None:
    assert "whatever" not in wording_for("en-US").invalid(InvalidSpec(field, "whatever"))


def test_other_invalid_values_say_the_reason() -> None:
    assert wording_for("en-US").invalid(InvalidSpec("width", "is odd")) == "“width” does not work: is odd."


@pytest.mark.parametrize(
    ("locale", "language"),
    [("zh-CN", "zh-CN"), ("zh-TW", "zh-CN"), ("ZH", "zh-CN"), ("en-US", "en"), ("de", "en"), ("", "en")],
)
def test_reader_gets_the_nearest_language(locale: str, language: str) -> None:
    assert wording_for(locale).language == language


def test_unknown_key_is_a_bug_and_says_so() -> None:
    with pytest.raises(KeyError):
        wording_for("en").say("no-such-key")
