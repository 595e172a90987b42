"""Text → the flags in it, `--seed 3` and its kin, and the text without them. Pure; knows no model and no option.

A flag is two hyphens, or the dash that a phone makes of them, and a name, at the start of a word outside of quotes. A
dash is punctuation as well: after one, only known names with a fitting value count. `ARITIES` says how many of the
words behind a flag belong to it; what may be part of the prompt is left there. Scanning takes linear time.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from bot.requests.pasted_settings import fold
from pipeline.spec import Aspect, Strength


class Arity(Enum):
    """What belongs to a flag."""

    NOTHING = "nothing"
    NUMBER = "number"  # the next word if it is a number
    WORD = "word"  # the next word
    REFERENCES = "references"  # the next words that are addresses or numbers
    SAMPLER = "sampler"  # the next word, and those that can only belong to the name of a sampler
    TEXT = "text"  # everything up to the next flag or the end of the line
    UNKNOWN = "unknown"  # the next word if it cannot be a word of the prompt


# Ours, Midjourney's (docs.midjourney.com, "Parameter List", older ones too) and those of other programs.
_NAMES: Final[Mapping[Arity, str]] = {
    Arity.WORD: (
        "ar aspect seed steps repeat r count size strength model style motion scheduler lora vae preset engine"
    ),
    Arity.SAMPLER: "sampler",
    Arity.TEXT: "no neg negative",
    Arity.NOTHING: (
        "draft fast relax relaxed turbo stealth public raw tile hd sd video loop uplight upbeta upanime test testp "
        "creative light beta fresh"
    ),
    Arity.NUMBER: (
        "v version niji stylize s chaos c quality q weird w iw sw sv cw ow stop exp sameseed bs cfg cfg-scale "
        "cfg_scale guidance clip-skip clip_skip clipskip scale width height h"
    ),
    Arity.REFERENCES: "sref cref oref image end p profile personalize",
}
ARITIES: Final = {name: arity for arity, names in _NAMES.items() for name in names.split()}
LONG_DASHES: Final = "—–―─"
NEAR_CHARS: Final = 80  # how far the value of a flag is looked for behind a long dash
# After a long dash a name may be a word: "—steps of stone", "—fast and red". Some are none, some values show it.
_NO_WORDS: Final = frozenset({"ar", "no", "niji", "sref", "cref", "oref"})
_VALUE_WORDS: Final = frozenset({"raw", "draft", "normal", "large", *Aspect, *Strength})
_HEAD: Final = re.compile(
    # At the start of a word. Possessive, so that two thousand hyphens are looked at once.
    r"(?<![^\s,;.!?)\]}。、》」』”])"
    rf"(?P<dashes>-{{2,3}}+|(?=-?[{LONG_DASHES}])[-{LONG_DASHES}]{{1,3}}+)"
    r"(?P<name>[A-Za-z][A-Za-z0-9_]*+(?:-[A-Za-z0-9_]++)*+)(?=[\s=:,;.!?)\]}。、]|\Z)"
)
# The first dash of a pair that sets words apart, as in "a poet —no one knows him— at sea".
_PAIRED: Final = re.compile(rf"[^{LONG_DASHES}\n]*(?<=\w)[{LONG_DASHES}]+(?!\w)")
_QUOTED: Final = re.compile(
    r"(?<![^\s(\[,:;=])\"[^\"\n]*\"(?!\w)|“[^“”]*”|「[^「」]*」|『[^『』]*』|«[^«»]*»|`++[^`]+`++"
)
_WORD: Final = re.compile(r"\S+")
_GLUED: Final = re.compile(r"([A-Za-z]+)[0-9]")  # --v6, --ar16:9
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:[.,][0-9]+)?|\.[0-9]+)%?")
_RATIO: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?\s?[:x×*/]\s?[0-9]+(?:\.[0-9]+)?(?![^\s,;.。、])", re.IGNORECASE)
_REFERENCE: Final = re.compile(r"https?://\S+|random|[0-9]+(?:::\S*)?|[a-z]*[0-9][a-z0-9]*", re.IGNORECASE)
# What follows the first word: "DPM++ 2M SDE Karras", "Euler a", "DPM fast", "Restart", "UniPC".
_OF_SAMPLERS: Final = frozenset(
    {"2m", "2s", "3m", "sde", "karras", "exponential", "heun", "ancestral", "polyexponential"}
)
_QUOTES: Final = '"“”„「」『』«»`'
_ENDS: Final = ",;.!?。、"  # what may follow a value and is no part of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One flag as it stood in the text; `name` is lower case, `value` is "" if there was none."""

    name: str
    value: str

    @property
    def shown(self) -> str:
        """The flag as people write it."""
        return f"--{self.name} {self.value}".rstrip()


def split_flags(text: str) -> tuple[str, tuple[Flag, ...]]:
    """Return the text without its flags, and these in their order; without any, the text as it is."""
    folded = fold(text)
    quoted = _quoted(folded)
    starts = list(quoted)
    heads = [
        head
        for head in _HEAD.finditer(folded)
        if not _is_within(head.start(), starts, quoted) and _is_flag(head, folded)
    ]
    if not heads:
        return text, ()
    kept, flags, begin = [], [], 0
    for place, head in enumerate(heads):
        limit = heads[place + 1].start() if place + 1 < len(heads) else len(text)
        line_end = folded.find("\n", head.end(), limit)
        limit = limit if line_end < 0 else line_end
        flag, end = _read(folded, head, limit, quoted)
        flags.append(flag)
        kept.append(text[begin : head.start()])
        begin = end
    kept.append(text[begin:])
    return _joined(kept), tuple(flags)


