"""Gateway sessions, rate limits, injected faults and the CDN."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.discord_server import Discord, Upload
from tests.discord_server.tests.rawbot import INTENTS, PNG, RawBot

INVALID_SESSION, HEARTBEAT_ACK = 9, 11


async def test_intents_choose_the_events() -> None:
    async with Discord() as d, RawBot(d, intents=1) as deaf, RawBot(d) as bot:
        d.say(d.user, d.channel, "hello")
        assert (await bot.event("MESSAGE_CREATE"))["content"] == ""  # no message-content intent
        d.say(d.user, d.dm(d.user), "in private")
        assert (await bot.event("MESSAGE_CREATE"))["content"] == "in private"
        added = d.add_channel("later")
        assert (await deaf.event("CHANNEL_CREATE"))["id"] == added.id
        assert not any(e.get("t") == "MESSAGE_CREATE" for e in deaf.events)


async def test_resume_replays_what_was_missed() -> None:
    async with Discord() as d, RawBot(d) as bot:
        d.gateway.drop(4000)
        assert await bot.closed() == 4000
        await d.wait_offline()
        for n in range(3):
            d.say(d.user, d.channel, str(n))
        seq = bot.seq or 0
        await bot.resume()
        await bot.event("RESUMED")
        assert [e["s"] for e in bot.events if e.get("t") == "MESSAGE_CREATE"] == [seq + 1, seq + 2, seq + 3]
        d.assert_clean()


@pytest.mark.parametrize("why", ["unknown", "invalidated", "closed with 1000", "too late"])
async def test_resume_refused(why: str) -> None:
    async with Discord(resume_window=-1.0 if why == "too late" else 120.0) as d, RawBot(d) as bot:
        assert bot.ws is not None
        if why == "closed with 1000":
            await bot.ws.close(code=1000)
        else:
            d.gateway.drop(4000, resumable=why != "invalidated")
        await d.wait_offline()
        await bot.resume(**({"session_id": "nope"} if why == "unknown" else {}))
        assert await bot.opcode(INVALID_SESSION) is False
        assert d.stats()["failed_resumes"] == 1


async def test_silent_bot_is_cut_off() -> None:
    async with Discord(heartbeat_interval=0.1) as d, RawBot(d) as bot:
        assert await bot.opcode(HEARTBEAT_ACK) is None
        assert await bot.closed() == 4000
        assert "no heartbeat" in d.violations[0].message


MISUSES: dict[str, tuple[dict[str, Any], int]] = {
    "bad token": ({"token": "wrong"}, 4004), "privileged": ({"intents": INTENTS | 1 << 15}, 4014),
    "unknown intents": ({"intents": 1 << 30}, 4013), "malformed": ({"properties": None}, 4002),
}  # fmt: skip


@pytest.mark.parametrize("case", MISUSES)
async def test_bad_identify_is_closed(case: str) -> None:
    changes, code = MISUSES[case]
    async with Discord() as d, RawBot(d, connect=False, commands=()) as bot:
        await bot.identify(**changes)
        assert await bot.closed() == code
        assert len(d.violations) == (case != "bad token")


async def test_two_copies_of_a_bot_both_get_the_interaction() -> None:
    async with Discord() as d, RawBot(d) as one, RawBot(d, commands=()) as two:
        await d.slash(d.user, d.channel, "imagine", prompt="cat")
        i, j = await one.interaction(), await two.interaction()
        assert (await one.answer(i, 5))[0] == 204
        assert (await two.answer(j, 5))[1]["code"] == 40060


async def test_revoked_token() -> None:
    async with Discord() as d, RawBot(d) as bot:
        old = d.token
        d.revoke_token()
        assert await bot.closed() == 4004
        assert (await bot.get("/users/@me", token=old))[0] == 401


async def test_bucket_of_edits_is_per_channel_and_opens_again() -> None:
    async with Discord(time_scale=0.1, validate_responses=True) as d, RawBot(d, connect=False, commands=()) as bot:
        _, made = await bot.send({"content": "c"})
        path = f"/channels/{d.channel.id}/messages/{made['id']}"
        remaining = []
        for n in range(5):
            assert (await bot.patch(path, {"content": str(n)}))[0] == 200
            remaining.append(bot.headers["X-RateLimit-Remaining"])
        assert remaining == ["4", "3", "2", "1", "0"]
        status, body = await bot.patch(path, {"content": "6"})
        assert status == 429
        assert 0 < body["retry_after"] <= 0.5
        assert (bot.headers["X-RateLimit-Scope"], bool(bot.headers["Via"])) == ("user", True)
        assert (await bot.send({"content": "d"}))[0] == 200  # a bucket of its own
        await asyncio.sleep(body["retry_after"])
        assert (await bot.patch(path, {"content": "7"}))[0] == 200
        assert d.stats()["rate_limited_by_route"] == {"PATCH /channels/{channel_id}/messages/{message_id}": 1}
        d.assert_clean()  # a 429 is counted, not held against the bot


async def test_global_limit_spares_interactions() -> None:
    async with Discord(global_rate=(2, 60.0)) as d, RawBot(d, connect=False, commands=()) as bot:
        assert [(await bot.get("/users/@me"))[0] for _ in range(3)] == [200, 200, 429]
        assert bot.headers["X-RateLimit-Global"] == "true"
        assert (await bot.post("/interactions/1/none/callback", {"type": 5}, token=None))[0] == 404


async def test_faults_answer_as_asked() -> None:
    async with Discord() as d, RawBot(d, connect=False, commands=()) as bot:
        d.fault("POST /channels/{channel_id}/messages", times=2, status=502)
        assert [(await bot.send({"content": "c"}))[0] for _ in range(3)] == [502, 502, 200]
        d.fault(r"POST /channels/\d+/messages", code=200000)
        assert (await bot.send({"content": "c"}))[1]["code"] == 200000
        d.fault("POST .*/messages", retry_after=30)
        status, body = await bot.send({"content": "c"})
        assert (status, body["retry_after"], body["global"]) == (429, 30, False)
        d.fault("PATCH .*/messages/", code=30046, retry_after=600)
        status, body = await bot.patch(f"/channels/{d.channel.id}/messages/5", {"content": "c"})
        assert (status, body["code"], body["retry_after"]) == (429, 30046, 600)
        d.fault("GET", status=500)
        d.clear_faults()
        assert (await bot.get("/users/@me"))[0] == 200
        assert d.stats()["statuses"] == {200: 2}  # injected answers are not the bot's doing
        for bad in ({}, {"status": 500, "reset": True}, {"code": 1}):
            with pytest.raises(ValueError, match=r"fault|catalogue"):
                d.fault("GET", **bad)
        d.assert_clean()


async def test_reset_loses_the_answer_but_not_the_effect() -> None:
    async with Discord() as d, RawBot(d, connect=False, commands=()) as bot:
        d.fault("POST /channels/{channel_id}/messages", reset=True, applied=True)
        with pytest.raises(aiohttp.ClientError):
            await bot.send({"content": "c"})
        assert [m.content for m in d.messages(d.channel)] == ["c"]
        assert [r.status for r in d.requests("messages")] == [0]


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=b", "application/json"])
async def test_bot_killed_in_the_middle_of_a_request_has_broken_no_rule(content_type: str) -> None:
    async with Discord() as d, RawBot(d, connect=False, commands=()) as bot:
        sending = asyncio.Event()

        async def half_of_it() -> AsyncIterator[bytes]:
            yield b'--b\r\nContent-Disposition: form-data; name="files[0]"; filename="a.png"\r\n\r\nhalf of a pic'
            sending.set()
            await asyncio.Event().wait()

        path = f"/channels/{d.channel.id}/messages"
        request = asyncio.create_task(bot.post(path, data=half_of_it(), headers={"Content-Type": content_type}))
        await sending.wait()
        request.cancel()
        await d.wait_requests("messages")
        assert [record.status for record in d.requests("messages")] == [0]
        assert d.messages(d.channel) == []
        assert (await bot.send({"content": "c"}))[0] == 200
        d.assert_clean()


async def test_hang_ends_with_the_server() -> None:
    began = time.monotonic()
    async with Discord() as d, RawBot(d, connect=False, commands=()) as bot:
        fault = d.fault("GET /users/@me", hang=600)
        request = asyncio.create_task(bot.get("/users/@me"))
        await fault.wait_spent()
        await d.emu.stop()
        with pytest.raises(aiohttp.ClientError):
            await request
    assert time.monotonic() - began < 5


async def test_gateway_outage() -> None:
    async with Discord() as d, aiohttp.ClientSession() as http:
        d.fault("GET /gateway-ws", status=503)
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect(f"{d.gateway_url}?v=10&encoding=json")


async def test_cdn_serves_signed_links_until_they_expire() -> None:
    async with Discord() as d, RawBot(d, connect=False, commands=()) as bot, aiohttp.ClientSession() as http:
        _, body = await bot.send({}, {0: ("a.png", PNG)})
        url = body["attachments"][0]["url"]
        assert url.startswith(d.cdn_base)

        async def fetch(url: str) -> int:
            async with http.get(url) as response:
                assert response.status != 200 or await response.read() == PNG
                return response.status

        assert await fetch(url) == 200
        assert await fetch(url.split("?")[0]) == 404  # unsigned
        d.expire_cdn_urls()
        assert await fetch(url) == 404
        _, again = await bot.get(f"/channels/{d.channel.id}/messages/{body['id']}")
        assert await fetch(again["attachments"][0]["url"]) == 200


async def test_cdn_breaks_off_where_it_is_told_to() -> None:
    async with Discord() as d, aiohttp.ClientSession() as session:
        (file,) = d.say(d.user, d.channel, "look", files=[Upload("a.png", PNG)]).attachments
        d.fault("GET /cdn/", cut=10)
        async with session.get(file["url"]) as response:
            assert (response.status, response.content_length) == (200, len(PNG))
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()
        async with session.get(file["url"]) as response:
            assert await response.read() == PNG


async def refused(d: Discord) -> None:
    async with asyncio.timeout(5):
        while not d.violations:
            await asyncio.sleep(0.01)


STATUS = {"since": None, "afk": False, "status": "online"}


async def test_presence_is_shown_until_the_session_ends() -> None:
    async with Discord() as d, RawBot(d) as bot:
        assert d.presence() == ""
        for text in ("3 waiting", "4 waiting"):
            activity = {"type": 4, "name": "Custom Status", "state": text}
            await bot.op(3, {**STATUS, "activities": [activity]})
            await d.wait_presence(text)
        await bot.op(3, {**STATUS, "activities": []})
        await d.wait_presence("")
        assert d.gateway.online[0].presences == ["3 waiting", "4 waiting", ""]
        d.assert_clean()
        d.gateway.drop(4000)
        await d.wait_offline()
        assert d.presence() == ""


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"activities": []},
        {**STATUS, "activities": [{"type": 4, "name": "Custom Status"}]},
        {**STATUS, "activities": [{"type": 4, "name": "Custom Status", "state": "x" * 129}]},
        {**STATUS, "activities": [{"type": 9, "name": "x"}]},
        {**STATUS, "status": "away", "activities": []},
    ],
)
async def test_malformed_presence_is_a_violation(data: Any) -> None:
    async with Discord() as d, RawBot(d) as bot:
        await bot.op(3, data)
        await refused(d)
        assert "presence" in d.violations[0].message


async def test_sixth_presence_within_twenty_seconds_is_a_violation() -> None:
    async with Discord() as d, RawBot(d) as bot:
        for number in range(6):
            await bot.op(3, {**STATUS, "activities": [{"type": 0, "name": str(number)}]})
        await refused(d)
        assert "5 presence updates" in d.violations[0].message
        assert d.presence() == "4"
