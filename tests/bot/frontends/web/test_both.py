"""Discord and the page at once: one queue, one set of limits, each delivery to where it was asked for."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.bot.frontends.web.conftest import session_at
from tests.discord_server import BotProcess, Discord
from tests.e2e.conftest import data_dir, discord, imagine, is_result, make_bot  # noqa: F401 - fixtures


async def test_people_of_both_share_the_queue(discord: Discord, make_bot: Callable[..., BotProcess]) -> None:  # noqa: F811
    async with make_bot(console__enabled="true", console__port=0) as bot:
        line = await bot.wait_log("the page is at http", timeout=40)
        await bot.wait_ready()
        await discord.wait_command("imagine")
        async with session_at(line.split("the page is at ")[1].split()[0]) as person:
            await person.draw("[step=0.1] on the page", 7, 50)
            use = await imagine(discord, "on Discord")
            await use.wait(lambda message: "you are next" in message.text)
            state = await person.state()
            assert "somebody on Discord" in str(state["queue"]) and "on Discord</p>" not in str(state["jobs"])
            (number,) = re.findall(r'data-key="(\d+)"', str(state["jobs"]))
            answer = await person.client.post(f"/console/jobs/{number}/cancel")
            assert "stops at the next step" in answer.json()["text"]
            await use.wait(is_result, timeout=20)
            await person.draw("one more")
            await person.wait_for_pictures(1)
            assert len(discord.messages(discord.channel)) == 1
        assert await bot.stop(20) == 0
        assert "Traceback" not in bot.output
    discord.assert_clean()
