"""Buttons, select menus and modals as a user fills them in, and the interaction data a client then sends.

Owns what a client lets a user press, choose, write and upload; it raises ClientRefused where it would not let
the user go on. Must not know deadlines or tokens; interactions.py starts those.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.discord_server.client import TAKES, Option, Resolved, check_text, refuse_if
from tests.discord_server.components import INPUT_TEXT, LINK, SELECTS, Kind, value_range, walk
from tests.discord_server.messages import Upload
from tests.discord_server.world import Message

SINGLE_LINE = 1  # a text input's style
TAKEN: dict[int, tuple[type, ...]] = {
    Kind.USER_SELECT: TAKES[Option.USER], Kind.ROLE_SELECT: TAKES[Option.ROLE],
    Kind.MENTIONABLE_SELECT: TAKES[Option.MENTIONABLE], Kind.CHANNEL_SELECT: TAKES[Option.CHANNEL],
}  # fmt: skip

# -- messages -----------------------------------------------------------------------


def click_details(message: Message, target: str) -> dict[str, Any]:
    """Return the data of a click on the button with this custom_id, label or emoji."""

    def names(button: dict[str, Any]) -> tuple[str | None, ...]:
        emoji = (button.get("emoji") or {}).get("name")
        return button.get("custom_id"), button.get("label"), emoji

    offered = [c for c in walk(message.components) if c["type"] == Kind.BUTTON]
    by_id = [b for b in offered if b.get("custom_id") == target]
    found = by_id or [b for b in offered if target in names(b)]
    labels = [b.get("label") or b.get("custom_id") for b in offered]
    refuse_if(not found, f"no {target!r} on the message (it offers {labels})")
    refuse_if(len(found) > 1, f"{target!r} fits {len(found)} buttons; use a custom_id")
    button = found[0]
    refuse_if(button.get("disabled"), f"{target!r} is disabled")
    refuse_if(button["style"] == LINK, "a link button only opens its URL")
    return {"custom_id": button["custom_id"], "component_type": int(Kind.BUTTON), "id": button["id"]}


def select_details(message: Message, target: str, values: Any, resolved: Resolved) -> dict[str, Any]:
    """Return the data of a choice in the select menu with this custom_id or placeholder."""
    offered = [c for c in walk(message.components) if c["type"] in SELECTS]
    by_id = [c for c in offered if c["custom_id"] == target]
    found = by_id or [c for c in offered if target == c.get("placeholder")]
    names = [c["custom_id"] for c in offered]
    refuse_if(not found, f"no {target!r} on the message (it offers {names})")
    refuse_if(len(found) > 1, f"{target!r} fits {len(found)} select menus; use a custom_id")
    select = found[0]
    refuse_if(select.get("disabled"), f"{target!r} is disabled")
    chosen = _chosen(select, values, resolved)
    _check_count(select, len(chosen))
    about = {"custom_id": select["custom_id"], "component_type": select["type"], "id": select["id"]}
    return resolved.into({**about, "values": chosen})


# -- choosing -----------------------------------------------------------------------


def _as_list(given: Any) -> list[Any]:
    return list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]


def _chosen(component: dict[str, Any], given: Any, resolved: Resolved) -> list[str]:
    """Return the values that stand for what the user chose or uploaded, in that order."""
    name, kind = component["custom_id"], component["type"]
    wanted = _as_list(given)
    if "options" in component:
        values = [_option_value(component, one) for one in wanted]
    elif kind == Kind.FILE_UPLOAD:
        refuse_if(any(not isinstance(one, Upload) for one in wanted), f"{name!r} takes files")
        values = [resolved.upload(one) for one in wanted]
    else:
        types = component.get("channel_types")
        for one in wanted:
            refuse_if(not isinstance(one, TAKEN[kind]), f"{name!r} does not take a {type(one).__name__}")
            refuse_if(types and one.type not in types, f"{name!r} does not take this type of channel")
        values = [resolved.add(one) for one in wanted]
    refuse_if(len(set(values)) < len(values), f"{name!r}: the same thing chosen twice")
    return values


def _option_value(component: dict[str, Any], wanted: Any) -> str:
    options, name = component["options"], component["custom_id"]
    found = [o for o in options if o["value"] == wanted] or [o for o in options if o["label"] == wanted]
    refuse_if(not found, f"{wanted!r} is not offered by {name!r}: {[o['label'] for o in options]}")
    refuse_if(len(found) > 1, f"{wanted!r} labels {len(found)} options of {name!r}; use a value")
    value: str = found[0]["value"]
    return value


def _check_count(component: dict[str, Any], count: int) -> None:
    low, high = value_range(component)
    refuse_if(count < low, f"{component['custom_id']!r} takes at least {low}, not {count}")
    refuse_if(count > high, f"{component['custom_id']!r} takes at most {high}, not {count}")


# -- modals -------------------------------------------------------------------------


def modal_details(modal: dict[str, Any], answers: dict[str, Any], resolved: Resolved) -> dict[str, Any]:
    """Return a modal filled in: answers go by custom_id or label, the other fields stay as they were opened.

    A text input takes text; a select, radio or checkbox group takes values or labels; a select of users, roles or
    channels takes those; a file upload takes Uploads; a checkbox takes True or False. Several go in a list.
    """
    left = dict(answers)

    def fill(field: dict[str, Any], label: str) -> dict[str, Any]:
        given = next((left.pop(key) for key in (field["custom_id"], label) if key in left), None)
        filled = {"type": field["type"], "id": field["id"], "custom_id": field["custom_id"]}
        return filled | _answer(field, given, resolved)

    components = []
    for top in modal["components"]:
        shell = {"type": top["type"], "id": top["id"]}
        if top["type"] == Kind.LABEL:
            shell["component"] = fill(top["component"], top["label"])
        elif top["type"] == Kind.ROW:
            shell["components"] = [fill(c, c["label"]) for c in top["components"]]
        components.append(shell)
    refuse_if(left, f"the modal has no {sorted(left)}")
    return resolved.into({"custom_id": modal["custom_id"], "components": components})


def _answer(field: dict[str, Any], given: Any, resolved: Resolved) -> dict[str, Any]:
    """Return what a field is submitted with; `given` None leaves it as it was opened."""
    name, kind = field["custom_id"], field["type"]
    is_required = field.get("required") is not False
    match kind:
        case Kind.TEXT_INPUT:
            return {"value": _text(field, given, is_required)}
        case Kind.CHECKBOX:
            refuse_if(given is not None and not isinstance(given, bool), f"{name!r} takes True or False")
            return {"value": bool(field.get("default")) if given is None else given}
    if given is None:
        values = [o["value"] for o in field.get("options") or [] if o.get("default")]
        values += [resolved.by_id(v["type"], str(v["id"])) for v in field.get("default_values") or []]
    else:
        values = _chosen(field, given, resolved)
    refuse_if(not values and is_required, f"{name!r} is required")
    if values:
        _check_count(field, len(values))
    return {"value": values[0] if values else None} if kind == Kind.RADIO_GROUP else {"values": values}


def _text(field: dict[str, Any], given: Any, is_required: bool) -> str:
    name = field["custom_id"]
    value = given if given is not None else field.get("value") or ""
    refuse_if(value == "" and is_required, f"{name!r} is required")
    low = (field.get("min_length") or 0) if value else 0
    check_text(name, value, low, field.get("max_length") or INPUT_TEXT)
    refuse_if(given and field["style"] == SINGLE_LINE and "\n" in value, f"{name!r} takes a single line")
    text: str = value
    return text
