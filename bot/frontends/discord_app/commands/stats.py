"""/admin stats: load, waits, drawing time per person, models and failures, on one private page."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import discord

from bot.frontends.discord_app.embeds import escape, relative, voice_of
from bot.frontends.discord_app.interactions import InteractionContext, reader, say, think
from bot.frontends.discord_app.message_ref import FRONTEND
from bot.jobs import FailureCode
from bot.presentation.job_view import pause_phrase
from bot.presentation.spans import span
from bot.presentation.wording import Wording
from bot.requests.stats import Stats
from bot.scheduling.model_memory import MemoryState
from bot.store.statistics_store import Count, PersonTime

GIB: Final = 2**30
MAX_NAME: Final = 40
FAILURES: Final = {code.value for code in FailureCode}


async def show_stats(interaction: discord.Interaction, context: InteractionContext) -> None:
    """Show everything; people only of the server where it is asked for."""
    await think(interaction)
    service, wording = context.service, reader(interaction)
    now, statistics = int(time.time()), service.statistics
    lines = _load(context, await service.stats(), wording)
    if (waits := await statistics.waits(now=now)) is not None:
        values = {"half": span(waits.half_s, wording), "most": span(waits.most_s, wording)}
        lines.append(wording.say("stats-waits", **values))
    if models := await statistics.models(now=now):
        lines.append(wording.say("stats-models", models=_listed(models, wording, _model)))
    if failures := await statistics.failures(now=now):
        lines.append(wording.say("stats-failures", failures=_listed(failures, wording, _failure)))
    assert interaction.guild_id is not None, "commands are for servers only"
    if people := await statistics.people(FRONTEND, interaction.guild_id, now=now):
        lines += [wording.say("stats-people"), *(_person(each, wording) for each in people)]
    await say(interaction, "\n".join(lines))


def _load(context: InteractionContext, stats: Stats, wording: Wording) -> list[str]:
    service = context.service
    if not service.is_accepting:
        state = wording.say("admin-state-closing")
    elif (pause := service.paused) is not None:
        state = voice_of(wording).say(pause_phrase(pause))
    else:
        state = wording.say("admin-state-open")
    step = "admin-step-unknown" if stats.step_s is None else "admin-step"
    lines = [
        wording.say(
            "admin-stats",
            model=stats.model,
            state=state,
            waiting=stats.waiting,
            running=stats.running,
            done=stats.done_today,
            failed=stats.failed_today,
            cancelled=stats.cancelled_today,
            drawn=span(stats.gpu_s_today, wording),
            step=wording.say(step, step_s=f"{stats.step_s or 0:.2f}"),
            disk_gib=f"{stats.disk_free_bytes / GIB:.1f}",
            started_at=relative(int(time.time() - stats.uptime_s)),
        )
    ]
    if service.memory.state is MemoryState.RELEASED:
        lines.append(wording.say("admin-no-model"))
    if stats.outlook is not None and (plan := stats.outlook.plan) is not None:
        lines.append(
            wording.say(
                "admin-card",
                format=stats.outlook.weight_format,
                resident_gb=f"{plan.resident_bytes / 1e9:.1f}",
                streamed_gb=f"{plan.streamed_bytes / 1e9:.1f}",
                link_gb_s=f"{stats.outlook.speed.link_gb_s:.1f}",
            )
        )
    return lines


def _listed(counts: Sequence[Count], wording: Wording, name: Callable[[str, Wording], str]) -> str:
    return wording.say("list-separator").join(
        wording.say("stats-count", name=name(each.name, wording), count=each.count) for each in counts
    )


def _model(name: str, _wording: Wording) -> str:
    return escape(name[:MAX_NAME])


def _failure(code: str, wording: Wording) -> str:
    known = code if code in FAILURES else FailureCode.OTHER.value
    return wording.say(f"stats-failure-{known.replace('_', '-')}")


def _person(each: PersonTime, wording: Wording) -> str:
    today, week = span(each.today_s, wording), span(each.week_s, wording)
    return wording.say("stats-person", who=f"<@{each.user.id[:MAX_NAME]}>", today=today, week=week)
