"""The Gradio part: the form, what its buttons do, and `draw` for scripts.

Importing this imports Gradio, which takes seconds: `server.py` does it in its own thread. The living part of the
page is `assets/page.js`; what a button means is `handlers.py`. Sentences are in
`bot/presentation/wording`; the browser chooses the language.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, get_type_hints

import gradio as gr
from gradio.events import api
from starlette.applications import Starlette
from starlette.requests import HTTPConnection

from bot.errors import BotError
from bot.frontends.web import form
from bot.frontends.web.browser_locale import BrowserLocale
from bot.frontends.web.cross_loop import Ask
from bot.frontends.web.exchange import Attached
from bot.frontends.web.form_keys import FORM_KEYS
from bot.frontends.web.form_memory import keep_form
from bot.frontends.web.fragments import file_name
from bot.frontends.web.handlers import PageHandlers
from bot.frontends.web.identity import Visitor, visitor
from bot.frontends.web.image_fields import as_upload, image_fields, upload_named
from bot.frontends.web.names import MAX_NAME_CHARS
from bot.frontends.web.own_files import STYLES, starting_script
from bot.frontends.web.security.bodies import EDIT, START, Events
from bot.frontends.web.security.gate import note
from bot.frontends.web.settings_fields import asked, model_choices, refilled, settings_fields
from bot.frontends.web.uploads import Uploads
from bot.jobs import JobStatus
from bot.presentation.wording import ASPECT_KEYS, LANGUAGES, MODEL_KEYS, SIZE_KEYS, wording_for
from bot.requests.batch import MAX_BATCH
from bot.requests.init_images import read_file
from bot.requests.models import Models
from pipeline.catalog.models import DEMO, ModelCard
from pipeline.images.init_image import MAX_SOURCE_BYTES
from pipeline.spec import (
    MAX_PROMPT_CHARS,
    MAX_STEPS,
    RANDOM_SEED,
    Aspect,
    Dimensions,
    Size,
)

if TYPE_CHECKING:
    from gradio.block_function import BlockFunction
    from gradio.state_holder import SessionState

log = logging.getLogger(__name__)

# Gradio's own grey on white is 1.9:1, and white on its button 4.46:1; 4.5:1 can be read (WCAG 2.2, 1.4.3).
READABLE: Final = {
    "body_text_color_subdued": "#565a66",
    "block_info_text_color": "#565a66",
    "input_placeholder_color": "#6b7080",
    "input_placeholder_color_dark": "#a1a1aa",
    "button_primary_background_fill": "#4f46e5",
    "button_primary_background_fill_hover": "#4338ca",
}
POLL_S: Final = 0.05  # Gradio looks a thousand times a second for work that waits, which takes 6 % of a core all day
MAX_SIZE_CHARS: Final = 20
MAX_EVENTS: Final = 1000  # that wait at the same time: scripts, mostly; Gradio's own queue must hold up nobody
EXAMPLE_KEY: Final = "example"  # a prompt that the usual model draws well; from its card


def mount(app: Starlette, handlers: PageHandlers, ask: Ask, models: Models, *, secret: str, uploads: Uploads) -> Events:
    """Put the page into `app`; takes about a second, blocks."""
    blocks, events = _blocks(handlers, ask, models, secret, uploads)
    blocks.max_threads = MAX_EVENTS
    blocks.queue(default_concurrency_limit=None, api_open=False)
    blocks._queue.sleep_when_free = POLL_S
    blocks.has_launched = True  # Gradio looks where files lie, as if any could come so far
    keys = (*FORM_KEYS, *ASPECT_KEYS.values(), *SIZE_KEYS.values(), *MODEL_KEYS.values())
    gr.mount_gradio_app(
        app,
        blocks,
        path="",
        root_path="",  # every request brings its own; unset, Gradio would look into the environment
        footer_links=[],
        run_history=False,
        allowed_paths=[],
        show_error=False,
        max_file_size=MAX_SOURCE_BYTES,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=gr.themes.Default(
            primary_hue="indigo", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
        ).set(**READABLE),
        css_paths=list(STYLES),
        i18n=gr.I18n(
            **{
                language: {key: wording_for(language).say(key) for key in keys}
                | {EXAMPLE_KEY: next(iter(models.usual.examples_for(language)), "")}
                for language in LANGUAGES  # a browser with another locale: see `browser_locale.py`
            }
        ),
    )
    app.add_middleware(BrowserLocale)
    return events


class _Discreet(gr.Blocks):
    """Takes values as `bodies.py` has checked them, and prints no errors.

    Gradio itself would copy or fetch files named in the values, and print values that do not fit, prompts included.
    """

    async def preprocess_data(
        self, block_fn: BlockFunction, inputs: list[Any], state: SessionState | None, explicit_call: bool = False
    ) -> list[Any]:
        """Turn the values of an HTTP request into the arguments of a function.

        Raises:
            gr.Error: there are too few values or too many; told to the caller alone.
        """
        if block_fn.api_name == "draw" and len(inputs) == len(block_fn.inputs) - 1:  # scripts older than its size
            inputs = [*inputs, ""]
        if len(inputs) != len(block_fn.inputs):
            text = f"data must hold {len(block_fn.inputs)} values, not {len(inputs)}"
            raise gr.Error(text, print_exception=False)
        return list(inputs)

    async def postprocess_data(
        self, block_fn: BlockFunction, predictions: Any, state: SessionState | None
    ) -> list[Any]:
        """Turn the return value of a function into the answer.

        A file that `draw` returns stays as it is: Gradio would put its whole address in place of its path, which
        gradio_client then asks for behind `file=`, and of `http://` in a path some proxies make `http:/`.
        """
        if block_fn.api_name == "draw":
            return list(predictions)
        return list(await super().postprocess_data(block_fn, predictions, state))

    async def process_api(self, *args: Any, **options: Any) -> dict[str, Any]:
        """Run an event.

        Raises:
            gr.Error: for the caller; nothing else, which Gradio would print.
        """
        try:
            output: dict[str, Any] = await super().process_api(*args, **options)
        except gr.Error:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the visitor gets a number and the log its place
            text = f"something went wrong here; its number is {note(error)}"
            raise gr.Error(text, print_exception=False) from None
        return output


def _blocks(
    handlers: PageHandlers, ask: Ask, models: Models, secret: str, uploads: Uploads
) -> tuple[gr.Blocks, Events]:
    card, cards, by_name = models.usual, models.all, {each.name: each for each in models.all}
    is_english = card.tells_unread and not models.is_translated
    about = "console-prompt-demo" if card is DEMO else "console-prompt-english" if is_english else None
    shapes = [aspect for aspect in Aspect if any(aspect in each.sizes for each in cards)]
    sizes = [size for size in Size if any(size in each.scales for each in cards)]
    say = gr.I18n()
    quiet: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}

    blocks = _Discreet(title="imagine-bot", analytics_enabled=False)
    with blocks:
        remembered_name = gr.BrowserState("", storage_key="imagine-bot-name", secret="not a secret")
        gr.HTML(html_template="<div class='top ours'></div>", apply_default_css=False, elem_id="top")
        with gr.Row(equal_height=False, elem_id="work"):
            with gr.Column(scale=2, min_width=320):
                prompt = gr.Textbox(
                    label=say("console-prompt"),
                    placeholder=say(EXAMPLE_KEY),
                    info=say(about) if about else None,
                    lines=3,
                    max_lines=10,
                    max_length=MAX_PROMPT_CHARS,
                    autofocus=True,
                    elem_id="prompt",
                )
                button = gr.Button(say("console-draw"), variant="primary", elem_id="draw")
                said = gr.HTML(elem_id="said", html_template="<div role='status'>${value}</div>")
                with gr.Row(elem_id="seed-row"):
                    seed = gr.Number(
                        RANDOM_SEED, label=say("console-seed"), precision=0, elem_id="seed", min_width=140, scale=3
                    )
                    dice = gr.Button(say("console-dice"), size="sm", min_width=80, elem_id="dice")
                    keep = gr.Button(say("console-keep"), size="sm", min_width=80, elem_id="keep")
                steps = gr.Slider(1, MAX_STEPS, card.default_steps, step=1, label=say("console-steps"), elem_id="steps")
                aspect = gr.Radio(
                    [(say(ASPECT_KEYS[aspect]), aspect.value) for aspect in shapes],
                    value=Aspect.SQUARE.value,
                    label=say("console-aspect"),
                    visible=len(shapes) > 1,
                    elem_id="aspect",
                )
                size = gr.Radio(
                    [(say(SIZE_KEYS[size]), size.value) for size in sizes],
                    value=Size.NORMAL.value,
                    label=say("console-size"),
                    visible=len(sizes) > 1,
                    elem_id="size",
                )
                model = gr.Dropdown(
                    model_choices(cards, say),
                    value=card.name,
                    label=say("console-model"),
                    visible=len(cards) > 1,
                    elem_id="model",
                )
                count = gr.Slider(1, MAX_BATCH, 1, step=1, label=say("console-count"), elem_id="count")
                with gr.Accordion(say("console-more"), open=False, elem_id="more"):
                    of_some = settings_fields(models, say)
                    source, further, way = image_fields(cards, say)
                    strength = gr.Slider(
                        0.05, 1, card.default_strength, step=0.05, label=say("console-strength"), elem_id="strength"
                    )
                    exact_size = gr.Textbox(
                        label=say("console-exact-size"), placeholder=say("console-exact-size-hint"),
                        max_length=MAX_SIZE_CHARS, elem_id="exact-size",
                    )  # fmt: skip
                    name = gr.Textbox(
                        label=say("console-name"), placeholder=say("console-name-hint"),
                        max_length=MAX_NAME_CHARS, elem_id="name",
                    )  # fmt: skip
            with gr.Column(scale=3, min_width=320):
                living = gr.HTML(
                    html_template="<div class='living ours'></div>",
                    js_on_load=starting_script(),
                    apply_default_css=False,
                    elem_id="living",
                )

        async def draw_from_form(  # noqa: PLR0913 - one for each field of the form
            prompt: str,
            seed: float | None,
            steps: float | None,
            aspect: str | None,
            count: float | None,
            source: str | None,
            strength: float | None,
            name: str | None,
            model: str | None,
            size: str | None,
            exact_size: str | None,
            negative: str | None,
            cfg: str | None,
            guidance: str | None,
            sampler: str | None,
            clip_skip: str | None,
            loras: str | None,
            speed: str | None,
            way: str | None,
            second: str | None,
            third: str | None,
            request: gr.Request,
        ) -> str:
            asker = _asker(request, secret)
            try:
                values: dict[str, object] = {"prompt": prompt or "", "seed": seed, "steps": steps, "aspect": aspect}
                values["model"] = model
                typed = (negative, cfg, guidance, sampler, clip_skip, loras, speed)
                of_model = dict(zip(form.OF_SOME, typed, strict=True))
                values |= asked(of_model, by_name.get(model or card.name, card), models)
                values["size"] = (exact_size or "").strip() or size
                names = [each for each in (source, second, third) if each is not None]
                values["strength"] = strength if names else None
                images = form.whole("count", count) or 1
                files = tuple(uploads.find(asker, each) for each in names)
                attached = Attached(files=files, is_edit=way == EDIT)
                drawn = await ask(handlers.draw_typed(asker, values, count=images, attached=attached, name=name or ""))
            except Exception as error:  # noqa: BLE001 - whatever it is, the visitor gets a number and the log its place
                field = form.flawed_field(error, has_exact_size=bool((exact_size or "").strip()))
                return form.said(handlers.explain(error, asker), is_refusal=True, field=field)
            return form.said(drawn.text, drawn.notes)

        async def reuse(event: gr.EventData, request: gr.Request) -> list[Any]:
            asker = _asker(request, secret)
            try:
                again = await ask(handlers.reuse(asker, event.job_id))
                root_path = str(_http(request).scope["root_path"])
                pictures = again.references or (again.init_image,)
                offered = [await as_upload(each, asker, uploads, root_path=root_path) for each in pictures]
            except BotError:
                return [gr.skip()] * (12 + len(of_some))
            options = again.options
            is_exact = isinstance(options.size, Dimensions)
            named, exact = (gr.skip(), str(options.size)) if is_exact else (options.size or Size.NORMAL, "")
            strength = options.strength or gr.skip()
            model = options.model or card.name
            shape = options.aspect or gr.skip()
            again_in = [options.prompt, options.seed, options.steps, shape, model, offered[0], strength, named, exact]
            again_in += refilled(options, by_name.get(model, card).negative_prompt)
            return [*again_in, EDIT if again.references else START, *[*offered[1:], None, None][:2]]

        async def start_from(event: gr.EventData, request: gr.Request) -> Any:
            """Put an image into the form: one of the person's own, or one that was dropped or pasted."""
            asker = _asker(request, secret)
            root_path = str(_http(request).scope["root_path"])
            try:
                if (name := getattr(event, "upload", None)) is not None:
                    uploads.find(asker, name)
                    return upload_named(name, root_path=root_path)
                file = await ask(handlers.images.file(asker, event.job_id))
                image = await read_file(file)
            except BotError:
                return gr.skip()
            return await as_upload(image, asker, uploads, root_path=root_path) or gr.skip()

        inputs = [prompt, seed, steps, aspect, count, source, strength, name, model, size, exact_size]
        inputs += [*of_some.values(), way, *further]
        button.click(draw_from_form, inputs, said, **quiet)
        dice.click(None, None, seed, js=f"() => {RANDOM_SEED}", **quiet)
        keep.click(
            None, None, seed,
            js=f"() => Number(document.querySelector('.picture')?.dataset.seed ?? {RANDOM_SEED})", **quiet,
        )  # fmt: skip
        filled = [prompt, seed, steps, aspect, model, source, strength, size, exact_size, *of_some.values()]
        filled += [way, *further]
        living.reuse(reuse, None, filled, **quiet)
        living.start_from(start_from, None, source, **quiet)
        name.change(None, name, remembered_name, js="name => name", **quiet)
        blocks.load(None, remembered_name, name, js="name => name", **quiet)
        api(_draw_for_scripts(handlers, ask, card, secret), api_name="draw", concurrency_limit=None)
        offer = form.offer_choices(models)
        model.change(None, model, None, js=offer, **quiet)
        model.input(None, model, steps, js=form.usual_steps(cards), **quiet)
        model.input(None, model, strength, js=form.usual_strength(cards), **quiet)
        blocks.load(None, model, None, js=offer, **quiet)
        kept = {"prompt": prompt, "seed": seed, "steps": steps, "aspect": aspect, "count": count, "source": source}
        kept |= {"strength": strength, "model": model, "size": size, "exact_size": exact_size, **of_some, "way": way}
        keep_form(blocks, kept | {f"source_{number}": field for number, field in enumerate(further, start=2)})
        for choice in (aspect, size):  # whoever chooses wants that, and the exact size may be out of sight
            choice.input(None, None, exact_size, js="() => ''", **quiet)
    numbers = {event.name: number for number, event in blocks.fns.items()}
    return blocks, Events(
        form=numbers["draw_from_form"],
        reuse=numbers["reuse"],
        start_from=numbers["start_from"],
        draw=numbers["draw"],
    )


