"""Keeps the form in the browser: `assets/keeping.js` does, and here it is told what each field may hold.

Only what differs from the page as it opens is kept, so that another model, or another default, is met as it is. The
name in the queue is kept apart from it, and passwords are in no form.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from bot.frontends.web.own_files import address_of
from pipeline.spec import MAX_SEED, RANDOM_SEED

if TYPE_CHECKING:
    import gradio as gr
    from gradio.components import Component

MAX_TYPED_CHARS: Final = 1000  # of a choice that may be typed


def keep_form(blocks: gr.Blocks, fields: Mapping[str, Component]) -> None:
    """Restore the fields when the page opens, and keep them whenever one changes; inside of `blocks`."""
    import gradio as gr

    rules = json.dumps([rule_of(name, field) for name, field in fields.items()]).replace("<", "\\u003c")
    home = 'new URL(window.gradio_config.root || "/", location).pathname.replace(/\\/$/, "")'
    module = f'import({home} + "{address_of("keeping.js")}")'
    save = f"(...values) => {{ {module}.then(keeping => keeping.save({rules}, values)); }}"
    restore = f"async (...values) => (await {module}).restore({rules}, values)"
    every: list[Any] = list(fields.values())
    quiet: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
    gr.on([field.change for field in every], None, every, None, js=save, **quiet)
    blocks.load(None, every, every, js=restore, **quiet)


def rule_of(name: str, field: Component) -> dict[str, Any]:
    """Return what a field may hold, and what it holds when the page opens."""
    import gradio as gr

    rule: dict[str, Any] = {"name": name, "usual": field.value}
    match field:
        case gr.Slider():
            whole = float(field.step).is_integer()
            return {**rule, "kind": "number", "least": field.minimum, "most": field.maximum, "whole": whole}
        case gr.Number():
            return {**rule, "kind": "number", "least": RANDOM_SEED, "most": MAX_SEED, "whole": True}
        case gr.Textbox():
            return {**rule, "usual": field.value or "", "kind": "text", "most": field.max_length or MAX_TYPED_CHARS}
        case gr.Dropdown() if field.allow_custom_value:
            return {**rule, "kind": "text", "most": MAX_TYPED_CHARS}
        case gr.Dropdown() | gr.Radio():
            return {**rule, "kind": "choice", "choices": [value for _, value in field.choices]}
        case gr.Image():
            return {**rule, "kind": "file", "usual": None}
    raise TypeError(f"nobody knows what a {type(field).__name__} may hold")
