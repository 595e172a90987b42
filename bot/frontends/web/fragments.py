"""Job → HTML: a waiting or running job, a failure, a picture, in one language. Pure: no I/O.

Everything that a person typed is escaped here. What buttons do is `page.js`; sentences are `bot/wording`.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from typing import Final

from PIL import Image

from bot.frontends.web.identity import FRONTEND
from bot.jobs import Job, JobStatus, QueueStatus, UserKey
from bot.presentation.wording import Wording
from pipeline.catalog.vocabulary import NOTHING, Unread
from pipeline.engine import Preview, Progress, Stage

SOON_S: Final = 2  # nearer finish times would be over before they are read
MINUTE_S: Final = 60
HOUR_S: Final = 3600
QUEUE_LINES: Final = 20
NAME_CHARS: Final = 48  # of the prompt in a file name


def job_card(job: Job, standing: QueueStatus, wording: Wording, *, now: float, unread: Unread = NOTHING) -> str:
    """A job that waits or is being drawn: where it stands, when it will be ready, how to stop it."""
    lines = [_headline(job, standing, wording)]
    if (finish := _finish(standing, wording, now=now)) and not job.is_cancel_requested:
        lines.append(finish)
    notes = []
    if standing.pause is not None:
        notes.append(wording.pause(standing.pause))
    if job.interruptions:
        notes.append(wording.say("console-resumed"))
    if text := wording.unread(unread):
        notes.append(text)
    button = "" if job.is_cancel_requested else _button("cancel", job, wording.say("button-cancel"))
    return (
        f'<article class="card" data-key="{job.id}" data-status="{job.status}">'
        f'<div class="row"><strong>{escape(" · ".join(lines))}</strong>{button}</div>{_bar(job, standing.progress)}'
        f"{_look(standing.progress)}"
        f"{''.join(f'<p class=note>{escape(note)}</p>' for note in notes)}{_about(job, wording)}</article>"
    )


def failure_card(job: Job, wording: Wording) -> str:
    """A job that failed, until its person has read so."""
    assert job.failure_code is not None, "only failed jobs have this card"
    reason = wording.failure(job.failure_code)
    buttons = _button("reuse", job, wording.say("console-reuse")) + _button("dismiss", job, wording.say("console-ok"))
    return (
        f'<article class="card failed" data-key="failed-{job.id}" data-status="failed">'
        f'<div class="row"><strong>{escape(reason)}</strong></div>{_about(job, wording)}'
        f'<div class="buttons">{buttons}</div></article>'
    )


def picture_card(job: Job, address: str | None, wording: Wording, *, unread: Unread = NOTHING) -> str:
    """A finished picture in full, with what can be done with it; `address` is None if its file is gone."""
    if address is None:
        picture = f"<p class=note>{escape(wording.say('history-file-gone', job_id=job.id))}</p>"
        download = ""
    else:
        picture = (
            f'<a href="{escape(address)}" target="_blank" rel="noopener"><img src="{escape(address)}" '
            f'width="{job.spec.width}" height="{job.spec.height}" alt="{escape(wording.prompt(job))}"></a>'
        )
        text = escape(wording.say("console-download"))
        download = f'<a class="button" href="{escape(address)}" download="{escape(file_name(job))}">{text}</a>'
    note = f"<p class=note>{escape(text)}</p>" if (text := wording.unread(unread)) else ""
    buttons = _button("reuse", job, wording.say("console-reuse")) + _button("vary", job, wording.say("console-vary"))
    return (
        f'<article class="picture" data-key="picture-{job.id}" data-id="{job.id}" data-seed="{job.spec.seed}">'
        f'{picture}<div class="buttons">{download}{buttons}</div>'
        f"{note}{_about(job, wording, seconds=job.ran_s)}</article>"
    )


def thumbnail(job: Job, address: str | None, wording: Wording) -> str:
    """A picture in the gallery; pressing it shows it in full."""
    name = wording.say("console-show", prompt=wording.prompt(job))
    inside = f'<img src="{escape(address)}" alt="" loading="lazy">' if address else f"<span>#{job.id}</span>"
    return (
        f'<button class="thumbnail" data-key="thumbnail-{job.id}" data-do="show" data-id="{job.id}" '
        f'aria-label="{escape(name)}" title="{escape(wording.prompt(job))}">{inside}</button>'
    )


def queue_list(
    unfinished: Sequence[tuple[Job, QueueStatus]], names: dict[int, str], me: UserKey, wording: Wording, *, now: float
) -> str:
    """Who is being drawn and who waits, by job; prompts of others are nobody's business."""
    running = sum(job.status is JobStatus.RUNNING for job, _ in unfinished)
    title = wording.say("queue-title", running=running, waiting=len(unfinished) - running)
    items = []
    for job, standing in unfinished[:QUEUE_LINES]:
        who = wording.say("console-you") if job.user == me else names.get(job.id) or _stranger(job, wording)
        place = "🎨" if job.status is JobStatus.RUNNING else f"{standing.position}."
        when = _finish(standing, wording, now=now) or wording.say("queue-unknown-finish")
        items.append(f"<li>{escape(f'{place} {who} · {when}')}</li>")
    if len(unfinished) > QUEUE_LINES:
        items.append(f"<li>{escape(wording.say('queue-more', count=len(unfinished) - QUEUE_LINES))}</li>")
    lines = f"<ol>{''.join(items)}</ol>" if items else ""
    return f'<details data-key="queue"><summary>{escape(title)}</summary>{lines}</details>'


