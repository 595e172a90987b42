"""Messages say the right thing, and no prompt can break one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import discord
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.frontends.discord_app import embeds
from bot.jobs import Delivery, FailureCode, Job, JobStatus, QueueStatus, ReplyTo, UserKey
from bot.pause import Pause, PauseKind
from bot.presentation.job_view import Action, ended_view, unfinished_view
from bot.presentation.wording import Wording, wording_for
from bot.requests.models import Models
from pipeline import Aspect, ImageSpec, Progress, Stage
from pipeline.catalog.models import DEMO, FLUX1_DEV
from pipeline.catalog.vocabulary import NOTHING, Unread
from pipeline.spec import MAX_PROMPT_CHARS, clean_prompt
from tests.cards import PAINTER

EN, ZH = wording_for("en"), wording_for("zh-CN")
MODELS = Models(usual=FLUX1_DEV, others=(DEMO, PAINTER))
NOW = 1_700_000_000
WAITING = QueueStatus(position=2, finish_at=1_800_000_000, is_rough=False)


def a_job(prompt: str = "a red apple", **changes: object) -> Job:
    spec = ImageSpec(
        prompt=prompt, seed=7, steps=20, width=1024, height=1024, guidance=3.5, cfg_scale=1.0, model="flux1-dev"
    )
    job = Job(
        id=42,
        user=UserKey(frontend="discord", id="1"),
        reply_to=ReplyTo(frontend="discord", key="5", address="{}"),
        spec=spec,
        status=JobStatus.QUEUED,
        attempts=0,
        interruptions=0,
        is_cancel_requested=False,
        failure_code=None,
        queued_at=0,
        started_at=None,
        finished_at=None,
        ran_s=61.24,
        step_s=3.0,
        image_path=None,
        image_bytes=None,
        delivery=Delivery.NONE,
        delivery_attempts=0,
    )
    return replace(job, **changes)  # type: ignore[arg-type]


PAINTED = replace(
    a_job().spec, model="painter", width=64, height=64, guidance=0.0, cfg_scale=7.0, sampler="dpmpp-2m-karras",
    clip_skip=1,
)  # fmt: skip


def running(progress: Progress | None) -> tuple[Job, QueueStatus]:
    standing = QueueStatus(position=None, finish_at=1_800_000_000, is_rough=False, progress=progress)
    return a_job(status=JobStatus.RUNNING, attempts=1), standing


def status(
    job: Job, standing: QueueStatus, wording: Wording = EN, *, unread: Unread = NOTHING, with_prompt: bool = True
) -> embeds.StatusMessage:
    view = unfinished_view(job, standing, now=NOW, unread=unread)
    return embeds.status_message(view, wording, with_prompt=with_prompt)


def result(
    job: Job,
    wording: Wording = EN,
    *,
    unread: Unread = NOTHING,
    models: Models = MODELS,
    **options: Any,
) -> embeds.StatusMessage:
    view = ended_view(replace(job, status=JobStatus.DONE), unread=unread)
    return embeds.result_message(view, wording, [view.job], models=models, **options)


def ended(job: Job, wording: Wording = EN, *, with_prompt: bool = True) -> embeds.StatusMessage:
    return embeds.ended_message(ended_view(job), wording, with_prompt=with_prompt)


def headline(job: Job, standing: QueueStatus, wording: Wording = EN) -> str:
    return status(job, standing, wording).content


def test_waiting_message_says_place_and_finish() -> None:
    assert headline(a_job(), WAITING) == "⏳ <@1> · 1 ahead of you · ready <t:1800000000:R>"
    assert headline(a_job(), WAITING, ZH) == "⏳ <@1> · 前面还有 1 张 · <t:1800000000:R>完成"


def test_rough_finish_is_only_expected() -> None:
    assert headline(a_job(), replace(WAITING, is_rough=True)).endswith("expected <t:1800000000:R>")


@pytest.mark.parametrize("is_rough", [True, False])
@pytest.mark.parametrize("late_s", [-2, 0, 60])
def test_finish_that_is_over_or_nearly_so_is_any_moment_after_the_last_step(late_s: int, is_rough: bool) -> None:
    standing = replace(WAITING, finish_at=NOW - late_s, is_rough=is_rough)
    assert headline(a_job(), standing).endswith(f" <t:{NOW + 3}:R>")
    job, progress = a_job(status=JobStatus.RUNNING), Progress(stage=Stage.DECODING, step=4, steps=4)
    standing = replace(standing, position=None, progress=progress)
    assert headline(job, standing) == "🎨 <@1> · finishing the image · ready any moment"
    assert headline(job, standing, ZH) == "🎨 <@1> · 正在收尾 · 马上完成"


def test_waiting_message_shows_prompt_settings_and_a_cancel_button() -> None:
    message = status(a_job(), WAITING)
    assert message.embed.description == "a red apple"
    assert message.embed.footer.text == "#42 · seed 7 · 20 steps · 1024 × 1024 · flux1-dev"
    assert message.actions == (Action.CANCEL,)


@pytest.mark.parametrize(
    ("progress", "said"),
    [
        (None, "🎨 <@1> · reading the prompt"),
        (Progress(stage=Stage.LOADING), "🎨 <@1> · loading flux1-dev"),
        (Progress(stage=Stage.ENCODING, steps=20), "🎨 <@1> · reading the prompt"),
        (Progress(stage=Stage.DENOISING, step=0, steps=20), "🎨 <@1> · step 0 of 20"),
        (Progress(stage=Stage.DENOISING, step=13, steps=20), "🎨 <@1> · step 13 of 20"),
        (Progress(stage=Stage.DENOISING, step=20, steps=20), "🎨 <@1> · step 20 of 20"),
        (Progress(stage=Stage.DECODING, step=20, steps=20), "🎨 <@1> · finishing the image"),
    ],
)
def test_running_message_says_what_is_going_on(progress: Progress | None, said: str) -> None:
    assert headline(*running(progress)) == f"{said} · ready <t:1800000000:R>"


def test_message_of_a_job_that_is_being_cancelled_has_no_button() -> None:
    message = status(a_job(is_cancel_requested=True), WAITING)
    assert message.content == "🎨 <@1> · stopping" and message.actions == ()


@pytest.mark.parametrize(
    ("pause", "said"),
    [
        (Pause.by_operator("a game"), "⏸️ paused: a game"),
        (Pause.by_operator(""), "⏸️ paused by a moderator"),
        (
            Pause(kind=PauseKind.ENGINE_FAILURES),
            "⏸️ paused: several images in a row failed; I will try another one after a while",
        ),
        (Pause(kind=PauseKind.STORAGE), "⏸️ paused: images cannot be saved; drawing resumes as soon as they can"),
        (Pause.by_operator("engine_failures"), r"⏸️ paused: engine\_failures"),
        (Pause.by_operator("night\n# loud\u202e\r\n> and more"), r"⏸️ paused: night \# loud \> and more"),
        (Pause.by_operator("@everyone **now**"), r"⏸️ paused: \@everyone \*\*now\*\*"),
    ],
)
def test_pause_and_its_reason_are_on_the_message(pause: Pause, said: str) -> None:
    standing = QueueStatus(position=1, finish_at=None, is_rough=False, pause=pause)
    assert headline(a_job(), standing) == f"⏳ <@1> · you are next\n{said}"


def test_interrupted_job_says_that_its_place_was_kept() -> None:
    assert headline(a_job(interruptions=1), WAITING).endswith("\n↻ I was restarted; your place was kept.")


def test_result_message_holds_picture_prompt_settings_and_command() -> None:
    message = result(a_job())
    assert message.content == "✅ <@1> · your image is ready"
    assert message.embed.description == (
        "a red apple\n```\n/imagine prompt:a red apple seed:7 steps:20 aspect:square model:flux1-dev\n```"
    )
    assert message.embed.image.url is None  # a plain attachment is shown larger, and read aloud
    assert message.embed.footer.text == "#42 · seed 7 · 20 steps · 1024 × 1024 · flux1-dev · 61 s"
    assert Action.CANCEL not in message.actions


@pytest.mark.parametrize(
    ("ran_s", "said"), [(0.0, "under 0.1 s"), (0.09, "under 0.1 s"), (0.1, "0.1 s"), (9.0, "9.0 s"), (61.24, "61 s")]
)
def test_result_message_says_how_long_it_took(ran_s: float, said: str) -> None:
    footer = result(a_job(ran_s=ran_s)).embed.footer.text or ""
    assert footer.split(" · ")[-1] == said


def test_remarks_about_files_are_said() -> None:
    assert (result(a_job(), remarks=["It is smaller."]).embed.description or "").endswith("It is smaller.")


@pytest.mark.parametrize("prompt", ["a red apple", "\\" * 2000, "🍎" * 2000, "x" * 1024])
def test_alt_text_is_the_prompt_as_it_was_typed_and_fits(prompt: str) -> None:
    alt = embeds.alt_text(a_job(prompt), EN)
    assert embeds.units(alt) <= 1024
    assert prompt.startswith(alt.removesuffix("…"))
    assert embeds.alt_text(a_job(prompt), EN, with_prompt=False) == EN.say("card-prompt-hidden")


def test_command_of_several_images_names_their_number_if_their_seeds_are_in_a_row() -> None:
    spec = a_job().spec
    jobs = [a_job(spec=replace(spec, seed=(2**32 - 2 + number) % 2**32)) for number in range(4)]
    assert embeds.command(jobs, MODELS).endswith("seed:4294967294 steps:20 aspect:square model:flux1-dev count:4")
    assert embeds.command([jobs[0], jobs[2]], MODELS).endswith("aspect:square model:flux1-dev")


def test_failed_message_says_why_and_what_to_do() -> None:
    job = a_job(status=JobStatus.FAILED, failure_code=FailureCode.TIMEOUT)
    assert ended(job).content == (
        "❌ <@1> · Drawing took too long and was stopped. This cost you nothing; "
        "fewer steps or a smaller size may work."
    )


def test_cancelled_message_says_so() -> None:
    assert ended(a_job(status=JobStatus.CANCELLED)).content == "🚫 <@1> · cancelled"


@pytest.mark.parametrize(
    "make",
    [
        lambda job: status(job, WAITING, with_prompt=False),
        lambda job: result(job, with_prompt=False),
        lambda job: ended(job, with_prompt=False),
    ],
)
def test_prompt_can_be_left_out_altogether(make: Callable[[Job], embeds.StatusMessage]) -> None:
    message = make(a_job(spec=replace(PAINTED, prompt="forbidden", negative_prompt="forbidden")))
    assert "forbidden" not in f"{message.content} {message.embed.to_dict()}"


def test_command_names_the_aspect_that_the_model_has_for_the_size() -> None:
    spec = replace(a_job().spec, width=832, height=1216)
    assert embeds.command([a_job(spec=spec)], MODELS).endswith(f"aspect:{Aspect.PORTRAIT} model:flux1-dev")


def test_command_of_a_model_with_a_single_size_has_no_aspect() -> None:
    spec = replace(a_job().spec, model="demo", width=256, height=256)
    assert embeds.command([a_job(spec=spec)], MODELS) == "/imagine prompt:a red apple seed:7 steps:20 model:demo"


def test_command_of_a_model_that_is_gone_has_no_aspect() -> None:
    spec = replace(a_job().spec, model="long-gone")
    assert embeds.command([a_job(spec=spec)], MODELS) == "/imagine prompt:a red apple seed:7 steps:20"


def test_command_names_what_is_not_as_the_model_draws_anyway() -> None:
    assert embeds.command([a_job(spec=PAINTED)], MODELS).endswith("steps:20 aspect:square model:painter")
    asked = replace(PAINTED, negative_prompt="rain, cfg:1", cfg_scale=4.5, sampler="ddim", clip_skip=2)
    assert embeds.command([a_job(spec=asked)], MODELS).endswith(
        "aspect:square model:painter negative:rain, cfg\u200b:1 cfg:4.5 sampler:ddim clip_skip:2"
    )
    assert " guidance:2" in embeds.command([a_job(spec=replace(a_job().spec, guidance=2.0))], MODELS)


def test_negative_prompt_without_a_second_pass_is_said_to_change_nothing() -> None:
    idle = result(a_job(spec=replace(PAINTED, negative_prompt="rain", cfg_scale=1.0))).embed.description or ""
    assert "⚠️ At CFG scale 1, the negative prompt changes nothing." in idle
    assert "⚠️" not in (result(a_job(spec=replace(PAINTED, negative_prompt="rain"))).embed.description or "")


WILD = st.one_of(
    st.text(min_size=1, max_size=MAX_PROMPT_CHARS),
    st.text(st.sampled_from("`*_~|>#[]()<:@-\\ aé漢ש🍎\u200d\u202e"), min_size=1, max_size=MAX_PROMPT_CHARS),
    st.sampled_from(
        [
            "`" * MAX_PROMPT_CHARS,
            "@everyone " * 200,
            "seed:" * 400,
            "🍎" * MAX_PROMPT_CHARS,
            "\\" * MAX_PROMPT_CHARS,
            "אבג" * 600,
            "[a](http://b) " * 140,
            "```\n# x" * 250,
        ]
    ),
)


@given(raw=WILD)
def test_no_prompt_breaks_a_message(raw: str) -> None:
    prompt = clean_prompt(raw) or "x"
    job = a_job(prompt, status=JobStatus.DONE)
    done = result(job, remarks=[EN.say("card-shrunk", format="WebP 512 × 512")])
    for message in (
        done,
        status(job, WAITING),
        ended(job, ZH),
        embeds.moved_message(ended_view(job), ZH, to_dm=True),
        embeds.moved_message(ended_view(job), EN, to_dm=False),
    ):
        assert len(message.content) <= embeds.MAX_CONTENT
        assert embeds.units(message.embed.description or "") <= embeds.MAX_DESCRIPTION
        assert len(message.embed) <= 6000
    assert_one_code_block(done.embed, prompt)


def assert_one_code_block(embed: discord.Embed, prompt: str) -> None:
    """The block opens and closes once, and what is in it draws the same picture."""
    description = embed.description or ""
    if "```" not in description:
        assert embeds.units(prompt) > 0.8 * MAX_PROMPT_CHARS  # counts twice: no room for the command
        return
    assert description.count("```") == 2
    shown, block, _ = description.split("```")
    assert "\n" not in shown.rstrip("\n")
    match = re.fullmatch(
        r"/imagine prompt:(.*) seed:7 steps:20 aspect:square model:flux1-dev", block.strip("\n"), re.DOTALL
    )
    assert match is not None
    assert clean_prompt(match[1]) == prompt
    assert not re.search(r"(prompt|seed|steps|aspect):", match[1])


def test_command_draws_without_a_negative_prompt_where_the_model_has_its_own() -> None:
    job = a_job(status=JobStatus.DONE, spec=PAINTED)
    own = Models(usual=replace(PAINTER, negative_prompt="ugly"))
    assert "negative:- " in f"{embeds.command([job], own)} "
    assert "negative" not in embeds.command([job], Models(usual=PAINTER))


@pytest.mark.parametrize("wording", [EN, ZH])
def test_command_without_room_gives_way_to_the_settings_it_held(wording: Wording) -> None:
    spec = replace(PAINTED, prompt="a fox, " * 280, negative_prompt="rain, " * 330, cfg_scale=4.5)
    job = a_job(status=JobStatus.DONE, spec=spec)
    description = result(job, wording).embed.description or ""
    assert "```" not in description and "CFG" in description and "4.5" in description
    assert description.startswith("a fox, a fox") and "rain, rain" in description
    assert embeds.units(description) <= embeds.MAX_DESCRIPTION
    assert "rain" not in (result(job, wording, with_prompt=False).embed.description or "")
    short = result(replace(job, spec=replace(spec, prompt="a fox")), wording).embed.description or ""
    assert short.count("```") == 2 and short.endswith("```")


@given(text=st.text(max_size=300), room=st.integers(min_value=5, max_value=200))
def test_shortening_never_cuts_an_escape_and_never_exceeds_the_room(text: str, room: int) -> None:
    short = embeds.shorten(embeds.escape(text), room)
    assert embeds.units(short) <= room
    if short != embeds.escape(text):
        body = short.removesuffix("…")
        assert not re.search(r"(?<!\\)(?:\\\\)*\\$", body)


@given(text=st.text())
def test_escaping_leaves_no_markup_alive(text: str) -> None:
    assert not re.search(r"[*_~`|>#\[\]()<@]", re.sub(r"\\.", "", embeds.escape(text), flags=re.DOTALL))


def test_command_that_draws_another_picture_says_so() -> None:
    job = a_job(status=JobStatus.DONE)
    assert (result(job).embed.description or "").endswith("```")
    spec = replace(job.spec, source="a" * 64, strength=0.4)
    description = result(replace(job, spec=spec), models=Models(usual=DEMO)).embed.description or ""
    [about_source, about_model] = description.rpartition("```\n")[2].split("\n")
    assert "0.4" in about_source and "cannot include" in about_source
    assert "flux1-dev" in about_model and DEMO.title in about_model


@pytest.mark.parametrize("wording", [EN, ZH])
def test_what_the_model_cannot_read_is_said_on_every_message(wording: Wording) -> None:
    unread = Unread(2, 7)
    remark = wording.unread(unread)
    assert "2" in remark and "7" in remark
    assert remark in status(a_job(), WAITING, wording, unread=unread).content
    done = result(a_job("😀" * 2000), wording, unread=unread)
    assert remark in (done.embed.description or "")
    assert embeds.units(done.embed.description or "") <= embeds.MAX_DESCRIPTION
    assert remark not in status(a_job(), WAITING, wording, unread=Unread(0, 7)).content


TRANSLATED = replace(a_job().spec, prompt="雪" * 2000, translated="<@1> *snow* " * 160)


@pytest.mark.parametrize("with_prompt", [True, False])
def test_a_translation_is_shown_with_its_prompt_only_and_breaks_nothing(with_prompt: bool) -> None:
    job = a_job(spec=TRANSLATED)
    waiting = status(job, WAITING, with_prompt=with_prompt)
    done = replace(job, status=JobStatus.DONE)
    result = embeds.result_message(ended_view(done), EN, [done], models=MODELS, with_prompt=with_prompt)
    for message in (waiting, result):
        text = message.embed.description or ""
        assert ("The model reads: " in text) is with_prompt
        assert "<@1>" not in text
        assert "*snow*" not in text.replace("\\*snow\\*", "")
        assert embeds.units(text) <= embeds.MAX_DESCRIPTION


def test_nothing_is_left_of_the_translation_of_an_erased_image() -> None:
    job = a_job(spec=TRANSLATED, status=JobStatus.DONE, is_erased=True)
    assert ended_view(job).translation is None
