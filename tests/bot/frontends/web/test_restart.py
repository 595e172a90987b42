"""The service goes away and comes back under an open page, which shows the truth by itself."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import expect

from bot.errors import ExitCode
from bot.frontends.web.security.gate import FAREWELL
from tests.bot.frontends.web.conftest import Start, Visit, session_at

# Two starts of the whole program in one test.
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]


async def test_crash_while_drawing_is_shown_and_the_open_page_goes_on_by_itself(start: Start, visit: Visit) -> None:
    async with start() as service, visit(service.url) as person:
        await person.draw("[hang] [step=0.1] patience")
        await person.draw("and then this")
        await expect(person.jobs).to_have_count(2)
        await expect(person.jobs.first).to_contain_text("Step")
        await person.page.fill("#prompt textarea", "half a thou")
        await service.kill()
        await expect(person.page.locator(".offline")).to_be_visible()
        service.env["IMAGINE_BOT__CONSOLE__PORT"] = service.url.rsplit(":", 1)[1]
        await service.start()
        await service.wait_page()
        await expect(person.jobs.first).to_contain_text("restarted")
        await expect(person.jobs.first).to_contain_text("Step")
        await expect(person.page.locator(".offline")).to_be_hidden()
        assert await person.page.input_value("#prompt textarea") == "half a thou"
        await person.jobs.first.get_by_role("button", name="Cancel").click()
        await expect(person.thumbnails).to_have_count(1)
        await person.draw("the same form works")
        await expect(person.thumbnails).to_have_count(2)


async def test_orderly_stop_is_quick_with_pages_open_and_keeps_what_waits(start: Start) -> None:
    async with start() as service:
        service.env["IMAGINE_BOT__CONSOLE__PORT"] = service.url.rsplit(":", 1)[1]
        async with session_at(service.url) as person, session_at(service.url) as other:
            await person.draw("[step=0.2] drawing", -1, 10)
            await person.draw("waiting")
            async with other.client.stream("GET", "/gradio_api/heartbeat/open"):
                assert await service.stop(timeout=20) == ExitCode.OK
            assert "Traceback" not in service.output
            await service.start()
            await service.wait_page()
            await person.wait_for_pictures(2)


async def test_scripts_that_wait_while_it_stops_are_told_so_and_nothing_else(start: Start) -> None:
    async with start() as service, session_at(service.url) as script:
        data = {"data": ["[hang] [step=0.1]", 7, 2]}
        number = (await script.client.post("/gradio_api/call/draw", json=data)).json()["event_id"]
        api_id = next(
            each["id"]
            for each in (await script.client.get("/config")).json()["dependencies"]
            if each["api_name"] == "draw"
        )
        await script.client.post("/gradio_api/queue/join", json={**data, "fn_index": api_id, "session_hash": "client"})

        async def listen(path: str) -> str:
            async with script.client.stream("GET", path) as answer:
                is_listening.release()
                return (await answer.aread()).decode()

        is_listening = asyncio.Semaphore(0)
        paths = (f"/gradio_api/call/draw/{number}", "/gradio_api/queue/data?session_hash=client")
        async with asyncio.TaskGroup() as scripts:
            waiting = [scripts.create_task(listen(path)) for path in paths]
            for _ in paths:
                await is_listening.acquire()
            while len((await script.state())["jobs"]) < len(paths):  # before that the second would be refused
                await asyncio.sleep(0.1)
            assert await service.stop(timeout=20) == ExitCode.OK
        for told in (each.result() for each in waiting):
            assert FAREWELL in told.strip().splitlines()[-1]
            assert "cancel" not in told.lower() and ".py" not in told
        assert "Traceback" not in service.output
