"""The components of messages and modals: their kinds, how they nest, and the rules the description lacks.

Owns what may stand where, as pure functions over JSON. Must not know requests or users: forms.py fills
components in, limits.py has the rules of everything else. Source: Discord's documentation, "component
reference"; the codes are from bug reports where there are any.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

from tests.discord_server.errors import Problem
from tests.discord_server.limits import ALT_TEXT, ATTACHMENT, Json, Path, required, too_long


class Kind(IntEnum):
    """The types of components."""

    ROW = 1
    BUTTON = 2
    STRING_SELECT = 3
    TEXT_INPUT = 4
    USER_SELECT = 5
    ROLE_SELECT = 6
    MENTIONABLE_SELECT = 7
    CHANNEL_SELECT = 8
    SECTION = 9
    TEXT_DISPLAY = 10
    THUMBNAIL = 11
    MEDIA_GALLERY = 12
    FILE = 13
    SEPARATOR = 14
    CONTAINER = 17
    LABEL = 18
    FILE_UPLOAD = 19
    RADIO_GROUP = 21
    CHECKBOX_GROUP = 22
    CHECKBOX = 23


SELECTS = frozenset(
    {Kind.STRING_SELECT, Kind.USER_SELECT, Kind.ROLE_SELECT, Kind.MENTIONABLE_SELECT, Kind.CHANNEL_SELECT}
)
WITH_OPTIONS = frozenset({Kind.STRING_SELECT, Kind.RADIO_GROUP, Kind.CHECKBOX_GROUP})
COUNTED = SELECTS | {Kind.FILE_UPLOAD, Kind.CHECKBOX_GROUP}  # those with min_values and max_values
IN_LABEL = SELECTS | {
    Kind.TEXT_INPUT, Kind.FILE_UPLOAD, Kind.RADIO_GROUP, Kind.CHECKBOX_GROUP, Kind.CHECKBOX,
}  # fmt: skip
IN_ROW = SELECTS | {Kind.BUTTON}  # of a message
IN_MODAL = frozenset({Kind.ROW, Kind.LABEL, Kind.TEXT_DISPLAY})

IN_CONTAINER = frozenset({Kind.ROW, Kind.SECTION, Kind.TEXT_DISPLAY, Kind.MEDIA_GALLERY, Kind.FILE, Kind.SEPARATOR})
IN_LAYOUT = IN_CONTAINER | {Kind.CONTAINER}  # of a message with the Components V2 flag
BESIDE_SECTION = frozenset({Kind.BUTTON, Kind.THUMBNAIL})

LINK = 5  # a button's style
ROWS = 5  # action rows of a message, buttons of a row, components of a modal
OPTIONS, UPLOADS = 25, 10
COMPONENTS, DISPLAYED_TEXT = 40, 4000  # of a message with the Components V2 flag, all of them together
SECTION_TEXTS, GALLERY_ITEMS = 3, 10
MODAL_TITLE = LABEL_TEXT = 45
INPUT_TEXT = 4000


# -- nesting ------------------------------------------------------------------------


def nested(components: list[Json], path: Path = ()) -> Iterator[tuple[Path, Json]]:
    """Yield components and those inside them, each with its place."""
    for i, component in enumerate(components):
        yield from _with_children(component, (*path, i))


def _with_children(component: Json, here: Path) -> Iterator[tuple[Path, Json]]:
    yield here, component
    yield from nested(component.get("components") or [], (*here, "components"))
    for only in ("component", "accessory"):  # of a modal's label, of a section
        if component.get(only):
            yield from _with_children(component[only], (*here, only))


def walk(components: list[Json]) -> Iterator[Json]:
    """Yield components and those inside them."""
    for _, component in nested(components):
        yield component


def number(components: list[Json]) -> None:
    """Give each component without an id the next free one."""
    taken = {c["id"] for c in walk(components) if c.get("id")}
    free = (n for n in itertools.count(1) if n not in taken)
    for component in walk(components):
        component["id"] = component.get("id") or next(free)


def media(component: Json) -> list[Json]:
    """Return the pictures and files a component shows, each with its `url`."""
    match component.get("type"):
        case Kind.THUMBNAIL:
            return [component["media"]]
        case Kind.MEDIA_GALLERY:
            return [item["media"] for item in component["items"]]
        case Kind.FILE:
            return [component["file"]]
    return []


def complete(components: list[Json]) -> None:
    """Fill in what the API shows of a message's components although nobody sent it."""
    number(components)
    for component in walk(components):
        if component["type"] in SELECTS:
            component["min_values"], component["max_values"] = value_range(component)


def value_range(component: Json) -> tuple[int, int]:
    """Return how many values a select, upload or checkbox group takes, if it is filled in at all."""
    options = component.get("options")
    most = len(options) if component["type"] == Kind.CHECKBOX_GROUP and options else 1
    low, high = component.get("min_values"), component.get("max_values")
    return 1 if low is None else low, most if high is None else high


# -- messages -----------------------------------------------------------------------


