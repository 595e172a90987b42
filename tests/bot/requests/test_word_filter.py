"""What a list of words catches, however it is written, and what it lets pass."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.requests.word_filter import WordFilter
from bot.requests.word_folding import fold
from tests.word_filter_time import LONG, make_long_list, took_s

WORDS: Final = (
    "nude", "ass", "whore", "shit", "tit", "cum", "anal", "rape", "porn", "child abuse",
    "裸体", "裸", "做爱", "性交", "色情", "毒品", "强奸", "儿童色情", "AV女优", "露点",
)  # fmt: skip

EVASIONS: Final = {
    "as it stands": ["nude", "a nude woman", "(nude:1.2)", "nude, forest", "nude's", "#nude", "nude_woman", "“nude”"],
    "case": ["NUDE", "NuDe", "Child ABUSE", "NudeGirl"],
    "width and font": ["ｎｕｄｅ", "ＮＵＤＥ", "𝓷𝓾𝓭𝓮", "𝐧𝐮𝐝𝐞", "ⓝⓤⓓⓔ", "🅝🅤🅓🅔", "🄽🅄🄳🄴", "🇳🇺🇩🇪", "ɴᴜᴅᴇ"],
    "what cannot be seen": ["n\u200bude", "nu\u00adde", "n\u2060u\u2060d\u2060e",
                            "nu\ufe0fde", "n\u3164ude", "nu\U000e0001de"],
    "marks": ["ñúdė", "n̶u̶d̶e̶", "nu\u0308de", "n\u20ddude"],
    "look-alikes": ["nudе", "пиdе", "ηude", "nυԁе", "Νude", "đṃ ɴûⅾe", "ѕhіt", "ρorn", "ꓠꓴꓓꓰ", "nµde"],
    "digits and signs": ["nud3", "a$$", "@ss", "4ss", "sh1t", "$h!t", "p0rn", "wh0re", "vvhore", "ch1ld abu$e",
                         "t!t", "5h1t"],
    "letters repeated": ["nuuuude", "nuddddde", "nnuuddee", "assss", "pooooorn"],
    "letters apart": ["n u d e", "n  u  d  e", "n.u.d.e", "n-u-d-e", "n_u_d_e", "n/u/d/e", "n|u|d|e", "n,u,d,e",
                      "n\nu\nd\ne", "a woman n u d e", "a n u d e girl", "n u de", "n😀u😀d😀e", "c h i l d a b u s e",
                      "n u d 3", "t i t"],
    "signs inside": ["nu.de", "nu-de", "n(u)de", "[n]ude", "nu*de", "n*de", "n•ude", "s-h-i-t", "s.hit"],
    "digits beside": ["nude123", "1nude", "xX9 nude9"],
    "phrases": ["child  abuse", "child-abuse", "child\nabuse", "child, abuse", "child_abuse", "child/abuse"],
    "Chinese": ["裸体", "一个裸体女人", "裸体画", "她裸体", "强奸犯", "儿童色情片", "裸", "裸，女人"],
    "traditional Chinese": ["裸體", "強姦", "做愛", "兒童色情", "児童色情", "露點"],
    "Chinese apart": ["裸 体", "裸\u3000体", "裸.体", "裸。体", "裸*体", "裸😀体", "裸\u200b体",
                      "裸x体", "裸1体", "做-爱", "儿 童 色 情"],
    "Chinese and Latin": ["av女优", "ＡＶ女优", "AV 女优", "裸体woman", "nude女人"],
    "old forms": ["⼥裸⾁裸体", "裸️体", "性\u20dd交"],
}  # fmt: skip
ENGLISH: Final = (
    "class", "assess", "passion", "assassin", "glass", "embassy", "Massachusetts", "as", "grass", "bass guitar",
    "Scunthorpe", "denude", "nudge", "nuclear", "good", "title", "titanic", "petit four", "constitution", "Titian",
    "cucumber", "document", "circumference", "accumulate", "analysis", "canal", "analog", "banal",
    "psychoanalysis", "drape",
    "grape", "therapist", "scrape", "trapeze", "parapet", "Galaxy A55", "A55", "455", "mp3", "R2D2",
    "8k uhd", "the letter s hit the wall", "a girl's hit song", "an abused child", "child's play", "pushit",
    "F.B.I.", "U.S.A.",
    "t-shirt", "i t i s", "Essex", "cocktail", "as sure as it gets", "5, 10, 15", "1girl", "--ar 16:9", "$5", "100%",
)  # fmt: skip
CHINESE: Final = (
    "特色情怀", "男性交友", "女性交往", "她做爱心便当", "当做爱好", "女性爱好者", "消毒品", "裸眼3D",
    "裸麦", "裸子植物",
    "人体", "体操", "色彩", "情色彩", "暴露点滴", "加强奸商管理", "异性交流", "中性交通", "角色情感", "景色情调",
    "叫做爱丽丝", "称做爱因斯坦", "裸露的岩石", "物体", "肉体", "天体", "爱情", "交通", "毒蛇", "商品",
    "儿童乐园", "儿童画", "女优雅地走", "强大", "奸商", "一个女人在湖边", "性感的颜色", "赤裸的真相", "爱心",
    "露水点点",
    "特色 情怀", "男性 交友", "一只猫", "红色的苹果", "夜晚的城市",
)  # fmt: skip


@pytest.fixture(scope="module")
def words() -> WordFilter:
    return WordFilter(WORDS)


@pytest.mark.parametrize(
    "text", [pytest.param(text, id=f"{kind}-{text!a}") for kind, texts in EVASIONS.items() for text in texts]
)
def test_word_is_caught_however_it_is_written(words: WordFilter, text: str) -> None:
    hit = words.find(text)
    assert hit is not None and hit.word in WORDS and hit.found in text
    assert words.find(f"a photo of {text} at night") is not None


@pytest.mark.parametrize("text", [*ENGLISH, *CHINESE])
def test_innocent_word_passes(words: WordFilter, text: str) -> None:
    assert words.find(text) is None
    assert words.find(f"a cat, {text}, in the sun") is None
    assert words.find(f"一只猫，{text}，在阳光下") is None


def test_tables_are_as_long_as_promised() -> None:
    assert len(EVASIONS) >= 12 and sum(map(len, EVASIONS.values())) >= 80
    assert len(ENGLISH) >= 40 and len(CHINESE) >= 40


def test_hit_names_the_word_as_it_was_added_and_the_piece_of_the_text(words: WordFilter) -> None:
    hit = words.find("a cat and a n.u.d.e woman")
    assert hit is not None and (hit.word, hit.found) == ("nude", "n.u.d.e")
    hit = words.find("一个裸 體女人")
    assert hit is not None and (hit.word, hit.found) == ("裸体", "裸 體")
    hit = words.find("Child, abuse")
    assert hit is not None and (hit.word, hit.found) == ("child abuse", "Child, abuse")


def test_word_may_be_added_in_any_spelling() -> None:
    words = WordFilter(["ＮＵＤＥ", "裸體", "Child  Abuse!"])
    assert [words.find(text) is not None for text in ("nude", "裸体", "child abuse", "class")] == [
        True,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("empty", [[], [""], ["\u200b", "!!!", " ", "\u0301"]])
def test_words_without_letters_match_nothing(empty: list[str]) -> None:
    assert WordFilter(empty).find("any thing at all !!! \u200b 裸体") is None


@pytest.mark.parametrize(
    "text", ["", " ", "\u0000", "\ud800", "\ufdfa" * 2000, "*" * 2000, "!" * 2000, "\U0010ffff", "𓀀"]
)
def test_no_text_is_too_strange(words: WordFilter, text: str) -> None:
    assert words.find(text) is None


@given(st.text(max_size=80))
def test_any_text_can_be_folded_and_searched(text: str) -> None:
    folded = fold(text)
    assert len(folded.text) == len(folded.at) and list(folded.at) == sorted(folded.at)
    assert fold(folded.text).text == folded.text  # folding is settled
    hit = FILTER.find(text)
    assert hit is None or (hit.word in WORDS and hit.found and hit.found in text)


FILTER: Final = WordFilter(WORDS)
TRICKS: Final = {
    "width": lambda word: "".join(chr(ord(letter) + 0xFEE0) for letter in word),
    "zero width": lambda word: "\u200b".join(word),
    "spaces": " ".join,
    "dots": ".".join,
    "signs": "*".join,
    "marks": lambda word: "".join(letter + "\u0301" for letter in word),
    "capitals": str.upper,
    "stretched": lambda word: "".join(letter * 3 for letter in word),
    "bold": lambda word: "".join(chr(0x1D41A + ord(letter) - ord("a")) for letter in word),
}


@settings(max_examples=60)
@given(
    word=st.from_regex(r"[a-z]{3,12}", fullmatch=True),
    trick=st.sampled_from(sorted(TRICKS)),
    before=st.sampled_from(["", "a cat, ", "一只猫，"]),
    after=st.sampled_from(["", ", a dog", "，狗"]),
)
def test_any_word_is_caught_in_every_disguise(word: str, trick: str, before: str, after: str) -> None:
    hit = WordFilter([word]).find(f"{before}{TRICKS[trick](word)}{after}")
    assert hit is not None and hit.word == word


@settings(max_examples=60)
@given(st.from_regex(r"[a-z]{3,8}", fullmatch=True), st.from_regex(r"[a-z]{1,4}", fullmatch=True))
def test_word_inside_a_longer_one_is_not_caught(word: str, more: str) -> None:
    glued = f"{word}{more}"
    if len(set(glued)) > 2 and WordFilter([word]).find(glued) is not None:
        assert set(more) <= {word[-1]} or "vv" in glued  # the same letter again and again


@pytest.fixture(scope="module")
def many_words() -> WordFilter:
    return make_long_list()


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in LONG.items()])
def test_time_grows_with_the_text_and_hardly_with_the_list(many_words: WordFilter, text: str) -> None:
    """Measured: 1 to 17 ms of CPU for 2000 characters and 5000 words; `python -m tests.word_filter_time` says it.

    Ten times the text would take a hundred times as long if any step were quadratic, and the list must not count.
    """
    few = WordFilter(["zzzz"])
    short, long = (min(took_s(many_words, text[:length]) for _ in range(5)) for length in (200, 2000))
    assert long < 40 * max(short, 0.0005)
    assert long < 10 * max(min(took_s(few, text) for _ in range(3)), 0.002)
