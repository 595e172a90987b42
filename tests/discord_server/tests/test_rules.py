"""Limits of messages, commands and answers; errors of state and permission; the description."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.discord_server import Discord, Permission
from tests.discord_server.config import find_openapi
from tests.discord_server.interactions import Kind
from tests.discord_server.routes import HANDLERS, find
from tests.discord_server.spec import Spec
from tests.discord_server.tests.rawbot import IMAGINE, PNG, RawBot, button, row

OPENAPI = find_openapi()
needs_openapi = pytest.mark.skipif(
    OPENAPI is None, reason="Discord's openapi.json is not here: set DISCORD_OPENAPI to its path"
)


def errors_at(body: dict[str, Any], path: str) -> list[str]:
    node = body["errors"]
    for part in path.split("."):
        node = node[part]
    return [e["code"] for e in node["_errors"]]


def option(name: str = "o", kind: int = 3, **more: Any) -> dict[str, Any]:
    return {"type": kind, "name": name, "description": "d", **more}


# What Discord says of its own accord, whether or not the description is here.
BAD_MESSAGES: dict[str, tuple[dict[str, Any], str, str]] = {
    "content over 2000": ({"content": "x" * 2001}, "content", "BASE_TYPE_MAX_LENGTH"),
    "embeds over 6000": ({"embeds": [{"description": "x" * 3001}] * 2}, "embeds", "MAX_EMBED_SIZE_EXCEEDED"),
    "6 rows": ({"components": [row(button(str(n))) for n in range(6)]}, "components", "BASE_TYPE_MAX_LENGTH"),
    "custom_id twice": (
        {"components": [row(button(), button())]}, "components.0.components.1.custom_id",
        "COMPONENT_CUSTOM_ID_DUPLICATED",
    ),
    "button with nothing on it": (
        {"components": [row(button(label=""))]}, "components.0.components.0.label", "BASE_TYPE_REQUIRED"
    ),
    "file not sent": ({"attachments": [{"id": 0}]}, "attachments.0.id", "ATTACHMENT_NOT_FOUND"),
}  # fmt: skip
BAD_SHAPES: dict[str, tuple[dict[str, Any], str, str]] = {
    "embed title over 256": ({"embeds": [{"title": "x" * 257}]}, "embeds.0.title", "BASE_TYPE_MAX_LENGTH"),
    "label over 80": (
        {"components": [row(button(label="x" * 81))]}, "components.0.components.0.label", "BASE_TYPE_MAX_LENGTH"
    ),
    "custom_id over 100": (
        {"components": [row(button("x" * 101))]}, "components.0.components.0.custom_id", "BASE_TYPE_MAX_LENGTH"
    ),
    "nonce over 25": ({"content": "c", "nonce": "x" * 26}, "nonce", "BASE_TYPE_MAX_LENGTH"),
}  # fmt: skip
SHAPES = [pytest.param(case, marks=needs_openapi) for case in BAD_SHAPES]


@pytest.mark.parametrize("case", [*BAD_MESSAGES, *SHAPES])
async def test_bad_message_is_refused_and_held_against_the_bot(case: str) -> None:
    message, path, code = (BAD_MESSAGES | BAD_SHAPES)[case]
    async with Discord() as d, RawBot(d, connect=False, commands=()) as bot:
        status, body = await bot.send(message)
        assert (status, body["code"]) == (400, 50035)
        assert code in errors_at(body, path)
        _, made = await bot.send({"content": "c"})
        status, _ = await bot.patch(f"/channels/{d.channel.id}/messages/{made['id']}", {**message, "nonce": None})
        assert status == (200 if "nonce" in case else 400)
        assert {v.kind for v in d.violations} <= {"schema", "limit"}
        with pytest.raises(AssertionError, match="violations"):
            d.assert_clean()


BAD_COMMANDS: dict[str, tuple[dict[str, Any], str, str]] = {
    "upper case name": ({"name": "Draw"}, "0.name", "APPLICATION_COMMAND_INVALID_NAME"),
    "bad translation": (
        {"name_localizations": {"de": "Zeichne"}}, "0.name_localizations.de", "APPLICATION_COMMAND_INVALID_NAME"
    ),
    "optional before required": (
        {"options": [option("a"), option("b", required=True)]}, "0.options.1",
        "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID",
    ),
    "choices and autocomplete": (
        {"options": [option(autocomplete=True, choices=[{"name": "a", "value": "a"}])]}, "0.options.0",
        "APPLICATION_COMMAND_AUTOCOMPLETE_CHOICES",
    ),
    "option beside subcommand": (
        {"options": [option(), option("s", kind=1)]}, "0.options", "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID"
    ),
    "too much text": (
        {"options": [option(f"o{n}", choices=[{"name": "x" * 90 + str(m), "value": "x" * 99} for m in range(9)])
                     for n in range(5)]}, "0", "APPLICATION_COMMAND_TOO_LARGE",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_COMMANDS)
async def test_bad_command_is_refused(case: str) -> None:
    changes, path, code = BAD_COMMANDS[case]
    async with Discord() as d, RawBot(d, connect=False, commands=()) as bot:
        command = {"name": "draw", "description": "d", **changes}
        status, body = await bot.put(f"/applications/{d.application_id}/commands", [command])
        assert (status, body["code"]) == (400, 50035)
        assert code in errors_at(body, path)


async def test_bulk_overwrite_keeps_ids_and_guild_commands_hide_global_ones() -> None:
    async with Discord(validate_responses=True) as d, RawBot(d, connect=False) as bot:
        path = f"/applications/{d.application_id}/commands"
        _, before = await bot.get(path)
        named = {**IMAGINE, "name_localizations": {"zh-CN": "画"}}
        _, after = await bot.put(path, [named, {"name": "b", "description": "d"}])
        assert after[0]["id"] == before[0]["id"]
        assert after[0]["version"] != before[0]["version"]
        assert "name_localizations" not in (await bot.get(path))[1][0]
        _, full = await bot.get(f"{path}?with_localizations=true")
        assert full[0]["name_localizations"] == {"zh-CN": "画"}
        here = f"/applications/{d.application_id}/guilds/{d.guild.id}/commands"
        own = {"name": "b", "description": "ours", "default_member_permissions": "0"}
        assert (await bot.put(here, [own]))[0] == 200
        assert (await d.wait_command("b"))["description"] == "ours"
        d.assert_clean()


BAD_SUGGESTIONS = {
    "value over 100": ([{"name": "n", "value": "x" * 101}], "data.choices.0.value"),
    "number for text": ([{"name": "n", "value": 1}], "data.choices.0.value"),
}


@pytest.mark.parametrize("case", BAD_SUGGESTIONS)
async def test_bad_suggestion_is_refused_and_the_right_one_still_taken(case: str) -> None:
    choices, path = BAD_SUGGESTIONS[case]
    async with Discord() as d, RawBot(d) as bot:
        command = await d.wait_command("imagine")
        use = d._open(
            Kind.AUTOCOMPLETE, d.user, d.channel, {"id": command["id"], "name": "imagine", "type": 1}, option_type=3
        )
        i = await bot.interaction()
        status, body = await bot.answer(i, 8, {"choices": choices})
        assert status == 400
        assert errors_at(body, path)
        assert (await bot.answer(i, 4, {"content": "no message to an autocomplete"}))[0] == 400
        assert (await bot.answer(i, 8, {"choices": []}))[0] == 204
        assert use.interaction.choices == []


async def test_too_large_a_file_is_40005() -> None:
    async with Discord(attachment_size_limit=100, request_size_limit=250) as d:
        async with RawBot(d, connect=False, commands=()) as bot:
            assert (await bot.send({}, {0: ("a.bin", b"x" * 100)}))[0] == 200
            for files in ({0: ("a.bin", b"x" * 101)}, {n: (f"{n}.bin", b"x" * 90) for n in range(3)}):
                status, body = await bot.send({}, files)
                assert (status, body["code"]) == (413, 40005)
        d.assert_clean()


async def test_picture_without_its_file_is_noticed() -> None:
    async with Discord() as d, RawBot(d, connect=False, commands=()) as bot:
        status, _ = await bot.send({"embeds": [{"title": "t", "image": {"url": "attachment://a.png"}}]})
        assert status == 200
        await bot.send({"content": "c", "attachments": []}, {0: ("dropped.png", PNG)})
        assert [v.kind for v in d.violations] == ["dangling", "limit"]


async def test_errors_a_correct_bot_can_meet() -> None:
    # The scale keeps the five messages per 5 s out of the way.
    async with (
        Discord(validate_responses=True, time_scale=0.001) as d,
        RawBot(d, connect=False, commands=()) as bot,
    ):

        async def code(method: str, path: str, body: Any = None, files: Any = None) -> tuple[int, int]:
            status, answer = await bot.call(method, path, body, files)
            return status, answer["code"]

        hello, own = {"content": "c"}, (await bot.send({"content": "own"}))[1]["id"]
        here, secret = f"/channels/{d.channel.id}", d.add_channel("secret")
        theirs = d.say(d.user, d.channel, "hello")
        assert await code("GET", f"{here}/messages/5") == (404, 10008)
        assert await code("GET", "/channels/5") == (404, 10003)
        assert await code("GET", f"/guilds/{d.guild.id}/members/5") == (404, 10007)
        assert await code("POST", "/webhooks/5/nope", hello) == (404, 10015)
        assert await code("POST", f"{here}/messages", {"content": " "}) == (400, 50006)
        assert await code("PATCH", f"{here}/messages/{theirs.id}", hello) == (403, 50005)
        assert await code("DELETE", f"{here}/messages/{theirs.id}") == (403, 50013)
        d.set_permissions(secret, d.bot, deny=Permission.VIEW_CHANNEL)
        assert await code("POST", f"/channels/{secret.id}/messages", hello) == (403, 50001)
        d.set_permissions(d.channel, d.bot, deny=Permission.ATTACH_FILES | Permission.EMBED_LINKS)
        assert await code("POST", f"{here}/messages", {}, {0: ("a.png", PNG)}) == (403, 50013)
        assert await code("POST", f"{here}/messages", {"embeds": [{"title": "t"}]}) == (403, 50013)
        d.set_permissions(d.channel, d.bot, deny=Permission.SEND_MESSAGES)
        assert await code("POST", f"{here}/messages", hello) == (403, 50013)
        assert (await bot.patch(f"{here}/messages/{own}", hello))[0] == 200  # an edit sends nothing
        closed = d.add_user("closed", dms_open=False)
        assert await code("POST", f"/channels/{d.dm(closed).id}/messages", hello) == (403, 50007)
        d.remove_member(d.user)
        assert await code("GET", f"/guilds/{d.guild.id}/members/{d.user.id}") == (404, 10007)
        d.delete_channel(d.channel)
        assert await code("POST", f"{here}/messages", hello) == (404, 10003)
        d.remove_member(d.bot)
        assert await code("GET", f"/guilds/{d.guild.id}") == (403, 50001)
        d.assert_clean()


async def test_archived_thread_is_woken_by_a_post_and_refuses_an_edit() -> None:
    async with Discord(validate_responses=True) as d, RawBot(d) as bot:
        thread = d.add_thread(d.channel, "thread")
        path = f"/channels/{thread.id}/messages"
        _, made = await bot.post(path, {"content": "c"})
        d.archive(thread)
        status, body = await bot.patch(f"{path}/{made['id']}", {"content": "d"})
        assert (status, body["code"]) == (400, 50083)
        assert (await bot.post(path, {"content": "e"}))[0] == 200
        assert not thread.archived
        d.archive(thread, locked=True)
        assert (await bot.post(path, {"content": "f"}))[1]["code"] == 50013
        d.assert_clean()


async def test_mentions_ping_only_whom_they_may() -> None:
    async with Discord() as d, RawBot(d, connect=False, commands=()) as bot:
        content = f"<@{d.user.id}> @everyone"
        await bot.send({"content": content})
        await bot.send({"content": content, "allowed_mentions": {"parse": []}})
        await bot.send({"content": content, "allowed_mentions": {"parse": [], "users": [d.user.id]}})
        assert [m.pings for m in d.messages(d.channel)] == [[d.user.id, "everyone"], [], [d.user.id]]


@needs_openapi
async def test_unknown_routes_and_bad_bodies_are_told_apart() -> None:
    async with Discord() as d, RawBot(d, connect=False, commands=()) as bot:
        assert (await bot.get("/nonsense"))[0] == 404
        assert (await bot.put("/gateway/bot"))[0] == 405
        assert (await bot.get("/sticker-packs"))[0] == 501
        assert (await bot.get("/channels/not-a-number"))[0] == 400
        assert (await bot.post("/users/@me/channels", {"recipient_id": []}))[0] == 400
        assert (await bot.get("/users/@me", token="wrong"))[0] == 401
        kinds = ["unknown_route", "unknown_route", "not_emulated", "schema", "schema"]
        assert [v.kind for v in d.violations] == kinds


async def test_without_the_description_only_shapes_go_unchecked() -> None:
    async with Discord(openapi=None) as d, RawBot(d) as bot:
        assert (await bot.send({"embeds": [{"title": "x" * 257}]}))[0] == 200
        assert (await bot.send({"content": "x" * 2001}))[0] == 400
        assert (await bot.send({"content": 5}))[0] == 400
        assert (await bot.get("/nonsense"))[0] == 404
        assert [v.kind for v in d.violations] == ["limit", "schema", "unknown_route"]


@needs_openapi
def test_every_handler_is_described() -> None:
    assert OPENAPI is not None
    spec = Spec.load(OPENAPI)
    for name in HANDLERS:
        method, template = name.split(" ")
        assert spec.describes(method, tuple(template.strip("/").split("/"))), name


def test_literal_segments_win() -> None:
    def template(method: str, path: str) -> str | None:
        op = find(method, tuple(path.strip("/").split("/")))
        return op.template if op else None

    assert template("GET", "/users/@me") == "/users/@me"
    assert template("GET", "/users/5") == "/users/{user_id}"
    assert (template("PATCH", "/webhooks/1/t/messages/@original") or "").endswith("@original")
    assert template("PATCH", "/users/5") is None


@pytest.mark.parametrize("there", [True, False])
def test_description_is_looked_up_in_the_environment(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "openapi.json"
    if there:
        path.touch()
    monkeypatch.setenv("DISCORD_OPENAPI", str(path))
    assert find_openapi() == (path if there else None)