def message_problems(components: list[Json], *, is_layout: bool = False) -> Iterator[Problem]:
    """Check the components of a message; `is_layout`: it has the Components V2 flag."""
    here: Path = ("components",)
    if is_layout:
        yield from _layout_problems(components, here)
    elif len(components) > ROWS:
        yield too_long(here, ROWS)
    yield from _allowed(components, here, IN_LAYOUT if is_layout else frozenset({Kind.ROW}))
    for place, component in nested(components, here):
        if component.get("type") == Kind.ROW:
            yield from _allowed(component.get("components") or [], (*place, "components"), IN_ROW)
    yield from _shared_problems(components, here)


def _allowed(components: list[Json], path: Path, kinds: frozenset[Kind]) -> Iterator[Problem]:
    for i, component in enumerate(components):
        if component.get("type") not in kinds:
            yield _wrong_kind((*path, i), kinds)


def _layout_problems(components: list[Json], path: Path) -> Iterator[Problem]:
    """Check what only the Components V2 flag brings."""
    count = sum(1 for _ in walk(components))
    if count > COMPONENTS:
        text = f"{count} components, and a message holds {COMPONENTS}"
        yield Problem(path, "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED", text)
    shown = sum(len(c["content"]) for c in walk(components) if c.get("type") == Kind.TEXT_DISPLAY)
    if shown > DISPLAYED_TEXT:
        text = f"{shown} characters of text, and a message holds {DISPLAYED_TEXT}"
        yield Problem(path, "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED", text)
    for here, component in nested(components, path):
        inside = component.get("components") or []
        match component.get("type"):
            case Kind.CONTAINER:
                yield from _allowed(inside, (*here, "components"), IN_CONTAINER)
            case Kind.SECTION:
                yield from _allowed(inside, (*here, "components"), frozenset({Kind.TEXT_DISPLAY}))
                if not 1 <= len(inside) <= SECTION_TEXTS:
                    text = f"Must be between 1 and {SECTION_TEXTS} in length."
                    yield Problem((*here, "components"), "BASE_TYPE_BAD_LENGTH", text)
                if (component.get("accessory") or {}).get("type") not in BESIDE_SECTION:
                    yield _wrong_kind((*here, "accessory"), BESIDE_SECTION)
            case Kind.MEDIA_GALLERY:
                items = component["items"]
                if not 1 <= len(items) <= GALLERY_ITEMS:
                    text = f"Must be between 1 and {GALLERY_ITEMS} in length."
                    yield Problem((*here, "items"), "BASE_TYPE_BAD_LENGTH", text)
                for i, item in enumerate(items):
                    yield from _alt_text_problems((*here, "items", i), item)
            case Kind.THUMBNAIL:
                yield from _alt_text_problems(here, component)
            case Kind.FILE if not component["file"]["url"].startswith(ATTACHMENT):
                text = "A file component shows an attachment only"
                yield Problem((*here, "file", "url"), "URL_TYPE_INVALID_SCHEME", text)


def _alt_text_problems(path: Path, item: Json) -> Iterator[Problem]:
    if len(item.get("description") or "") > ALT_TEXT:
        yield too_long((*path, "description"), ALT_TEXT)


def reference_problems(components: list[Json], names: set[str], path: Path = ("components",)) -> Iterator[Problem]:
    """Check that every attachment:// URL names one of the files (by name) that the request knows."""
    for here, component in nested(components, path):
        for item in media(component):
            if item["url"].startswith(ATTACHMENT) and item["url"].removeprefix(ATTACHMENT) not in names:
                text = f"The referenced attachment {item['url']!r} was not found"
                yield Problem(here, "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND", text)


def _shared_problems(components: list[Json], path: Path) -> Iterator[Problem]:
    """Check what holds wherever a component stands."""
    yield from _unique_problems(components, path)
    for here, component in nested(components, path):
        match component.get("type"):
            case Kind.ROW:
                yield from _row_problems(here, component)
            case Kind.BUTTON:
                yield from _button_problems(here, component)
            case kind if kind in WITH_OPTIONS | COUNTED:
                yield from _choice_problems(here, component)


def _wrong_kind(path: Path, allowed: set[Kind] | frozenset[Kind]) -> Problem:
    kinds = tuple(int(kind) for kind in sorted(allowed))
    return Problem((*path, "type"), "UNION_TYPE_CHOICES", f'Value of field "type" must be one of {kinds}.')


def _unique_problems(components: list[Json], path: Path) -> Iterator[Problem]:
    for field, code in (("custom_id", "COMPONENT_CUSTOM_ID_DUPLICATED"), ("id", "COMPONENT_ID_DUPLICATED")):
        seen: set[Any] = set()
        for here, component in nested(components, path):
            value = component.get(field)
            if value and value in seen:
                yield Problem((*here, field), code, f"Component {field} cannot be duplicated")
            seen.add(value)


def _row_problems(path: Path, row: Json) -> Iterator[Problem]:
    """A row is five units wide: a button takes one, everything else the whole row."""
    inside = row.get("components") or []
    width = sum(1 if c.get("type") == Kind.BUTTON else ROWS for c in inside)
    if width > ROWS:
        text = f"A row holds {ROWS} buttons or one of anything else"
        yield Problem((*path, "components"), "COMPONENT_LAYOUT_WIDTH_EXCEEDED", text)


