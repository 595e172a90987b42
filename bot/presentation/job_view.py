"""Job → JobView: the content of a message or fragment about a job, for every front end and language. Pure: no I/O.

A view holds phrases (`phrases.py`) and the actions that make sense. A front end lays the phrases out and says them with
its `Voice`. Must not know Discord or HTML, and does not decide who may act.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from bot.jobs import Job, JobStatus, PassedBy, QueueStatus
from bot.pause import Pause
from bot.presentation.phrases import ClockTime, Moment, Phrase, Typed, Value
from bot.presentation.wording import MODEL_KEYS, failure_key
from bot.troubles import OF_FAILURES
from pipeline.catalog.vocabulary import NOTHING, Unread
from pipeline.engine import Progress, Stage
from pipeline.lora_uses import uses_in
from pipeline.spec import MIN_ASKED_CFG, ImageSpec, sampler_title

UNKNOWN_WORDS: Final = 5  # named in one note
UNKNOWN_CHARS: Final = 40  # of each of them
NO_TITLES: Final[Mapping[str, str]] = MappingProxyType({})
SOON_S: Final = 3  # a nearer finish time would be over before it is read


class Action(StrEnum):
    """Something that a person may do with a job. A front end offers the actions that its registry has an entry for."""

    CANCEL = "cancel"
    REUSE = "reuse"  # put the settings back into a form
    REROLL = "reroll"
    VARY = "vary"
    EDIT = "edit"
    MORE_STEPS = "more_steps"
    FINAL = "final"  # a draft at its full size
    UPSCALE = "upscale"  # twice as large
    POST = "post"  # show it to everybody here
    MORE = "more"  # the menu of all that follows
    START_FROM = "start_from"  # use the picture as the init image of another prompt
    INFO = "info"
    ORIGINAL = "original"  # the file as it was drawn
    SEND_DM = "send_dm"
    KEEP = "keep"  # do not forget it with the rest of the history, or do so again
    DELETE = "delete"  # after a question
    ERASE = "erase"  # without another one
    REVEAL = "reveal"  # a private image, to its person
    DISMISS = "dismiss"  # the failure has been read


PASSED_BY: Final[Mapping[PassedBy, str]] = {
    PassedBy.PEOPLE: "card-passed-by-people",
    PassedBy.MODEL: "card-passed-by-model",
}
ACTIONS: Final[Mapping[JobStatus, tuple[Action, ...]]] = {
    JobStatus.QUEUED: (Action.CANCEL,),
    JobStatus.RUNNING: (Action.CANCEL,),
    JobStatus.DONE: (Action.REUSE, Action.REROLL, Action.EDIT, Action.VARY, Action.UPSCALE, Action.MORE),
    JobStatus.FAILED: (Action.REUSE, Action.DISMISS),
    JobStatus.CANCELLED: (),
}
MENU: Final = (  # of Action.MORE
    Action.FINAL,
    Action.MORE_STEPS,
    Action.START_FROM,
    Action.INFO,
    Action.ORIGINAL,
    Action.SEND_DM,
    Action.KEEP,
    Action.DELETE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """Everything that is said about one job."""

    job: Job
    headline: Phrase
    translation: Phrase | None = None  # what the model reads in place of the prompt
    eta: Phrase | None = None  # None while nobody can tell, and of a job that stops or has ended
    progress: Progress | None = None  # of a running job
    notes: tuple[Phrase, ...] = ()
    reason: Phrase | None = None  # why it failed
    more: Phrase | None = None  # where more is said about that
    settings: Phrase
    details: tuple[Phrase, ...] = ()  # settings that not every model has
    actions: tuple[Action, ...]
    of_batch: Phrase | None = None  # how far the other images of an unfinished request are


def unfinished_view(
    job: Job,
    standing: QueueStatus,
    *,
    now: float,
    unread: Unread = NOTHING,
    titles: Mapping[str, str] = NO_TITLES,
    soon_s: int = SOON_S,
) -> JobView:
    """View a job that waits or runs.

    Args:
        now: Unix seconds.
        unread: the part of the prompt that the model cannot read.
        titles: of models, by their names.
        soon_s: see `eta`.
    """
    loading = model_title(standing.loading or job.spec.model, titles)
    notes = [] if standing.pause is None else [pause_phrase(standing.pause)]
    if job.status is JobStatus.QUEUED and not job.is_cancel_requested:
        if standing.is_loading and standing.ahead != 0:
            notes.append(Phrase("card-preparing", {"model": loading}))
        if standing.passed_by is not None:
            notes.append(Phrase(PASSED_BY[standing.passed_by]))
    if job.interruptions:
        notes.append(Phrase("card-resumed"))
    if standing.progress is not None and standing.progress.taken_mib:
        notes.append(memory_taken_phrase(standing.progress.taken_mib))
    return JobView(
        job=job,
        headline=_headline(job, standing, loading),
        translation=translation_phrase(job),
        eta=None if job.is_cancel_requested else eta(standing, now=now, soon_s=soon_s),
        progress=standing.progress if job.status is JobStatus.RUNNING else None,
        notes=(*notes, *unread_notes(unread, job.spec.model), *_idle_notes(job.spec)),
        settings=settings_phrase(job, titles),
        details=setting_phrases(job.spec),
        actions=() if job.is_cancel_requested else ACTIONS[job.status],
    )


def ended_view(
    job: Job, *, unread: Unread = NOTHING, titles: Mapping[str, str] = NO_TITLES, can_upscale: bool = False
) -> JobView:
    """View a job that is done, failed or was cancelled.

    Args:
        unread: the part of the prompt that the model cannot read.
        titles: of models, by their names.
        can_upscale: whether its model draws the image anew at twice its size.
    """
    if job.moderated_reason is not None:
        return _moderated_view(job, titles)
    reason = None if job.failure_code is None else Phrase(failure_key(job.failure_code))
    match job.status:
        case JobStatus.DONE:
            headline = Phrase("card-done")
        case JobStatus.CANCELLED:
            headline = Phrase("card-cancelled")
        case _:
            headline = Phrase("card-failed", {"reason": reason or ""})
    return JobView(
        job=job,
        headline=headline,
        translation=translation_phrase(job),
        notes=(*_origin_notes(job), *unread_notes(unread, job.spec.model), *_idle_notes(job.spec)),
        reason=reason,
        more=None if job.failure_code is None else Phrase("trouble-more", {"entry": OF_FAILURES[job.failure_code]}),
        settings=settings_phrase(job, titles),
        details=setting_phrases(job.spec),
        actions=tuple(action for action in ACTIONS[job.status] if can_upscale or action is not Action.UPSCALE),
    )


def translation_phrase(job: Job) -> Phrase | None:
    """Say what the model reads in place of the prompt; None if it reads the prompt itself."""
    if not job.spec.translated or job.is_erased:
        return None
    return Phrase("prompt-translated", {"text": Typed(job.spec.translated)})


def moderated_phrase(job: Job) -> Phrase:
    """Say that a moderator removed or cancelled it, and why."""
    is_removed = job.is_erased and not job.is_cancel_requested
    return Phrase("note-removed" if is_removed else "note-stopped", {"job_id": job.id, **_reason(job)})


def _moderated_view(job: Job, titles: Mapping[str, str]) -> JobView:
    return JobView(
        job=job,
        headline=Phrase("card-stopped", _reason(job)),
        reason=moderated_phrase(job),
        settings=settings_phrase(job, titles),
        actions=(Action.DISMISS,),
    )


def _reason(job: Job) -> Mapping[str, Value]:
    reason = job.moderated_reason or ""
    return {"reason": Typed(reason), "has_reason": "yes" if reason else "no"}


def eta(standing: QueueStatus, *, now: float, soon_s: int = SOON_S) -> Phrase | None:
    """Say when the picture will be ready, never in the past; None while nobody can tell.

    What is nearer than `soon_s` is "any moment" once the last step of the last picture is over, and `soon_s` before.
    """
    if standing.finish_at is None:
        return None
    is_near = standing.finish_at - now < soon_s
    if is_near and not standing.others and _is_last_step_over(standing.progress):
        return Phrase("card-finish-soon")
    moment = Moment(math.ceil(now) + soon_s if is_near else standing.finish_at)
    return Phrase("card-finish-rough" if standing.is_rough else "card-finish", {"when": moment})


def pause_phrase(pause: Pause) -> Phrase:
    """Say that the queue is paused, why, and until when if that is known, so that nobody has to say more later."""
    until: Mapping[str, Value] = {} if pause.until is None else {"until": ClockTime(pause.until)}
    if not pause.is_by_machine and not pause.text:
        return Phrase("card-paused-until-by-moderator" if until else "card-paused-by-moderator", until)
    by_machine = Phrase("pause-" + pause.kind.value.replace("_", "-"))
    reason: Value = by_machine if pause.is_by_machine else Typed(pause.text)
    return Phrase("card-paused-until" if until else "card-paused", {"reason": reason, **until})


def settings_phrase(job: Job, titles: Mapping[str, str] = NO_TITLES) -> Phrase:
    """`#42 · seed 7 · 20 steps · 1024 × 1024 · FLUX.1 [dev]`; `titles` are those of models, by their names."""
    spec = job.spec
    return Phrase(
        "card-settings",
        {
            "job_id": job.id,
            "seed": spec.seed,
            "steps": spec.steps,
            "width": spec.width,
            "height": spec.height,
            "model": model_title(spec.model, titles),
        },
    )


def model_title(name: str, titles: Mapping[str, str] = NO_TITLES) -> Value:
    """Return what a model is called for people; its name if it is not here any more."""
    return Phrase(MODEL_KEYS[name]) if name in MODEL_KEYS else titles.get(name, name)


def setting_phrases(spec: ImageSpec) -> tuple[Phrase, ...]:
    """Say the settings that not every model has: one sentence each, none for a model without."""
    phrases = []
    if spec.sampler:
        values = {"sampler": sampler_title(spec.sampler), "cfg": f"{spec.cfg_scale:g}"}
        phrases.append(Phrase("settings-sampling", values))
    if spec.clip_skip > 1:
        phrases.append(Phrase("settings-clip-skip", {"clip_skip": spec.clip_skip}))
    phrases += lora_phrases(spec)
    if spec.negative_prompt:
        phrases.append(Phrase("settings-negative", {"negative": Typed(spec.negative_prompt)}))
    if spec.translated_negative:
        phrases.append(Phrase("negative-translated", {"text": Typed(spec.translated_negative)}))
    return tuple(phrases)


def lora_phrases(spec: ImageSpec) -> tuple[Phrase, ...]:
    """Name the LoRAs of an image with their weights: one sentence, none if there are none."""
    uses = tuple(f"{use.name} {use.weight:g}" for use in uses_in(spec.loras))
    return (Phrase("settings-loras", {"loras": uses}),) if uses else ()


def _origin_notes(job: Job) -> tuple[Phrase, ...]:
    """Say that an image was there already, or why it took longer than usual."""
    if job.status is not JobStatus.DONE:
        return ()
    if job.repeat_of is not None:
        return (Phrase("card-repeat"),)
    return (memory_taken_phrase(job.taken_mib),) if job.taken_mib > 0 else ()


def memory_taken_phrase(taken_mib: int) -> Phrase:
    """Say that other programs have so much of the GPU's memory that images take longer."""
    return Phrase("memory-taken", {"gib": f"{taken_mib / 1024:.1f}"})


