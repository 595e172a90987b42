"""A form says what was typed into it, whatever a modified client sends."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.frontends.discord_app.form_fields import typed_values as read
from tests.bot.frontends.discord_app.conftest import Stage
from tests.discord_server.interactions import Kind

LABEL, ROW, TEXT, SELECT = 18, 1, 4, 3
PROMPT = {"type": TEXT, "custom_id": "prompt", "value": "a cat"}
KEYS = st.sampled_from(["components", "component", "custom_id", "value", "values"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
    max_leaves=20,
)


def test_fields_are_found_in_labels_and_in_rows() -> None:
    chosen = {"type": SELECT, "custom_id": "aspect", "values": ["wide"]}
    labels = [{"type": LABEL, "component": PROMPT}, {"type": LABEL, "component": chosen}]
    assert read(labels) == {"prompt": "a cat", "aspect": "wide"}
    assert read([{"type": ROW, "components": [PROMPT]}]) == {"prompt": "a cat"}


@given(components=JSON)
def test_anything_can_be_read(components: Any) -> None:
    assert all(isinstance(value, str) for pair in read(components).items() for value in pair)


def test_deep_nesting_is_read() -> None:
    nested: Any = PROMPT
    for _ in range(100_000):
        nested = [nested]
    assert read(nested) == {"prompt": "a cat"}


@pytest.mark.parametrize(
    "data",
    [
        {"custom_id": "im2form:edit:1", "components": []},
        {"custom_id": "im2form:fly:1", "components": [{"type": LABEL, "component": PROMPT}]},
        {"custom_id": "im2form:edit:999999999999999999", "components": [{"type": LABEL, "component": PROMPT}]},
        {"custom_id": "im2form:edit:1", "components": [{"type": LABEL, "component": {**PROMPT, "value": "x" * 4000}}]},
        {"custom_id": "of another bot", "components": [{"type": ROW, "components": [PROMPT]}]},
    ],
)
async def test_forged_form_is_answered_and_draws_nothing(stage: Stage, data: dict[str, Any]) -> None:
    discord = stage.discord
    use = await discord.slash(discord.user, discord.channel, "imagine", prompt="x")
    await use.wait(lambda message: bool(message.buttons))
    opened = discord.emu.interactions.open(Kind.MODAL_SUBMIT, discord.user, discord.channel, data)
    await opened.changed.wait_for(lambda: any(event.kind == "message" for event in opened.timeline), 10)
    assert len(await stage.service.unfinished()) == 1
