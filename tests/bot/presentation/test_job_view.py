"""A view says everything that front ends show, in phrases that every language has."""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.frontends.discord_app import embeds
from bot.frontends.web import fragments
from bot.jobs import FailureCode, Job, JobStatus, PassedBy, QueueStatus
from bot.pause import Pause, PauseKind
from bot.presentation.batch_view import together
from bot.presentation.job_view import ACTIONS, Action, JobView, ended_view, eta, pause_phrase, unfinished_view
from bot.presentation.phrases import Moment, Phrase, Typed, Voice
from bot.presentation.wording import LANGUAGES, wording_for
from pipeline import Progress, Stage
from pipeline.catalog.unknown_words import Unknown
from pipeline.catalog.vocabulary import Unread
from tests.bot.frontends.discord_app.test_embeds import a_job

NOW = 1_700_000_000
WAITING = QueueStatus(position=2, finish_at=NOW + 600, is_rough=False)


def views() -> Iterator[JobView]:
    """One of every kind."""
    pauses = [None, Pause.by_operator(""), Pause.by_operator("a game"), *(Pause(kind=kind) for kind in PauseKind)]
    for pause in pauses:
        standing = replace(WAITING, pause=pause, finish_at=None if pause else WAITING.finish_at)
        unread = Unread(1, 7, (Unknown("qqqq", "qqq"), Unknown("zzz")), is_cut=True, is_negative_cut=True)
        yield unfinished_view(a_job(interruptions=1), standing, now=NOW, unread=unread)
    for position in (None, 1, 2):
        for is_loading in (False, True):
            yield unfinished_view(a_job(), replace(WAITING, position=position, is_loading=is_loading), now=NOW)
    for cause in PassedBy:
        yield unfinished_view(a_job(), replace(WAITING, passed_by=cause), now=NOW)
    for progress in [None, *(Progress(stage=stage, step=1, steps=4) for stage in Stage)]:
        running = replace(WAITING, position=None, is_rough=True, progress=progress, is_loading=True)
        yield unfinished_view(a_job(status=JobStatus.RUNNING), running, now=NOW)
    yield unfinished_view(a_job(is_cancel_requested=True), WAITING, now=NOW)
    yield ended_view(a_job(status=JobStatus.DONE), unread=Unread(1, 7))
    yield ended_view(a_job(status=JobStatus.CANCELLED))
    for code in FailureCode:
        yield ended_view(a_job(status=JobStatus.FAILED, failure_code=code))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_phrase_can_be_said_by_every_front_end(language: str, caplog: pytest.LogCaptureFixture) -> None:
    wording = wording_for(language)
    for view in views():
        for voice in (embeds.voice_of(wording), fragments.voice_of(wording, now=NOW)):
            for phrase in (view.headline, view.eta, view.reason, view.settings, *view.notes):
                assert phrase is None or voice.say(phrase, who="<@1>", bar="")
    assert caplog.records == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", PauseKind)
def test_every_kind_of_pause_has_a_sentence_in_every_language(language: str, kind: PauseKind) -> None:
    assert embeds.voice_of(wording_for(language)).say(pause_phrase(Pause(kind=kind))).startswith("⏸️ ")


@pytest.mark.parametrize(
    "pause",
    [
        Pause(kind=PauseKind.QUIET_HOURS, until=NOW + 7200),
        Pause.by_operator("a *game*", NOW + 7200),
        Pause.by_operator("", NOW + 7200),
    ],
)
def test_pause_with_an_end_says_when_in_the_way_of_each_front_end(pause: Pause) -> None:
    phrase = pause_phrase(pause)
    for language in LANGUAGES:
        wording = wording_for(language)
        assert f"<t:{NOW + 7200}:t> (<t:{NOW + 7200}:R>)" in embeds.voice_of(wording).say(phrase)
    page = fragments.voice_of(wording_for("en"), now=NOW).say(phrase)
    assert page.endswith(". Drawing resumes in 2 hours.") and page.startswith("⏸️ paused"), page


