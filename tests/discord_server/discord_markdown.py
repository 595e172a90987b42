"""Discord's markdown as HTML, for pictures of messages.

Owns what the client makes of text: code, emphasis, lists, mentions and timestamps as words. Must not know
messages; html_page.py says who is mentioned. Everything is escaped: text never becomes markup of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape

DEEPEST = 10
MINUTE_S, HOUR_S, DAY_S, MONTH_S, YEAR_S = 60, 3600, 86400, 2629800, 31557600
UNITS = (
    (YEAR_S, "year"), (MONTH_S, "month"), (DAY_S, "day"), (HOUR_S, "hour"), (MINUTE_S, "minute"), (1, "second"),
)  # fmt: skip
CHINESE_UNITS = {
    "zh-CN": {
        "year": "年", "month": "个月", "day": "天", "hour": "小时", "minute": "分钟", "second": "秒钟",
        "in": "{}后", "ago": "{}前",
    },
    "zh-TW": {
        "year": "年", "month": "個月", "day": "天", "hour": "小時", "minute": "分鐘", "second": "秒",
        "in": "{}後", "ago": "{}前",
    },
}  # fmt: skip
DATE_FORMATS = {
    "t": "%H:%M", "T": "%H:%M:%S", "d": "%d/%m/%Y", "D": "%d %B %Y", "f": "%d %B %Y %H:%M", "F": "%A, %d %B %Y %H:%M",
}  # fmt: skip

CODE_BLOCK = re.compile(r"```(?:(?P<language>[\w+-]+)?\n)?(?P<code>.+?)\n?```", re.DOTALL)
HEADING = re.compile(r"(#{1,3}) +(.+)")
SUBTEXT = re.compile(r"-# +(.+)")
QUOTE = re.compile(r"> (.*)")
ITEM = re.compile(r"( *)(?:[-*]|(\d+)\.) +(.+)")
URL = r"https?://[^\s<>]*[^\s<>.,:;\"')\]]"
INLINE = re.compile(
    r"\\(?P<escaped>[^\w\s])"
    r"|(?P<ticks>`{1,2})(?P<code>.+?)(?P=ticks)"
    rf"|\[(?P<label>[^\]\n]+)\]\((?P<link>{URL})\)"
    rf"|<(?P<quiet>{URL})>|(?P<url>{URL})"
    r"|<(?P<mention>@[!&]?|#)(?P<id>\d+)>"
    r"|</(?P<command>[^:>\n]+):\d+>"
    r"|<t:(?P<moment>-?\d{1,13})(?::(?P<style>[tTdDfFR]))?>"
    r"|\|\|(?P<spoiler>.+?)\|\|"
    r"|\*\*(?P<bold>.+?)\*\*(?!\*)|__(?P<underline>.+?)__(?!_)|~~(?P<struck>.+?)~~"
    r"|\*(?P<italic>[^\s*](?:.*?[^\s*])?)\*|(?<!\w)_(?P<slanted>[^_]+?)_(?!\w)",
    re.DOTALL,
)
WRAPPED = {
    "bold": "strong", "underline": "u", "struck": "s", "italic": "em", "slanted": "em", "spoiler": "span",
}  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """Who reads: their language, the present moment, and how they see the names of others."""

    locale: str = "en-US"
    now: float = 0.0  # seconds since 1970, UTC
    name_of: Callable[[str, str], str] = field(default=lambda kind, thing_id: thing_id)  # kind: "@", "@&" or "#"


def to_html(text: str, reader: Reader) -> str:
    """Return a whole message's text as HTML."""
    parts, end = [], 0
    for match in CODE_BLOCK.finditer(text):
        parts.append(_lines(text[end : match.start()].removesuffix("\n"), reader))
        parts.append(f'<pre class="code-block"><code>{escape(match["code"])}</code></pre>')
        end = match.end() + text.startswith("\n", match.end())
    parts.append(_lines(text[end:], reader))
    return "".join(parts)


