"""The fields of the form for images: one, and where a model edits, two more and what is done with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from bot.frontends.web.identity import Visitor
from bot.frontends.web.security.bodies import EDIT, START
from bot.frontends.web.security.refused import RequestRefused
from bot.frontends.web.uploads import Uploads
from bot.requests.edits import edits
from pipeline.catalog.model_card import ModelCard

if TYPE_CHECKING:
    import gradio as gr

IMAGE_KEYS: Final = (
    "console-source",
    "console-source-more",
    "console-way",
    "console-way-edit",
    "console-way-start",
)
WAYS: Final = {"console-way-edit": EDIT, "console-way-start": START}


def image_fields(cards: Sequence[ModelCard], say: gr.I18n) -> tuple[gr.Image, list[gr.Image], gr.Radio]:
    """Add the fields; files are dropped on each. The first of `cards` is the usual one.

    Returns:
        The field of the image to be changed or started from, those of the others, and what is done with them.
    """
    import gradio as gr

    can_edit = any(map(edits, cards))
    source = _field(say("console-source"), "source", height=220)
    with gr.Row(visible=can_edit):
        further = [_field(say("console-source-more"), f"source-{number}", height=150) for number in (2, 3)]
    way = gr.Radio(
        [(say(key), value) for key, value in WAYS.items()],
        value=EDIT if edits(cards[0]) else START,
        label=say("console-way"),
        visible=can_edit,
        elem_id="way",
    )
    return source, further, way


async def as_upload(image: bytes | None, asker: Visitor, uploads: Uploads, *, root_path: str) -> dict[str, str] | None:
    """Store an image like an upload of the browser, and return what a field expects of it; None without room."""
    if image is None:
        return None
    try:
        name = await uploads.put(asker, image)
    except RequestRefused:
        return None
    return upload_named(name, root_path=root_path)


def upload_named(name: str, *, root_path: str) -> dict[str, str]:
    """Return what a field expects of the upload of this name; `root_path` is where a browser finds the page."""
    return {
        "path": name,
        "url": f"{root_path}/gradio_api/file={name}",
        "orig_name": "start.png",
        "mime_type": "image/png",
    }


def _field(label: Any, name: str, *, height: int) -> gr.Image:
    import gradio as gr

    field = gr.Image(
        type="filepath", sources=["upload", "clipboard"], label=label, height=height, min_width=140, elem_id=name
    )
    # What `reuse` puts there is no file to Gradio, which would copy it. A subclass would do, had Gradio not the habit
    # of writing a .pyi file beside it.
    field.postprocess = _as_it_is  # type: ignore[method-assign]
    return field


def _as_it_is(value: Any) -> Any:
    return value
