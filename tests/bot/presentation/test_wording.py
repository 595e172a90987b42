"""Every language says everything, with the same values, and nothing is left over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import discord
import pytest
from discord import app_commands
from fluent.syntax import FluentParser, ast
from fluent.syntax.visitor import Visitor

import bot
import bot.frontends.web.handlers  # brings Refusals of the front end into being, like the client of the other
from bot.config import DiscordConfig
from bot.delivery.alerts import HAPPENINGS, AlertKind
from bot.errors import CoolingDown, JobTooLarge, QueueFull, Refusal, TooManyJobs
from bot.frontends.discord_app.client import DiscordClient
from bot.frontends.discord_app.permissions import PermissionsMissing
from bot.jobs import FailureCode
from bot.pause import PauseKind
from bot.presentation import wording as wording_module
from bot.presentation.wording import LANGUAGES, MODEL_KEYS, key_of, wording_for
from bot.requests.preferences import Ping, PrivateTo, Setting
from bot.scheduling.model_memory import Release
from pipeline import ImageOptions, InvalidSpec, Size
from pipeline.catalog.models import DEMO, MAJICFLUS_V1
from tests.bot.frontends.discord_app.test_commands import CHOICES, OnlyModels

FOLDER = Path(wording_module.__file__).parent
SPEAKERS = ("cli", "frontends", "presentation", "requests")
SOURCES = [path for name in SPEAKERS for path in (Path(bot.__file__).parent / name).rglob("*.py")]


class Variables(Visitor):
    """Collects the names of the variables in a sentence."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def visit_VariableReference(self, node: ast.VariableReference) -> None:  # noqa: N802 - fluent's name
        self.names.add(node.id.name)


@cache
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


class Recorder(app_commands.Translator):
    """Collects the keys of the texts that commands have."""

    def __init__(self) -> None:
        self.keys: set[str] = set()

    async def translate(
        self, string: app_commands.locale_str, _locale: discord.Locale, _context: app_commands.TranslationContextTypes
    ) -> None:
        self.keys.add(string.extras.get("key", string.message))


async def texts_of_commands() -> set[str]:
    """Keys of the texts of all commands that are registered."""
    service: Any = OnlyModels(*CHOICES["all"])
    settings: Any = None
    tree, recorder = DiscordClient(DiscordConfig(), service=service, settings=settings).tree, Recorder()
    for command in tree.get_commands():
        await command.get_translated_payload(tree, recorder)
    return recorder.keys


