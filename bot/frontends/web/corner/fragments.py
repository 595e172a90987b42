"""The operator's corner as HTML, in one language. Pure: no I/O. Everything that a person typed is escaped here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from bot.frontends.web.identity import FRONTEND
from bot.frontends.web.names import page_name
from bot.jobs import Job, JobStatus, QueueStatus
from bot.pause import Pause
from bot.presentation.job_view import eta, model_title, pause_phrase, settings_phrase
from bot.presentation.phrases import Phrase, Voice
from bot.presentation.spans import span
from bot.presentation.wording import Wording
from bot.requests.operating import Storage
from bot.requests.stats import Stats
from bot.scheduling.placement import RunnerState
from pipeline.engine import Stage

MIB: Final = 2**20
GIB: Final = 2**30
SOON_S: Final = 2
# By the key in the config, its section, and what it means.
LIMITS: Final = {
    "max_waiting": ("limits", "operator-limit-max-waiting"),
    "max_active_per_user": ("limits", "operator-limit-max-active-per-user"),
    "max_images_per_day": ("limits", "operator-limit-max-images-per-day"),
    "cooldown_s": ("limits", "operator-limit-cooldown-s"),
    "max_pixel_steps": ("limits", "operator-limit-max-pixel-steps"),
    "people_per_address": ("console", "operator-limit-people-per-address"),
    "history_days": ("storage", "operator-limit-history-days"),
    "min_free_mib": ("storage", "operator-limit-min-free-mib"),
}


def state(pause: Pause | None, stats: Stats, voice: Voice, *, is_accepting: bool) -> str:
    """Lay out whether the queue moves, and the numbers of the last 24 hours."""
    wording = voice.wording
    if not is_accepting:
        now = wording.say("admin-state-closing")
    else:
        now = wording.say("operator-moving") if pause is None else voice.say(pause_phrase(pause))
    day = wording.say(
        "operator-day",
        done=stats.done_today,
        failed=stats.failed_today,
        cancelled=stats.cancelled_today,
        drawn=span(stats.gpu_s_today, wording),
        uptime=span(stats.uptime_s, wording),
    )
    return f'<div data-key="state"><p><strong>{escape(now)}</strong></p><p>{escape(day)}</p></div>'


def queued(job: Job, standing: QueueStatus, *, who: str, titles: Mapping[str, str], voice: Voice, now: float) -> str:
    """Lay out a job that waits or runs, without its prompt, with a button that cancels it."""
    wording = voice.wording
    when = voice.say(eta(standing, now=now, soon_s=SOON_S) or Phrase("queue-unknown-finish"))
    if job.status is JobStatus.RUNNING:
        place = "🎨"
        if standing.progress is not None and standing.progress.stage is Stage.DENOISING:
            steps = standing.progress
            when = f"{wording.say('console-running', step=steps.step, steps=steps.steps)} · {when}"
    else:
        place = f"{standing.position or 1}."
    if job.is_cancel_requested:
        when = wording.say("console-stopping")
    cancel, name = wording.say("button-cancel"), wording.say("operator-cancel-one", job_id=job.id)
    about = voice.say(settings_phrase(job, titles))
    return (
        f'<div class="line" data-key="{job.id}"><p><strong>{escape(f"{place} {who}")}</strong> · {escape(when)}<br>'
        f'<span class="note">{escape(about)}</span></p><button class="button" data-do="cancel" data-id="{job.id}" '
        f'aria-label="{escape(name)}">{escape(cancel)}</button></div>'
    )


def person(job: Job, wording: Wording) -> str:
    """Name the person of a job: as they called themselves at the page, or by where they are."""
    if job.user.frontend != FRONTEND:
        return wording.say("console-elsewhere")
    return page_name(job) or wording.say("console-somebody")


def runners(left: Sequence[RunnerState], drawn: Mapping[int, int], titles: Mapping[str, str], voice: Voice) -> str:
    """Lay out what each runner holds and does."""
    wording, lines = voice.wording, []
    for runner in left:
        held = wording.say("operator-runner-empty")
        if runner.model is not None:
            held = voice.say(Phrase("operator-runner-holds", {"model": model_title(runner.model, titles)}))
        if runner.number in drawn:
            does = wording.say("operator-runner-draws", job_id=drawn[runner.number])
        elif runner.is_loading:
            does = wording.say("operator-runner-loads", left=span(runner.ready_in_s, wording))
        elif runner.ready_in_s > 0:
            does = wording.say("operator-runner-rests", left=span(runner.ready_in_s, wording))
        else:
            does = wording.say("operator-runner-idle")
        name = wording.say("operator-runner", number=runner.number + 1)
        lines.append(f"<li><strong>{escape(name)}</strong>: {escape(held)} · {escape(does)}</li>")
    return f'<ul data-key="runners">{"".join(lines)}</ul>'


def storage(stored: Storage | None, wording: Wording) -> str:
    """Lay out what lies on the disk."""
    if stored is None:
        return nothing("operator-storage-unreadable", wording)
    text = wording.say(
        "operator-storage-sizes",
        database=size_of(stored.database_bytes),
        images=stored.images,
        image_size=size_of(stored.image_bytes),
        free=size_of(stored.free_bytes),
    )
    return f'<p data-key="storage">{escape(text)}</p>'


def limits(values: Mapping[str, int], wording: Wording) -> str:
    """Lay out the limits, each with its key in the config."""
    rows = "".join(
        f'<tr><th scope="row">{escape(wording.say(sentence))}</th><td>{values[key]}</td>'
        f"<td><code>[{section}] {key}</code></td></tr>"
        for key, (section, sentence) in LIMITS.items()
    )
    return f'<table data-key="limits"><tbody>{rows}</tbody></table>'


def log_lines(lines: Sequence[str]) -> str:
    """Lay out the latest lines of the log."""
    text = "\n".join(lines)
    return f'<div data-key="log">{escape(text)}</div>'


def nothing(key: str, wording: Wording, **values: int) -> str:
    """Lay out that there is nothing to show."""
    return f'<p class="note" data-key="nothing">{escape(wording.say(key, **values))}</p>'


def size_of(size: int) -> str:
    """Write a number of bytes."""
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / MIB:.1f} MiB"
