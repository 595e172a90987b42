"""A batch: one request for one or several images, and its outcome. Pure data, no I/O.

A batch holds the options and the init image, not the person, who is the `Asker`: anybody may press a button under
anybody's picture. `derive.py` makes a batch from an earlier job; `service.py` queues it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from bot.errors import Refusal, StoreUnavailable
from bot.jobs import USUAL, Allowance, BatchPlace, Derivation, Job, QueueStatus, RemoteImage, ReplyTo, Request, UserKey
from pipeline.spec import MAX_SEED, RANDOM_SEED, ImageOptions

MAX_BATCH: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """The person who asks, what they may, the place to answer, and the press of a button or command."""

    user: UserKey
    reply_to: ReplyTo
    key: str  # unique per press: a repeat returns the first jobs
    allowance: Allowance = USUAL
    is_private: bool = False
    is_spoiler: bool = False
    is_age_restricted: bool = False  # the place is for adults


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredInitImage:
    """An image that an earlier job needed, by the digest in `ImageSpec.source` or a key of `ImageSpec.references`."""

    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResult:
    """The picture that an earlier job drew, by `Job.image_path`."""

    path: str


# A file as it came, its path or where it is fetched.
File = bytes | Path | RemoteImage
# The same, or a picture that the service keeps.
InitImage = File | StoredInitImage | StoredResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One request: `images` in their order, all from the same init image if there is one, or edits of the same ones.

    references: the images that an edit looks at, the one to be changed first.

    is_private, is_spoiler: as the job was that it is made from, or as the person asked.
    is_fresh: draw even what is there.
    """

    images: tuple[ImageOptions, ...]
    init_image: InitImage | None = None
    references: tuple[InitImage, ...] = ()
    derived_from: Derivation | None = None
    is_private: bool = False
    is_spoiler: bool = False
    is_fresh: bool = False

    @classmethod
    def of(
        cls,
        options: ImageOptions,
        *,
        count: int = 1,
        init_image: InitImage | None = None,
        references: Sequence[InitImage] = (),
        derived_from: Derivation | None = None,
    ) -> Self:
        """Ask for `count` images, at least one and at most MAX_BATCH; a given seed is the first of a row."""
        images = tuple(_with_seed_after(options, number) for number in range(max(1, min(count, MAX_BATCH))))
        return cls(images=images, init_image=init_image, references=tuple(references), derived_from=derived_from)

    def with_seeds(self, random_seed: int) -> Self:
        """Give the images of an open seed seeds in a row; a single image gets its seed when it is accepted."""
        if len(self.images) == 1 or any(image.seed not in (None, RANDOM_SEED) for image in self.images):
            return self
        images = tuple(
            replace(image, seed=(random_seed + number) % (MAX_SEED + 1)) for number, image in enumerate(self.images)
        )
        return replace(self, images=images, is_fresh=True)  # nobody asks for one certain image

    def requests(
        self, asker: Asker, *, source: File | None = None, references: tuple[File, ...] = ()
    ) -> Iterator[Request]:
        """Yield one request per image; the files are those that `init_image` and `references` stand for."""
        is_single = len(self.images) == 1
        for index, options in enumerate(self.images):
            yield Request(
                user=asker.user,
                reply_to=asker.reply_to,
                options=options,
                key=asker.key if index == 0 else f"{asker.key}:{index}",
                is_more=index > 0,
                source=source,
                references=references,
                batch=None if is_single else BatchPlace(batch_id=asker.key, index=index),
                derived_from=self.derived_from,
                allowance=asker.allowance,
                is_private=asker.is_private or self.is_private,
                is_spoiler=asker.is_spoiler or self.is_spoiler,
                is_fresh=self.is_fresh,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The outcome of a batch: the jobs that were queued, at least one, and why there are not more.

    standing: what a message that shows all of them is to say.
    """

    jobs: tuple[Job, ...]
    standing: QueueStatus
    refusal: Refusal | StoreUnavailable | None = None


def _with_seed_after(options: ImageOptions, number: int) -> ImageOptions:
    if number == 0 or options.seed is None or options.seed == RANDOM_SEED:  # the first one as typed, to be checked
        return options
    return replace(options, seed=(options.seed + number) % (MAX_SEED + 1))
