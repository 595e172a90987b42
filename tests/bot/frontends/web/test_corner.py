"""The operator's corner over HTTP, on a real database: what an operator sees and does, and who finds nothing there."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

from bot import logs
from bot.config import LogConfig
from bot.errors import BackupFailed
from bot.frontends.web.corner.handlers import CornerHandlers
from bot.frontends.web.corner.routes import MAX_BODY_BYTES, Corner, corner_routes
from bot.frontends.web.handlers import PageHandlers
from bot.frontends.web.security import admission
from bot.frontends.web.security.bodies import Events
from bot.frontends.web.security.gate import Gate
from bot.frontends.web.security.operators import COOKIE, Operators
from bot.frontends.web.security.origins import public_place
from bot.jobs import JobStatus, ReplyTo, UserKey
from bot.pause import PauseKind
from bot.presentation.wording import Wording
from bot.requests.batch import Asker, Batch
from bot.scheduling.job_queue import JobQueue
from bot.scheduling.placement import RunnerState
from bot.store.backups.writing import Backup
from pipeline.spec import ImageOptions
from tests.bot.frontends.web.test_handlers import ANN, APPLE, config, handlers, queue
from tests.conftest import FrozenClock

__all__ = ["config", "handlers", "queue"]  # fixtures

PLACE = "/console/operator"
Visit = Callable[..., httpx.AsyncClient]


async def ask(question: Coroutine[Any, Any, Any], /) -> Any:
    return await question


@pytest.fixture
async def visit(handlers: PageHandlers, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Visit]:
    """Make a browser before a page with or without passwords."""
    monkeypatch.setattr(admission, "MAX_WAIT_S", 0.0)

    def make(
        *, password: str | None = None, operator: str | None = None, root_path: str = "", **options: Any
    ) -> httpx.AsyncClient:
        page = None if password is None else SecretStr(password)
        secret = None if operator is None else SecretStr(operator)
        operators = Operators(secret, is_for_this_machine=page is None and not root_path)
        corner = CornerHandlers(handlers._service, people_per_address=5, release="test", clock=clock)
        place = public_place(root_path)
        routes = corner_routes(
            Corner(operators=operators, handlers=corner, root_path=place.path), handlers, ask, "secret"
        )
        gate = Gate(
            Starlette(), password=page, routes=routes, events=Events(form=0, reuse=3, start_from=4, draw=6), place=place
        )
        client = options.pop("client", "127.0.0.1")
        transport = httpx.ASGITransport(app=gate, client=(client, 1))
        return httpx.AsyncClient(transport=transport, **{"base_url": "http://127.0.0.1:6006", **options})

    yield make


async def seen(browser: httpx.AsyncClient, language: str = "en") -> dict[str, Any]:
    answer = await browser.get(PLACE, params={"lang": language})
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    found: dict[str, Any] = answer.json()
    return found


async def test_operator_sees_queue_runners_limits_storage_and_log_and_no_prompt(
    visit: Visit, handlers: PageHandlers, queue: JobQueue, clean_logging: None
) -> None:
    logs.setup(LogConfig())
    logging.getLogger("bot.app").warning("<b>the disk</b>")
    queue.use_runners(lambda: [RunnerState(number=0, model="demo"), RunnerState(number=1, ready_in_s=30)])
    await handlers.draw(ANN, APPLE, name="Ann <b>")
    request = Batch.of(ImageOptions(prompt="a private secret", steps=4), count=1)
    away = UserKey(frontend="discord", id="4711")
    reply_to = ReplyTo(frontend="discord", key="1", address="{}")
    asker = replace(Asker(user=away, reply_to=reply_to, key="discord:1"), is_private=True)
    await handlers._service.submit_batch(request, asker)
    assert await queue.claim() is not None
    async with visit() as browser:
        found = await seen(browser)
        queue_text, runners = "".join(found["queue"]), found["runners"][0]
        assert "Ann &lt;b&gt; (" in queue_text and "somebody on Discord (" in queue_text
        assert "4711" not in json.dumps(found) and "apple" not in json.dumps(found)
        assert "secret" not in json.dumps(found)
        assert "Runner 1</strong>: Demo: emoji scenes in memory · is drawing image #1" in runners
        assert "Runner 2</strong>: no model in memory · failed several times, rests for 30 s" in runners
        assert "<td>1000</td><td><code>[limits] max_waiting</code>" in found["limits"][0]
        assert "<td>5</td><td><code>[console] people_per_address</code>" in found["limits"][0]
        assert "Database 0." in found["storage"][0] and "free" in found["storage"][0]
        assert "&lt;b&gt;the disk&lt;/b&gt;" in found["log"][0] and "<b>" not in found["log"][0]
        assert found["can_leave"] is False and found["is_paused"] is False
        assert "取消" in "".join((await seen(browser, "zh-CN"))["queue"])
        page = await browser.get("/operator", headers={"Accept-Language": "zh-TW"})
        assert '<html lang="zh-TW">' in page.text and "管理角" in page.text


async def test_operator_cancels_jobs_of_anybody(visit: Visit, handlers: PageHandlers) -> None:
    (job,) = (await handlers.draw(ANN, APPLE)).jobs
    async with visit() as browser:
        answer = await browser.post(f"{PLACE}/jobs/{job.id}/cancel", json={})
        assert (answer.status_code, answer.json()["text"]) == (200, f"Image #{job.id} was cancelled.")
        assert (await handlers.images.own(ANN, job.id)).status is JobStatus.CANCELLED
        for number in (job.id, 999):  # twice, and one that there never was
            answer = await browser.post(f"{PLACE}/jobs/{number}/cancel", json={})
            assert answer.status_code == 409 and answer.json()["is_refusal"]
        assert (await browser.post(f"{PLACE}/jobs/x/cancel", json={})).status_code == 404
        assert "Nothing is being drawn" in (await seen(browser))["queue"][0]


async def test_operator_pauses_with_reason_and_end_and_lets_the_queue_go_on(
    visit: Visit, handlers: PageHandlers
) -> None:
    async with visit() as browser:
        answer = await browser.post(f"{PLACE}/pause", json={"reason": "<i>games</i>", "until": "2h"})
        assert answer.status_code == 200 and "<i>games</i>" in answer.json()["text"]
        pause = handlers._service.paused
        assert pause is not None and (pause.kind, pause.text) == (PauseKind.OPERATOR, "<i>games</i>")
        assert pause.until is not None
        found = await seen(browser)
        assert found["is_paused"] and "&lt;i&gt;games&lt;/i&gt;" in found["state"][0]
        answer = await browser.post(f"{PLACE}/resume", json={})
        assert answer.json()["text"].startswith("The queue has resumed.")
        assert handlers._service.paused is None


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"reason": "", "until": "soon"}, "until"),
        ({"reason": "", "until": "2001-01-01"}, "until"),
        ({"reason": "", "until": "9000w"}, "until"),
        ({"reason": "", "until": "x" * 5000}, "until"),
        ({"reason": "x" * 201, "until": ""}, "reason"),
    ],
)
async def test_flaw_is_told_with_its_field_and_nothing_is_paused(
    visit: Visit, handlers: PageHandlers, values: dict[str, str], field: str
) -> None:
    async with visit() as browser:
        answer = await browser.post(f"{PLACE}/pause", json=values)
        assert answer.status_code == 409 and answer.json()["field"] == field and answer.json()["text"]
    assert handlers._service.paused is None


ACTIONS = ("/backup", "/release", "/enter", "/leave", "/pause", "/resume", "/jobs/1/cancel")


async def test_corner_with_a_password_shows_and_does_nothing_without_it(visit: Visit, handlers: PageHandlers) -> None:
    (job,) = (await handlers.draw(ANN, APPLE)).jobs
    options: dict[str, Any] = {"password": "team", "operator": "boss 密码", "auth": ("", "team")}
    async with visit(**options, client="198.51.100.7") as browser:
        assert (await browser.get("/operator")).status_code == 200
        assert (await browser.get(PLACE)).status_code == 403
        for action in ("/leave", "/resume", "/backup", "/release", f"/jobs/{job.id}/cancel"):
            assert (await browser.post(f"{PLACE}{action}", json={})).status_code == 403
        assert (await browser.post(f"{PLACE}/pause", json={"reason": "", "until": ""})).status_code == 403
        for wrong in ("team", "", "boss", "x" * 2000):
            answer = await browser.post(f"{PLACE}/enter", json={"password": wrong})
            assert answer.status_code == 403 and answer.json()["field"] == "password"
        assert COOKIE not in browser.cookies
        answer = await browser.post(f"{PLACE}/enter", json={"password": "boss 密码"})
        assert answer.status_code == 200 and "HttpOnly; SameSite=Strict" in answer.headers["set-cookie"]
        assert (await seen(browser))["can_leave"] is True
        assert (await browser.post(f"{PLACE}/leave", json={})).status_code == 200
        assert (await browser.get(PLACE)).status_code == 403
    assert not (await handlers.images.own(ANN, job.id)).is_cancel_requested


@pytest.mark.parametrize(
    "options",
    [
        {"password": "team", "auth": ("", "team")},
        {"root_path": "/imagine"},
        {"client": "198.51.100.7"},
        {"headers": {"X-Forwarded-For": "127.0.0.1"}},
    ],
)
async def test_visitors_of_a_page_without_the_operators_password_find_no_corner(
    visit: Visit, options: dict[str, Any]
) -> None:
    async with visit(**options) as browser:
        for path in ("/operator", PLACE):
            answer = await browser.get(path)
            assert (answer.status_code, answer.text) == (404, "there is no such page")
        for action in ACTIONS:
            assert (await browser.post(f"{PLACE}{action}", json={})).status_code == 404


async def test_page_password_alone_is_asked_before_the_corner_is(visit: Visit) -> None:
    async with visit(password="team", operator="boss") as browser:
        assert (await browser.get("/operator")).status_code == 401
        assert (await browser.post(f"{PLACE}/enter", json={"password": "boss"})).status_code == 401


@pytest.mark.parametrize("action", ACTIONS)
async def test_other_pages_can_do_nothing_there(visit: Visit, action: str) -> None:
    async with visit() as browser:
        foreign = {"Origin": "http://evil.example"}
        assert (await browser.post(f"{PLACE}{action}", json={}, headers=foreign)).status_code == 403
        if action != "/leave":  # which needs no body
            plain = await browser.post(f"{PLACE}{action}", content=b"{}", headers={"Content-Type": "text/plain"})
            assert plain.status_code == 400


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[" * 5000, 400),
        (b'{"reason": "\\ud800", "until": ""}', 400),
        (b'{"reason": "", "reason": "", "until": ""}', 400),
        (b"\xff", 400),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"reason": ""}', 422),
        (b'{"reason": "", "until": "", "more": ""}', 422),
        (b'{"reason": 7, "until": ""}', 422),
        (b'{"reason": ["x"], "until": ""}', 422),
        (b'{"reason": null, "until": ""}', 422),
        (b" " * (MAX_BODY_BYTES + 1), 413),
    ],
)
async def test_body_that_is_wrong_is_refused(visit: Visit, handlers: PageHandlers, body: bytes, status: int) -> None:
    async with visit() as browser:
        answer = await browser.post(f"{PLACE}/pause", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == status and answer.json()["is_refusal"]
    assert handlers._service.paused is None


async def test_operator_makes_a_backup_and_gives_memory_back(
    visit: Visit, handlers: PageHandlers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    pressed, are_both_pressed, back_up = [], asyncio.Event(), CornerHandlers.back_up

    async def press(self: CornerHandlers, wording: Wording) -> str:
        pressed.append(1)
        if len(pressed) == 2:
            are_both_pressed.set()
        return await back_up(self, wording)

    monkeypatch.setattr(CornerHandlers, "back_up", press)

    async def make() -> Backup:
        made.append(1)
        await asyncio.wait_for(are_both_pressed.wait(), 10)
        if len(made) == 2:
            raise BackupFailed("the disk is full")
        return Backup(path=tmp_path / "x.zip", bytes=2**20, images=3, missing=("1.png",))

    monkeypatch.setattr(handlers._service.backups, "make", make)
    async with visit() as browser:
        both = await asyncio.gather(*(browser.post(f"{PLACE}/backup", json={}) for _ in range(2)))
        for answer in both:  # pressed twice, made once
            assert answer.status_code == 200 and "x.zip, 3 images, 1.0 MiB. One image that" in answer.json()["text"]
        assert len(made) == 1
        answer = await browser.post(f"{PLACE}/backup", json={})
        assert answer.status_code == 409 and answer.json()["text"] == "No backup could be made: the disk is full"
        answer = await browser.post(f"{PLACE}/release", json={})
        assert answer.status_code == 200 and answer.json()["text"] == "No model was in memory."
