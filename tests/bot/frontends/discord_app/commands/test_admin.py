"""/admin is for those who manage the server, whatever Discord shows to others."""

from __future__ import annotations

import itertools
import re
import time
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

import discord
import pytest

from bot.config import LimitsConfig
from bot.config.spans import Span
from bot.errors import StoreUnavailable
from bot.jobs import JobStatus, UserKey
from bot.pause import Pause
from bot.scheduling.hours import QuietHours
from bot.scheduling.model_memory import ModelMemory
from bot.scheduling.runner import Runner
from bot.store.key_value_store import SettingStore
from bot.store.statistics_store import MAX_NAMES, MAX_PEOPLE, Count, PersonTime, StatisticsStore
from pipeline.device.memory_plan import make_plan
from pipeline.device.runtime_estimate import RuntimeEstimate
from pipeline.families.flux.architecture import cost
from tests.bot.frontends.discord_app.conftest import Stage, Start
from tests.bot.scheduling.test_runners import FakeRunner
from tests.discord_server.driver import ClientRefused, Use
from tests.discord_server.permissions import Permission
from tests.pipeline.measured import measured_card


@pytest.fixture
def manager(stage: Stage) -> Any:
    return stage.discord.add_user("boss", roles=[stage.discord.add_role("boss", Permission.MANAGE_GUILD)])


async def told(use: Use) -> str:
    return (await use.wait(lambda message: message.ephemeral and not message.loading)).text


async def admin(stage: Stage, user: Any, command: str, **options: Any) -> str:
    return await told(await stage.discord.slash(user, stage.discord.channel, f"admin {command}", **options))


async def queue_up(stage: Stage) -> None:
    use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "imagine", prompt="a secret")
    await use.wait(lambda message: "⏳" in message.content)


async def test_members_are_not_offered_it(stage: Stage) -> None:
    with pytest.raises(ClientRefused):
        await admin(stage, stage.discord.user, "stats")


async def test_members_whom_the_server_shows_it_are_refused(stage: Stage) -> None:
    command = await stage.discord.wait_command("admin")
    command["default_member_permissions"] = None
    assert (
        await admin(stage, stage.discord.user, "pause")
        == "Only members with the “Manage Server” permission can do this."
    )
    assert stage.service.paused is None


async def test_pause_is_on_the_messages_until_resume(stage: Stage, manager: Any) -> None:
    await queue_up(stage)
    assert "paused: a game" in await admin(stage, manager, "pause", reason="a game")
    await stage.discord.wait_message(lambda message: "⏸️ paused: a game" in message.content and message.buttons)
    assert await admin(stage, manager, "resume") == "The queue has resumed. One image is waiting."
    assert stage.service.paused is None


async def test_pause_until_a_time_says_so_everywhere(stage: Stage, manager: Any) -> None:
    assert (await admin(stage, manager, "pause", reason="a game", until="2h")).startswith("⏸️ paused until <t:")
    assert stage.service.paused is not None
    ends_at = stage.service.paused.until
    assert ends_at is not None and abs(ends_at - time.time() - 7200) < 60
    until = f"<t:{ends_at}:t> (<t:{ends_at}:R>)"
    assert await admin(stage, manager, "pause") == f"⏸️ paused until {until}: a game\nWaiting images keep their places."
    await queue_up(stage)
    waiting = await stage.discord.wait_message(lambda message: "⏸️" in message.content and message.buttons)
    assert f"⏸️ paused until {until}: a game" in waiting.content
    assert re.search(rf"expected <t:({ends_at + 1}|{ends_at}):R>", waiting.content), waiting.content
    assert f"paused until {until}: a game" in await admin(stage, manager, "queue")
    assert f"paused until {until}: a game" in await admin(stage, manager, "stats")
    assert "Nothing is waiting" not in await admin(stage, manager, "resume")
    async with stage.drawing():
        await stage.discord.wait_message(lambda message: "✅" in message.content)


@pytest.mark.parametrize("until", ["soon", "25:00", "2020-01-01", "9999-01-01", "0m", "@everyone", "１０", "-5m"])
async def test_time_that_cannot_be_read_pauses_nothing(stage: Stage, manager: Any, until: str) -> None:
    assert "This" in await admin(stage, manager, "pause", until=until) and stage.service.paused is None


