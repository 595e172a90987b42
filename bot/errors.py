"""What can go wrong on this side of the door.

Longer than other files on purpose: the tree below is that of the classes, and both are read together.

BotError
├─ Refusal                       said to the person, logged at info, never a traceback
│  ├─ QueueFull(waiting, limit, retry_at)
│  ├─ TooManyJobs(active, limit, retry_at)
│  ├─ DailyLimit(used, limit, retry_at)
│  ├─ CoolingDown(retry_at, cooldown_s)
│  ├─ JobTooLarge(pixel_steps, limit, max_steps)
│  ├─ StepsNotAllowed(steps, limit) · ModelNotAllowed(model, allowed)
│  ├─ InvalidFlag(flag, name, most) · InvalidMoment(flaw)
│  ├─ NotAccepting()
│  ├─ StorageFull() · FileNotDeleted(id)
│  ├─ AlreadyUnpacking() · UploadGone() · DownloadFailed() · DownloadTooSlow(limit_s)
│  ├─ BeingErased() · AlreadyExporting()
│  ├─ JobNotFound(id) · NotYourJob(id) · NotOfThisServer(id) · JobAlreadyFinished(id) · JobUnreadable(id)
│  ├─ SettingInvalid(setting) · PresetNameInvalid(most) · NoSuchPreset() · PresetEmpty()
│  ├─ TooManyPresets(limit) · WordsOnly(most)
│  ├─ PictureNotReady(id) · PictureErased(id) · AlreadyFinal(id) · CannotUpscale(id) · KeepsTooMany(limit)
│  ├─ PictureRemoved(id, reason) · Banned(reason) · BannedUntil(until_at, reason)
│  └─ BlockedWord(word, found) · RestrictedWord(word, found) · InvalidWord(word) · TooManyWords(limit)
├─ StoreUnavailable(is_full)     the database cannot be used at this moment: try again
├─ RunnerLost(reason)            what drew a job is out of reach; the job may be drawn by another
└─ OperatorError                 said to the operator, stops the start
   ├─ ConfigError(problems, way_out)
   ├─ SchemaTooNew(path, found, known)
   ├─ DatabaseUnusable(path, reason, way_out)
   │  └─ DatabaseLocked        another program holds it at this moment
   ├─ BackupFailed(text) · BackupUnusable(path, reason, way_out)
   ├─ AlreadyRunning(path)
   └─ FrontendUnavailable(frontend, reason)
      └─ FrontendUnreachable   the network, or the other side, is down

Exceptions carry values; `bot/presentation/wording/` turns them into sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Self


class ExitCode(IntEnum):
    """What the process says to its supervisor."""

    OK = 0
    FAILED = 1  # a part died unexpectedly: restart
    USAGE = 2  # the operator has to change something: do not restart
    ENGINE_DEAD = 3  # the GPU needs a fresh process: restart
    ALREADY_RUNNING = 4  # another copy owns the database: do not restart
    INTERRUPTED = 130  # Ctrl-C


class BotError(Exception):
    """Base of everything this package raises on purpose."""


class Refusal(BotError):
    """The request is not carried out and costs nothing.

    detail: tells cases of one refusal apart that are said in sentences of their own.
    """

    detail: str = ""


class NoRoom:
    """What waits or runs leaves no room until some of it has ended: a part of the refusals that say so.

    detail: "" if it will by itself, "paused" while nothing is begun, "paused-until" if it is known until when.
    opens_at: when the queue goes on, if that is known.
    """

    detail: str = ""
    opens_at: int = 0

    def while_paused(self, until: int | None) -> Self:
        """Return the same while the queue is paused: then there will be room once it goes on, whenever that is."""
        self.detail, self.opens_at = ("paused", 0) if until is None else ("paused-until", until)
        return self


def _yes_no(value: bool) -> str:
    """Say it so that a sentence can choose by it."""
    return "yes" if value else "no"


class QueueFull(NoRoom, Refusal):
    """Too many jobs are waiting in total."""

    def __init__(self, *, waiting: int, limit: int, retry_at: int) -> None:
        super().__init__(f"{waiting} of {limit} places taken")
        self.waiting, self.limit, self.retry_at = waiting, limit, retry_at


class TooManyJobs(NoRoom, Refusal):
    """This person has too many jobs waiting or running."""

    def __init__(self, *, active: int, limit: int, retry_at: int) -> None:
        super().__init__(f"{active} of {limit} jobs waiting or running")
        self.active, self.limit, self.retry_at = active, limit, retry_at


class DailyLimit(Refusal):
    """This person has drawn as much as one person may in 24 hours."""

    def __init__(self, *, used: float, limit: int, retry_at: int) -> None:
        super().__init__(f"{used:g} of {limit} pictures in 24 hours")
        self.used, self.limit, self.retry_at = used, limit, retry_at


class CoolingDown(Refusal):
    """This person asked again too soon."""

    def __init__(self, *, retry_at: int, cooldown_s: int) -> None:
        super().__init__(f"again at {retry_at}")
        self.retry_at, self.cooldown_s = retry_at, cooldown_s


class JobTooLarge(Refusal):
    """Pixels × steps of this job exceed the limit; `max_steps` would fit at this size."""

    def __init__(self, *, pixel_steps: int, limit: int, max_steps: int) -> None:
        super().__init__(f"{pixel_steps} pixel steps, {limit} allowed")
        self.pixel_steps, self.limit, self.max_steps = pixel_steps, limit, max_steps


class StepsNotAllowed(Refusal):
    """This person may have fewer steps than they asked for."""

    def __init__(self, *, steps: int, limit: int) -> None:
        super().__init__(f"{steps} steps, {limit} allowed")
        self.steps, self.limit = steps, limit


class ModelNotAllowed(Refusal):
    """This person may not draw with this model; `allowed` are the names of those that they may."""

    def __init__(self, *, model: str, allowed: str) -> None:
        super().__init__(f"{model}, allowed: {allowed}")
        self.model, self.allowed = model, allowed


class InvalidFlag(Refusal):
    """A flag in a prompt has no value, or one that its option cannot have.

    `flag` is what the person typed and never part of `str()`, which may be logged. `name` is that of the option, and
    `most` its largest value, 0 where it is no number.
    """

    def __init__(self, *, flag: str, name: str, most: int = 0) -> None:
        super().__init__(name)
        self.flag, self.name, self.most = flag, name, most


class MomentFlaw(StrEnum):
    """What is wrong with a moment that a person typed."""

    UNREADABLE = "unreadable"
    PAST = "past"
    FAR = "far"  # more than ten years ahead


class InvalidMoment(Refusal):
    """The time until which something is to last cannot be used."""

    def __init__(self, flaw: MomentFlaw) -> None:
        super().__init__(flaw)
        self.flaw = flaw


class NotAccepting(Refusal):
    """The process is stopping; waiting jobs are kept."""


class StorageFull(Refusal):
    """The disk is below its floor of free space."""


class FileNotDeleted(Refusal):
    """The file of the picture cannot be deleted at this moment; nothing changed."""

    def __init__(self, job_id: int) -> None:
        super().__init__(f"job {job_id}")
        self.job_id = job_id


class AlreadyUnpacking(Refusal):
    """A picture to start from, of this person or of too many, is still being read."""


class UploadGone(Refusal):
    """The picture to start from was uploaded too long ago, or is kept no more."""


class BeingErased(Refusal):
    """All that is stored about this person is being erased at this moment: nothing new is written until then."""


class AlreadyExporting(Refusal):
    """Another export of this person is being made."""


class DownloadFailed(Refusal):
    """A picture to start from could not be fetched from where it was posted, at least now."""


class DownloadTooSlow(Refusal):
    """Fetching a picture to start from took longer than anybody waits for."""

    def __init__(self, *, limit_s: int) -> None:
        super().__init__(f"longer than {limit_s} s")
        self.limit_s = limit_s


class JobNotFound(Refusal):
    """No such job, or it was pruned."""

    def __init__(self, job_id: int) -> None:
        super().__init__(f"job {job_id}")
        self.job_id = job_id

    def here(self) -> Self:
        """Return the same for somebody who looks for the image of anybody: their own history would not help."""
        self.detail = "here"
        return self


class NotYourJob(Refusal):
    """Only its owner or a moderator may do this."""

    def __init__(self, job_id: int) -> None:
        super().__init__(f"job {job_id}")
        self.job_id = job_id


class NotOfThisServer(Refusal):
    """The job was asked for elsewhere, on another server or the page: only its owner may use it here."""

    def __init__(self, job_id: int) -> None:
        super().__init__(f"job {job_id}")
        self.job_id = job_id


class JobAlreadyFinished(Refusal):
    """Whoever wanted to stop the job came too late."""

    def __init__(self, job_id: int) -> None:
        super().__init__(f"job {job_id}")
        self.job_id = job_id


class JobUnreadable(Refusal):
    """The stored settings of the job are damaged, or of a later release: they make no new one."""

    def __init__(self, job_id: int) -> None:
        super().__init__(f"job {job_id}")
        self.job_id = job_id


class PictureNotReady(Refusal):
    """The job has no picture: it waits, runs, failed or was cancelled."""

    def __init__(self, job_id: int) -> None:
        super().__init__(f"job {job_id}")
        self.job_id = job_id


class PictureErased(Refusal):
    """Its owner or a moderator deleted the picture and its prompt."""

    def __init__(self, job_id: int) -> None:
        super().__init__(f"job {job_id}")
        self.job_id = job_id


class PictureRemoved(Refusal):
    """A moderator removed the picture and its prompt. `reason` is what that person wrote, "" if nothing."""

    def __init__(self, job_id: int, reason: str) -> None:
        super().__init__(f"job {job_id}")
        self.job_id, self.reason, self.has_reason = job_id, reason, _yes_no(bool(reason))


class Banned(Refusal):
    """This person may not draw, until a moderator lifts the ban."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason, self.has_reason = reason, _yes_no(bool(reason))


