"""What the form says, offers and reads, apart from Gradio. Pure."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from html import escape
from typing import Final

from bot.errors import InvalidFlag, JobTooLarge, UploadGone
from bot.requests.loras import fast_of, fitting
from bot.requests.models import Models
from pipeline.catalog.model_card import ModelCard
from pipeline.errors import InvalidSpec

# The fields for settings that not every model has, in the order of the form.
OF_SOME: Final = ("negative_prompt", "cfg_scale", "guidance", "sampler", "clip_skip", "loras", "speed")

# The ids of fields on the page, by the names of what they hold.
FIELD_IDS: Final = {
    **{name: name for name in ("prompt", "seed", "steps", "aspect", "size", "count", "model", "strength")},
    **{name: name.replace("_", "-") for name in OF_SOME},
    "image": "source",
    "references": "source",
}


def offers(card: ModelCard, name: str, models: Models) -> bool:
    """Whether a model has a use for one of these fields."""
    match name:
        case "loras":
            return bool(fitting(models, card))
        case "speed":
            return fast_of(models, card) is not None
        case _:
            return card.offers(name)


def offer_choices(models: Models) -> str:
    """Return JavaScript that shows the shapes, sizes and settings of the chosen model, and hides those of others."""
    offered = {
        each.name: [*each.sizes, *each.scales, *(name for name in OF_SOME if offers(each, name, models))]
        for each in models.all
    }
    return f"""name => {{
        const offered = {json.dumps(offered)}[name] ?? [];
        for (const label of document.querySelectorAll("#aspect label, #size label")) {{
            label.style.display = offered.includes(label.querySelector("input").value) ? "" : "none";
        }}
        const lacks = {json.dumps(OF_SOME)}.filter(setting => !offered.includes(setting));
        document.documentElement.dataset.lacks = lacks.join(" ");  // form.css hides them, drawn yet or not
    }}"""


def usual_steps(cards: Sequence[ModelCard]) -> str:
    """Return JavaScript that gives the number of steps of the chosen model."""
    steps = {each.name: each.default_steps for each in cards}
    return f"name => ({json.dumps(steps)})[name] ?? {cards[0].default_steps}"


def usual_strength(cards: Sequence[ModelCard]) -> str:
    """Return JavaScript that gives the strength with which the chosen model starts from an image."""
    strengths = {each.name: each.default_strength for each in cards}
    return f"name => ({json.dumps(strengths)})[name] ?? {cards[0].default_strength}"


def said(text: str, notes: Sequence[str] = (), *, is_refusal: bool = False, field: str = "") -> str:
    """Return an answer below the button, with notes about the prompt, as HTML.

    A refusal may name the id of the field that it is about: `assets/flaws.js` puts it there.
    """
    kind = "refusal" if is_refusal else "answer"
    # A number of its own: the browser leaves alone, and faded out, what is the same as before.
    about = f' data-field="{field}"' if field else ""
    answer = f'<span class="{kind}" data-number="{secrets.token_hex(4)}"{about}>{escape(text)}</span>'
    return answer + "".join(f'<span class="noted">{escape(note)}</span>' for note in notes)


def flawed_field(error: Exception, *, has_exact_size: bool) -> str:
    """Return the id of the field that an error is about; "" if it is about none."""
    match error:
        case InvalidSpec(field="size") if has_exact_size:
            return "exact-size"
        case InvalidSpec() if error.field in FIELD_IDS:
            return FIELD_IDS[error.field]
        case InvalidFlag():
            return "prompt"
        case JobTooLarge():
            return "steps"
        case UploadGone():
            return "source"
    return ""


def whole(field: str, value: object) -> int | None:
    """Read a whole number, which JSON may write as 7.0; None for an emptied field.

    Raises:
        InvalidSpec
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1:
        raise InvalidSpec(field, "must be a whole number")
    return int(value)