async def test_resume_in_quiet_hours_says_when_they_begin_again(stage: Stage, manager: Any) -> None:
    pauses, minute = stage.queue.pauses, int(time.time()) // 60 % 1440
    pauses.hours = QuietHours([Span((minute - 60) % 1440, (minute + 60) % 1440)], UTC)
    await queue_up(stage)
    waiting = await stage.discord.wait_message(lambda message: "⏸️" in message.content and message.buttons)
    assert stage.service.paused is not None
    ends_at = stage.service.paused.until
    assert f"⏸️ paused until <t:{ends_at}:t> (<t:{ends_at}:R>): quiet hours" in waiting.content
    begins_at = pauses.hours.begin_after(time.time())
    assert await admin(stage, manager, "resume") == (
        f"The queue has resumed. One image is waiting.\nQuiet hours begin at <t:{begins_at}:t> (<t:{begins_at}:R>)."
    )
    async with stage.drawing():
        await stage.discord.wait_message(lambda message: "✅" in message.content)


async def test_no_message_is_edited_after_its_first_hour_of_a_night_of_pause(
    stage: Stage, manager: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.service.pausing.pause("night", int(time.time()) + 8 * 3600)
    messages = []
    for user, prompt in ((stage.discord.user, "x"), (manager, "y")):  # one after the other: the first is job 1
        use = await stage.discord.slash(user, stage.discord.channel, "imagine", prompt=prompt)
        messages.append(await use.wait(lambda message: "⏸️ paused until <t:" in message.content))
    updates, passed_s = stage.delivery.updates, itertools.count(10.0, 10.0)
    monkeypatch.setattr(updates, "_monotonic", lambda: time.monotonic() + next(passed_s))  # every edit is due at once
    before = -1
    while before != len(stage.discord.requests("PATCH .*")):  # what they say of their places has come to rest
        before = len(stage.discord.requests("PATCH .*"))
        for _ in messages:
            await updates.refresh()
    monkeypatch.setattr(stage.client.frontend.time, "_monotonic", lambda: time.monotonic() + 3601)
    await stage.service.cancel(1, by=(await stage.job(1)).user)  # its message becomes a result; the other one moves up
    await stage.discord.wait_message(lambda message: "🚫" in message.content)
    await stage.delivery.flush()  # no edit is held up any more
    for _ in range(5):
        await updates.refresh()
    edits = [request for request in stage.discord.requests("PATCH .*")[before:] if str(messages[1].id) in request.path]
    assert edits == [] and stage.discord.refresh(messages[1]).content == messages[1].content


async def test_messages_are_kept_up_to_date_though_the_clock_of_this_machine_is_hours_ahead(
    stage: Stage, manager: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = discord.utils.utcnow
    monkeypatch.setattr(discord.utils, "utcnow", lambda: real() + timedelta(hours=2))
    uses = []
    for user, prompt in ((stage.discord.user, "x"), (manager, "y")):
        uses.append(await stage.discord.slash(user, stage.discord.channel, "imagine", prompt=prompt))
        await uses[-1].wait(lambda message: message.buttons)
    await uses[1].wait(lambda message: "1 ahead" in message.content)
    seen = len(uses[1].timeline)
    await stage.service.cancel(1, by=(await stage.job(1)).user)
    await uses[1].wait(lambda message: "ahead" not in message.content, timeout=5, after=seen)


async def test_refusals_while_paused_name_the_time_at_which_it_goes_on(start: Start) -> None:
    async with start(limits=LimitsConfig(max_active_per_user=1, cooldown_s=0)) as stage:
        ends_at = int(time.time()) + 3600
        await stage.service.pausing.pause("night", ends_at)
        await queue_up(stage)
        use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "imagine", prompt="x")
        assert f"after it resumes (<t:{ends_at}:t> (<t:{ends_at}:R>))" in await told(use)
        await stage.service.pausing.resume()
        await stage.service.pausing.pause("repairs")
        use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "imagine", prompt="x")
        text = await told(use)
        assert "the queue is paused" in text and "<t:" not in text