class BannedUntil(Refusal):
    """This person may not draw for some time."""

    def __init__(self, reason: str, *, until_at: int) -> None:
        super().__init__(f"until {until_at}")
        self.reason, self.has_reason, self.until_at = reason, _yes_no(bool(reason)), until_at


class BlockedWord(Refusal):
    """The prompt has a word of the moderators' list.

    `found` is what the person typed, `word` what it was read as; neither is part of `str()`, which may be logged.
    """

    def __init__(self, *, word: str, found: str) -> None:
        super().__init__()
        self.word, self.found, self.is_disguised = word, found, _yes_no(word.casefold() != found.casefold())


class RestrictedWord(BlockedWord):
    """The prompt has a word that is for age-restricted channels only."""


class InvalidWord(Refusal):
    """The list cannot have this word: it has no letters, or is a single one."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self.word = word


class TooManyWords(Refusal):
    """The list is full."""

    def __init__(self, *, limit: int) -> None:
        super().__init__(f"{limit} words")
        self.limit = limit


class AlreadyFinal(Refusal):
    """The picture of the job is no draft: drawn at the normal size, it would be no larger."""

    def __init__(self, job_id: int) -> None:
        super().__init__(f"job {job_id}")
        self.job_id = job_id


class CannotUpscale(Refusal):
    """The picture of the job was upscaled already (`again`), or its model cannot do that (`model`)."""

    def __init__(self, job_id: int, *, reason: str, model: str) -> None:
        super().__init__(f"job {job_id}: {reason}")
        self.job_id, self.reason, self.model = job_id, reason, model


class KeepsTooMany(Refusal):
    """This person keeps as many pictures as one person may."""

    def __init__(self, *, limit: int) -> None:
        super().__init__(f"{limit} kept")
        self.limit = limit


class SettingInvalid(Refusal):
    """A person's own setting cannot have this value; it is never part of `str()`, which may be logged."""

    def __init__(self, *, setting: str) -> None:
        super().__init__(setting)
        self.setting = setting


