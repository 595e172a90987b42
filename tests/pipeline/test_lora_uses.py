"""Names and weights of LoRAs as one line of text."""

from __future__ import annotations

import pytest

from pipeline.errors import InvalidSpec
from pipeline.lora_uses import LoraUse, read_uses, write_uses


def test_uses_are_written_by_name_and_read_back() -> None:
    uses = (LoraUse("film-grain"), LoraUse("ink", -0.75))
    assert write_uses(reversed(uses)) == "film-grain:1,ink:-0.75"
    assert read_uses("film-grain:1,ink:-0.75") == uses
    assert read_uses("") == () and write_uses([LoraUse("ink", 0.0)]) == ""


@pytest.mark.parametrize(
    "text",
    [
        "ink", "ink:", ":1", "ink:x", "ink:nan", "ink:1e3", "Ink:1", "../ink:1", "ink:1,", "ink:5", "ink:0",
        "ink:1,ink:2", "paint:1,ink:1", "a:1,b:1,c:1,d:1", "ink:１", "ink:0.00001", "-ink:1", "i" * 41 + ":1",
        "ink:1\n",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidSpec, match="loras"):
        read_uses(text)