def test_image_that_was_there_says_so_and_one_that_took_longer_says_why() -> None:
    done = a_job(status=JobStatus.DONE)
    assert ended_view(done).notes == ()
    assert ended_view(replace(done, repeat_of=3, taken_mib=9)).notes == (Phrase("card-repeat"),)
    assert ended_view(replace(done, taken_mib=1536)).notes == (Phrase("memory-taken", {"gib": "1.5"}),)
    assert ended_view(replace(done, taken_mib=-5)).notes == ()
    assert ended_view(replace(done, status=JobStatus.CANCELLED, repeat_of=3)).notes == ()
    progress = Progress(stage=Stage.DENOISING, step=1, steps=4, taken_mib=1536)
    running = unfinished_view(
        a_job(status=JobStatus.RUNNING), replace(WAITING, position=None, progress=progress), now=NOW
    )
    assert Phrase("memory-taken", {"gib": "1.5"}) in running.notes


def test_waiting_job_has_a_place_a_time_and_can_be_cancelled() -> None:
    view = unfinished_view(a_job(), WAITING, now=NOW)
    assert view.headline == Phrase("card-ahead", {"count": 1})
    assert view.eta == Phrase("card-finish", {"when": Moment(NOW + 600)})
    assert (view.notes, view.actions) == ((), (Action.CANCEL,))


def test_job_that_stops_says_nothing_of_a_time_and_offers_nothing() -> None:
    view = unfinished_view(a_job(status=JobStatus.RUNNING, is_cancel_requested=True), WAITING, now=NOW)
    assert (view.headline, view.eta, view.actions) == (Phrase("card-stopping"), None, ())


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        (replace(WAITING, finish_at=None), None),
        (replace(WAITING, is_rough=True), Phrase("card-finish-rough", {"when": Moment(NOW + 600)})),
        (replace(WAITING, finish_at=NOW + 3), Phrase("card-finish", {"when": Moment(NOW + 3)})),
        (replace(WAITING, finish_at=NOW + 2), Phrase("card-finish", {"when": Moment(NOW + 3)})),
        (replace(WAITING, finish_at=NOW - 60), Phrase("card-finish", {"when": Moment(NOW + 3)})),
    ],
)
def test_time_is_never_in_the_past(standing: QueueStatus, said: Phrase | None) -> None:
    assert eta(standing, now=NOW) == said


@pytest.mark.parametrize("finish_at", [NOW + 2, NOW - 60])
@pytest.mark.parametrize(
    ("progress", "others", "is_said"),
    [
        (None, 0, False),
        (Progress(stage=Stage.LOADING, steps=4), 0, False),
        (Progress(stage=Stage.ENCODING, steps=4), 0, False),
        (Progress(stage=Stage.DENOISING, step=3, steps=4), 0, False),
        (Progress(stage=Stage.DENOISING, step=4, steps=4), 0, True),
        (Progress(stage=Stage.DECODING, step=4, steps=4), 0, True),
        (Progress(stage=Stage.DECODING, step=4, steps=4), 1, False),
    ],
)
def test_any_moment_is_said_after_the_last_step_of_the_last_image(
    progress: Progress | None, others: int, is_said: bool, finish_at: int
) -> None:
    standing = replace(WAITING, position=None, finish_at=finish_at, progress=progress, others=others)
    assert (eta(standing, now=NOW) == Phrase("card-finish-soon")) is is_said


def test_slow_decoding_is_said_with_its_time() -> None:
    standing = replace(WAITING, finish_at=NOW + 60, progress=Progress(stage=Stage.DECODING, step=4, steps=4))
    assert eta(standing, now=NOW) == Phrase("card-finish", {"when": Moment(NOW + 60)})


@pytest.mark.parametrize("is_loading", [True, False])
@pytest.mark.parametrize("progress", [None, *(Progress(stage=stage, step=1, steps=4) for stage in Stage)])
def test_model_is_made_ready_only_while_it_is(progress: Progress | None, is_loading: bool) -> None:
    standing = replace(WAITING, position=None, progress=progress, is_loading=is_loading)
    view = unfinished_view(a_job(status=JobStatus.RUNNING), standing, now=NOW)
    is_said = progress is not None and progress.stage is Stage.LOADING
    is_said |= is_loading and (progress is None or progress.stage is Stage.ENCODING)
    assert (view.headline.key == "card-loading") is is_said


