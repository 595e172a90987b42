"""JobView → HTML: a waiting or running job, a failure, a picture, in one language. Pure: no I/O.

Everything that a person typed is escaped here. What is said is `bot/presentation`; what buttons do is
`assets/actions.js`.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache, partial
from html import escape
from typing import Final

from PIL import Image

from bot.frontends.web.identity import FRONTEND
from bot.jobs import Job, JobStatus, QueueStatus, UserKey
from bot.presentation.job_view import Action, JobView, eta
from bot.presentation.phrases import Phrase, Voice
from bot.presentation.wording import Wording
from bot.requests.verbs import steps_after
from pipeline.engine import Preview, Progress, Stage

SOON_S: Final = 2  # an open page looks every second
MINUTE_S: Final = 60
HOUR_S: Final = 3600
QUEUE_LINES: Final = 20
NAME_CHARS: Final = 48  # of the prompt in a file name
# On the page the person is the reader and is not named.
OWN_SENTENCES: Final = {
    "card-waiting": "console-waiting",
    "card-next": "console-next",
    "card-next-loading": "console-next-loading",
    "card-ahead": "console-ahead",
    "card-running": "console-running",
    "card-loading": "console-loading",
    "card-encoding": "console-encoding",
    "card-decoding": "console-decoding",
    "card-stopping": "console-stopping",
    "card-paused-until": "console-paused-until",
    "card-paused-until-by-moderator": "console-paused-until-by-moderator",
    "card-resumed": "console-resumed",
    "unknown-words": "console-unknown-words",
}
# The registry: a button is one entry here, one sentence per language, and what `assets/actions.js` does with it.
BUTTONS: Final = {
    Action.CANCEL: "button-cancel",
    Action.REUSE: "console-reuse",
    Action.REROLL: "button-again",
    Action.EDIT: "button-edit",
    Action.VARY: "button-vary",
    Action.UPSCALE: "button-upscale",
    Action.FINAL: "button-final",
    Action.MORE_STEPS: "button-more-steps",
    Action.START_FROM: "button-start-from",
    Action.DELETE: "button-delete",
    Action.DISMISS: "console-ok",
}
LABEL_TIME: Final = "\ue000"  # stands in a label for a time of day, which only the browser knows


def voice_of(wording: Wording, *, now: float) -> Voice:
    """Return the voice of the page, which is redrawn every second and writes moments as distances."""
    return Voice(wording=wording, write_moment=partial(soon, wording=wording, now=now), own=OWN_SENTENCES)


def unfinished(view: JobView, voice: Voice) -> str:
    """Lay out a job that waits or runs: its place, its finish time, a button to stop it."""
    job = view.job
    when = "" if view.eta is None else f'<span class="when"> · {escape(voice.say(view.eta))}</span>'
    return (
        f'<article class="card" data-key="{job.id}" data-status="{job.status}">'
        f'<div class="row"><strong>{escape(voice.say(view.headline))}{when}</strong>{_buttons(view, voice)}</div>'
        f"{_bar(job, view.progress)}{_preview(view.progress)}"
        f"{_notes(view.notes, voice)}{_about(view, voice)}</article>"
    )


def failure(view: JobView, voice: Voice) -> str:
    """Lay out a failed job, shown until its person dismisses it."""
    assert view.reason is not None, "only failed jobs are shown so"
    more = "" if view.more is None else f'<p class="settings">{escape(voice.say(view.more))}</p>'
    return (
        f'<article class="card failed" data-key="failed-{view.job.id}" data-status="failed">'
        f'<div class="row"><strong>{escape(voice.say(view.reason))}</strong></div>{more}{_about(view, voice)}'
        f'<div class="buttons">{_buttons(view, voice)}</div></article>'
    )


def picture(view: JobView, address: str | None, voice: Voice, *, menu: Iterable[Action] = ()) -> str:
    """Lay out a finished image in full, with its buttons.

    Args:
        view: the image.
        address: of its file; None if that is gone.
        voice: that of the page.
        menu: what more may be done with it.
    """
    job, wording = view.job, voice.wording
    if address is None:
        image = f"<p class=note>{escape(wording.say('history-file-gone', job_id=job.id))}</p>"
        download = ""
    else:
        name = escape(wording.say("page-look-closely", prompt=wording.prompt(job), job_id=job.id))
        image = (
            f'<a class="large" href="{escape(address)}" target="_blank" rel="noopener" data-do="zoom" '
            f'data-id="{job.id}" data-name="{escape(file_name(job))}" aria-label="{name}"><img src="{escape(address)}" '
            f'width="{job.spec.width}" height="{job.spec.height}" alt="{escape(wording.prompt(job))}"></a>'
        )
        text = escape(wording.say("console-download"))
        download = f'<a class="button" href="{escape(address)}" download="{escape(file_name(job))}">{text}</a>'
    # The form beside it is what another front end would open for an edit, so *edit* says all that *reuse* would.
    actions = [action for action in view.actions if action is not Action.REUSE]
    more = "".join(_button(action, job, voice) for action in menu if action in BUTTONS)
    if more:
        more = (
            f'<details class="more"><summary class="button">{escape(wording.say("button-more"))}</summary>'
            f'<div class="menu">{more}</div></details>'
        )
    classes = _classes("picture", job)
    return (
        f'<article class="{classes}" data-key="picture-{job.id}" data-id="{job.id}" data-seed="{job.spec.seed}">'
        f'{image}<div class="about">{_about(view, voice, seconds=job.ran_s)}{_notes(view.notes, voice)}'
        f'<div class="buttons">{download}{_buttons(view, voice, actions)}{_star(job, wording)}{more}</div>'
        "</div></article>"
    )


def thumbnail(job: Job, address: str | None, wording: Wording) -> str:
    """Lay out an image in the gallery; pressing it shows it in full.

    The browser puts the time of day in the reader's zone into its label, in place of `LABEL_TIME`.
    """
    prompt, at = wording.prompt(job), job.finished_at or job.queued_at
    label = escape(wording.say("page-image-label", prompt=prompt, job_id=job.id, time=LABEL_TIME))
    inside = f'<img src="{escape(address)}" alt="" loading="lazy">' if address else f"<span>#{job.id}</span>"
    classes = _classes("thumbnail", job) + (" kept" if job.is_kept else "")
    file = f' data-file="{escape(address.removesuffix("webp"))}png"' if address else ""
    return (
        f'<button type="button" class="{classes}" data-key="thumbnail-{job.id}" data-do="show" '
        f'data-id="{job.id}" data-at="{at}"{file} data-name="{escape(file_name(job))}" '
        f'aria-label="{label}" title="{escape(prompt)}">{inside}</button>'
    )


def _classes(name: str, job: Job) -> str:
    """Return the classes of a picture; a spoiler is blurred until its large picture is pressed."""
    return f"{name} spoiler" if job.is_spoiler else name


def queue_list(
    unfinished: Sequence[tuple[Job, QueueStatus]], names: dict[int, str], me: UserKey, voice: Voice, *, now: float
) -> str:
    """Lay out the queue: who is being drawn and who waits, without prompts."""
    wording = voice.wording
    running = sum(job.status is JobStatus.RUNNING for job, _ in unfinished)
    if not unfinished:
        return f'<p data-key="queue" class="idle">{escape(wording.say("page-queue-idle"))}</p>'
    title = wording.say("queue-title", running=running, waiting=len(unfinished) - running)
    items = []
    for job, standing in unfinished[:QUEUE_LINES]:
        who = wording.say("console-you") if job.user == me else names.get(job.id) or _stranger(job, wording)
        place = "🎨" if job.status is JobStatus.RUNNING else f"{standing.position}."
        when = voice.say(eta(standing, now=now, soon_s=SOON_S) or Phrase("queue-unknown-finish"))
        items.append(f'<li>{escape(f"{place} {who}")}<span class="when"> · {escape(when)}</span></li>')
    if len(unfinished) > QUEUE_LINES:
        items.append(f"<li>{escape(wording.say('queue-more', count=len(unfinished) - QUEUE_LINES))}</li>")
    lines = f"<ol>{''.join(items)}</ol>" if items else ""
    return f'<details data-key="queue"><summary>{escape(title)}</summary>{lines}</details>'


def soon(moment: int, wording: Wording, *, now: float) -> str:
    """Write a future moment as a distance: "in 5 minutes"."""
    left_s = max(1, round(moment - now))
    if left_s < 2 * MINUTE_S:
        return wording.say("console-in-seconds", count=left_s)
    if left_s < 2 * HOUR_S:
        return wording.say("console-in-minutes", count=-(-left_s // MINUTE_S))
    return wording.say("console-in-hours", count=-(-left_s // HOUR_S))


def file_name(job: Job) -> str:
    """Return the file name of a downloaded picture."""
    words = "-".join(re.findall(r"\w+", job.spec.prompt.lower()))[:NAME_CHARS].rstrip("-_") or "picture"
    return f"{words}-{job.spec.seed}.png"


def _bar(job: Job, progress: Progress | None) -> str:
    if job.status is not JobStatus.RUNNING:
        return ""
    if progress is None or progress.stage in (Stage.LOADING, Stage.ENCODING):
        return "<progress></progress>"
    return f'<progress max="{max(progress.steps, 1)}" value="{progress.step}"></progress>'


def _preview(progress: Progress | None) -> str:
    if progress is None or progress.preview is None:
        return ""
    return f'<img class="preview" src="{_data_address(progress.preview)}" alt="">'


@lru_cache(maxsize=8)
def _data_address(preview: Preview) -> str:
    """Return the preview as a data URL, because it is small and replaced within a second."""
    buffer = io.BytesIO()
    Image.frombytes("RGB", (preview.width, preview.height), preview.pixels).save(buffer, format="WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _about(view: JobView, voice: Voice, *, seconds: float | None = None) -> str:
    job, spec, wording = view.job, view.job.spec, voice.wording
    settings = voice.say(view.settings)
    if spec.source:
        key = "console-upscaled" if spec.upscale else "console-from-picture"
        settings = wording.say(key, settings=settings, strength=f"{spec.strength:g}")
    if spec.references:
        settings = wording.say("console-edited", settings=settings, count=len(spec.reference_keys))
    if seconds is not None and seconds >= 0.1:
        settings = wording.say("card-seconds", settings=settings, seconds=f"{seconds:.1f}")
    details = "".join(f'<p class="settings">{escape(voice.say(detail))}</p>' for detail in view.details)
    prompt = f'<p class="prompt">{escape(wording.prompt(job))}</p>'
    if view.translation is not None:
        prompt += f'<p class="translation">{escape(voice.say(view.translation))}</p>'
    return f'{prompt}<p class="settings">{escape(settings)}</p>{details}'


def _stranger(job: Job, wording: Wording) -> str:
    return wording.say("console-somebody" if job.user.frontend == FRONTEND else "console-elsewhere")


def _notes(notes: Iterable[Phrase], voice: Voice) -> str:
    return "".join(f"<p class=note>{escape(voice.say(note))}</p>" for note in notes)


def _buttons(view: JobView, voice: Voice, actions: Iterable[Action] | None = None) -> str:
    offered = view.actions if actions is None else actions
    return "".join(_button(action, view.job, voice) for action in offered if action in BUTTONS)


def _button(action: Action, job: Job, voice: Voice) -> str:
    values = {"steps": steps_after(job)} if action is Action.MORE_STEPS else {}
    text = escape(voice.wording.say(BUTTONS[action], **values))
    return f'<button type="button" class="button" data-do="{action}" data-id="{job.id}">{text}</button>'


def _star(job: Job, wording: Wording) -> str:
    """Lay out the button that keeps an image, which is pressed while it is kept."""
    text = escape(wording.say("button-unkeep" if job.is_kept else "button-keep"))
    return (
        f'<button type="button" class="button star" data-do="{Action.KEEP}" data-id="{job.id}" '
        f'data-is-kept="{"yes" if job.is_kept else ""}">{text}</button>'
    )
