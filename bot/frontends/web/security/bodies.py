"""What requests to Gradio may hold: read strictly, and written anew from nothing but what was checked.

Gradio opens, copies or fetches whatever looks like a file to it, in any value. It gets plain values alone: an upload
is named by its bare name, as a string, and whose it is `uploads.py` knows. Pure.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bot.frontends.web.security.paths import BARE_NAME, WORD, Body
from bot.frontends.web.security.refused import RequestRefused
from pipeline.spec import Aspect, Size

EDIT: Final = "edit"  # what is done with the images of the form: this, or they are started from
START: Final = "start"
MAX_VALUES: Final = 32  # more than any event has
MAX_EVENT_ID: Final = 2**31
DRAW_KEYS: Final = ("prompt", "seed", "steps", "size")  # of which only the first is needed
FILE_KEYS: Final = frozenset({"path", "url", "meta"})  # by any of them Gradio may take an object for a file
FILE_FIELDS: Final = FILE_KEYS | {"orig_name", "size", "mime_type", "is_stream"}  # what a browser says of an upload


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """Gradio's numbers for what the page does, which it gives out while the page is built."""

    form: int  # the button that draws
    reuse: int
    start_from: int
    draw: int


def rewritten(kind: Body, body: bytes, events: Events) -> bytes:
    """Check a body and write it anew for Gradio.

    Raises:
        RequestRefused
    """
    values = read_json(body)
    if kind is Body.DIRECT:
        checked = _direct(_object(values), events)
    elif kind is Body.JOIN:
        checked = _join(_object(values), events)
    elif kind is Body.CALL:
        checked = {"data": _plain(_object(values).get("data"))}
    elif kind is Body.NAMED_CALL:
        checked = _named_call(values)
    elif kind is Body.RESET:
        checked = {"event_id": _word(_object(values), "event_id")}
    else:
        checked = {
            "session_hash": _word(_object(values), "session_hash"),
            "fn_index": _number(_object(values), "fn_index"),
            "event_id": _word(_object(values), "event_id"),
        }
    return json.dumps(checked).encode()


def read_json(body: bytes) -> object:
    """Read JSON as its standard has it: UTF-8, finite numbers, whole characters, no key twice.

    Raises:
        RequestRefused
    """
    try:
        text = body.decode()
        value: object = json.loads(
            text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_without_repeats
        )
        if "\\ud" in text.lower():  # half a character can only be written like this
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):  # ValueError: also numbers of thousands of digits
        raise RequestRefused(400, "the request is not valid JSON") from None
    return value


def _direct(values: Mapping[str, object], events: Events) -> dict[str, object]:
    fn_index = _number(values, "fn_index")
    _check_labels(values)
    data = _list(values.get("data"))
    if fn_index == events.form:
        return {"fn_index": fn_index, "data": _form(data)}
    if fn_index not in (events.reuse, events.start_from):
        raise RequestRefused(404, "there is no such event")
    _check_count(data, 0)
    event = _object(values.get("event_data"))
    if fn_index == events.start_from and "upload" in event:
        return {"fn_index": fn_index, "data": [], "event_data": {"upload": _bare_name(event["upload"])}}
    return {"fn_index": fn_index, "data": [], "event_data": {"job_id": _number(event, "job_id", most=10**18)}}


def _join(values: Mapping[str, object], events: Events) -> dict[str, object]:
    fn_index = _number(values, "fn_index")
    _check_labels(values)
    if fn_index != events.draw:
        raise RequestRefused(404, "there is no such event")
    return {
        "fn_index": fn_index,
        "session_hash": _word(values, "session_hash"),
        "data": _plain(values.get("data")),
    }


def _named_call(values: object) -> dict[str, object]:
    _check_files(values)
    if not isinstance(values, dict) or DRAW_KEYS[0] not in values or values.keys() - set(DRAW_KEYS):
        first, *others, last = DRAW_KEYS
        wanted = f"{', '.join(others)} and {last}"
        raise RequestRefused(400, f"the request must be a JSON object with {first} and, if wanted, {wanted}")
    return dict(zip(values, _plain(list(values.values())), strict=True))


# ── the values of the form ──────────────────────────────────────────────────────────────────────────