def inline_html(text: str, reader: Reader, depth: int = 0) -> str:
    """Return text inside a line as HTML; marks nested deeper than DEEPEST stay text."""
    parts, end = [], 0
    for match in INLINE.finditer(text) if depth < DEEPEST else ():
        parts += [escape(text[end : match.start()]), _span(match, reader, depth + 1)]
        end = match.end()
    return "".join([*parts, escape(text[end:])]).replace("\n", "<br>")


def _lines(text: str, reader: Reader) -> str:
    """Return lines as HTML: headings, small print, quotes and list items are blocks of their own."""
    parts: list[str] = []
    plain: list[str] = []

    def flush() -> None:
        if plain:
            parts.append(f"<div>{inline_html(chr(10).join(plain), reader)}</div>")
            plain.clear()

    for line in text.split("\n") if text else []:
        block = _block(line, reader)
        if block is None:
            plain.append(line)
        else:
            flush()
            parts.append(block)
    flush()
    return "".join(parts)


def _block(line: str, reader: Reader) -> str | None:
    if match := HEADING.fullmatch(line):
        return f'<div class="heading h{len(match[1])}">{inline_html(match[2], reader)}</div>'
    if match := SUBTEXT.fullmatch(line):
        return f'<div class="subtext">{inline_html(match[1], reader)}</div>'
    if match := QUOTE.fullmatch(line):
        return f"<blockquote>{inline_html(match[1], reader)}</blockquote>"
    if match := ITEM.fullmatch(line):
        mark = f"{match[2]}." if match[2] else "•"
        depth = len(match[1]) // 2
        return f'<div class="item" style="--depth:{depth}"><i>{mark}</i>{inline_html(match[3], reader)}</div>'
    return None


def _span(match: re.Match[str], reader: Reader, depth: int) -> str:
    found = {name: value for name, value in match.groupdict().items() if value is not None}
    for name, tag in WRAPPED.items():
        if name in found:
            attribute = ' class="spoiler"' if name == "spoiler" else ""
            return f"<{tag}{attribute}>{inline_html(found[name], reader, depth)}</{tag}>"
    if "escaped" in found:
        return escape(found["escaped"])
    if "code" in found:
        return f'<code class="inline">{escape(found["code"])}</code>'
    if "label" in found:
        return f'<a class="link">{inline_html(found["label"], reader, depth)}</a>'
    if "id" in found:
        kind = found["mention"].replace("!", "")
        return f'<span class="mention">{kind[0]}{escape(reader.name_of(kind, found["id"]))}</span>'
    if "command" in found:
        return f'<span class="mention">/{escape(found["command"])}</span>'
    if "moment" in found:
        return f'<span class="moment">{moment(int(found["moment"]), found.get("style", "f"), reader)}</span>'
    return f'<a class="link">{escape(found.get("url") or found["quiet"])}</a>'


def moment(at: int, style: str, reader: Reader) -> str:
    """Return a timestamp (seconds since 1970) in words, as `<t:AT:STYLE>` shows it; dates are in UTC and English."""
    if style == "R":
        return _relative(at - reader.now, reader.locale)
    try:
        return datetime.fromtimestamp(at, UTC).strftime(DATE_FORMATS[style]).removeprefix("0")
    except (OverflowError, ValueError, OSError):
        return "Invalid date"


def _relative(seconds: float, locale: str) -> str:
    size, unit = next((u for u in UNITS if abs(seconds) >= u[0] * 0.95), UNITS[-1])
    count = round(abs(seconds) / size)
    if words := CHINESE_UNITS.get(locale):
        return words["in" if seconds >= 0 else "ago"].format(f"{count} {words[unit]}")
    one = f"an {unit}" if unit == "hour" else f"a {unit}"
    text = one if count == 1 else f"{count} {unit}s"
    return f"in {text}" if seconds >= 0 else f"{text} ago"
