"""/queue, /cancel and /quota."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.errors import StoreUnavailable
from bot.frontends.discord_app.commands.personal import choices
from bot.frontends.discord_app.interactions import MAX_NOTES
from bot.jobs import Delivery, FailureCode, Job, JobStatus
from bot.presentation.wording import wording_for
from tests.bot.frontends.discord_app.conftest import Stage
from tests.bot.frontends.discord_app.test_embeds import a_job
from tests.discord_server.driver import Use
from tests.discord_server.permissions import Permission
from tests.discord_server.view import MessageView


async def ask(stage: Stage, command: str, user: Any = None, **options: Any) -> Use:
    return await stage.discord.slash(user or stage.discord.user, stage.discord.channel, command, **options)


async def private(use: Use) -> MessageView:
    return await use.wait(lambda message: message.ephemeral and not message.loading)


async def queue_up(stage: Stage, *prompts: str) -> None:
    for prompt in prompts:
        use = await ask(stage, "imagine", prompt=prompt, steps=1)
        await use.wait(lambda message: "⏳" in message.content)


async def draw(stage: Stage, *prompts: str, **options: str) -> None:
    async with stage.drawing():
        for prompt in prompts:
            use = await ask(stage, "imagine", prompt=prompt, steps=1, **options)
            await use.wait(lambda message: message.images)


async def test_queue_names_people_and_times_but_no_prompts(stage: Stage) -> None:
    await queue_up(stage, "a secret", "another")
    answer = await private(await ask(stage, "queue", stage.discord.add_user("bob")))
    assert answer.embeds[0]["title"] == "Nothing is being drawn, 2 waiting"
    assert f"1. #1 · <@{stage.discord.user.id}> · expected <t:" in answer.text and "secret" not in answer.text


async def test_queue_of_many_is_cut(stage: Stage) -> None:
    await queue_up(stage, *"abcdefghijklmnopqrstuvwxyzab")
    answer = await private(await ask(stage, "queue"))
    assert answer.text.endswith("… and 3 more")


async def test_paused_queue_says_why(stage: Stage) -> None:
    await queue_up(stage, "x")
    await stage.service.pausing.pause("a game")
    answer = await private(await ask(stage, "queue"))
    assert "waits until the queue resumes" in answer.text and "paused: a game" in answer.text


async def test_paused_empty_queue_says_so_too(stage: Stage) -> None:
    await stage.service.pausing.pause("a game")
    answer = await private(await ask(stage, "queue"))
    assert answer.text.endswith("Nobody is waiting.\n⏸️ paused: a game")


async def test_database_that_cannot_be_used_is_explained(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object):
        raise StoreUnavailable("database is locked", is_full=False)

    monkeypatch.setattr(stage.service, "quota", broken)
    assert (await private(await ask(stage, "quota"))).content.startswith("My database is not available right now.")


async def test_cancel_by_autocomplete(stage: Stage) -> None:
    await queue_up(stage, "a red apple", "a panda")
    suggested = await stage.discord.autocomplete(
        stage.discord.user, stage.discord.channel, "cancel", "picture", "panda"
    )
    assert suggested == [{"name": "#2 · a panda", "value": 2}]
    use = await ask(stage, "cancel", picture=2)
    assert (await private(use)).content == "Image #2 was cancelled."


async def test_suggestions_are_own_jobs_only(stage: Stage) -> None:
    await queue_up(stage, "a red apple")
    stranger = stage.discord.add_user("bob")
    assert await stage.discord.autocomplete(stranger, stage.discord.channel, "cancel", "picture") == []


async def test_broken_database_only_empties_the_suggestions(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_user):
        raise StoreUnavailable("disk I/O error", is_full=False)

    monkeypatch.setattr(stage.service, "active", broken)
    assert await stage.discord.autocomplete(stage.discord.user, stage.discord.channel, "cancel", "picture") == []


def test_suggestions_stay_inside_discords_limits() -> None:
    found = choices([a_job("🍎" * 2000, id=number) for number in range(1000)], "", wording_for("en"))
    assert len(found) == 25 and all(len(choice.name.encode("utf-16-le")) <= 200 for choice in found)


async def test_quota_counts(stage: Stage) -> None:
    await draw(stage, "x")
    answer = await private(await ask(stage, "quota"))
    assert "Images in 24 hours: **1** of 1000" in answer.text
    assert "Requests waiting or being drawn: **0** of 1000" in answer.text


async def test_result_that_found_no_way_is_told_on_the_next_command(stage: Stage) -> None:
    discord = stage.discord
    hermit = discord.add_user("hermit", dms_open=False)
    use = await ask(stage, "imagine", hermit, prompt="x", steps=1)
    await use.wait(lambda message: "⏳" in message.content)
    discord.set_permissions(discord.channel, discord.bot, deny=Permission.ATTACH_FILES)
    async with stage.drawing():
        while (await stage.job(1)).delivery != "undeliverable":
            await discord.world.changed.wait_for(lambda: True, 1)
    told = await (await ask(stage, "quota", hermit)).wait(lambda message: "#1 is done" in message.text)
    assert told.ephemeral
    again = await ask(stage, "quota", hermit)
    await private(again)
    assert again.followups == []


class Untold:
    """The notes of one person, in memory."""

    def __init__(self, *jobs: Job) -> None:
        self.jobs = list(jobs)
        self.told: list[list[int]] = []

    async def undelivered(self, _user: object) -> list[Job]:
        return list(self.jobs)

    async def mark_told(self, job_ids: list[int]) -> None:
        self.told.append(job_ids)
        self.jobs = [job for job in self.jobs if job.id not in job_ids]


@pytest.fixture
def notes(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Untold:
    """One picture that could not be delivered."""
    notes = Untold(a_job(id=77, status=JobStatus.DONE, delivery=Delivery.UNDELIVERABLE))
    monkeypatch.setattr(stage.service, "undelivered", notes.undelivered)
    monkeypatch.setattr(stage.service, "mark_told", notes.mark_told)
    return notes


async def until_told(notes: Untold, left: int = 0) -> None:
    while len(notes.jobs) > left:
        await asyncio.sleep(0.01)


def is_note(message: MessageView) -> bool:
    return message.ephemeral and message.text.startswith("What became of your earlier requests")


@pytest.mark.parametrize("command", [{"command": "cancel", "picture": 99}, {"command": "show", "id": 99}])
async def test_notes_are_told_after_a_refused_command_too(stage: Stage, notes: Untold, command: dict[str, Any]) -> None:
    use = await ask(stage, **command)
    assert "#77 is done" in (await use.wait(is_note)).text
    await until_told(notes)


async def test_notes_are_told_after_a_cancel_button(stage: Stage, notes: Untold) -> None:
    use = await ask(stage, "imagine", prompt="x")
    message = await use.wait(lambda message: "⏳" in message.content)
    await until_told(notes)
    notes.jobs.append(a_job(id=78, status=JobStatus.DONE))
    pressed = await stage.discord.click(message, "Cancel")
    assert "#78 is done" in (await pressed.wait(is_note)).text
    await until_told(notes)


async def test_note_that_could_not_be_said_is_kept_for_the_next_time(stage: Stage, notes: Untold) -> None:
    refused = stage.discord.fault("POST /webhooks/.*", code=50027)
    await private(await ask(stage, "quota"))
    await refused.wait_spent()
    assert "#77 is done" in (await (await ask(stage, "quota")).wait(is_note)).text
    await until_told(notes)
    assert notes.told == [[77]]  # once, though it was said twice


async def test_many_notes_are_told_in_parts(stage: Stage, notes: Untold) -> None:
    notes.jobs = [a_job(id=number, status=JobStatus.DONE) for number in range(1, MAX_NOTES + 3)]
    first = await (await ask(stage, "quota")).wait(is_note)
    await until_told(notes, left=2)
    second = await (await ask(stage, "quota")).wait(is_note)
    assert (f"#{MAX_NOTES} is" in first.text, f"#{MAX_NOTES + 1} is" in first.text) == (True, False)
    assert f"#{MAX_NOTES + 1} is" in second.text and f"#{MAX_NOTES} is" not in second.text
    await until_told(notes)


async def test_long_notes_stay_inside_a_message(stage: Stage, notes: Untold) -> None:
    failed = {"status": JobStatus.FAILED, "failure_code": FailureCode.STORAGE}
    notes.jobs = [a_job(id=10**15 + number, **failed) for number in range(MAX_NOTES)]
    told = await (await ask(stage, "quota")).wait(is_note)
    assert len(told.content) <= 2000
    await until_told(notes, left=MAX_NOTES - told.content.count("❌"))
    assert 0 < len(notes.jobs) < MAX_NOTES


async def test_draft_counts_for_its_share_of_an_image(stage: Stage) -> None:
    await draw(stage, "x", size="draft")
    answer = await private(await ask(stage, "quota"))
    assert "Images in 24 hours: **0.25** of 1000" in answer.text
