"""What the product is told of the words that the model learned: `pipeline/demo/vocabulary.json`.

Read there by `pipeline/catalog/unknown_words.py`. Beside the words of captions it holds those that people write around
them, which name nothing that could be missing from the picture.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from training.vocabulary import LANGUAGES, Concept, Language, load_unknown
from training.words import (
    COLOURS,
    NUMBERS_EN,
    NUMBERS_ZH,
    OPENINGS_EN,
    OPENINGS_ZH,
    PLACES,
    PRAISE_EN,
    PRAISE_ZH,
    STYLE_EN,
    STYLE_ZH,
)

GRAMMAR_EN: Final = """
a an the this that these those some any one each every another other and or with without plus of in on at to from by for
near next beside between behind below under above over inside into onto against around across as like top bottom left
right upper lower side front back middle center centre corner centered centred is are be am was were has have there here
it its i you he she we they me him us them my your his her our their who which what please draw make create generate
paint show give want need would can could do does let full picture image photo photograph portrait drawing illustration
painting logo icon sticker emoji style background backdrop gradient solid plain color colour colored coloured very
really just only more so too not no small tiny little mini large big huge giant one two three four 1 2 3 4 pair couple
"""
GRAMMAR_ZH: Final = """
的 了 着 在 和 与 跟 或 是 有 还有 以及 并排 挨着 旁边 旁 左边 右边 上边 下边 左侧 右侧 上面 下面 上方 下方
前面 后面 里面 外面 中间 中央 顶部 底部 背景 底色 渐变 渐变背景 风格 图片 图像 照片 插画 表情 图标 画面 一幅画
一张图 一张图片 请 帮我 给我 我要 我想要 想要 生成 画一幅 画一张 画一个 请画 请生成 很 非常 这个 那个 我 你 他
她 它 我的 你的 小小 大大 小小的 大大的 很小的 很大的 迷你 巨大 小型 大型 颜色
"""
WEAK_ZH: Final = "小大红黑白蓝绿黄紫粉灰橙棕金上下里中内外左右画图从到也都这那并及"
COUNTED_ZH: Final = ("一二两三四几1234", "个只条朵辆艘架座杯棵本件位名头匹颗片块张把台根支双对群幅串盏瓶碗")
MADE_OF_KNOWN_ZH: Final = ("油画", "水彩画", "水墨画", "国画", "漫画", "动画", "版画", "壁画", "画家", "夜里", "海里")


def vocabulary_json(concepts: Sequence[Concept]) -> str:
    """Return the file: a line per thing with its names and the words that accompany them, then all other words."""
    things = ",\n".join(json.dumps(_thing(concept), ensure_ascii=False) for concept in concepts)
    rest = {"said": said_words(), "weak": WEAK_ZH, "unknown": misleading_words(concepts)}
    lines = "".join(f",\n{json.dumps(key)}: {json.dumps(words, ensure_ascii=False)}" for key, words in rest.items())
    return f'{{"things": [\n{things}\n]{lines}}}\n'


def misleading_words(concepts: Sequence[Concept]) -> list[str]:
    """Return Chinese words that the model does not know although they hold the name of a thing or a word of grammar."""
    names = {name for concept in concepts for name in _names(concept, "zh")}
    parts = {word for word in (*names, *WEAK_ZH, *said_words()) if not word.isascii()}
    unknown = [*load_unknown()["zh"], *MADE_OF_KNOWN_ZH]
    return [word for word in unknown if word not in names and len(word) > 1 and any(part in word for part in parts)]


def said_words() -> list[str]:
    """Return the words that name nothing: praise, styles, colours, places, numbers, openings, grammar."""
    colours = [word for english, chinese, _, _ in COLOURS.values() for word in (*english, *chinese)]
    places = [word for _, _, english, chinese in PLACES.values() for word in (*english, *chinese)]
    numbers = [word for table in (NUMBERS_EN, NUMBERS_ZH) for words in table.values() for word in words]
    styles = [word for table in (STYLE_EN, STYLE_ZH) for words in table.values() for word in words]
    openings = [opening.strip(" :：") for opening in (*OPENINGS_EN, *OPENINGS_ZH)]
    counted = [number + measure for number in COUNTED_ZH[0] for measure in COUNTED_ZH[1]]
    grammar = [*GRAMMAR_EN.split(), *GRAMMAR_ZH.split()]
    said = [*openings, *PRAISE_EN, *PRAISE_ZH, *styles, *colours, *places, *numbers, *grammar, *counted]
    return [word for word in dict.fromkeys(said) if word and word not in set(WEAK_ZH)]


def _thing(concept: Concept) -> dict[str, list[str]]:
    usual = {language: list(concept.names[language]) for language in LANGUAGES}
    names = [name for language in LANGUAGES for name in _names(concept, language)]
    also = [name for name in names if name not in usual["en"] and name not in usual["zh"]]
    beside = [word for language in LANGUAGES for word in concept.tags[language] if word not in names]
    return {"en": usual["en"], "zh": usual["zh"], "also": also, "beside": beside}


def _names(concept: Concept, language: Language) -> list[str]:
    """The names and the aliases, but for single characters that say what one does with the thing (看, 坐)."""
    usual = concept.names[language]
    aliases = [
        alias
        for alias in concept.aliases[language]
        if language != "zh" or len(alias) > 1 or any(alias in name for name in usual)
    ]
    return [*usual, *aliases]