def _idle_notes(spec: ImageSpec) -> tuple[Phrase, ...]:
    """Say which of them change nothing: without a second pass, nothing is steered away from."""
    return (Phrase("negative-idle"),) if spec.negative_prompt and spec.cfg_scale <= MIN_ASKED_CFG else ()


def _headline(job: Job, standing: QueueStatus, loading: Value) -> Phrase:
    if job.is_cancel_requested:
        return Phrase("card-stopping")
    if job.status is not JobStatus.RUNNING:
        return _place(standing, loading)
    match standing.progress:
        case Progress(stage=Stage.DENOISING, step=step, steps=steps):
            return Phrase("card-running", {"step": step, "steps": steps})
        case Progress(stage=Stage.DECODING):
            return Phrase("card-decoding")
        case Progress(stage=Stage.LOADING):
            return Phrase("card-loading", {"model": loading})
        case _:  # an engine that has the model begins with the prompt
            return Phrase("card-loading", {"model": loading}) if standing.is_loading else Phrase("card-encoding")


def _place(standing: QueueStatus, loading: Value) -> Phrase:
    match standing.ahead:
        case None:
            return Phrase("card-waiting")
        case 0:
            return Phrase("card-next-loading", {"model": loading}) if standing.is_loading else Phrase("card-next")
        case ahead:
            return Phrase("card-ahead", {"count": ahead})