@pytest.mark.parametrize("command", ["pause", "resume"])
async def test_pause_and_resume_that_cannot_be_written_say_so_and_change_nothing(
    stage: Stage, manager: Any, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    before = await stage.service.pausing.pause("before")

    async def locked(*_: object) -> None:
        raise StoreUnavailable("locked", is_full=False)

    monkeypatch.setattr(SettingStore, "set", locked)
    assert "My database is not available" in await admin(stage, manager, command)
    assert stage.service.paused == before


async def test_reason_is_one_line_that_mentions_nobody(stage: Stage, manager: Any) -> None:
    told = await admin(stage, manager, "pause", reason="@everyone\n# storage\u200b <@1>")
    assert r"paused: \@everyone \# storage \<\@1\>" in told
    assert stage.service.paused == Pause.by_operator("@everyone # storage <@1>")


async def test_pause_needs_no_reason_and_says_first_what_it_did(stage: Stage, manager: Any) -> None:
    assert await admin(stage, manager, "pause") == "⏸️ paused by a moderator\nWaiting images keep their places."


async def test_queue_shows_prompts(stage: Stage, manager: Any) -> None:
    await queue_up(stage)
    assert "a secret" in await admin(stage, manager, "queue")


async def test_cancel_of_anybody(stage: Stage, manager: Any) -> None:
    await queue_up(stage)
    assert await admin(stage, manager, "cancel", id=1) == "Image #1 was cancelled."
    assert (await stage.job(1)).status is JobStatus.CANCELLED


@pytest.mark.parametrize("command", ["cancel", "remove"])
async def test_manager_is_not_sent_to_a_history_of_their_own(stage: Stage, manager: Any, command: str) -> None:
    assert await admin(stage, manager, command, id=99) == "There is no image #99 on this server. It may have expired."


@pytest.fixture
async def foreign(stage: Stage) -> tuple[Any, Any]:
    """A manager of another server, and the channel where that person is."""
    guild, channel = await stage.other_server()
    role = stage.discord.add_role("boss", Permission.MANAGE_GUILD, guild=guild)
    return stage.discord.add_user("other boss", roles=[role], guild=guild), channel


async def test_cancel_stays_on_ones_server(stage: Stage, foreign: tuple[Any, Any]) -> None:
    await queue_up(stage)
    user, channel = foreign
    use = await stage.discord.slash(user, channel, "admin cancel", id=1)
    assert await told(use) == "Image #1 belongs to somebody else."
    assert (await stage.job(1)).status is JobStatus.QUEUED


@pytest.mark.parametrize("command", ["queue", "admin queue"])
async def test_queue_tells_of_other_servers_only_how_many(stage: Stage, foreign: tuple[Any, Any], command: str) -> None:
    await queue_up(stage)
    await queue_up(stage)
    user, channel = foreign
    use = await stage.discord.slash(user, channel, "imagine", prompt="mine")
    await use.wait(lambda message: "⏳" in message.content)
    page = await told(await stage.discord.slash(user, channel, command))
    assert "3 waiting" in page
    assert f"#3 · <@{user.id}>" in page and "+ 2 from other servers" in page
    assert "#1 ·" not in page and "secret" not in page and f"<@{stage.discord.user.id}>" not in page


@pytest.mark.parametrize("command", ["pause", "resume"])
async def test_one_server_of_many_does_not_stop_the_machine(
    stage: Stage, manager: Any, foreign: tuple[Any, Any], command: str
) -> None:
    await stage.service.pausing.pause("before")
    assert "`allowed_guilds` in `[discord]`" in await admin(stage, manager, command)
    user, channel = foreign
    use = await stage.discord.slash(user, channel, f"admin {command}")
    assert channel.guild.id in await told(use)
    assert stage.service.paused == Pause.by_operator("before")


async def test_servers_that_the_operator_listed_may_stop_the_machine(
    stage: Stage, manager: Any, foreign: tuple[Any, Any]
) -> None:
    user, channel = foreign
    stage.client.context.access._guilds = frozenset({int(stage.discord.guild.id), int(channel.guild.id)})
    await told(await stage.discord.slash(user, channel, "admin pause", reason="night"))
    assert stage.service.paused == Pause.by_operator("night")
    await admin(stage, manager, "resume")
    assert stage.service.paused is None


async def test_stats_are_on_one_page(stage: Stage, manager: Any) -> None:
    await queue_up(stage)
    page = await admin(stage, manager, "stats")
    assert "Model **fake** · accepting requests" in page and "Waiting 1" in page and "GiB" in page
    assert "one step: not measured yet" in page and "Weights" not in page
    speed = measured_card()
    plan = make_plan(
        [10**9] * 8, work=[1.0] * 8, other_blocks=[], fixed_bytes=0, free_bytes=7 * 10**9, cost=cost(512, 512, 20)
    )
    estimate = RuntimeEstimate(weight_format="int8", speed=speed, plan=plan, step_s=0.3)
    stage.service.models = replace(stage.service.models, estimate_runtime=lambda: estimate)
    page = await admin(stage, manager, "stats")
    kept, streamed = plan.resident_bytes / 1e9, plan.streamed_bytes / 1e9
    assert f"Weights: int8 · {kept:.1f} GB on the GPU · {streamed:.1f} GB streamed at every step, 12.5 GB/s" in page
    await stage.service.pausing.pause("")
    assert "paused by a moderator" in await admin(stage, manager, "stats")
    stage.service.stop_accepting()
    assert "shutting down" in await admin(stage, manager, "stats")


async def test_stats_name_waits_people_models_and_failures(stage: Stage, manager: Any) -> None:
    async with stage.drawing():
        for prompt in ("a secret", "another [fail]"):
            use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "imagine", prompt=prompt)
            await use.wait(lambda message: bool(message.images) or "❌" in message.content)
        page = await admin(stage, manager, "stats")
    assert "In 24 hours: 1 done, 1 failed, 0 cancelled" in page
    assert re.search(r"Drawing time in 24 hours: [0-9.]+ s", page) and "0 min" not in page
    assert re.search(r"half of the images within [0-9.]+ s, 95 % within [0-9.]+ s", page)
    assert "**Images per model** in 24 hours: fake 1" in page
    assert "**Failures** in 24 hours: drawing failed 1" in page
    assert re.search(rf"<@{stage.discord.user.id}> · [0-9.]+ s / [0-9.]+ s", page)
    assert "secret" not in page