@pytest.mark.parametrize(
    ("position", "is_loading", "headline", "notes"),
    [
        (1, False, Phrase("card-next"), ()),
        (1, True, Phrase("card-next-loading", {"model": "FLUX.1 [dev]"}), ()),
        (4, True, Phrase("card-ahead", {"count": 3}), (Phrase("card-preparing", {"model": "FLUX.1 [dev]"}),)),
        (None, True, Phrase("card-waiting"), (Phrase("card-preparing", {"model": "FLUX.1 [dev]"}),)),
        (None, False, Phrase("card-waiting"), ()),
    ],
)
def test_waiting_job_says_who_is_before_it_and_that_the_model_is_made_ready(
    position: int | None, is_loading: bool, headline: Phrase, notes: tuple[Phrase, ...]
) -> None:
    standing = replace(WAITING, position=position, is_loading=is_loading)
    view = unfinished_view(a_job(), standing, now=NOW, titles={"flux1-dev": "FLUX.1 [dev]"})
    assert (view.headline, view.notes) == (headline, notes)
    other = unfinished_view(a_job(), replace(standing, loading="demo"), now=NOW)
    named = [phrase.values["model"] for phrase in (other.headline, *other.notes) if "model" in phrase.values]
    assert all(each == Phrase("model-demo") for each in named) and len(named) == is_loading


@pytest.mark.parametrize("cause", PassedBy)
def test_worse_place_is_explained_while_its_job_waits(cause: PassedBy) -> None:
    standing = replace(WAITING, passed_by=cause)
    assert unfinished_view(a_job(), standing, now=NOW).notes == (Phrase(f"card-passed-by-{cause}"),)
    assert unfinished_view(a_job(status=JobStatus.RUNNING), standing, now=NOW).notes == ()


def test_notes_come_in_their_order() -> None:
    standing = replace(WAITING, pause=Pause.by_operator("a game"))
    unread = Unread(3, 9, (Unknown("van Gogh"),), is_cut=True, is_negative_cut=True)
    view = unfinished_view(a_job(interruptions=2), standing, now=NOW, unread=unread)
    assert view.notes == (
        Phrase("card-paused", {"reason": Typed("a game")}),
        Phrase("card-resumed"),
        Phrase("unread-prompt", {"count": 3, "total": 9}),
        Phrase("prompt-cut"),
        Phrase("negative-cut"),
        Phrase("unknown-words", {"model": "flux1-dev", "words": (Typed("van Gogh"),)}),
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["Elon Musk", "van Gogh"],
            "The flux1-dev model does not know: Elon Musk, van Gogh. `/help` shows what it can draw.",
        ),
        (
            ["a", "b", "c", "d", "e"],
            "The flux1-dev model does not know: a, b, c, d, e. `/help` shows what it can draw.",
        ),
        (["a", "b", "c", "d", "e", "f"], "The flux1-dev model does not know: a, b, c, d, e and more. `/help`"),
        (["x" * 41], f"not know: {'x' * 39}…."),
        (["*bold*", "@everyone"], r"not know: \*bold\*, \@everyone."),
    ],
)
def test_unknown_words_are_few_short_and_escaped(words: list[str], said: str) -> None:
    unread = Unread(0, 9, tuple(Unknown(word) for word in words))
    [note] = ended_view(a_job(status=JobStatus.DONE), unread=unread).notes
    assert said in embeds.voice_of(wording_for("en")).say(note)


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "The flux1-dev model does not know: pengiun (penguin?), x."),
        ("zh-CN", "flux1-dev 模型不认识：pengiun（是 penguin 吗？）、x。"),
        ("zh-TW", "flux1-dev 模型不認得：pengiun（是 penguin 嗎？）、x。"),
    ],
)
def test_a_typo_is_said_with_what_was_meant(language: str, said: str) -> None:
    unread = Unread(0, 9, (Unknown("pengiun", "penguin"), Unknown("x")))
    [note] = ended_view(a_job(status=JobStatus.DONE), unread=unread).notes
    assert said in fragments.voice_of(wording_for(language), now=NOW).say(note)
    assert "help" not in fragments.voice_of(wording_for(language), now=NOW).say(note)