def _is_last_step_over(progress: Progress | None) -> bool:
    match progress:
        case Progress(stage=Stage.DECODING):
            return True
        case Progress(stage=Stage.DENOISING, step=step, steps=steps):
            return step >= steps
        case _:
            return False


def unread_notes(unread: Unread, model: str) -> tuple[Phrase, ...]:
    """Say what of a prompt its model cannot read, whether it is cut, and which words it does not know."""
    notes = []
    if unread.characters:
        notes.append(Phrase("unread-prompt", {"count": unread.characters, "total": unread.total}))
    if unread.is_untranslated:
        notes.append(Phrase("prompt-untranslated"))
    if unread.is_negative_foreign:
        notes.append(Phrase("negative-foreign"))
    if unread.is_cut:
        notes.append(Phrase("prompt-cut"))
    if unread.is_negative_cut:
        notes.append(Phrase("negative-cut"))
    if unread.words:
        notes.append(Phrase("unknown-words", {"model": model, "words": _unknown(unread)}))
    return tuple(notes)


def _unknown(unread: Unread) -> Value:
    """The first unknown words, each with what it was probably meant to be."""
    words: list[Value] = []
    for word in unread.words[:UNKNOWN_WORDS]:
        typed = Typed(word.text if len(word.text) <= UNKNOWN_CHARS else f"{word.text[: UNKNOWN_CHARS - 1]}…")
        words.append(Phrase("unknown-word-meant", {"word": typed, "meant": word.meant}) if word.meant else typed)
    if len(unread.words) <= UNKNOWN_WORDS:
        return tuple(words)
    return Phrase("unknown-words-and-more", {"words": tuple(words)})