class PresetNameInvalid(Refusal):
    """The name of a preset is empty, too long, or has characters that a name cannot have."""

    def __init__(self, *, most: int) -> None:
        super().__init__(f"at most {most} characters")
        self.most = most


class NoSuchPreset(Refusal):
    """Neither this person nor the operator has a preset of that name."""


class PresetEmpty(Refusal):
    """The preset that somebody wants to keep says nothing."""


class TooManyPresets(Refusal):
    """This person keeps as many presets as one person may."""

    def __init__(self, *, limit: int) -> None:
        super().__init__(f"{limit} kept")
        self.limit = limit


class WordsOnly(Refusal):
    """Words that are to be added to prompts are too long, or hold flags, which are settings of their own."""

    def __init__(self, *, most: int) -> None:
        super().__init__(f"at most {most} characters")
        self.most = most


class StoreUnavailable(BotError):
    """The database is locked by another program, full, or its disk fails; later it may work again."""

    def __init__(self, reason: str, *, is_full: bool) -> None:
        super().__init__(reason)
        self.is_full = is_full


class RunnerLost(BotError):
    """What drew a job is out of reach, and comes back at most as another runner; the job need not be to blame."""


class OperatorError(BotError):
    """The operator has to change something; `str()` says what and how."""

    exit_code = ExitCode.USAGE


