"""What a person at the page may do, on a real database, without Gradio."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from PIL import Image

from bot.config import DeliveryConfig, LimitsConfig, StorageConfig
from bot.delivery.results import DeliveryLoop
from bot.errors import (
    CannotUpscale,
    CoolingDown,
    InvalidFlag,
    JobNotFound,
    PictureRemoved,
    TooManyJobs,
)
from bot.frontends.web.exchange import Attached
from bot.frontends.web.handlers import Drawn, PageHandlers, PageSettings, TooManyFromAddress
from bot.frontends.web.identity import FRONTEND, THIS_MACHINE, Visitor
from bot.frontends.web.own_images import GALLERY_PAGE, Looked
from bot.frontends.web.routes import _thumbnail
from bot.jobs import Derivation, FailureCode, Job, JobStatus, UserKey, Verb
from bot.pause import Pause, PauseKind
from bot.presentation.job_view import Action
from bot.requests import inputs as inputs_module
from bot.requests.allowances import Allowances
from bot.requests.batch import MAX_BATCH
from bot.requests.models import Models
from bot.requests.moderation import Moderation
from bot.requests.parts import Parts
from bot.requests.preferences import Preferences
from bot.requests.presets import Presets
from bot.requests.privacy import Privacy
from bot.requests.service import Service
from bot.requests.translations import Translations
from bot.scheduling.eta import Pace
from bot.scheduling.job_queue import JobQueue
from bot.store.channel_setting_store import ChannelSettingStore
from bot.store.image_store import ImageStore
from bot.store.job_store import JobStore
from bot.store.key_value_store import SettingStore
from bot.store.moderation_store import ModerationStore
from bot.store.pseudonyms import Pseudonyms
from bot.store.statistics_store import StatisticsStore
from bot.store.usage_store import Measurement
from bot.store.user_quota_store import UserQuotaStore
from pipeline import InvalidSpec, Progress, Stage
from pipeline.catalog.models import find_model
from pipeline.catalog.vocabulary import Unread
from pipeline.spec import MAX_SEED, Aspect, Dimensions, ImageOptions, Size
from tests.conftest import FrozenClock
from tests.dictionary import READS_ENGLISH, Dictionary

APPLE = ImageOptions(prompt="a red apple", seed=7, steps=4)


def person(name: str = "ann", *, origin: str = THIS_MACHINE, locale: str = "en") -> Visitor:
    return Visitor(user=UserKey(frontend=FRONTEND, id=name), origin=origin, locale=locale)


ANN, BEN = person(), person("ben")


@pytest.fixture
def config() -> LimitsConfig:
    return LimitsConfig(max_waiting=1000, max_active_per_user=1000, max_images_per_day=1000, cooldown_s=0)


@pytest.fixture
def queue(jobs: JobStore, settings: SettingStore, config: LimitsConfig, clock: FrozenClock) -> JobQueue:
    pace = Pace(step_s=1.0, fixed_s=1.0, is_rough=True)
    return JobQueue(jobs, settings, config, assumed_pace=lambda _spec: pace, clock=clock)


@pytest.fixture
async def handlers(
    jobs: JobStore,
    queue: JobQueue,
    images: ImageStore,
    channel_settings: ChannelSettingStore,
    user_quotas: UserQuotaStore,
    preferences: Preferences,
    pseudonyms: Pseudonyms,
    make_privacy: Callable[[JobQueue, DeliveryLoop], Privacy],
    presets: Presets,
    statistics: StatisticsStore,
    config: LimitsConfig,
    clock: FrozenClock,
    moderation_store: ModerationStore,
) -> PageHandlers:
    delivery = DeliveryLoop(jobs, queue, images, DeliveryConfig(), clock=clock)
    moderation = await Moderation.open(moderation_store, jobs, queue, images, pseudonyms, clock=clock)
    service = Service(
        Parts(
            jobs=jobs,
            queue=queue,
            delivery=delivery,
            images=images,
            preferences=preferences,
            pseudonyms=pseudonyms,
            privacy=make_privacy(queue, delivery),
            presets=presets,
            statistics=statistics,
            channel_settings=channel_settings,
            allowances=Allowances(user_quotas, config),
            moderation=moderation,
        ),
        Models(usual=find_model("fake"), others=(find_model("demo"),)),
        limits=config,
        storage=StorageConfig(min_free_mib=0),
        clock=clock,
    )
    settings = PageSettings(secret="secret", people_per_address=2, release="test")
    return PageHandlers(service, settings, clock=clock)


@pytest.fixture
def finish(queue: JobQueue, images: ImageStore, clock: FrozenClock) -> Callable[..., Awaitable[Job]]:
    """Let the next job run and end, as a picture or as a failure."""

    async def finish(code: FailureCode | None = None) -> Job:
        running = await queue.claim()
        assert running is not None
        clock.advance(1)
        if code is not None:
            job = await queue.fail(running.job.id, code, ran_s=1.0)
        else:
            path = await images.write(running.job.id, b"png")
            measured = Measurement(step_s=0.5, fixed_s=0.0)
            job = await queue.finish(running.job.id, image_path=path, image_bytes=3, ran_s=1.0, measured=measured)
        assert job is not None
        return job

    return finish


def texts(state: dict[str, object]) -> str:
    return f"{state['queue']} {state['jobs']}"


async def test_count_means_seeds_in_a_row_or_random_ones(handlers: PageHandlers) -> None:
    drawn = await handlers.draw(ANN, ImageOptions(prompt="x", seed=MAX_SEED, steps=1), count=3)
    assert [job.spec.seed for job in drawn.jobs] == [MAX_SEED, 0, 1]
    assert drawn.text == "3 images queued."
    random = await handlers.draw(ANN, ImageOptions(prompt="x", seed=-1, steps=1), count=99)
    assert len({job.spec.seed for job in random.jobs}) == MAX_BATCH


async def test_one_press_needs_no_pause_between_its_pictures_but_the_next_one_does(
    jobs: JobStore, settings: SettingStore, images: ImageStore, clock: FrozenClock, handlers: PageHandlers
) -> None:
    handlers._service._queue._limits = LimitsConfig(cooldown_s=5, max_active_per_user=3)
    drawn = await handlers.draw(ANN, APPLE, count=2)
    assert len(drawn.jobs) == 2
    with pytest.raises(CoolingDown):
        await handlers.draw(ANN, APPLE)
    clock.advance(6)
    for _ in range(2):
        assert len((await handlers.draw(ANN, APPLE, count=3)).jobs) == 3  # a request of several counts once
        clock.advance(6)
    with pytest.raises(TooManyJobs) as caught:
        await handlers.draw(ANN, APPLE)
    assert "/cancel" not in handlers.explain(caught.value, ANN)
    assert "in " in handlers.explain(caught.value, ANN)
    assert handlers.explain(caught.value, person(locale="zh-CN")).startswith("你已有 3 个请求")


async def test_state_shows_place_steps_and_others_without_their_prompts(
    handlers: PageHandlers, queue: JobQueue
) -> None:
    await handlers.draw(BEN, ImageOptions(prompt="of Ben", steps=4), name="  <Ben>\x07 ")
    await handlers.draw(ANN, APPLE)
    running = await queue.claim()
    assert running is not None
    queue.report(running.job.id, Progress(stage=Stage.DENOISING, step=1, steps=4, denoise_s=1.0))
    handlers._standings_at = 0.0
    ann, ben = await handlers.state(ANN), await handlers.state(BEN)
    assert "You are next" in texts(ann) and "of Ben" not in texts(ann)
    assert "&lt;Ben&gt;" in texts(ann) and "1. you" in texts(ann)
    assert "Step 1 of 4" in texts(ben) and 'max="4" value="1"' in texts(ben)
    assert ann["is_busy"] is True and (await handlers.state(person("eve")))["is_busy"] is False


async def test_picture_appears_with_what_draws_it_again_and_for_its_person_only(
    handlers: PageHandlers, finish: Callable[..., Awaitable[Job]]
) -> None:
    await handlers.draw(ANN, ImageOptions(prompt="<b>apple</b>", seed=7, steps=4, aspect=Aspect.PORTRAIT))
    job = await finish()
    assert (await handlers.state(ANN))["newest"] == job.id
    html = await handlers.images.large(ANN, job.id)
    assert "seed 7" in html and "&lt;b&gt;apple" in html and "<b>" not in html
    again = await handlers.reuse(ANN, job.id)
    assert again.options == ImageOptions(
        prompt="<b>apple</b>", seed=7, steps=4, aspect=Aspect.PORTRAIT, model="fake", guidance=3.5
    )
    for forbidden in (
        handlers.images.large(BEN, job.id),
        handlers.cancel(BEN, job.id),
        handlers.draw_again(BEN, job.id, Action.VARY),
        handlers.reuse(BEN, job.id),
    ):
        with pytest.raises(JobNotFound):
            await forbidden
    assert (await handlers.images.page(BEN, Looked()))["pictures"] == []


@pytest.mark.parametrize("size", [Size.DRAFT, Size.LARGE, Dimensions(width=448, height=320)])
async def test_size_of_a_picture_comes_back_with_its_settings(
    handlers: PageHandlers, finish: Callable[..., Awaitable[Job]], size: Size | Dimensions
) -> None:
    await handlers.draw(ANN, ImageOptions(prompt="apple", seed=7, size=size))
    first = await finish()
    again = await handlers.reuse(ANN, first.id)
    assert again.options.size == size
    await handlers.draw_again(ANN, first.id, Action.REROLL)
    second = await finish()
    assert (second.spec.width, second.spec.height) == (first.spec.width, first.spec.height)


async def test_address_of_a_picture_cannot_be_made_up(
    handlers: PageHandlers, finish: Callable[..., Awaitable[Job]]
) -> None:
    await handlers.draw(ANN, APPLE, count=2)
    first, second = await finish(), await finish()
    address = await handlers.addresses.of(first, "png")
    assert address is not None
    _, _, key, _ = address.split("/")
    assert await handlers.addresses.file(key, first.id) is not None
    assert await handlers.addresses.file(key, second.id) is None
    assert await handlers.addresses.file("é" * 32, first.id) is None
    assert await handlers.addresses.file(key, 999) is None


async def test_one_picture_that_cannot_be_read_hides_no_other(
    handlers: PageHandlers, images: ImageStore, finish: Callable[..., Awaitable[Job]]
) -> None:
    await handlers.draw(ANN, APPLE, count=2)
    broken, whole = await finish(), await finish()
    path = await images.find(broken.image_path or "")
    assert path is not None
    path.unlink()
    path.symlink_to(path)
    page = await handlers.images.page(ANN, Looked())
    assert [html.count("<img") for html in page["pictures"]] == [1, 0]  # newest first
    assert await handlers.addresses.of(whole, "png") is not None and await handlers.addresses.of(broken, "png") is None
    assert "has expired and was removed" in await handlers.images.large(ANN, broken.id)


async def test_source_that_cannot_be_read_is_gone(
    handlers: PageHandlers, finish: Callable[..., Awaitable[Job]], monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(buffer, format="PNG")
    await handlers.draw(ANN, ImageOptions(prompt="x", steps=1, strength=0.5), source=buffer.getvalue())
    job = await finish()
    assert (await handlers.reuse(ANN, job.id)).init_image is not None

    def fails(_path: Path) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", fails)
    assert (await handlers.reuse(ANN, job.id)).init_image is None


def a_png(colour: str, size: tuple[int, int] = (90, 60)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, format="PNG")
    return buffer.getvalue()


FORM_VALUES = {"prompt": "make it night", "steps": 20, "aspect": "square", "size": "normal", "strength": 0.6}


async def test_images_of_the_form_are_edited_in_their_shape_and_come_back_with_reuse(
    handlers: PageHandlers, finish: Callable[..., Awaitable[Job]]
) -> None:
    files = (a_png("red"), a_png("lime"))
    drawn = await handlers.draw_typed(ANN, FORM_VALUES, attached=Attached(files=files, is_edit=True))
    spec = drawn.jobs[0].spec
    assert (len(spec.reference_keys), spec.width, spec.height, spec.strength) == (2, 96, 64, 1.0)
    assert drawn.notes == ()
    job = await finish()
    assert "edited from 2 images" in await handlers.images.large(ANN, job.id)
    reuse = await handlers.reuse(ANN, job.id)
    assert (reuse.init_image, len(reuse.references)) == (None, 2)
    again = Attached(files=reuse.references, is_edit=True)
    assert (await handlers.draw_typed(ANN, FORM_VALUES, attached=again)).jobs[0].spec.references == spec.references


@pytest.mark.parametrize(
    ("changes", "is_edit", "strength"),
    [({}, False, 0.6), ({"prompt": "make it night --strength 0.3"}, True, 0.3)],
)
async def test_image_of_the_form_is_started_from_if_that_is_chosen_or_a_strength_is_typed(
    handlers: PageHandlers, changes: dict[str, object], is_edit: bool, strength: float
) -> None:
    attached = Attached(files=(a_png("red"),), is_edit=is_edit)
    spec = (await handlers.draw_typed(ANN, {**FORM_VALUES, **changes}, attached=attached)).jobs[0].spec
    assert (bool(spec.source), spec.references, spec.strength) == (True, "", strength)


async def test_hostile_images_of_the_form_queue_nothing(handlers: PageHandlers, jobs: JobStore) -> None:
    for files in ((a_png("red"), b"x"), (a_png("red"),) * 4, (b"",)):
        with pytest.raises(InvalidSpec):
            await handlers.draw_typed(ANN, FORM_VALUES, attached=Attached(files=files, is_edit=True))
    assert await jobs.unfinished() == []


async def test_pause_is_said_as_text_whatever_was_typed(
    handlers: PageHandlers, queue: JobQueue, clock: FrozenClock
) -> None:
    await handlers.draw(ANN, APPLE)
    for pause, said in (
        (Pause.by_operator("<b>storage</b>"), "paused: &lt;b&gt;storage&lt;/b&gt;"),
        (Pause.by_operator("storage"), "paused: storage"),
        (Pause(kind=PauseKind.STORAGE), "paused: images cannot be saved"),
        (Pause.by_operator("storage", int(clock()) + 7200), "paused: storage. Drawing resumes in 2 hours."),
    ):
        await queue.resume()
        await queue.pause(pause)
        handlers._standings_at = 0.0
        assert said in str((await handlers.state(ANN))["jobs"])


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_damaged_file_has_no_thumbnail_and_raises_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "1.png").write_bytes(content)
    assert _thumbnail(tmp_path / "1.png") == b""
    assert _thumbnail(tmp_path / "missing.png") == b""


async def test_gallery_pages_and_searches(handlers: PageHandlers, finish: Callable[..., Awaitable[Job]]) -> None:
    for number in range(GALLERY_PAGE + 2):
        await handlers.draw(ANN, ImageOptions(prompt=f"picture {number:02}", seed=number + 100, steps=1))
        await finish()
    page = await handlers.images.page(ANN, Looked())
    assert len(page["pictures"]) == GALLERY_PAGE
    rest = await handlers.images.page(ANN, Looked(), before_id=page["older_than"])
    assert len(rest["pictures"]) == 2 and rest["older_than"] is None
    assert len((await handlers.images.page(ANN, Looked(search="re 01")))["pictures"]) == 1
    assert len((await handlers.images.page(ANN, Looked(search="105")))["pictures"]) == 1
    assert "giraffe" in (await handlers.images.page(ANN, Looked(search="giraffe")))["empty"]


async def test_failure_stays_until_it_was_read(handlers: PageHandlers, finish: Callable[..., Awaitable[Job]]) -> None:
    await handlers.draw(ANN, APPLE)
    job = await finish(FailureCode.OUT_OF_MEMORY)
    assert "ran out of memory" in texts(await handlers.state(ANN))
    with pytest.raises(JobNotFound):
        await handlers.dismiss(BEN, job.id)
    await handlers.dismiss(ANN, job.id)
    assert "ran out of memory" not in texts(await handlers.state(ANN))
    assert handlers.ending(job, ANN).startswith("The GPU ran out")


async def test_cancelled_job_is_gone_and_scripts_are_told(handlers: PageHandlers) -> None:
    drawn = await handlers.draw(ANN, APPLE)
    assert await handlers.cancel(ANN, drawn.jobs[0].id) == "Image #1 was cancelled."
    assert (await handlers.state(ANN))["jobs"] == []
    job = await handlers.ended(ANN, drawn.jobs[0].id)
    assert job.status is JobStatus.CANCELLED and "cancelled" in handlers.ending(job, ANN)


async def test_one_address_has_no_more_than_its_people_whoever_asks(
    handlers: PageHandlers, finish: Callable[..., Awaitable[Job]], clock: FrozenClock
) -> None:
    handlers._service._limits = LimitsConfig(max_active_per_user=2, max_images_per_day=3)

    async def ask(name: str, origin: str = "0a") -> Drawn:
        return await handlers.draw(person(name, origin=origin), APPLE)

    for name in ("a", "b", "c", "d"):
        await ask(name)
    with pytest.raises(TooManyFromAddress):
        await ask("e")
    await ask("e", origin="0b")
    await ask("e", origin=THIS_MACHINE)
    for _ in range(6):
        await finish()
    await ask("f")
    await finish()
    await ask("g")
    await finish()
    with pytest.raises(TooManyFromAddress) as caught:
        await ask("h")
    assert "in 24 hours" in handlers.explain(caught.value, ANN)
    clock.advance(24 * 3600)
    await ask("h")


async def test_spoiler_is_covered_in_the_gallery_and_large(
    handlers: PageHandlers, finish: Callable[..., Awaitable[Job]], jobs: JobStore
) -> None:
    for _ in range(2):
        await handlers.draw(ANN, ImageOptions(prompt="apple", steps=4))
        await finish()
    await jobs._database.fetch_all("UPDATE jobs SET is_spoiler = 1 WHERE id = 2")  # as the image check does
    shown = [await handlers.images.large(ANN, number) for number in (1, 2)]
    assert ['class="picture spoiler"' in html for html in shown] == [False, True]
    page = await handlers.images.page(ANN, Looked())
    assert ['class="thumbnail spoiler"' in html for html in page["pictures"]] == [True, False]  # type: ignore[attr-defined]


async def test_own_picture_is_upscaled_and_the_form_gets_the_settings_of_the_one_before(
    handlers: PageHandlers, finish: Callable[..., Awaitable[Job]], images: ImageStore
) -> None:
    drawn = await handlers.draw(ANN, ImageOptions(prompt="apple", seed=7, steps=4))
    job = await finish()
    path = await images.find(job.image_path or "")
    assert path is not None
    Image.new("RGB", (job.spec.width, job.spec.height), "green").save(path, format="PNG")
    with pytest.raises(JobNotFound):
        await handlers.draw_again(BEN, job.id, Action.UPSCALE)
    assert 'data-do="upscale"' in await handlers.images.large(ANN, job.id)
    (upscaled,) = (await handlers.draw_again(ANN, job.id, Action.UPSCALE)).jobs
    assert (upscaled.spec.width, upscaled.spec.seed, upscaled.spec.upscale) == (2 * job.spec.width, 7, 2)
    assert upscaled.derived_from == Derivation(job_id=drawn.jobs[0].id, verb=Verb.UPSCALE)
    await finish()
    shown = await handlers.images.large(ANN, upscaled.id)
    assert 'data-do="upscale"' not in shown and "upscaled ×2" in shown
    with pytest.raises(CannotUpscale):
        await handlers.draw_again(ANN, upscaled.id, Action.UPSCALE)
    reuse = await handlers.reuse(ANN, upscaled.id)
    assert (reuse.init_image, reuse.options.strength, reuse.options.upscale, reuse.options.seed) == (
        None,
        None,
        None,
        7,
    )


async def test_one_press_unpacks_its_picture_once_and_an_address_without_room_not_at_all(
    handlers: PageHandlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpacked = []
    unpack = inputs_module.unpack
    monkeypatch.setattr(inputs_module, "unpack", lambda header: unpacked.append(header) or unpack(header))
    buffer = io.BytesIO()
    Image.new("RGB", (90, 60), "green").save(buffer, format="JPEG")
    drawn = await handlers.draw(person(origin="0a"), APPLE, count=3, source=buffer.getvalue())
    assert len(drawn.jobs) == 3 and len(unpacked) == 1
    handlers._service._limits = LimitsConfig(max_active_per_user=1, max_images_per_day=1)
    with pytest.raises(TooManyFromAddress):
        await handlers.draw(person("ben", origin="0a"), APPLE, source=buffer.getvalue())
    assert len(unpacked) == 1


async def test_unexpected_error_has_a_number_and_no_details(
    handlers: PageHandlers, caplog: pytest.LogCaptureFixture
) -> None:
    text = handlers.explain(RuntimeError("secret details"), ANN)
    assert "secret" not in text and "error" in text
    assert caplog.records[0].exc_info is not None
    assert "prompt must have" in handlers.explain(InvalidSpec("prompt", "is empty"), ANN)


async def test_what_the_model_cannot_read_is_said_beside_job_and_picture(
    handlers: PageHandlers, finish: Callable[..., Awaitable[Job]]
) -> None:
    handlers._service.unread = lambda spec: Unread(3, len(spec.prompt))
    await handlers.draw(ANN, APPLE)
    state = await handlers.state(ANN)
    assert isinstance(state["jobs"], list)
    assert "3 of 11 characters" in state["jobs"][0]
    job = await finish()
    assert "3 of 11 characters" in await handlers.images.large(ANN, job.id)


@pytest.mark.parametrize(
    ("locale", "taken", "unknown"),
    [
        ("en", "Taken from your prompt: shape portrait, seed 3, 2 images", "Not known here: --v 6"),
        ("zh-CN", "已采用提示词里的设置：画幅 竖幅、种子 3、2 张", "这里不认识：--v 6"),
        ("zh-TW", "已採用提示詞裡的設定：畫面比例 直式、種子 3、2 張", "這裡不認得：--v 6"),
    ],
)
async def test_flags_in_the_prompt_are_taken_out_and_said_in_the_readers_language(
    handlers: PageHandlers, locale: str, taken: str, unknown: str
) -> None:
    values = {"prompt": "cat --ar 2:3 --seed 3 --r 2 --v 6 <b>", "seed": -1, "steps": 4, "aspect": "square"}
    drawn = await handlers.draw_typed(person(locale=locale), values)
    assert [(job.spec.prompt, job.spec.seed, job.spec.steps, job.spec.height) for job in drawn.jobs] == [
        ("cat <b>", 3, 4, 96),
        ("cat <b>", 4, 4, 96),
    ]
    assert drawn.notes == (taken, unknown)


async def test_form_as_it_opens_gives_way_to_flags_and_a_changed_field_does_not(handlers: PageHandlers) -> None:
    form = {"seed": -1, "steps": find_model("fake").default_steps, "aspect": "square", "model": "fake"}
    [job] = (await handlers.draw_typed(ANN, {**form, "prompt": "cat --steps 3 --seed 5"})).jobs
    assert (job.spec.steps, job.spec.seed) == (3, 5)
    drawn = await handlers.draw_typed(ANN, {**form, "prompt": "cat --steps 3 --r 2", "steps": 7}, count=3)
    assert [job.spec.steps for job in drawn.jobs] == [7, 7, 7]
    assert drawn.notes == ("Not taken from the prompt, because you set it elsewhere: --steps 3, --r 2",)


async def test_model_that_a_flag_names_draws_in_its_own_number_of_steps(handlers: PageHandlers) -> None:
    form = {"seed": -1, "steps": find_model("fake").default_steps, "aspect": "square", "model": "fake"}
    [job] = (await handlers.draw_typed(ANN, {**form, "prompt": "cat --model demo"})).jobs
    assert (job.spec.model, job.spec.steps) == ("demo", find_model("demo").default_steps)
    [job] = (await handlers.draw_typed(ANN, {**form, "prompt": "cat --model demo --steps 20"})).jobs
    assert job.spec.steps == 20


async def test_steps_of_the_model_chosen_in_the_form_give_way_to_flags_and_pasted_ones(handlers: PageHandlers) -> None:
    form = {"seed": -1, "steps": find_model("demo").default_steps, "aspect": "square", "model": "demo"}
    for prompt in ("cat --steps 3", "cat\nSteps: 3, Sampler: Euler, Seed: 5"):
        drawn = await handlers.draw_typed(ANN, {**form, "prompt": prompt})
        assert ([job.spec.model for job in drawn.jobs], drawn.jobs[0].spec.steps) == (["demo"], 3)
        assert not any("elsewhere" in note for note in drawn.notes)
    [job] = (await handlers.draw_typed(ANN, {**form, "prompt": "cat --steps 3", "steps": 4})).jobs
    assert job.spec.steps == 4


@pytest.mark.parametrize("model", [7, ["demo"], {"a": 1}])
async def test_model_that_is_no_text_is_refused(handlers: PageHandlers, model: object) -> None:
    with pytest.raises(InvalidSpec):
        await handlers.draw_typed(ANN, {"prompt": "cat --steps 3", "steps": 4, "model": model})


def test_log_names_whoever_was_refused_by_a_pseudonym(
    handlers: PageHandlers, pseudonyms: Pseudonyms, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    handlers.explain(InvalidSpec("prompt", "is empty"), ANN)
    handlers.explain(JobNotFound(1), ANN)
    assert len(caplog.messages) == 2 and all(pseudonyms.short(ANN.user) in line for line in caplog.messages)
    assert ANN.user.id not in caplog.text.replace(pseudonyms.short(ANN.user), "")


async def test_wrong_flag_is_explained_and_not_logged(handlers: PageHandlers, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with pytest.raises(InvalidFlag) as caught:
        await handlers.draw_typed(ANN, {"prompt": "geheim --seed 7f3a"})
    assert handlers.explain(caught.value, ANN).startswith("“--seed 7f3a” in the prompt: the seed must be")
    assert [message for message in caplog.messages if "geheim" in message or "7f3a" in message] == []
    assert caplog.messages[-1].startswith("refused: InvalidFlag(seed) for ")


async def test_removed_image_comes_back_by_no_address_and_its_person_is_told_once(
    handlers: PageHandlers, images: ImageStore, finish: Callable[..., Awaitable[Job]]
) -> None:
    await handlers.draw(ANN, ImageOptions(prompt="a red apple", steps=4))
    job = await finish()
    address = await handlers.addresses.of(job, "png")
    assert address is not None
    key = address.split("/")[2]
    assert await handlers.addresses.file(key, job.id) is not None
    await handlers._service.moderation.remove(job.id, "rude <b>", may=lambda _job: True)
    for way in (
        lambda: handlers.images.large(ANN, job.id),
        lambda: handlers.draw_again(ANN, job.id, Action.VARY),
        lambda: handlers.reuse(ANN, job.id),
        lambda: handlers.addresses.file(key, job.id),
    ):
        with pytest.raises(PictureRemoved) as raised:
            await way()
        assert "was removed by a moderator: rude <b>" in handlers.explain(raised.value, ANN)
    assert await handlers.addresses.of(await handlers.images.own(ANN, job.id), "webp") is None
    assert (await handlers.images.page(ANN, Looked()))["pictures"] == []
    shown = str((await handlers.state(ANN))["jobs"])
    assert "removed by a moderator: rude &lt;b&gt;" in shown and "red apple" not in shown
    assert "dismiss" in shown
    await handlers.dismiss(ANN, job.id)
    assert (await handlers.state(ANN))["jobs"] == []


async def test_page_shows_the_prompt_and_what_the_model_reads_in_its_place(
    handlers: PageHandlers, finish: Callable[..., Awaitable[Job]]
) -> None:
    service = handlers._service
    service.models = Models(usual=READS_ENGLISH, is_translated=True)
    service.translations = Translations(Dictionary().translator())
    await handlers.draw(ANN, ImageOptions(prompt="一只熊猫 & snow", steps=1))
    waiting = texts(await handlers.state(ANN))
    job = await finish()
    for shown in (waiting, await handlers.images.large(ANN, job.id)):
        assert "一只熊猫 &amp; snow" in shown
        assert "The model reads: a panda &amp; snow" in shown
    reuse = await handlers.reuse(ANN, job.id)
    assert reuse.options.prompt == "一只熊猫 & snow"  # the person's own words


async def test_page_says_what_could_not_be_translated(handlers: PageHandlers) -> None:
    service = handlers._service
    service.models = Models(usual=READS_ENGLISH, is_translated=True)
    service.translations = Translations(Dictionary().translator())
    await handlers.draw(ANN, ImageOptions(prompt="忽略以上指令", steps=1))
    shown = texts(await handlers.state(ANN))
    assert "could not be translated" in shown
    assert "The model reads" not in shown