def _button_problems(path: Path, button: Json) -> Iterator[Problem]:
    is_link = button.get("style") == LINK
    wanted, unwanted = ("url", "custom_id") if is_link else ("custom_id", "url")
    if not button.get(wanted):
        code = f"BUTTON_COMPONENT_{wanted.upper()}_REQUIRED"
        yield Problem((*path, wanted), code, f"A {wanted} is required")
    if button.get(unwanted):
        code = "BUTTON_COMPONENT_CUSTOM_ID_URL_MUTUALLY_EXCLUSIVE"
        yield Problem((*path, "custom_id"), code, "A custom id and url cannot both be specified")
    if not button.get("label") and not button.get("emoji"):
        yield required((*path, "label"))


def _choice_problems(path: Path, component: Json) -> Iterator[Problem]:
    """Check a select, upload, radio or checkbox group: its options and how many of them may be taken."""
    kind, options = component["type"], component.get("options") or []
    if kind in WITH_OPTIONS and not 1 <= len(options) <= OPTIONS:
        text = f"Must be between 1 and {OPTIONS} in length."
        yield Problem((*path, "options"), "BASE_TYPE_BAD_LENGTH", text)
    values = [o["value"] for o in options]
    for i, value in enumerate(values):
        if value in values[:i]:
            text = "The specified option value is already used"
            yield Problem((*path, "options", i, "value"), "COMPONENT_OPTION_VALUE_DUPLICATED", text)
    low, high = value_range(component)
    if low > high:
        yield Problem((*path, "min_values"), "BASE_TYPE_BAD_INTEGER", "min_values is more than max_values")
    most = len(options) or (UPLOADS if kind == Kind.FILE_UPLOAD else OPTIONS)
    if high > most:
        text = f"max_values is more than {most}"
        yield Problem((*path, "max_values"), "BASE_TYPE_BAD_INTEGER", text)
    if sum(bool(o.get("default")) for o in options) > high:
        yield Problem((*path, "options"), "BASE_TYPE_BAD_LENGTH", f"More than {high} options are defaults")


# -- modals -------------------------------------------------------------------------


def modal_problems(modal: Json) -> Iterator[Problem]:
    """Check the form a bot answers with."""
    components: list[Json] = modal["components"]
    path: Path = ("data", "components")
    if not 1 <= len(modal["title"]) <= MODAL_TITLE:
        text = f"Must be between 1 and {MODAL_TITLE} in length."
        yield Problem(("data", "title"), "BASE_TYPE_BAD_LENGTH", text)
    if not 1 <= len(components) <= ROWS:
        yield Problem(path, "BASE_TYPE_BAD_LENGTH", f"Must be between 1 and {ROWS} in length.")
    for i, top in enumerate(components):
        yield from _modal_part_problems((*path, i), top)
    yield from _shared_problems(components, path)
    for here, component in nested(components, path):
        if component.get("type") == Kind.TEXT_INPUT:
            yield from _text_input_problems(here, component)
        if component.get("disabled"):
            text = "A modal has no disabled components"
            yield Problem((*here, "disabled"), "COMPONENT_DISABLED_NOT_ALLOWED", text)
        is_required = component.get("type") in COUNTED and component.get("required") is not False
        if is_required and component.get("min_values") == 0:
            text = "min_values must be at least 1 where an answer is required"
            yield Problem((*here, "min_values"), "BASE_TYPE_BAD_INTEGER", text)


def _modal_part_problems(here: Path, top: Json) -> Iterator[Problem]:
    match top.get("type"):
        case Kind.ROW:
            for i, component in enumerate(top.get("components") or []):
                if component.get("type") != Kind.TEXT_INPUT:
                    yield _wrong_kind((*here, "components", i), {Kind.TEXT_INPUT})
                elif not component.get("label"):
                    yield required((*here, "components", i, "label"))
        case Kind.LABEL:
            if not 1 <= len(top.get("label") or "") <= LABEL_TEXT:
                text = f"Must be between 1 and {LABEL_TEXT} in length."
                yield Problem((*here, "label"), "BASE_TYPE_BAD_LENGTH", text)
            if top["component"].get("type") not in IN_LABEL:
                yield _wrong_kind((*here, "component"), IN_LABEL)
        case Kind.TEXT_DISPLAY:
            pass
        case _:
            yield _wrong_kind(here, IN_MODAL)


def _text_input_problems(path: Path, component: Json) -> Iterator[Problem]:
    low, high = component.get("min_length") or 0, component.get("max_length") or INPUT_TEXT
    value = component.get("value")
    if low > high:
        yield Problem((*path, "min_length"), "BASE_TYPE_BAD_INTEGER", "min_length is more than max_length")
    if value and not low <= len(value) <= high:
        text = f"Must be between {low} and {high} in length."
        yield Problem((*path, "value"), "BASE_TYPE_BAD_LENGTH", text)