def soon(moment: int, wording: Wording, *, now: float) -> str:
    """A moment to come, as a distance: "in 5 minutes"."""
    left_s = max(1, round(moment - now))
    if left_s < 2 * MINUTE_S:
        return wording.say("console-in-seconds", count=left_s)
    if left_s < 2 * HOUR_S:
        return wording.say("console-in-minutes", count=-(-left_s // MINUTE_S))
    return wording.say("console-in-hours", count=-(-left_s // HOUR_S))


def file_name(job: Job) -> str:
    """What a downloaded picture is called."""
    words = "-".join(re.findall(r"\w+", job.spec.prompt.lower()))[:NAME_CHARS].rstrip("-_") or "picture"
    return f"{words}-{job.spec.seed}.png"


def _headline(job: Job, standing: QueueStatus, wording: Wording) -> str:
    if job.is_cancel_requested:
        return wording.say("console-stopping")
    if job.status is not JobStatus.RUNNING:
        return wording.say("console-waiting", position=standing.position or 1)
    match standing.progress:
        case Progress(stage=Stage.DENOISING, step=step, steps=steps):
            return wording.say("console-running", step=step, steps=steps)
        case Progress(stage=Stage.ENCODING):
            return wording.say("console-encoding")
        case Progress(stage=Stage.DECODING):
            return wording.say("console-decoding")
        case _:
            return wording.say("console-loading")


def _finish(standing: QueueStatus, wording: Wording, *, now: float) -> str | None:
    if standing.finish_at is None:
        return None
    if standing.finish_at - now < SOON_S:
        return wording.say("card-finish-soon")
    key = "card-finish-rough" if standing.is_rough else "card-finish"
    return wording.say(key, when=soon(standing.finish_at, wording, now=now))


def _bar(job: Job, progress: Progress | None) -> str:
    if job.status is not JobStatus.RUNNING:
        return ""
    if progress is None or progress.stage in (Stage.LOADING, Stage.ENCODING):
        return "<progress></progress>"
    return f'<progress max="{max(progress.steps, 1)}" value="{progress.step}"></progress>'


def _look(progress: Progress | None) -> str:
    if progress is None or progress.preview is None:
        return ""
    return f'<img class="preview" src="{_data_address(progress.preview)}" alt="">'


@lru_cache(maxsize=8)
def _data_address(preview: Preview) -> str:
    """The preview inside the page itself: it is gone in a second, and a few kilobytes."""
    buffer = io.BytesIO()
    Image.frombytes("RGB", (preview.width, preview.height), preview.pixels).save(buffer, format="WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _about(job: Job, wording: Wording, *, seconds: float | None = None) -> str:
    spec = job.spec
    settings = wording.settings(job)
    if spec.source:
        settings = wording.say("console-from-picture", settings=settings, strength=f"{spec.strength:g}")
    if seconds is not None and seconds >= 0.1:
        settings = wording.say("card-seconds", settings=settings, seconds=f"{seconds:.1f}")
    return f'<p class="prompt">{escape(wording.prompt(job))}</p><p class="settings">{escape(settings)}</p>'


def _stranger(job: Job, wording: Wording) -> str:
    return wording.say("console-somebody" if job.user.frontend == FRONTEND else "console-elsewhere")


def _button(action: str, job: Job, text: str) -> str:
    return f'<button class="button" data-do="{action}" data-id="{job.id}">{escape(text)}</button>'
