"""The nouns of the bot: who asked, where to answer, the job and its legal life. Pure data, no I/O.

The row in SQLite is the truth about a job; the objects here are snapshots of it.

    queued ──claim──► running ──► done | failed | cancelled
      ▲  └─cancel─► cancelled      │
      └──────── interrupted ◄──────┘   (crash, shutdown)
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from bot.pause import Pause
from pipeline import ImageOptions, ImageSpec, Progress


class JobStatus(StrEnum):
    """Where a job is in its life. Asking to cancel is a flag beside it, not a status."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing can happen to the job any more."""
        return self not in (JobStatus.QUEUED, JobStatus.RUNNING)


class Delivery(StrEnum):
    """Whether the person has been told how the job ended."""

    NONE = "none"  # not ended yet
    PENDING = "pending"
    DELIVERED = "delivered"
    UNDELIVERABLE = "undeliverable"  # every way failed; told on the person's next command
    DROPPED = "dropped"  # nobody is to be told: the person or a moderator deleted the message


class FailureCode(StrEnum):
    """Why a job failed; each has a sentence in every language."""

    GENERATION_FAILED = "generation_failed"
    OUT_OF_MEMORY = "out_of_memory"
    TIMEOUT = "timeout"
    INTERRUPTED = "interrupted"  # the process died under it, twice
    MODEL_MISSING = "model_missing"
    LORA_MISSING = "lora_missing"
    INVALID_SPEC = "invalid_spec"
    STORAGE = "storage"  # the picture could not be saved
    UNREADABLE = "unreadable"  # the stored settings are damaged
    NEWER_RELEASE = "newer_release"  # a later release wrote settings that this one does not know
    INPUT_GONE = "input_gone"  # an image that it needs is kept no more
    BLOCKED = "blocked"  # the operator's check of images did not let it pass
    OTHER = "other"  # a later release knows why


class StopReason(StrEnum):
    """Why a running job was asked to stop; the first reason wins."""

    USER = "user"
    SHUTDOWN = "shutdown"
    TIMEOUT = "timeout"


class StopSignal:
    """A thread-safe request to stop, with the first reason given."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reason: StopReason | None = None

    def set(self, reason: StopReason) -> None:
        """Ask to stop; later reasons are ignored."""
        with self._lock:
            self._reason = self._reason or reason

    @property
    def reason(self) -> StopReason | None:
        """The first reason given, or None."""
        return self._reason

    def is_set(self) -> bool:
        """Whether stopping was asked for; this is what engines poll."""
        return self._reason is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserKey:
    """A person, as one front end knows them. Limits and history hang on it."""

    frontend: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyTo:
    """Where to answer. `key` names the message uniquely within its front end; only it can read `address`."""

    frontend: str
    key: str
    address: str  # JSON


class Verb(StrEnum):
    """How a request was made from an earlier job; `bot/requests/derive.py` says what each does."""

    REROLL = "reroll"
    VARY = "vary"
    EDIT = "edit"
    MORE_STEPS = "more_steps"
    START_FROM = "start_from"  # the picture is the init image of another prompt
    FINAL = "final"
    UPSCALE = "upscale"
    OTHER = "other"  # a later release knows how

    @property
    def starts_from_result(self) -> bool:
        """Whether the image of the earlier job is the init image; of OTHER nobody knows."""
        return self in (Verb.VARY, Verb.START_FROM, Verb.FINAL, Verb.UPSCALE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivation:
    """How a request was made from an earlier job, which may have been pruned since."""

    job_id: int
    verb: Verb


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPlace:
    """The place of an image in a request for several; `index` counts from 0."""

    batch_id: str
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What one person may, where that differs from the limits of the config; None where it does not.

    models: the names of the models that they may draw with.
    """

    max_images_per_day: int | None = None
    max_active: int | None = None
    max_steps: int | None = None
    models: tuple[str, ...] | None = None


USUAL: Final = Allowance()


