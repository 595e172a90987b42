"""Every command is named, described and translated inside Discord's limits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import discord
import pytest
from discord import app_commands

from bot.config import DiscordConfig
from bot.frontends.discord_app.client import DiscordClient
from bot.frontends.discord_app.commands.settings import LANGUAGE_NAMES
from bot.frontends.discord_app.translations import WordingTranslator, text
from bot.requests.models import Models
from pipeline.catalog.models import MODELS, ModelCard
from pipeline.spec import Sampler, sampler_title
from tests.cards import PAINTER

NAME = re.compile(r"[-_\w]{1,32}")


class OnlyModels:
    """The part of a service that is needed to make commands."""

    def __init__(self, usual: ModelCard, *others: ModelCard) -> None:
        self.models = Models(usual=usual, others=others)


MORE_IMAGES = {"image2", "image3"}  # where a model edits
SETTINGS_OF_SOME = frozenset(
    {"model", "negative", "cfg", "guidance", "sampler", "clip_skip", "DPM++ 2M Karras", "DDIM", "Euler"}
)  # the names of samplers are the same everywhere
SAME_EVERYWHERE = frozenset({*LANGUAGE_NAMES.values(), *map(sampler_title, Sampler)})
CHOICES = {**{name: (card,) for name, card in MODELS.items()}, "all": (PAINTER, *MODELS.values())}


@pytest.fixture(params=sorted(CHOICES))
async def payload(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """What Discord is told for each model, and for all of them together."""
    service: Any = OnlyModels(*CHOICES[request.param])
    settings: Any = None
    client = DiscordClient(DiscordConfig(), service=service, settings=settings)
    translator = WordingTranslator()
    commands = client.tree.get_commands(type=discord.AppCommandType.chat_input)  # of menus: test_message_menu.py
    return [await command.get_translated_payload(client.tree, translator) for command in commands]


def nodes(payload: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for node in payload:
        yield node
        yield from nodes(node.get("options", []))


def length(node: dict[str, Any], locale: str) -> int:
    """Characters as Discord counts them, in one language."""
    texts = [
        (node.get(f"{part}_localizations") or {}).get(locale) or node.get(part, "") for part in ("name", "description")
    ]
    values = [str(node["value"])] if "value" in node else []
    inner = [*node.get("options", []), *node.get("choices", [])]
    return sum(map(len, [*texts, *values])) + sum(length(child, locale) for child in inner)


async def test_commands_are_these(payload: list[dict[str, Any]]) -> None:
    assert [command["name"] for command in payload] == [
        "imagine", "queue", "cancel", "history", "show", "quota", "settings", "preset", "help", "privacy", "admin",
    ]  # fmt: skip


async def test_names_are_unique_in_every_language(payload: list[dict[str, Any]]) -> None:
    for siblings in [payload, *(node["options"] for node in nodes(payload) if node.get("options"))]:
        for locale in ("en-US", "zh-CN", "zh-TW"):
            names = [(node.get("name_localizations") or {}).get(locale, node["name"]) for node in siblings]
            assert len(set(names)) == len(names)


async def test_names_are_valid_in_every_language(payload: list[dict[str, Any]]) -> None:
    for node in nodes(payload):
        for name in (node["name"], *(node.get("name_localizations") or {}).values()):
            assert NAME.fullmatch(name) and name == name.lower()


async def test_descriptions_are_there_and_short(payload: list[dict[str, Any]]) -> None:
    for node in nodes(payload):
        for description in (node["description"], *(node.get("description_localizations") or {}).values()):
            assert 2 <= len(description) <= 100


async def test_everything_but_imagine_itself_has_a_chinese_name(payload: list[dict[str, Any]]) -> None:
    imagine, *others = payload
    kept = {node["name"] for node in nodes([imagine]) if not node.get("name_localizations")}
    assert kept | SETTINGS_OF_SOME == {
        "imagine",
        "prompt",
        "seed",
        "steps",
        "aspect",
        "size",
        "count",
        "preset",
        "private",
        "spoiler",
        "image",
        "strength",
        *SETTINGS_OF_SOME,
        *MORE_IMAGES & kept,
    }  # a copied command line works for everybody
    for locale in ("zh-CN", "zh-TW"):
        named = [node for node in nodes(others) if node["name"] not in SAME_EVERYWHERE]
        assert all(locale in node["name_localizations"] for node in named)
        assert all(locale in node["description_localizations"] for node in nodes(payload))


async def test_commands_stay_inside_discords_size(payload: list[dict[str, Any]]) -> None:
    assert max(length(command, locale) for command in payload for locale in ("en-US", "zh-CN", "zh-TW")) <= 8000


async def test_commands_are_for_servers_only(payload: list[dict[str, Any]]) -> None:
    assert all(command["contexts"] == [0] and command["integration_types"] == [0] for command in payload)


async def test_admin_is_hidden_by_default(payload: list[dict[str, Any]]) -> None:
    hidden = {command["name"] for command in payload if command["default_member_permissions"] is not None}
    assert hidden == {"admin"}


async def test_ranges_are_those_of_a_spec(payload: list[dict[str, Any]]) -> None:
    prompt, seed, steps, aspect, _, count, *of_some = payload[0]["options"]
    assert (prompt["min_length"], prompt["max_length"], prompt["required"]) == (1, 2000, True)
    assert (seed["min_value"], seed["max_value"]) == (-1, 2**32 - 1)
    assert (steps["min_value"], steps["max_value"]) == (1, 50)
    assert (count["min_value"], count["max_value"]) == (1, 4)
    assert {choice["value"] for choice in aspect["choices"]} <= {"square", "portrait", "landscape", "phone", "wide"}
    ranges = {option["name"]: (option.get("min_value"), option.get("max_value")) for option in of_some}
    assert ranges.get("cfg", (1, 30)) == (1, 30) and ranges.get("guidance", (0, 30)) == (0, 30)
    assert ranges.get("clip_skip", (1, 12)) == (1, 12)


async def test_image_and_strength_follow_the_count_and_there_is_room_for_more(payload: list[dict[str, Any]]) -> None:
    assert len(payload[0]["options"]) <= 25
    options = [option for option in payload[0]["options"] if option["name"] not in MORE_IMAGES]
    assert [(option["name"], option["type"]) for option in options[5:8]] == [
        ("count", 4),
        ("image", 11),
        ("strength", 3),
    ]
    assert options[7]["autocomplete"] and not options[6]["required"]


async def test_settings_are_offered_if_some_model_has_them(payload: list[dict[str, Any]]) -> None:
    left = [option for option in payload[0]["options"] if option["name"] not in MORE_IMAGES]
    options = {option["name"]: option for option in left[8:]}
    if "model" not in options:  # a single model: of FLUX with guidance or without, or Stable Diffusion
        assert list(options)[:-3] in ([], ["guidance"], ["negative", "cfg", "sampler", "clip_skip"])
        return
    assert list(options)[:-3] == ["model", "negative", "cfg", "guidance", "sampler", "clip_skip"]
    assert list(options)[-3:] == ["preset", "private", "spoiler"]
    assert options["model"]["autocomplete"] and not options["model"]["required"]
    choices = options["sampler"]["choices"]
    assert [(choice["name"], choice["value"]) for choice in choices] == [
        ("DPM++ 2M Karras", "dpmpp-2m-karras"),
        ("DDIM", "ddim"),
        ("Euler", "euler"),
    ]


@pytest.mark.parametrize(
    ("locale", "said"),
    [
        (discord.Locale.chinese, "队列"),
        (discord.Locale.taiwan_chinese, "佇列"),
        (discord.Locale.german, None),
        (discord.Locale.american_english, None),
    ],
)
async def test_translator_says_only_what_differs(locale: discord.Locale, said: str | None) -> None:
    context: Any = None
    assert await WordingTranslator().translate(text("command-queue-name"), locale, context) == said
    assert await WordingTranslator().translate(app_commands.locale_str("x"), locale, context) is None
