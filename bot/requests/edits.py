"""Which of two ways changes an image by words: a model that edits looks at it, or another one starts from it. Pure.

The model that was asked for, or else the usual one, edits if it can. If it cannot, and nobody chose it, the first model
that can does so instead. If there is none, the image is the init image of the words, at the model's usual strength.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bot.jobs import USUAL, Allowance, Job
from bot.presentation.phrases import Phrase
from bot.requests import derive
from bot.requests.allowances import may_use
from bot.requests.batch import Batch, InitImage
from bot.requests.defaults import Levels, Wish, fill
from bot.requests.models import Models
from bot.requests.prompt_flags import ReadPrompt, read_prompt
from pipeline.catalog.architecture import Feature
from pipeline.catalog.model_card import ModelCard
from pipeline.errors import InvalidSpec
from pipeline.spec import ImageOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """The model that changes an image, and whether it edits it or only starts from it."""

    card: ModelCard
    is_edit: bool


def edits(card: ModelCard) -> bool:
    """Whether a model edits images by words."""
    return Feature.EDIT in card.supports


def way_to_change(models: Models, allowance: Allowance = USUAL, *, is_chosen: bool = False) -> Way:
    """Return how an image is changed by words.

    Args:
        models: led by the model that was asked for, or else by the usual one.
        is_chosen: a person asked for that model.

    Raises:
        InvalidSpec: no model that the person may draw with edits images or starts from them.
    """
    usual = models.usual
    mine = [card for card in models.all if may_use(allowance, card)]
    if edits(usual):
        return Way(card=usual, is_edit=True)
    if is_chosen:  # one that cannot start from images either is refused with its name
        return Way(card=usual, is_edit=False)
    if (editor := next(filter(edits, mine), None)) is not None:
        return Way(card=editor, is_edit=True)
    return _way_to_start(models, allowance)


def _way_to_start(models: Models, allowance: Allowance) -> Way:
    usual, others = models.usual, [card for card in models.all if may_use(allowance, card)]
    starting = [card for card in (usual, *others) if Feature.INIT_IMAGE in card.supports]
    if not starting:
        raise InvalidSpec("image", "cannot be used here", detail="not-offered", model=usual.title)
    return Way(card=starting[0], is_edit=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be changed in an image, in words, and how that is done."""

    read: ReadPrompt
    way: Way

    @property
    def options(self) -> ImageOptions:
        """The words and what was set with them.

        Raises:
            InvalidSpec
        """
        return ImageOptions.read(**{**self.read.options, "model": self.way.card.name})

    def batch(self, models: Models, images: Sequence[InitImage], *, job: Job | None = None) -> Batch:
        """Ask for it: the image of a job is changed, or else the first of `images`; an edit looks at the others, too.

        Raises:
            PictureErased, PictureRemoved, PictureNotReady, JobUnreadable: of the job.
            InvalidSpec
        """
        if job is None:
            batch = changed(self.way, self.options, images, count=self.read.count)
        elif self.way.is_edit:
            batch = derive.change(job, options=self.options, more=images, count=self.read.count)
        else:
            batch = derive.start_from(job, models, options=self.options)
        return replace(batch, is_fresh=self.read.is_fresh)


def read_change(
    text: object,
    models: Models,
    allowance: Allowance = USUAL,
    *,
    given: Mapping[str, object] | None = None,
    count: int | None = None,
) -> Change:
    """Read what somebody wants to have changed; see `way_to_change`. A strength asks to start from the image.

    Args:
        models: led by the model that is used if the words name none.
        given, count: see `read_prompt`.

    Raises:
        InvalidFlag, InvalidSpec
    """
    way = way_to_change(models, allowance)
    read = read_prompt(text, models.led_by(way.card), given=given, count=count)
    model = read.options.get("model")
    led = models.led_by(models.demand(model) if isinstance(model, str) and model else way.card)
    if model:
        way = way_to_change(led, allowance, is_chosen=True)
    if way.is_edit and read.options.get("strength") not in (None, ""):
        way = Way(card=led.usual, is_edit=False) if model else _way_to_start(led, allowance)
    return Change(read=read, way=way)


def typed(
    wish: Wish, levels: Levels, models: Models, allowance: Allowance, images: Sequence[InitImage]
) -> tuple[Batch, tuple[Phrase, ...]]:
    """Make the request that a person typed with images, or without; the notes are for the person.

    One image is edited if its model edits and no strength is given; else it is started from. Several are always edited,
    by the first model that edits, if nobody typed another.

    Args:
        models: led by the model that the person draws with if nothing else was chosen.

    Raises:
        InvalidFlag, InvalidSpec
    """
    filled = fill(wish, levels, models)
    card = models.find(str(filled.options["model"]))
    is_edit = bool(images) and card is not None and edits(card)
    if len(images) > 1 and not is_edit and not filled.is_model_typed:
        mine = (each for each in models.all if edits(each) and may_use(allowance, each))
        if (editor := next(mine, None)) is not None:
            filled = fill(replace(wish, values={**wish.values, "model": editor.name}), levels, models)
    options, notes = dict(filled.options), filled.notes
    has_strength = options.get("strength") not in (None, "")
    is_edit = len(images) > 1 or (is_edit and not has_strength)
    if is_edit and has_strength:
        del options["strength"]
        notes = (*notes, Phrase("edit-strength-unused"))
    batch = Batch.of(
        ImageOptions.read(**options),
        count=filled.count,
        init_image=images[0] if images and not is_edit else None,
        references=images if is_edit else (),
    )
    chosen = replace(batch, is_private=filled.is_private, is_spoiler=filled.is_spoiler, is_fresh=filled.is_fresh)
    return chosen, notes


def changed(way: Way, options: ImageOptions, images: Sequence[InitImage], *, count: int = 1) -> Batch:
    """Ask for an image that is changed by words; only an edit looks at more than the first of `images`."""
    options = replace(options, model=way.card.name)
    if way.is_edit:
        return Batch.of(replace(options, strength=None), count=count, references=images)
    return Batch.of(options, count=count, init_image=images[0])


def notes_on(way: Way, images: Sequence[object], *, is_told: bool = False) -> tuple[Phrase, ...]:
    """Say that an image was only started from, and that the others were left out.

    Args:
        is_told: the message of the request says the former.
    """
    if way.is_edit:
        return ()
    model = {"model": way.card.title}
    notes = () if is_told else (Phrase("edit-started-from", model),)
    return (*notes, Phrase("edit-first-only", model)) if len(images) > 1 else notes