async def test_stats_name_nobody_of_another_server(stage: Stage, foreign: tuple[Any, Any]) -> None:
    async with stage.drawing():
        use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "imagine", prompt="x")
        await use.wait(lambda message: bool(message.images))
        user, channel = foreign
        page = await told(await stage.discord.slash(user, channel, "admin stats"))
    assert "1 done" in page and stage.discord.user.id not in page


async def test_longest_stats_fit_into_a_message(stage: Stage, manager: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def people(*_: object, **__: object) -> list[PersonTime]:
        return [PersonTime(user=UserKey(frontend="discord", id="9" * 19), today_s=1e6, week_s=1e6)] * MAX_PEOPLE

    async def names(*_: object, **__: object) -> list[Count]:
        return [Count(name="_" * 40, count=10**6)] * MAX_NAMES

    monkeypatch.setattr(StatisticsStore, "people", people)
    monkeypatch.setattr(StatisticsStore, "models", names)
    monkeypatch.setattr(StatisticsStore, "failures", names)
    page = await admin(stage, manager, "stats")
    assert page.count("9" * 19) == MAX_PEOPLE and "other 1000000" in page


async def test_release_says_what_became_of_the_model(stage: Stage, manager: Any) -> None:
    runner, executor = Runner(0, FakeRunner("fake")), FakeRunner("fake")
    runner.executor = executor
    stage.service.memory = ModelMemory(lambda: [runner], stage.queue)
    assert await admin(stage, manager, "release") == "No model was in memory."
    assert "No model is in memory; the next image loads it." in await admin(stage, manager, "stats")

    async def release() -> bool:
        return True

    executor.release, runner.model = release, "fake"  # type: ignore[method-assign]
    assert "No model is in memory" not in await admin(stage, manager, "stats")
    assert await admin(stage, manager, "release") == (
        "The model has left the memory. The next image loads it again; `/admin pause` keeps it away."
    )


async def test_release_is_for_operators_only(start: Start) -> None:
    async with start() as stage:
        command = await stage.discord.wait_command("admin")
        command["default_member_permissions"] = None
        said = await admin(stage, stage.discord.user, "release")
    assert "Manage Server" in said