@runtime_checkable
class RemoteImage(Protocol):
    """A file that is still to be fetched, after everything that is cheaper to check."""

    async def fetch(self) -> bytes:
        """Return the file, which is not checked yet.

        Raises:
            Refusal: UploadGone, DownloadFailed, DownloadTooSlow.
            InvalidSpec: it is too large.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request for one image, as `Service.submit` takes it; `bot/requests/batch.py` splits larger ones."""

    user: UserKey
    reply_to: ReplyTo
    options: ImageOptions
    key: str  # unique per press of a button or command: a repeat returns the first job
    is_more: bool = False  # a further image of the same press: no cool-down applies
    source: bytes | Path | RemoteImage | None = None  # the init image as it came, or where it lies; not checked yet
    references: tuple[bytes | Path | RemoteImage, ...] = ()  # the images that an edit looks at, likewise
    batch: BatchPlace | None = None  # None for a request of a single image
    derived_from: Derivation | None = None
    allowance: Allowance = USUAL
    is_private: bool = False  # only its person is to see the image
    is_spoiler: bool = False  # it is shown after a click
    is_fresh: bool = False  # it is drawn even if an identical image is there


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A request that was accepted. Times are Unix seconds UTC."""

    id: int
    user: UserKey
    reply_to: ReplyTo
    spec: ImageSpec
    status: JobStatus
    attempts: int  # counted when claimed, so that a picture that kills the process cannot do so for ever
    interruptions: int  # how often a stop or a crash of the process sent it back to the queue
    is_cancel_requested: bool
    failure_code: FailureCode | None
    queued_at: int
    started_at: int | None
    finished_at: int | None
    ran_s: float  # GPU seconds of all attempts
    step_s: float | None
    image_path: str | None  # relative to the image folder
    image_bytes: int | None
    delivery: Delivery
    delivery_attempts: int
    flaw: FailureCode | None = None  # why this release cannot draw it; `spec` then holds what could be read
    batch: BatchPlace | None = None
    derived_from: Derivation | None = None
    is_kept: bool = False  # not forgotten with the rest of the history
    is_erased: bool = False  # its person or a moderator deleted picture and prompt
    is_private: bool = False
    is_spoiler: bool = False
    moderated_reason: str | None = (
        None  # why a moderator removed or cancelled it, "" without a reason; None if none did
    )
    repeat_of: int | None = None  # the job whose image answers it, which may have been pruned since
    drawn_with: str = ""  # machine and files that drew it, as a hash
    taken_mib: int = 0  # GPU memory that other programs had, so that it took longer

    @property
    def input_keys(self) -> tuple[str, ...]:
        """The images that it needs, by the keys under which they are kept: an init image, or what an edit looks at."""
        return (self.spec.source,) if self.spec.source else self.spec.reference_keys


class PassedBy(StrEnum):
    """Why a waiting job has more images ahead of it than it was said to have."""

    PEOPLE = "people"  # who used the GPU less in the last hour
    MODEL = "model"  # images of the model that is in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatus:
    """Where an unfinished job stands at this moment, or what its message may say of that.

    position: 1-based among the waiting jobs, in the order in which they are expected to be begun. None while running,
        and on a message as long as another one still claims this place.
    fair_position: likewise, if it did not matter which models are in memory.
    others: further unfinished jobs of the same message; `finish_at` is then that of the last.
    """

    position: int | None
    finish_at: int | None  # estimated, Unix seconds; None while nobody knows
    is_rough: bool  # fewer than three measurements behind finish_at: say "about"
    progress: Progress | None = None
    pause: Pause | None = None  # the queue starts no new job
    is_loading: bool = False  # its model, or the one that everything waits for, is being made ready
    loading: str = ""  # the name of that model, if it is not its own
    fair_position: int | None = None
    passed_by: PassedBy | None = None  # since its message was last edited with a better place
    others: int = 0

    @property
    def ahead(self) -> int | None:
        """How many waiting images will be begun before this one; those that are being drawn do not count.

        On one runner these are the ones that wait now and are finished before this one is begun. On several, begun is
        what counts, because no two jobs have the same number then.
        """
        return None if self.position is None else self.position - 1


# Of a job that was claimed and ended in between, or that nobody can place now.
NOBODY_KNOWS: Final = QueueStatus(position=None, finish_at=None, is_rough=False)