def _is_flag(head: re.Match[str], folded: str) -> bool:
    """Whether the name is one that may follow such dashes."""
    name = head["name"]
    if not any(dash in LONG_DASHES for dash in head["dashes"]):
        return True
    if len(name) > 1 and name.istitle():  # "—No," he said
        return False
    if _PAIRED.match(folded, head.end()) is not None:
        return False
    name = name.lower()
    if (glued := _GLUED.match(name)) is not None and glued[1] in ARITIES:
        return True
    if name in _NO_WORDS or name not in ARITIES:
        return name in _NO_WORDS
    word = _WORD.search(folded, head.end(), head.end() + NEAR_CHARS)
    if word is None or word[0][0] in LONG_DASHES + "-":
        return True
    has_value = re.search("[0-9]", word[0]) is not None or word[0].lower() in _VALUE_WORDS
    return has_value and ARITIES[name] is not Arity.NOTHING


def _read(folded: str, head: re.Match[str], limit: int, quoted: Mapping[int, int]) -> tuple[Flag, int]:
    """Read one flag and the place where it ends, at most `limit`: the next flag, or the end of the line."""
    name, at = head["name"].lower(), head.end()
    arity = ARITIES.get(name)
    is_joined = folded[at : at + 1] in ("=", ":")
    if arity is None and (glued := _GLUED.match(name)) is not None and glued[1] in ARITIES:
        name, at, is_joined = glued[1], head.start("name") + len(glued[1]), True
    elif is_joined:
        at += 1
    if arity is Arity.SAMPLER:
        return _with_sampler(name, folded, at, limit, quoted)
    if is_joined and arity is not Arity.TEXT and (word := _WORD.match(folded, at, limit)) is not None:
        return _with_word(name, word, quoted, limit, folded)
    arity = arity or Arity.UNKNOWN
    match arity:
        case Arity.TEXT:
            return Flag(name=name, value=" ".join(folded[at:limit].split()).strip(" ,;.")), limit
        case Arity.REFERENCES:
            return _with_references(name, folded, at, limit)
    word = _WORD.search(folded, at, limit)
    if word is None or arity is Arity.NOTHING or word[0] in _ENDS:
        return Flag(name=name, value=""), _past_ends(folded, at)
    if name in ("ar", "aspect") and (ratio := _RATIO.match(folded, word.start(), limit)) is not None:
        return Flag(name=name, value="".join(ratio[0].split())), _past_ends(folded, ratio.end())
    is_taken = (
        arity is Arity.WORD
        or _NUMBER.fullmatch(word[0].rstrip(_ENDS))
        or (arity is Arity.UNKNOWN and (_is_no_word(word[0].rstrip(_ENDS)) or word.start() in quoted))
    )
    return (
        _with_word(name, word, quoted, limit, folded)
        if is_taken
        else (Flag(name=name, value=""), _past_ends(folded, at))
    )


def _with_word(name: str, word: re.Match[str], quoted: Mapping[int, int], limit: int, folded: str) -> tuple[Flag, int]:
    """A flag with the next word, or with what is in quotes there."""
    end = min(quoted.get(word.start(), word.end()), limit)
    value = folded[word.start() : end].rstrip(_ENDS).strip(_QUOTES)
    return Flag(name=name, value=" ".join(value.split())), end


def _with_sampler(name: str, folded: str, at: int, limit: int, quoted: Mapping[int, int]) -> tuple[Flag, int]:
    word = _WORD.search(folded, at, limit)
    if word is None or word[0] in _ENDS:
        return Flag(name=name, value=""), _past_ends(folded, at)
    flag, end = _with_word(name, word, quoted, limit, folded)
    words = [flag.value]
    while folded[end - 1] not in _ENDS and (more := _WORD.search(folded, end, limit)) is not None:
        bare = more[0].rstrip(_ENDS).lower()
        is_last = more.end() >= limit or bare != more[0].lower()
        if bare not in _OF_SAMPLERS and not (bare == "a" and is_last):
            break
        words.append(bare)
        end = more.end()
    return Flag(name=name, value=" ".join(words)), end


def _with_references(name: str, folded: str, at: int, limit: int) -> tuple[Flag, int]:
    values = []
    while (word := _WORD.search(folded, at, limit)) is not None and _REFERENCE.fullmatch(word[0].rstrip(_ENDS)):
        values.append(word[0].rstrip(_ENDS))
        at = word.end()
    return Flag(name=name, value=" ".join(values)), at if values else _past_ends(folded, at)


def _is_no_word(word: str) -> bool:
    return _RATIO.fullmatch(word) is not None or word.lower().startswith(("http://", "https://"))


def _past_ends(folded: str, at: int) -> int:
    """Skip one comma or stop that belongs to the flag rather than to the prompt."""
    return at + 1 if folded[at : at + 1] and folded[at] in _ENDS else at


def _quoted(folded: str) -> dict[int, int]:
    """Return where quotes begin → where they end; quotes around the whole text do not count."""
    whole = (len(folded) - len(folded.lstrip()), len(folded.rstrip()))
    return {match.start(): match.end() for match in _QUOTED.finditer(folded) if match.span() != whole}


def _is_within(place: int, starts: Sequence[int], quoted: Mapping[int, int]) -> bool:
    index = bisect_right(starts, place) - 1
    return index >= 0 and place < quoted[starts[index]]


def _joined(parts: list[str]) -> str:
    """Join what is left around flags; ends of lines stay, since pasted settings begin with one."""
    kept = [part.strip(" \t") for part in parts]
    return " ".join(part for part in kept if part).strip(" \t,;，；、")