def _draw_for_scripts(handlers: PageHandlers, ask: Ask, card: ModelCard, secret: str) -> Callable[..., Any]:
    async def draw(
        prompt: str,
        seed: int = RANDOM_SEED,
        steps: int = card.default_steps,
        size: str = "",
        request: gr.Request | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Draw one picture and wait for it: the file, and what draws it again. Queue and limits are the page's."""
        asker = _asker(request, secret)
        try:
            drawn = await ask(
                handlers.draw_typed(asker, {"prompt": prompt, "seed": seed, "steps": steps, "size": size}, most=1)
            )
            job = await ask(handlers.ended(asker, drawn.jobs[0].id))
        except Exception as error:  # noqa: BLE001 - whatever it is, the visitor gets a number and the log its place
            raise gr.Error(handlers.explain(error, asker), print_exception=False) from None
        if job.status is not JobStatus.DONE or (address := await ask(handlers.addresses.of(job, "png"))) is None:
            raise gr.Error(handlers.ending(job, asker), print_exception=False)
        spec = job.spec
        file = {
            "path": address,
            "url": f"{str(_http(request).base_url).rstrip('/')}{address}",
            "orig_name": file_name(job),
            "mime_type": "image/png",
            "meta": {"_type": "gradio.FileData"},
        }
        settings = {"id": job.id, "prompt": spec.prompt, "seed": spec.seed, "steps": spec.steps}
        settings |= {"width": spec.width, "height": spec.height, "model": spec.model, "seconds": job.ran_s}
        return file, {**settings, "notes": list(drawn.notes)}

    draw.__annotations__ = get_type_hints(draw)  # Gradio reads the outputs off them and does not resolve them
    return draw


def _asker(request: gr.Request | None, secret: str) -> Visitor:
    return visitor(_http(request), secret)


def _http(request: gr.Request | None) -> HTTPConnection:
    assert request is not None and request.request is not None, "set for every event that came over HTTP"
    return request.request