class ConfigError(OperatorError):
    """The config has problems; all of them at once. `way_out` is for those that no changed line mends."""

    def __init__(self, problems: Sequence[str], *, way_out: str = "") -> None:
        super().__init__("\n".join([*problems, *([f"→ {way_out}"] if way_out else [])]))
        self.problems, self.way_out = tuple(problems), way_out


class SchemaTooNew(OperatorError):
    """The database was written by a newer release."""

    def __init__(self, path: Path, *, found: int, known: int) -> None:
        super().__init__(
            f"{path} has schema version {found}, this release knows {known}: "
            "upgrade imagine-bot, or restore the backup that the upgrade left beside the file"
        )
        self.found, self.known = found, known


class DatabaseUnusable(OperatorError):
    """The database file is damaged or not a database, or its folder cannot be used."""

    def __init__(self, path: Path, reason: str, *, way_out: str = "restore a backup, or move the file away") -> None:
        super().__init__(f"the database {path} cannot be used: {reason}; {way_out}")
        self.path, self.reason, self.way_out = path, reason, way_out


class DatabaseLocked(DatabaseUnusable):
    """Another program holds the database; once it lets go, a start works."""

    exit_code = ExitCode.FAILED


class BackupFailed(OperatorError):
    """No backup could be made, and nothing was left behind."""

    exit_code = ExitCode.FAILED


class BackupUnusable(OperatorError):
    """A file cannot be restored, and nothing was changed."""

    def __init__(self, path: Path, reason: str, *, way_out: str = "") -> None:
        super().__init__(f"{path} cannot be restored: {reason}" + (f"; {way_out}" if way_out else ""))
        self.path, self.reason, self.way_out = path, reason, way_out


class AlreadyRunning(OperatorError):
    """Another copy works on the same database."""

    exit_code = ExitCode.ALREADY_RUNNING

    def __init__(self, path: Path, *, holder: str = "", way_out: str = "") -> None:
        """`holder` says which process it is, `way_out` how to stop it; both only if that is known."""
        which = f" ({holder})" if holder else ""
        how = f" with `{way_out}`" if way_out else ""
        super().__init__(
            f"another imagine-bot is already using {path}{which}: stop it first{how}, or give this one another data_dir"
        )
        self.path = path


class FrontendUnavailable(OperatorError):
    """A front end cannot start for a reason that trying again does not mend (a refused token, say)."""

    def __init__(self, frontend: str, reason: str) -> None:
        super().__init__(f"{frontend}: {reason}")
        self.frontend, self.reason = frontend, reason


class FrontendUnreachable(FrontendUnavailable):
    """There was no answer, or one that has nothing to do with us: another time it may work."""