def _form(data: Sequence[object]) -> list[object]:
    """What the browser has in the form, in the order of its fields; of pictures, the bare names."""
    _check_count(data, len(FORM))
    for position, value in enumerate(data):
        if FORM[position] is not _is_upload:
            _check_files(value)
    if not all(fits(value) for fits, value in zip(FORM, data, strict=True)):
        raise RequestRefused(422, "a value in data is of the wrong kind")
    return [value["path"] if isinstance(value, dict) else value for value in data]


def _is_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _is_aspect(value: object) -> bool:
    return value is None or (isinstance(value, str) and value in set(Aspect))


def _is_size(value: object) -> bool:
    return value is None or (isinstance(value, str) and value in set(Size))


def _is_way(value: object) -> bool:
    return value in (None, EDIT, START)


def _is_upload(value: object) -> bool:
    """What the browser was told when it uploaded, or nothing.

    Raises:
        RequestRefused: it names a file of another kind.
    """
    if value is None:
        return True
    if not isinstance(value, dict) or value.keys() - FILE_FIELDS:
        _check_files(value)
        return False
    name, address = value.get("path"), value.get("url")
    is_bare = isinstance(name, str) and re.fullmatch(BARE_NAME, name, re.ASCII) is not None
    is_ours = address is None or (isinstance(address, str) and address.endswith(f"/gradio_api/file={name}"))
    if not (is_bare and is_ours):
        raise RequestRefused(403, "files are uploaded, not fetched")
    return True


# prompt, seed, steps, aspect, count, source, strength, name, model, size, exact size;
# negative prompt, CFG scale, guidance, sampler, CLIP skip, LoRAs, speed;
# whether the images are edited, and two more of them
FORM: Final[tuple[Callable[[object], bool], ...]] = (
    _is_text, _is_number, _is_number, _is_aspect, _is_number, _is_upload, _is_number, _is_text, _is_text,
    _is_size, _is_text,
    _is_text, _is_text, _is_text, _is_text, _is_text, _is_text, _is_text,
    _is_way, _is_upload, _is_upload,
)  # fmt: skip


def _bare_name(value: object) -> str:
    """The name of an upload, alone.

    Raises:
        RequestRefused
    """
    if not isinstance(value, str) or re.fullmatch(BARE_NAME, value, re.ASCII) is None:
        raise RequestRefused(403, "files are uploaded, not fetched")
    return value


# ── pieces ──────────────────────────────────────────────────────────────────────────────────────────


def _object(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise RequestRefused(400, "the request must be a JSON object")
    return value


def _list(value: object) -> Sequence[object]:
    if not isinstance(value, list):
        _check_files(value)
        raise RequestRefused(422, "data must be a list of values")
    return value


def _plain(value: object) -> list[object]:
    """A list of texts, numbers and the like, in which nothing can be taken for a file."""
    data = _list(value)
    for each in data:
        if isinstance(each, dict | list):
            _check_files(each)
            raise RequestRefused(422, "a value in data is of the wrong kind")
    if len(data) > MAX_VALUES:
        raise RequestRefused(422, "data has too many values")
    return list(data)


def _check_count(data: Sequence[object], count: int) -> None:
    if len(data) != count:
        for each in data:
            _check_files(each)
        raise RequestRefused(422, f"data must hold {count} values, not {len(data)}")


def _check_files(value: object) -> None:
    """See that nothing in a value names a file. Values are as deep as the JSON reader lets them be, and no deeper."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            if each.keys() & FILE_KEYS:
                raise RequestRefused(403, "files are uploaded, not fetched")
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each


def _check_labels(values: Mapping[str, object]) -> None:
    """What clients say beside the data, of which only the session of a waiting script is passed on."""
    for key in ("session_hash", "event_id"):
        if values.get(key) is not None:
            _word(values, key)
    if values.get("trigger_id") is not None:
        _number(values, "trigger_id")


def _word(values: Mapping[str, object], key: str) -> str:
    value = values.get(key)
    if not isinstance(value, str) or re.fullmatch(WORD, value, re.ASCII) is None:
        raise RequestRefused(422, f"{key} must be a short word")
    return value


def _number(values: Mapping[str, object], key: str, *, most: int = MAX_EVENT_ID) -> int:
    value = values.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < most:
        raise RequestRefused(422, f"{key} must be a number")
    return value


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError("the number is too large")
    return value


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key stands twice")
    return values
