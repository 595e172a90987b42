"""The words of captions, English and Chinese. Plain data.

Repeated entries are meant: they are drawn as often as they stand there.
"""

from __future__ import annotations

STYLES = ["noto", "flat"]
# name: (english words, chinese words, rgb, jitter)
COLOURS = {
    "white": (["white", "plain white"], ["白色", "纯白色"], (255, 255, 255), 0),
    "black": (["black"], ["黑色"], (16, 16, 18), 12),
    "gray": (["gray", "grey"], ["灰色"], (146, 148, 152), 14),
    "red": (["red"], ["红色"], (222, 44, 48), 14),
    "orange": (["orange"], ["橙色", "橘色"], (250, 144, 36), 12),
    "yellow": (["yellow"], ["黄色"], (250, 220, 56), 12),
    "green": (["green"], ["绿色"], (52, 172, 76), 14),
    "blue": (["blue"], ["蓝色"], (44, 108, 228), 14),
    "purple": (["purple", "violet"], ["紫色"], (134, 66, 196), 14),
    "pink": (["pink"], ["粉色", "粉红色"], (250, 150, 190), 12),
    "brown": (["brown"], ["棕色", "褐色"], (134, 84, 48), 12),
    "teal": (["teal"], ["蓝绿色"], (20, 140, 140), 10),
    "cyan": (["cyan"], ["青色"], (52, 212, 228), 12),
    "light blue": (["light blue", "sky blue", "pale blue"], ["浅蓝色", "天蓝色", "淡蓝色"], (168, 212, 250), 10),
    "dark blue": (["dark blue", "navy", "navy blue"], ["深蓝色", "藏青色"], (20, 36, 104), 10),
    "light green": (["light green", "pale green"], ["浅绿色", "淡绿色"], (176, 234, 172), 10),
    "dark green": (["dark green"], ["深绿色", "墨绿色"], (16, 82, 44), 10),
    "beige": (["beige", "cream"], ["米色", "米黄色"], (244, 230, 200), 8),
    "gold": (["gold", "golden"], ["金色"], (214, 170, 44), 10),
    "lavender": (["lavender", "light purple"], ["淡紫色", "浅紫色"], (212, 192, 246), 10),
}
COLOUR_WEIGHTS = {
    "white": 1.5,
    "black": 1.5,
    "red": 1.5,
    "yellow": 1.5,
    "green": 1.5,
    "blue": 2.0,
    "purple": 1.3,
    "pink": 1.5,
    "light blue": 1.2,
}
NUMBERS_EN = {2: ["two", "2", "two", "a pair of"], 3: ["three", "3", "three"], 4: ["four", "4", "four"]}
NUMBERS_ZH = {2: ["两", "2", "两", "二"], 3: ["三", "3"], 4: ["四", "4"]}
PLACES = {  # name: (cx, cy, english, chinese)
    "left": (0.24, 0.5, ["on the left", "on the left side", "at the left"], ["左边", "左侧", "画面左边"]),
    "right": (0.76, 0.5, ["on the right", "on the right side", "at the right"], ["右边", "右侧", "画面右边"]),
    "top": (0.5, 0.24, ["at the top", "on the top", "in the upper part"], ["上方", "顶部", "画面上方"]),
    "bottom": (0.5, 0.76, ["at the bottom", "on the bottom", "in the lower part"], ["下方", "底部", "画面下方"]),
    "top left": (0.25, 0.25, ["in the top left corner", "at the top left", "in the upper left"], ["左上角", "左上方"]),
    "top right": (
        0.75,
        0.25,
        ["in the top right corner", "at the top right", "in the upper right"],
        ["右上角", "右上方"],
    ),
    "bottom left": (
        0.25,
        0.75,
        ["in the bottom left corner", "at the bottom left", "in the lower left"],
        ["左下角", "左下方"],
    ),
    "bottom right": (
        0.75,
        0.75,
        ["in the bottom right corner", "at the bottom right", "in the lower right"],
        ["右下角", "右下方"],
    ),
    "center": (0.5, 0.5, ["in the center", "in the middle", "centered"], ["中间", "中央", "正中间"]),
}
STYLE_EN = {
    "noto": ["noto style", "in noto style", "google style", "android style"],
    "flat": ["flat style", "in flat style", "flat design", "fluent style", "flat illustration", "vector flat style"],
}
STYLE_ZH = {
    "noto": ["noto风格", "谷歌风格", "安卓风格"],
    "flat": ["扁平风格", "平面风格", "扁平化设计", "扁平插画", "fluent风格"],
}
OPENINGS_EN = [
    "",
    "",
    "",
    "",
    "",
    "",
    "an emoji of ",
    "emoji of ",
    "emoji: ",
    "an icon of ",
    "a picture of ",
    "an image of ",
    "a drawing of ",
    "an illustration of ",
    "a sticker of ",
    "draw ",
    "please draw ",
    "generate ",
    "show me ",
    "paint ",
    "create an image of ",
    "a photo of ",
    "a cute ",
]
PRAISE_EN = [
    "high quality",
    "best quality",
    "masterpiece",
    "masterpiece, best quality",
    "highly detailed",
    "4k",
    "8k",
    "hd",
    "cute",
    "simple",
    "beautiful",
    "sharp",
    "clean",
    "digital art",
    "icon",
    "sticker",
    "emoji",
    "vector art",
    "cartoon",
    "minimalist",
    "realistic",
    "soft lighting",
    "ultra detailed",
    "trending",
    "sharp focus",
]
OPENINGS_ZH = [
    "",
    "",
    "",
    "",
    "",
    "",
    "画",
    "请画",
    "画一幅",
    "生成",
    "帮我画",
    "给我画",
    "一张图片：",
    "表情：",
    "图标：",
    "请生成",
    "一幅画：",
]
PRAISE_ZH = [
    "高清",
    "高质量",
    "可爱",
    "简洁",
    "精美",
    "卡通",
    "插画",
    "图标",
    "表情符号",
    "最佳质量",
    "杰作",
    "超精细",
    "唯美",
    "清晰",
    "贴纸",
    "写实",
]
CONTEXT_EN = [  # a known name beside unknown words
    "{} in the {}",
    "{} at the {}",
    "{} near a {}",
    "{} with {}",
    "{} and {} {}",
    "{}, {}, {}",
    "a {1} {2} with {0}",
    "{1} {0}",
    "{0} who can {1} the {2}",
    "the {1} of {0}",
]
CONTEXT_ZH = [
    "{}在{}里",
    "{}在{}旁",
    "{1}里的{0}",
    "{1}的{0}",
    "{}，{}，{}",
    "会{1}的{0}",
    "有{1}和{2}的{0}",
    "{}正在{}",
]
MEASURE_WORDS = {
    "plant-flower": ["朵", "个"],
    "transport-ground": ["辆", "个"],
    "transport-water": ["艘", "个"],
    "transport-air": ["架", "个"],
    "place-building": ["座", "个"],
    "drink": ["杯", "个"],
    "plant-other": ["棵", "个"],
    "animal-reptile": ["条", "只"],
    "animal-marine": ["条", "只"],
    "book-paper": ["本", "个"],
    "clothing": ["件", "个"],
    "person-role": ["位", "个", "名"],
    "person": ["个", "位"],
}


def with_article(name: str) -> str:
    """Put "a" or "an" before an English name."""
    return ("an " if name[:1] in tuple("aeiou") else "a ") + name


def plural(name: str) -> str:
    """The plural of an English name; of "glass of milk" the first noun's."""
    head, separator, tail = name, "", ""
    for word in (" with ", " of ", " in ", " on ", " without "):
        if word in name:
            head, separator, tail = name.partition(word)
            break
    if head.endswith(("x", "ch", "sh")):
        head += "es"
    elif head.endswith("y") and head[-2:-1] not in tuple("aeiou"):
        head = head[:-1] + "ies"
    elif head.endswith("man"):
        head = head[:-3] + "men"
    elif not head.endswith("s"):
        head += "s"
    return head + separator + tail
