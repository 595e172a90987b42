"""LoRAs on the page, from the form through the whole program to the file and its hashes."""

from __future__ import annotations

import re

import pytest

from pipeline.images.png_metadata import read_spec
from tests.bot.frontends.web.conftest import DEFAULTS, PageProcess, Session, session_at

LORAS = 16  # the place of their field in the form; that of the speed comes after it


async def draw(person: Session, prompt: str, *, loras: str = "", speed: str = "") -> str:
    """Press the button; returns what is said below it."""
    response = await person.draw(prompt, *DEFAULTS[1:LORAS], loras, speed)
    assert response.status_code == 200, response.text
    return re.sub("<[^>]*>", " ", response.json()["data"][0]).strip()


async def test_loras_of_the_form_are_drawn_and_named_in_the_file(shared: PageProcess) -> None:
    async with session_at(shared.url) as person:
        said = await draw(person, "a red apple <lora:snow:1>", loras="ink:0.5", speed="fast")
        assert "Not known here: &lt;lora:snow:1&gt;" in said
        [thumbnail] = await person.wait_for_pictures(1)
        address = re.search(r'src="([^"]+)\.webp"', thumbnail)
        assert address is not None
        png = (await person.client.get(f"{address[1]}.png")).content
        spec = read_spec(png)
        assert spec is not None and (spec.loras, spec.steps) == ("ink:0.5,turbo:0.125", 2)
        assert b"a red apple <lora:ink:0.5> <lora:turbo:0.125>" in png


@pytest.mark.parametrize(
    ("loras", "speed", "says"),
    [
        ("snow", "", "There is no LoRA “snow” here."),
        ("<script>alert(1)</script>", "", "There is no LoRA"),
        ("ink:1e308", "", "from -4 to 4"),
        ("ink", "slow", "The speed can only be"),
        ("x" * 400, "", "A LoRA is written as its name"),
    ],
)
async def test_what_cannot_be_drawn_is_refused_below_the_button(
    shared: PageProcess, loras: str, speed: str, says: str
) -> None:
    async with session_at(shared.url) as person:
        assert says in await draw(person, "a red apple", loras=loras, speed=speed)
        assert (await person.gallery())["pictures"] == []


async def test_value_of_another_kind_is_refused_at_the_gate(shared: PageProcess) -> None:
    async with session_at(shared.url) as person:
        response = await person.draw("x", *DEFAULTS[1:LORAS], ["ink"], "")
        assert response.status_code == 422