def refusals(kind: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from refusals(subclass)


def test_languages_have_the_same_keys() -> None:
    first, *others = (sentences(language) for language in LANGUAGES)
    for other in others:
        assert other.keys() == first.keys()


def test_translations_use_no_other_variables_than_english() -> None:
    english, *others = (sentences(language) for language in LANGUAGES)
    for other in others:
        assert {key: names for key, names in other.items() if names != english[key]} == {}


def test_every_refusal_has_a_sentence() -> None:
    assert {kind.__name__ for kind in refusals() if key_of(kind) not in sentences("en")} == set()


@pytest.mark.parametrize("locale", ["en-US", "zh-CN", "zh-TW"])
@pytest.mark.parametrize("code", FailureCode)
def test_every_failure_has_a_sentence(code: FailureCode, locale: str) -> None:
    assert len(wording_for(locale).failure(code)) > 10


async def test_no_sentence_is_unused() -> None:
    sources = "\n".join(path.read_text("utf-8") for path in SOURCES)
    said = set(re.findall(r'"([a-z]+(?:-[a-z]+)+)"', sources)) | await texts_of_commands()
    said |= {f"{prefix}{key_of(kind)}" for kind in refusals() for prefix in ("", "console-")}
    said |= {
        f"{prefix}{key_of(kind)}-{detail}"
        for kind in (QueueFull, TooManyJobs)
        for prefix in ("", "console-")
        for detail in ("paused", "paused-until")
    }
    said.add("job-not-found-here")
    said |= {"failure-" + code.value.replace("_", "-") for code in FailureCode}
    said |= {"pause-" + kind.value.replace("_", "-") for kind in PauseKind}
    said |= {f"{prefix}-{ping}" for prefix in ("ping-choice",) for ping in Ping}
    said |= {f"{prefix}-{way}" for prefix in ("private-to", "private-waits") for way in PrivateTo}
    said |= {f"mine-{setting.value.replace('_', '-')}" for setting in Setting}
    said |= {"stats-failure-" + code.value.replace("_", "-") for code in FailureCode}
    said |= {"admin-release-" + each.value.replace("_", "-") for each in Release}
    said |= {f"alert-{kind}" for kind in AlertKind}
    said |= {f"alert-{kind}-over" for kind in set(AlertKind) - HAPPENINGS}
    assert sentences("en").keys() - said == set()


def test_every_sentence_that_is_said_exists() -> None:
    sources = "\n".join(path.read_text("utf-8") for path in SOURCES)
    assert len(SOURCES) > 30
    said = set(re.findall(r'(?:\.say|\btext|\bPhrase)\(\s*"([^"]+)"[,)]', sources))
    assert said - sentences("en").keys() == set()


def test_translated_titles_are_those_of_models() -> None:
    cards = {card.name: card.title for card in (MAJICFLUS_V1, DEMO)}
    assert {name: wording_for("en").say(key) for name, key in MODEL_KEYS.items()}.items() <= cards.items()


@pytest.mark.parametrize(
    ("running", "waiting", "says"),
    [
        (0, 0, ("Nobody is waiting.", "没有人在排队。", "沒有人在排隊。")),
        (0, 2, ("Nothing is being drawn, 2 waiting", "没有正在绘制的图片，2 张排队", "沒有正在繪製的圖片，2 張排隊")),
        (1, 0, ("1 being drawn, nobody waiting", "1 张正在绘制，没有人在排队", "1 張正在繪製，沒有人在排隊")),
        (1, 3, ("1 being drawn, 3 waiting", "1 张正在绘制，3 张排队", "1 張正在繪製，3 張排隊")),
    ],
)
def test_queue_is_told_in_words_rather_than_as_zero(running: int, waiting: int, says: tuple[str, str, str]) -> None:
    for language, said in zip(LANGUAGES, says, strict=True):
        assert wording_for(language).say("queue-title", running=running, waiting=waiting) == said


@pytest.mark.parametrize(
    ("language", "says"),
    [
        ("en", "Write what to draw first."),
        ("zh-CN", "请先写下想画什么。"),
        ("zh-TW", "請先寫下想畫什麼。"),
    ],
)
def test_empty_prompt_is_asked_for_and_no_range_is_told(language: str, says: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        DEMO.resolve(ImageOptions(prompt=""), random_seed=0)
    assert wording_for(language).invalid(caught.value) == says


def test_permissions_stand_in_a_chinese_sentence_without_quotes_of_their_own() -> None:
    for language, names in (("zh-CN", "嵌入链接、附加文件"), ("zh-TW", "嵌入連結、附加檔案")):
        refusal = PermissionsMissing("<#1>", ("permission-embed-links", "permission-attach-files"))
        said = wording_for(language).refusal(refusal, format_time=str)
        assert f"：{names}。" in said and not set("“”「」") & set(said)


@pytest.mark.parametrize("language", LANGUAGES)
def test_seed_of_chance_is_said_where_a_seed_is_asked_for(language: str) -> None:
    assert "−1" in wording_for(language).say("option-seed-description")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_can_be_said(language: str, caplog: pytest.LogCaptureFixture) -> None:
    for key, variables in sentences(language).items():
        assert wording_for(language).say(key, **dict.fromkeys(variables, 1)) or key == "list-separator"
    assert caplog.records == []


@pytest.mark.parametrize(
    ("error", "english", "simplified", "traditional"),
    [
        (
            QueueFull(waiting=30, limit=30, retry_at=99),
            "The queue is full: 30 of 30 places are taken. Please try again <99>.",
            "队列满了：30 个位置已占 30 个。请 <99>再试。",
            "佇列已滿：30 個位置已佔用 30 個。請 <99>再試。",
        ),
        (
            TooManyJobs(active=1, limit=1, retry_at=99),
            "You already have one request waiting or being drawn, and the limit is 1 at a time. "
            "You can ask for the next one <99>, or make room at once with `/cancel`.",
            "你已有 1 个请求在排队或绘制，同时最多 1 个。<99>可以再提交；用 `/取消` 取消一个就能马上腾出位置。",
            "你已有 1 個請求在排隊或繪製，同時最多 1 個。<99>可以再送出；用 `/取消` 取消一個就能馬上騰出位置。",
        ),
        (
            QueueFull(waiting=30, limit=30, retry_at=99).while_paused(None),
            "The queue is full: 30 of 30 places are taken, and it is paused. There will be room once it resumes.",
            "队列满了：30 个位置已占 30 个，而且队列已暂停，恢复后才会有空位。",
            "佇列已滿：30 個位置已佔用 30 個，而且佇列已暫停，恢復後才會有空位。",
        ),
        (
            QueueFull(waiting=30, limit=30, retry_at=99).while_paused(77),
            "The queue is full: 30 of 30 places are taken, and it is paused. Please try again when it resumes: <77>.",
            "队列满了：30 个位置已占 30 个，而且队列已暂停。请等恢复后再试：<77>。",
            "佇列已滿：30 個位置已佔用 30 個，而且佇列已暫停。請等恢復後再試：<77>。",
        ),
        (
            TooManyJobs(active=2, limit=2, retry_at=99).while_paused(None),
            "You already have 2 requests waiting, the limit is 2 at a time, and the queue is paused. "
            "You can ask for the next one once it resumes, or make room at once with `/cancel`.",
            "你已有 2 个请求在排队，同时最多 2 个，而且队列已暂停。"
            "恢复后可以再提交；用 `/取消` 取消一个就能马上腾出位置。",
            "你已有 2 個請求在排隊，同時最多 2 個，而且佇列已暫停。"
            "恢復後可以再送出；用 `/取消` 取消一個就能馬上騰出位置。",
        ),
        (
            TooManyJobs(active=1, limit=1, retry_at=99).while_paused(77),
            "You already have one request waiting, the limit is 1 at a time, and the queue is paused. "
            "You can ask for the next one after it resumes (<77>), or make room at once with `/cancel`.",
            "你已有 1 个请求在排队，同时最多 1 个，而且队列已暂停。"
            "恢复后（<77>）可以再提交；用 `/取消` 取消一个就能马上腾出位置。",
            "你已有 1 個請求在排隊，同時最多 1 個，而且佇列已暫停。"
            "恢復後（<77>）可以再送出；用 `/取消` 取消一個就能馬上騰出位置。",
        ),
        (
            CoolingDown(retry_at=99, cooldown_s=5),
            "Please wait a moment: you can ask again <99>. 5 seconds must pass between two requests.",
            "请稍等，<99>就可以再提交。两次提交之间至少隔 5 秒。",
            "請稍候，<99>就可以再送出。兩次送出之間至少要隔 5 秒。",
        ),
        (
            JobTooLarge(pixel_steps=52_428_801, limit=52_428_800, max_steps=0),
            "This image needs more work than is allowed here. Please choose a smaller size.",
            "这张图片的工作量超过了这里的上限。请选小一点的尺寸。",
            "這張圖片的工作量超過了這裡的上限。請選小一點的尺寸。",
        ),
        (
            JobTooLarge(pixel_steps=52_428_801, limit=52_428_800, max_steps=25),
            "This image needs more work than is allowed here. At this size, the limit is 25 steps.",
            "这张图片的工作量超过了这里的上限。这个尺寸最多可以用 25 步。",
            "這張圖片的工作量超過了這裡的上限。這個尺寸最多可以用 25 步。",
        ),
    ],
)
def test_refusals_carry_numbers_and_times(error: Refusal, english: str, simplified: str, traditional: str) -> None:
    def say(locale: str) -> str:
        return wording_for(locale).refusal(error, format_time=lambda moment: f"<{moment}>")

    assert (say("en-GB"), say("zh-SG"), say("zh-HK")) == (english, simplified, traditional)


def test_number_of_pixels_is_said_as_each_language_counts() -> None:
    error = InvalidSpec("image", "is too large")
    assert "64 million pixels (32 million for PNG and WebP)" in wording_for("en").invalid(error)
    assert "6400 万像素（PNG 和 WebP 为 3200 万）" in wording_for("zh-CN").invalid(error)
    assert "6400 萬像素（PNG 和 WebP 為 3200 萬）" in wording_for("zh-TW").invalid(error)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("stage", ["loading", "encoding", "decoding", "stopping"])
def test_stage_has_the_same_words_on_discord_and_on_the_page(stage: str, language: str) -> None:
    wording = wording_for(language)
    on_discord = wording.say(f"card-{stage}", who="@ann", model="SDXL")
    assert on_discord.casefold() == f"🎨 @ann · {wording.say(f'console-{stage}', model='SDXL')}".casefold()


def test_commands_named_in_sentences_exist_under_that_name() -> None:
    for language in LANGUAGES:
        wording = wording_for(language)
        assert f"`/{wording.say('command-history-name')}`" in wording.say("job-not-found", job_id=7)
        assert f"`/{wording.say('command-history-name')}`" in wording.say("picture-pruned", job_id=7)
        assert f"`/{wording.say('command-cancel-name')}`" in wording.say(
            "too-many-jobs", active=1, limit=1, retry_at=""
        )
        shown = f"`/{wording.say('command-show-name')} {wording.say('option-id-name')}:7`"
        assert shown in wording.say("note-done", job_id=7)


@pytest.mark.parametrize(
    ("language", "foreign"),
    [("zh-CN", "圖張隊紀錄設時顯電訊們這個為後會"), ("zh-TW", "图张队纪录设时显电讯们这个为后会")],
)
def test_chinese_keeps_to_one_script(language: str, foreign: str) -> None:
    assert sorted(set(foreign).intersection((FOLDER / f"{language}.ftl").read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "field",
    ["prompt", "seed", "steps", "aspect", "size", "negative_prompt", "cfg_scale", "guidance", "sampler", "clip_skip"],
)
def test_invalid_fields_have_their_own_sentences(field: str) -> None:
    assert "whatever" not in wording_for("en-US").invalid(InvalidSpec(field, "whatever"))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("size", "says"), [("450x450", "256x256"), (Size.LARGE, "draft, normal"), ("4096x4096", "256x256")]
)
def test_size_that_is_not_offered_is_answered_with_one_that_is(language: str, size: str, says: str) -> None:
    with pytest.raises(InvalidSpec) as raised:
        DEMO.pixels_of(ImageOptions.read(prompt="x", size=size))
    text = wording_for(language).invalid(raised.value)
    assert says in text and DEMO.title in text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "asked",
    [{"negative_prompt": "rain"}, {"cfg_scale": 7}, {"sampler": "ddim"}, {"clip_skip": 2}],
    ids=lambda asked: next(iter(asked)),
)
def test_setting_that_a_model_lacks_is_answered_with_its_title(language: str, asked: dict[str, object]) -> None:
    with pytest.raises(InvalidSpec) as raised:
        DEMO.resolve(ImageOptions.read(prompt="x", **asked), random_seed=0)
    text = wording_for(language).invalid(raised.value)
    assert DEMO.title in text and raised.value.reason not in text


def test_other_invalid_values_say_the_reason() -> None:
    assert wording_for("en-US").invalid(InvalidSpec("width", "is odd")) == "“width” is not valid: is odd."


@pytest.mark.parametrize(
    ("locale", "language"),
    [
        *((locale, "zh-CN") for locale in ("zh", "ZH", "zh-CN", "zh-SG", "zh-Hans", "zh-Hans-HK", "zh_CN", "zh;q=0.9")),
        *((locale, "zh-TW") for locale in ("zh-TW", "zh-HK", "zh-MO", "zh-Hant", "zh-Hant-HK", "zh_TW", "zh-tw;q=0.9")),
        *((locale, "en") for locale in ("en-US", "en-GB", "de", "ja-Hant", "zhx", "")),
    ],
)
def test_reader_gets_the_nearest_language(locale: str, language: str) -> None:
    assert wording_for(locale).language == language


def test_unknown_key_is_a_bug_and_says_so() -> None:
    with pytest.raises(KeyError):
        wording_for("en").say("no-such-key")
