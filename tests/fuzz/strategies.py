"""Hostile values, and ways to spoil good ones: a valid input with one thing wrong reaches further than noise.

Every text that a person could have typed holds SECRET, so that a log which repeats it is found.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from hypothesis import strategies as st

SECRET: Final = "geheim-7f3a"
ELSEWHERE: Final = "198.51.100.7"  # TEST-NET-2 (RFC 5737): nobody is there

HOSTILE_TEXTS: Final = (
    "",
    " ",
    SECRET,
    f"{SECRET}\0",
    f"\ud800 {SECRET}",  # half of a character
    f"{SECRET} \udfff",
    f"\u202e{SECRET}\u2066",  # right to left, and never back
    f"{SECRET} \u0301\u200d\ufeff",
    f"{SECRET}\r\nX-Other: y",
    f"{SECRET} " + "x" * 2001,
    SECRET * 2000,
    f"{SECRET} " + "💥" * 1500,
    f"{SECRET}" + "a\u0301" * 1000,
    "٣",  # digits to Unicode, and to Python's `int`, `\d` and `isdigit`
    "²",
    "١/cancel",
    "-1",
    "1e999",
    "NaN",
    "true",
    "9" * 5000,
    "0x10",
    f"http://{ELSEWHERE}/{SECRET}.png",
    f"//{ELSEWHERE}/x",
    f"file:///{SECRET}",
    "/etc/passwd",
    "../" * 20 + "etc/passwd",
    "..\\..\\x",
    "%2e%2e%2f%00%d9%a1",
    f"<script>{SECRET}</script>",
    f"'; DROP TABLE jobs; -- {SECRET}",
    f"%s %n {{0}} {{prompt}} {SECRET}",
    f"x --ar 16:9 --seed {SECRET} --{SECRET}",
    f"x —no \ud800{SECRET} —style \u202e --repeat 2",
    f"x <lora:{SECRET}:1>\nNegative prompt: {SECRET}\nSteps: 2, Sampler: {SECRET}, Seed: 1",
    "[" * 2000,
    f"```{SECRET}``` @everyone <@1> `",
)
# What `json.dumps` cannot say, and a client can; written as text, put in by `to_json`.
VERBATIM: Final = {
    "\x1fdigits": "9" * 5000,
    "\x1fsigned digits": "-" + "9" * 5000,
    "\x1flarge": "1e999",
    "\x1fsmall": "-0.0",
    "\x1fdeep list": "[" * 5000 + "]" * 5000,
    "\x1fdeep object": '{"a":' * 5000 + "1" + "}" * 5000,
}

texts = st.one_of(
    st.sampled_from(HOSTILE_TEXTS),
    st.text(max_size=20).map(lambda text: f"{SECRET}{text}"),
    st.text(alphabet=st.characters(exclude_categories=[]), max_size=12),
)
whole_numbers = st.one_of(
    st.integers(-3, 60),
    st.sampled_from([0, -1, 2**31, 2**32 - 1, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**400]),
    st.integers(),
)
numbers = whole_numbers | st.floats() | st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e308, 0.5, 7.0])
leaves = st.one_of(st.none(), st.booleans(), numbers, texts, st.sampled_from(sorted(VERBATIM)))
json_values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6) | texts, inner, max_size=4),
    max_leaves=6,
)


def to_json(value: Any, *, is_ascii: bool = True) -> bytes:
    """Write a value as a client of one's own would: half characters, NaN, and whatever VERBATIM holds."""
    text = json.dumps(value, ensure_ascii=is_ascii)
    for name, what in VERBATIM.items():
        text = text.replace(json.dumps(name), what)
    return text.encode("utf-8", "surrogatepass")


@st.composite
def spoilt_json(draw: Callable[..., Any], value: Any, values: st.SearchStrategy[Any] = json_values) -> Any:
    """A JSON value with up to three places changed, taken away, doubled or put into something else."""
    root = [copy.deepcopy(value)]
    for _ in range(draw(st.integers(0, 3))):
        places = list(_places(root))
        holder, key = places[draw(st.integers(0, len(places) - 1))]
        match draw(st.sampled_from(("replace", "replace", "replace", "remove", "add", "wrap"))):
            case "replace":
                holder[key] = draw(values)
            case "remove" if holder is not root:
                del holder[key]
            case "add" if isinstance(holder, dict):
                holder[draw(texts)] = draw(values)
            case "add" if holder is not root:
                holder.insert(key, draw(values))
            case _:
                holder[key] = draw(st.sampled_from(([holder[key]], {"path": holder[key]}, [holder[key]] * 3)))
    return root[0]


def _places(holder: Any) -> Any:
    keys: Any = range(len(holder)) if isinstance(holder, list) else list(holder)
    for key in keys:
        yield holder, key
        if isinstance(holder[key], list | dict):
            yield from _places(holder[key])


@st.composite
def spoilt_bytes(draw: Callable[..., Any], data: bytes, *, first: int = 64) -> bytes:
    """Bytes with one to three spans overwritten, cut out, put in, doubled or cut off; half of them near the start."""
    spoilt = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        last = len(spoilt)
        at = draw(st.integers(0, min(first, last)) | st.integers(0, last))
        span = draw(st.sampled_from((1, 2, 4, 8, 16, 200)))
        match draw(st.sampled_from(("bit", "number", "noise", "insert", "remove", "double", "cut", "append"))):
            case "bit" if at < last:
                spoilt[at] ^= 1 << draw(st.integers(0, 7))
            case "number":  # lengths and offsets
                number = draw(
                    st.sampled_from((0, 1, 0x7F, 0xFF, 0x7FFF_FFFF, 0xFFFF_FFFF, 2**63 - 1, 2**63, 2**64 - 1))
                )
                size = draw(st.sampled_from((1, 2, 4, 8)))
                number &= (1 << 8 * size) - 1
                spoilt[at : at + size] = number.to_bytes(size, draw(st.sampled_from(("big", "little"))))
            case "insert":
                spoilt[at:at] = draw(st.binary(max_size=40))
            case "remove":
                del spoilt[at : at + span]
            case "double":
                spoilt[at:at] = spoilt[at : at + span]
            case "cut":
                del spoilt[at:]
            case "append":
                spoilt += draw(st.binary(max_size=40)) * draw(st.sampled_from((1, 100)))
            case _:
                noise = draw(st.binary(min_size=1, max_size=40))
                spoilt[at : at + len(noise)] = noise
    return bytes(spoilt)


def any_of(samples: Sequence[bytes], *, first: int = 64) -> st.SearchStrategy[bytes]:
    """Spoilt samples mostly, and noise."""
    return st.sampled_from(samples).flatmap(lambda data: spoilt_bytes(data, first=first)) | st.binary(max_size=200)
