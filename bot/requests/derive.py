"""The verbs that make a request from an earlier job: Job → Batch. Pure: no I/O, no randomness, no clock.

A command, a button, a form and a page call the same function. `models` are those that can draw here. A seed that is
left out is drawn by `Service.submit`. An upscaled image is its image at another size: what is made of it has the size
and the settings of that image again.

What is made from a private image is private, and what is made from a spoiler is one.

Every verb raises `PictureErased` or `PictureRemoved` for a job that was deleted, and `JobUnreadable` for one whose
stored settings cannot be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from bot.errors import AlreadyFinal, CannotUpscale, JobUnreadable, PictureNotReady
from bot.jobs import Derivation, Job, Verb
from bot.requests.batch import Batch, InitImage, StoredInitImage, StoredResult
from bot.requests.erased import check_not_erased
from bot.requests.loras import are_fitting, steps_of
from bot.requests.models import Models
from pipeline.catalog.model_card import ModelCard
from pipeline.lora_uses import read_uses
from pipeline.spec import UPSCALE, Aspect, Dimensions, ImageOptions, ImageSpec, Sampler, Size

OF_SOME: Final = (
    "negative_prompt",
    "cfg_scale",
    "guidance",
    "sampler",
    "clip_skip",
    "loras",
)  # which not every model has
SETTINGS: Final = ("steps", "aspect", "size", "model", *OF_SOME)


def reroll(job: Job, models: Models) -> Batch:
    """Draw it once more with another seed."""
    return _derived(job, Verb.REROLL, options_of(job, models))


def vary(job: Job, models: Models, *, count: int = 1, strength: float | None = None) -> Batch:
    """Draw variations, each with a seed of its own.

    With a `strength`, they start from the picture itself; without one, they only repeat its settings. Those of an edit
    always do: they look at the same images again.

    Raises:
        PictureNotReady: there is no picture to start from.
    """
    options = options_of(job, models)
    if strength is None or job.spec.references:
        return _derived(job, Verb.VARY, options, count=count)
    if job.image_path is None:
        raise PictureNotReady(job.id)
    started = replace(options, strength=strength)
    return _derived(job, Verb.VARY, started, count=count, init_image=StoredResult(path=job.image_path))


def edit(job: Job, models: Models, *, options: ImageOptions) -> Batch:
    """Draw it with another prompt. Values that are left out stay as they were, including the seed and the size.

    Another shape replaces an exact size. Another model draws with its own number of steps and its own settings, unless
    they were others than those of the model before; `lost` says which it cannot follow.
    """
    before = _options_with(job, models, models.nearest(options.model or job.spec.model))
    if options.aspect is not None and isinstance(before.size, Dimensions):
        before = replace(before, size=None)
    kept: dict[str, Any] = {"seed": job.spec.seed, "strength": before.strength}
    kept |= {name: getattr(before, name) for name in SETTINGS}
    changes = {name: value for name, value in kept.items() if getattr(options, name) is None}
    return _derived(job, Verb.EDIT, replace(options, **changes))


def more_steps(job: Job, models: Models, *, steps: int) -> Batch:
    """Draw the same picture, with the same seed, in more steps."""
    return _derived(job, Verb.MORE_STEPS, replace(options_of(job, models), seed=job.spec.seed, steps=steps))


def start_from(job: Job, models: Models, *, options: ImageOptions) -> Batch:
    """Draw something else, starting from the picture. Values that are left out are those of the job, but for the seed.

    Raises:
        PictureNotReady: there is no picture to start from.
    """
    before = _options_with(job, models, models.nearest(options.model or job.spec.model))
    if job.image_path is None:
        raise PictureNotReady(job.id)
    left_out = {name: getattr(before, name) for name in SETTINGS if getattr(options, name) is None}
    return _derived(job, Verb.START_FROM, replace(options, **left_out), init_image=StoredResult(path=job.image_path))


def change(job: Job, *, options: ImageOptions, more: Sequence[InitImage] = (), count: int = 1) -> Batch:
    """Edit the picture by words, with a model that does so; `more` are further images to look at.

    Nothing of the settings is kept: the words say what is to change, and the shape is that of the picture.

    Raises:
        PictureNotReady: there is no picture to edit.
    """
    check_usable(job)
    if job.image_path is None:
        raise PictureNotReady(job.id)
    batch = _derived(job, Verb.START_FROM, replace(options, strength=None), count=count)
    return replace(batch, init_image=None, references=(StoredResult(path=job.image_path), *more))


def final(job: Job, models: Models) -> Batch:
    """Draw a draft at the normal size, with the same seed and from the enlarged draft, so that everything stays put.

    Raises:
        AlreadyFinal: it is no smaller than that.
        PictureNotReady: there is no picture to start from.
    """
    options, model = options_of(job, models), models.nearest(job.spec.model)
    size = model.final_size(job.spec.width, job.spec.height)
    if size is None:
        raise AlreadyFinal(job.id)
    if job.image_path is None:
        raise PictureNotReady(job.id)
    enlarged = replace(options, seed=job.spec.seed, size=size, strength=model.final_strength)
    return _derived(job, Verb.FINAL, enlarged, init_image=StoredResult(path=job.image_path))


def upscale(job: Job, models: Models) -> Batch:
    """Draw it anew at twice its size, with the same prompt and seed and from the enlarged image.

    It takes the usual number of steps of the model, or of its LoRAs, of which only the last ones are drawn: more would
    show no more, and with fewer there might be none.

    Raises:
        CannotUpscale: it was upscaled already, or its model cannot do that.
        PictureNotReady: there is no picture to start from.
    """
    options, model = options_of(job, models), models.nearest(job.spec.model)
    if not models.can_upscale(job.spec):
        raise CannotUpscale(job.id, reason="again" if job.spec.upscale else "model", model=model.title)
    if job.image_path is None:
        raise PictureNotReady(job.id)
    steps = steps_of(read_uses(options.loras or ""), models) or model.default_steps
    seed, strength = job.spec.seed, model.upscale_strength
    enlarged = replace(options, upscale=UPSCALE, seed=seed, steps=steps, strength=strength)
    return _derived(job, Verb.UPSCALE, enlarged, init_image=StoredResult(path=job.image_path))


def check_usable(job: Job) -> None:
    """Check that something can be made of a job.

    Raises:
        PictureErased, PictureRemoved, JobUnreadable
    """
    check_not_erased(job)
    if job.flaw is not None:
        raise JobUnreadable(job.id)


def options_of(job: Job, models: Models) -> ImageOptions:
    """Return the options that lead to such a picture, apart from the seed.

    Raises:
        PictureErased, PictureRemoved, JobUnreadable
    """
    return _options_with(job, models, models.nearest(job.spec.model))


def lost(job: Job, models: Models, options: ImageOptions) -> tuple[str, ...]:
    """Return the fields of ImageOptions that a job was asked for and that another model of `options` does not have."""
    spec, old = job.spec, models.find(job.spec.model)
    new = models.nearest(options.model or spec.model)
    if new.name == spec.model:
        return ()
    return tuple(
        name
        for name in OF_SOME
        if getattr(options, name) is None and _is_own(spec, name, old) and not _takes(new, name, spec, models)
    )


def _options_with(job: Job, models: Models, card: ModelCard) -> ImageOptions:
    """Return the options that lead to such a picture with one of the models, apart from the seed."""
    check_usable(job)
    spec, old = job.spec, models.find(job.spec.model)
    is_same = card is old
    aspect, size = _shape(card, old, *spec.source_size)
    kept: dict[str, Any] = {
        name: getattr(spec, name)
        for name in OF_SOME
        if _takes(card, name, spec, models) and ((is_same and name != "loras") or _is_own(spec, name, old))
    }
    if "sampler" in kept:
        kept["sampler"] = Sampler(spec.sampler)
    is_usual = old is not None and spec.steps == old.default_steps
    return ImageOptions(
        prompt=spec.prompt,
        steps=None if is_usual and not is_same else spec.steps,
        aspect=aspect,
        size=size,
        model=card.name if is_same else None,
        strength=spec.strength if spec.source and not spec.upscale else None,
        **kept,
    )


def _is_own(spec: ImageSpec, name: str, card: ModelCard | None) -> bool:
    """Whether a setting is another than that of the model it was drawn with; None if that model is gone."""
    if name == "loras":
        return bool(spec.loras)
    if name == "negative_prompt":
        return spec.negative_prompt != ("" if card is None else card.negative_prompt)
    if card is None or not card.offers(name):
        return False
    usual = card.samplers[0] if name == "sampler" else getattr(card, name)
    return bool(getattr(spec, name) != usual)


def _takes(card: ModelCard, name: str, spec: ImageSpec, models: Models) -> bool:
    """Whether a model can follow a setting; of LoRAs that its own model had, it is said when they are gone."""
    if name == "sampler":
        return spec.sampler in card.samplers
    is_fitting = name != "loras" or card.name == spec.model or are_fitting(spec.loras, models, card)
    return card.offers(name) and is_fitting


def _shape(
    card: ModelCard, old: ModelCard | None, width: int, height: int
) -> tuple[Aspect | None, Size | Dimensions | None]:
    """Return what leads to so many px with a model, or else to its shape that is nearest.

    A shape and a size with names keep these in another model than `old`, however many px they are there: what is
    normal for one model is a draft for another.
    """
    named = (card if old is None else old).name_of_size(width, height)
    if named is None and card.can_draw(width, height):
        named = card.name_of_size(width, height)
        if named is None:
            return None, Dimensions(width=width, height=height)
    aspect, size = (None, Size.NORMAL) if named is None else named
    if aspect not in card.sizes:
        aspect = card.nearest_aspect(width, height)
    return aspect, size if size is not Size.NORMAL and size in card.scales else None


def _derived(
    job: Job, verb: Verb, options: ImageOptions, *, count: int = 1, init_image: InitImage | None = None
) -> Batch:
    """Make the batch; it needs the images that the job needed, if any, unless an init image is given.

    What an upscaled image was made from is that image itself, smaller, and nothing to start others from.
    """
    if init_image is None and job.spec.source and not job.spec.upscale:
        init_image = StoredInitImage(digest=job.spec.source)
    references = [StoredInitImage(digest=key) for key in job.spec.reference_keys if init_image is None]
    derived_from = Derivation(job_id=job.id, verb=verb)
    batch = Batch.of(options, count=count, init_image=init_image, references=references, derived_from=derived_from)
    return replace(batch, is_private=job.is_private, is_spoiler=job.is_spoiler)
