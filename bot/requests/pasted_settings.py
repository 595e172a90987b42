"""Text pasted from elsewhere → the prompt in it and the settings beside it. Pure; knows no model and no option.

Three forms are understood, whole or in part: what AUTOMATIC1111's web UI and its kin write under an image, Civitai's
copies included; LoRA tags; and the `/imagine` line on a message of this bot. Every function takes linear time.

    a fox                                                        the prompt, one or several lines
    Negative prompt: blurry                                      up to the settings
    Steps: 20, Sampler: Euler a, Seed: 7, Hashes: {"a": "b"}     separated by commas outside of quotes and brackets
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

MAX_KEY_CHARS: Final = 40
FEWEST_PAIRS: Final = 3  # of a line of settings (AUTOMATIC1111/stable-diffusion-webui:modules/infotext_utils.py)
# Of /imagine, in every language.
OPTIONS: Final = (
    "prompt", "seed", "steps", "aspect", "size", "count", "model", "negative", "cfg", "guidance", "sampler",
    "clip_skip", "image", "image2", "image3", "strength", "lora",
)  # fmt: skip
WORDY: Final = frozenset({"negative"})  # of them: several words
WRAPPERS: Final = (("```", "```"), ('"', '"'), ("“", "”"), ("「", "」"))
# Full-width forms, as Chinese keyboards type them, invisible spaces and kinds of hyphens: one character for one, so
# that a place in the folded text is the same place in the typed one.
FOLDED: Final[Mapping[int, int]] = {
    **{code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)},
    **dict.fromkeys(map(ord, "\u3000\u200b\u200e\u200f\u2060\ufeff"), ord(" ")),
    **dict.fromkeys(map(ord, "\u2010\u2011\u2212\ufe63"), ord("-")),
    ord("\u2236"): ord(":"),  # of ratios
}

# What Chinese keyboards give for < and >; around anything else than a tag they are those of a book's title.
BRACKETS: Final = str.maketrans("《〈》〉", "<<>>")

_STARTS: Final = r"(?<![^\s,.;，。；])"
_NEGATIVE: Final = re.compile(
    _STARTS + r"(?:negative prompt|反向提示词|负面提示词|反向提示詞|負面提示詞)\s?:", re.IGNORECASE
)
# Only pairs that prose does not have: "Size: large" describes a fox.
_FIRST_PAIR: Final = re.compile(
    _STARTS
    + r"(?:(?:Steps|Seed):\s?-?\d+|CFG scale:\s?[\d.]+|Size:\s?\d+x\d+|Sampler:\s?[^,\n]{1,40}|Model hash:\s?\w+)"
    r"(?:(?P<more>\s*,\s*[A-Z][\w /()-]{0,40}:)|\s*\Z|(?=\s*\n))"
)
_FIRST_PAIR_BELOW: Final = re.compile(_FIRST_PAIR.pattern, re.IGNORECASE)  # a negative prompt, where no prose follows
_WRITTEN: Final = re.compile(r"\s*Steps:\s?\d+\s*,")
_PAIR: Final = re.compile(r"(?:,|^)\s*[A-Za-z][\w /()-]{0,40}:", re.MULTILINE)
_KEY: Final = re.compile(rf"\s*([A-Za-z][\w /()-]{{0,{MAX_KEY_CHARS}}}):")
_LABEL: Final = re.compile(r"\s*(?:positive )?prompt:", re.IGNORECASE)
_LORA: Final = re.compile(r"<\s*(?:lora|lyco|hypernet)\s*:[^<>]*>", re.IGNORECASE)
_COMMAND: Final = re.compile(r"\s*/imagine\s+(?:prompt\s?:)?", re.IGNORECASE)
_WORD: Final = re.compile(r"\S+")
_OPTION: Final = re.compile(r"([a-z_]+):(\S*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pasted:
    """The parts of a pasted text; `settings` are keys and values as written, the last of equal keys."""

    prompt: str
    negative_prompt: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_prompt_only(self) -> bool:
        """Whether it held nothing but a prompt."""
        return not self.negative_prompt and not self.settings


def fold(text: str) -> str:
    """Return the text for comparing, with every character in its place."""
    return text.translate(FOLDED)


def fold_tag(text: str) -> str:
    """Return a text for finding tags in it, with every character in its place."""
    return fold(text).translate(BRACKETS)


def split_pasted(text: str) -> Pasted:
    """Split what another program wrote; any other text is a prompt."""
    folded = fold(text)
    negative = _NEGATIVE.search(folded)
    settings = _last_line(folded)
    if settings is None:
        settings = _first_pair(folded, negative.end() if negative else 0, is_after_negative=negative is not None)
    elif negative is not None and negative.start() >= settings:
        negative = None
    if negative is None and settings is None:
        return Pasted(prompt=text)
    rest_at = len(text) if settings is None else settings
    prompt_end = rest_at if negative is None else negative.start()
    label = _LABEL.match(folded, 0, prompt_end)
    pairs, below = _pairs(text[rest_at:])
    return Pasted(
        prompt="\n".join([text[label.end() if label else 0 : prompt_end], *below]),
        negative_prompt="" if negative is None else _without_labels(text[negative.end() : rest_at]),
        settings=pairs,
    )


def _without_labels(negative: str) -> str:
    """Return a negative prompt that was pasted in several parts as one list."""
    begins = [0, *(label.end() for label in _NEGATIVE.finditer(fold(negative)))]
    ends = [*(label.start() for label in _NEGATIVE.finditer(fold(negative))), len(negative)]
    parts = (negative[begin:end].strip().rstrip(",") for begin, end in zip(begins, ends, strict=True))
    return ", ".join(part for part in parts if part)


def split_lora(prompt: str) -> tuple[str, tuple[str, ...]]:
    """Return a prompt without its LoRA tags, and the tags."""
    spans = [found.span() for found in _LORA.finditer(fold_tag(prompt))]
    if not spans:
        return prompt, ()
    ends = [0, *(end for _, end in spans)]
    rest = " ".join(prompt[end:begin] for end, begin in zip(ends, [*(each for each, _ in spans), None], strict=True))
    parts = (" ".join(part.split()) for part in rest.split(","))
    return ", ".join(part for part in parts if part), tuple(prompt[begin:end] for begin, end in spans)


def split_command(text: str) -> tuple[str, Mapping[str, str]]:
    """Return the prompt of an `/imagine` line and its options, which stand at its end; other text is returned whole.

    The line on a message keeps words such as `seed:` in the prompt apart from options by an invisible space.
    """
    folded = fold(text)
    if (head := _COMMAND.match(folded)) is None:
        return text, {}
    end, rest_at, options = len(text), len(text), dict[str, str]()  # from `rest_at` on, everything is an option
    for word in reversed(list(_WORD.finditer(folded, head.end()))):
        option = _OPTION.fullmatch(word[0])
        if option is None or option[1] not in OPTIONS[1:]:  # a word of the prompt, or of an option that has several
            continue
        is_wordy = option[1] in WORDY
        if not is_wordy and (not option[2] or folded[word.end() : rest_at].strip()):
            break
        value = text[word.start() + len(option[1]) + 1 : rest_at] if is_wordy else option[2]
        options.setdefault(option[1], " ".join(value.split()))
        end = rest_at = word.start()
    return text[head.end() : end], options


def unwrapped(text: str) -> str:
    """Return what a code block, or a pair of quotes, holds that is the whole text; any other text as it is."""
    whole = text.strip()
    for opening, closing in WRAPPERS:
        inner = whole[len(opening) : -len(closing)]
        if whole == f"{opening}{inner}{closing}" and opening not in inner and closing not in inner:
            language, newline, code = inner.partition("\n")
            return code if opening == "```" and newline and re.fullmatch(r"[a-z]{0,10}", language) else inner
    return text


def _last_line(folded: str) -> int | None:
    """Return where the last line begins if it is as AUTOMATIC1111 writes it, whatever the prompt above looks like."""
    begin = folded.rstrip().rfind("\n") + 1
    is_written = begin > 0 and _WRITTEN.match(folded, begin) is not None
    return begin if is_written and len(_PAIR.findall(folded, begin)) >= FEWEST_PAIRS else None


def _first_pair(folded: str, start: int, *, is_after_negative: bool) -> int | None:
    """Return where the settings begin; None if there are none.

    A single pair counts below a negative prompt or on a line of its own: "seven Steps: 20 men" is a prompt.
    """
    for match in (_FIRST_PAIR_BELOW if is_after_negative else _FIRST_PAIR).finditer(folded, start):
        is_first_on_line = not folded[folded.rfind("\n", 0, match.start()) + 1 : match.start()].strip()
        if match["more"] or is_after_negative or is_first_on_line:
            return match.start()
    return None


def _pairs(block: str) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Read the settings; the second value are the lines below them that hold none, which are the person's own."""
    pairs: dict[str, str] = {}
    below: list[str] = []
    for is_new_line, piece in _pieces(block):
        if (key := _KEY.match(fold(piece))) is not None:
            name = " ".join(key[1].split())
            pairs.pop(name, None)
            pairs[name] = piece[key.end() :].strip()
        elif is_new_line and piece.strip():
            below.append(piece)
    return pairs, tuple(below)


def _pieces(block: str) -> Iterator[tuple[bool, str]]:
    """Split at commas and ends of lines outside of quotes and brackets; yields whether a piece begins a line."""
    depth, is_quoted, is_new_line, begin = 0, False, True, 0
    is_escaped = False
    for place, character in enumerate(block):
        if is_escaped:
            is_escaped = False
        elif character == "\\":
            is_escaped = is_quoted
        elif character == '"':
            is_quoted = not is_quoted
        elif is_quoted:
            continue
        elif character in "{[":
            depth += 1
        elif character in "}]":
            depth = max(0, depth - 1)
        elif character in ",\n" and depth == 0:
            yield is_new_line, block[begin:place]
            is_new_line, begin = character == "\n", place + 1
    yield is_new_line, block[begin:]