def test_failure_says_why() -> None:
    view = ended_view(a_job(status=JobStatus.FAILED, failure_code=FailureCode.TIMEOUT))
    assert view.reason == Phrase("failure-timeout")
    assert view.headline == Phrase("card-failed", {"reason": Phrase("failure-timeout")})


@pytest.mark.parametrize("status", JobStatus)
def test_actions_depend_on_where_the_job_is_in_its_life(status: JobStatus) -> None:
    job = a_job(status=status, failure_code=FailureCode.OTHER if status is JobStatus.FAILED else None)
    view = ended_view(job) if status.is_final else unfinished_view(job, WAITING, now=NOW)
    assert view.actions == tuple(action for action in ACTIONS[status] if action is not Action.UPSCALE)
    assert (Action.CANCEL in view.actions) is not status.is_final


def test_upscaling_is_offered_of_what_can_be_upscaled_and_for_a_request_if_one_of_its_images_can() -> None:
    done = a_job(status=JobStatus.DONE, image_path="1.png")
    views = [ended_view(done, can_upscale=can) for can in (False, True)]
    assert [Action.UPSCALE in view.actions for view in views] == [False, True]
    assert views[1].actions == ACTIONS[JobStatus.DONE]
    assert together(views).actions == ACTIONS[JobStatus.DONE]
    assert Action.UPSCALE not in together(views[:1] * 2).actions
    failed = a_job(status=JobStatus.FAILED, failure_code=FailureCode.OTHER)
    assert Action.UPSCALE not in ended_view(failed, can_upscale=True).actions


@given(text=st.text(string.printable))
def test_what_a_person_typed_is_quoted_and_what_we_say_is_not(text: str) -> None:
    voice = Voice(wording=wording_for("en"), write_moment=str, quote=lambda typed: f"«{len(typed)}»")
    assert voice.say(Phrase("card-paused", {"reason": Typed(text)})) == f"⏸️ paused: «{len(text)}»"
    assert "«" not in voice.say(Phrase("card-paused", {"reason": Phrase("pause-storage")}))


def test_front_end_may_have_a_sentence_of_its_own() -> None:
    job: Job = a_job()
    view = unfinished_view(job, WAITING, now=NOW)
    voice = fragments.voice_of(wording_for("en"), now=NOW)
    assert voice.say(view.headline) == "1 ahead of you"
    assert view.eta is not None and voice.say(view.eta) == "ready in 10 minutes"


@pytest.mark.parametrize(
    ("language", "title"),
    [("en", "Demo: emoji scenes"), ("zh-CN", "演示：表情符号场景"), ("zh-TW", "展示：表情符號場景")],
)
def test_settings_name_a_model_by_its_title(language: str, title: str) -> None:
    """Also while it waits and for a whole request; a model that is not here any more, by its name."""
    voice, titles = Voice(wording=wording_for(language), write_moment=str), {"flux1-dev": "FLUX.1 [dev]"}
    for model, said in (("flux1-dev", "FLUX.1 [dev]"), ("demo", title), ("gone", "gone")):
        jobs = [
            a_job(status=status, spec=replace(a_job().spec, model=model))
            for status in (JobStatus.QUEUED, JobStatus.DONE)
        ]
        waiting = unfinished_view(jobs[0], WAITING, now=NOW, titles=titles)
        done = ended_view(jobs[1], titles=titles)
        removed = ended_view(replace(jobs[1], moderated_reason=""), titles=titles)
        for view in (waiting, done, removed, together([done, done]), together([waiting, done])):
            assert voice.say(view.settings).endswith(f" · {said}")
