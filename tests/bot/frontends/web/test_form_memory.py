"""What the form may get back from the browser: the rules, by which the script leaves out what it must not take."""

from __future__ import annotations

import gradio as gr
import pytest

from bot.frontends.web.form import FIELD_IDS, flawed_field
from bot.frontends.web.form_memory import rule_of
from pipeline.errors import InvalidSpec
from pipeline.spec import MAX_SEED


def test_every_kind_of_field_has_a_rule_with_what_it_holds_when_the_page_opens() -> None:
    text = rule_of("prompt", gr.Textbox("x", max_length=20))
    assert text == {"name": "prompt", "usual": "x", "kind": "text", "most": 20}
    assert rule_of("exact_size", gr.Textbox(max_length=20))["usual"] == ""
    number = rule_of("seed", gr.Number(-1, precision=0))
    assert number == {"name": "seed", "usual": -1, "kind": "number", "least": -1, "most": MAX_SEED, "whole": True}
    slider = rule_of("strength", gr.Slider(0.05, 1, 0.6, step=0.05))
    assert (slider["least"], slider["most"], slider["whole"]) == (0.05, 1, False)
    assert rule_of("count", gr.Slider(1, 4, 1, step=1))["whole"] is True
    assert rule_of("model", gr.Dropdown([("A", "a"), ("B", "b")], value="a"))["choices"] == ["a", "b"]
    assert rule_of("loras", gr.Dropdown([("A", "a")], value="", allow_custom_value=True))["kind"] == "text"
    assert rule_of("aspect", gr.Radio([("A", "a")], value="a"))["choices"] == ["a"]
    assert rule_of("source", gr.Image(type="filepath")) == {"name": "source", "usual": None, "kind": "file"}
    with pytest.raises(TypeError):
        rule_of("html", gr.HTML())


@pytest.mark.parametrize(
    ("error", "has_exact_size", "field"),
    [
        (InvalidSpec("seed", "x"), False, "seed"),
        (InvalidSpec("size", "x"), False, "size"),
        (InvalidSpec("size", "x"), True, "exact-size"),
        (InvalidSpec("cfg_scale", "x"), True, "cfg-scale"),
        (InvalidSpec("image", "x"), False, "source"),
        (InvalidSpec("references", "x"), False, "source"),
        (InvalidSpec("json", "x"), False, ""),
        (RuntimeError("x"), False, ""),
    ],
)
def test_error_is_told_beside_the_field_that_it_is_about(error: Exception, has_exact_size: bool, field: str) -> None:
    assert flawed_field(error, has_exact_size=has_exact_size) == field
    assert field in {"", "exact-size", *FIELD_IDS.values()}
