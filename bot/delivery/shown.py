"""What messages show and what they may show next. Pure: no clock, no front end.

*Places*: at no moment do two messages claim the same place. A message that is to say a place that another one still
shows says only the time, until the other was edited. A message also claims what an edit under way, or one that failed,
may have made of it, and one whose jobs have ended claims its place until the result is there.

*Edits*: one is worth making if its reader learns something: other words, or a time that is really another one.

A message is found by the key of its `reply_to`, or by one of its jobs if it has got another key since.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Final

from bot.jobs import Job, PassedBy, QueueStatus
from bot.presentation.job_view import JobView, unfinished_view
from bot.presentation.phrases import Moment, Phrase

ETA_TOLERANCE_S: Final = 5  # Discord counts down by itself; only a change of plan is worth an edit
ETA_TOLERANCE_SHARE: Final = 0.2  # of the time that is left

Key = tuple[str, str]  # front end, key of the message


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What one message has to say at this moment, were it alone.

    job: the first unfinished one of its jobs, with whose place and progress it speaks.
    """

    key: Key
    job: Job
    standing: QueueStatus
    job_ids: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a message shows, as far as its front end accepted it."""

    message: Message  # as it was then, with the true place
    standing: QueueStatus | None  # that is shown; None: nothing was accepted
    view: JobView | None
    places: frozenset[int]  # that its reader may see
    at: float  # on the monotonic clock, like `not_before`
    not_before: float = 0.0
    ended_at: float | None = None  # its jobs do not wait or run any more

    @property
    def position(self) -> int | None:
        """The place that it shows."""
        return None if self.standing is None else self.standing.position


def messages_of(standings: Iterable[tuple[Job, QueueStatus]]) -> list[Message]:
    """Gather unfinished jobs by message, in the order of the first of each."""
    gathered: dict[Key, list[tuple[Job, QueueStatus]]] = {}
    for job, standing in standings:
        gathered.setdefault(key_of(job), []).append((job, standing))
    messages = []
    for key, members in gathered.items():
        job, standing = members[0]
        for _, other in members[1:]:
            standing = joined(standing, other)
        messages.append(
            Message(key=key, job=job, standing=standing, job_ids=frozenset(member.id for member, _ in members))
        )
    return messages


def joined(standing: QueueStatus, other: QueueStatus) -> QueueStatus:
    """What a message of several jobs says: the place of the first, the finish time of the last."""
    is_known = standing.finish_at is not None and other.finish_at is not None
    return replace(
        standing,
        finish_at=max(standing.finish_at or 0, other.finish_at or 0) if is_known else None,
        is_rough=standing.is_rough or other.is_rough,
        others=standing.others + 1,
    )


def key_of(job: Job) -> Key:
    """The message of a job."""
    return job.reply_to.frontend, job.reply_to.key


class ShownMessages:
    """All messages of unfinished jobs."""

    def __init__(self) -> None:
        self._shown: dict[Key, Shown] = {}
        self._editing: tuple[Key, int] | None = None  # a message, and the place that it is about to show
        self._earlier: set[Key] = set()  # messages that an earlier process wrote last: they may show any place

    def find(self, key: Key, job_ids: Collection[int]) -> Shown | None:
        """What this message shows; None if nothing is known of it."""
        if (shown := self._shown.get(key)) is not None:
            return shown
        return next((each for each in self._shown.values() if not each.message.job_ids.isdisjoint(job_ids)), None)

    def put(self, shown: Shown) -> None:
        """Note what a message shows."""
        self.drop(shown.message.key, shown.message.job_ids)
        self._earlier.discard(shown.message.key)
        self._shown[shown.message.key] = shown

    def drop(self, key: Key, job_ids: Collection[int]) -> None:
        """Forget a message."""
        if (shown := self.find(key, job_ids)) is not None:
            del self._shown[shown.message.key]

    def expect_earlier(self, messages: Iterable[Message]) -> None:
        """Note the messages that an earlier process left behind."""
        self._earlier = {message.key for message in messages}

    def settle(self, messages: Collection[Message], *, now: float, may_forget: bool, grace_s: float) -> None:
        """Notice which messages have got another key, and which have no unfinished job any more.

        Those are forgotten after `grace_s`, if `may_forget`.
        """
        self._earlier &= {message.key for message in messages}
        left = dict(self._shown)
        for message in messages:
            if (shown := self.find(message.key, message.job_ids)) is None:
                continue
            left.pop(shown.message.key, None)
            if shown.message.key != message.key:
                del self._shown[shown.message.key]
                self._shown[message.key] = replace(shown, message=replace(shown.message, key=message.key))
        for key, shown in left.items():
            if shown.ended_at is None:
                self._shown[key] = replace(shown, ended_at=now)
            elif may_forget and now - shown.ended_at >= grace_s:
                del self._shown[key]

    def begin_edit(self, key: Key, place: int | None) -> None:
        """Claim the place that a message is about to show; one edit at a time."""
        self._editing = None if place is None else (key, place)

    def end_edit(self) -> None:
        """Claim what messages show, and no more."""
        self._editing = None

    def is_claimed(self, place: int | None, *, by_other_than: Shown | None, key: Key) -> bool:
        """Whether another message may show this place at this moment."""
        if place is None:
            return False
        if self._editing is not None and self._editing[1] == place and self._editing[0] != key:
            return True
        if self._earlier - {key}:
            return True
        return any(place in shown.places for shown in self._shown.values() if shown is not by_other_than)

    def next_standing(self, message: Message, *, now: float, is_late: bool) -> QueueStatus | None:
        """What a message is to show now; None if no edit is worth making.

        A place that another message shows is left out. Then an edit is worth making only for something else, or if it
        `is_late`: soon the place will be free, and one edit says it all.

        Args:
            now: Unix seconds.
        """
        shown = self.find(message.key, message.job_ids)
        standing = replace(message.standing, passed_by=passed_by(shown, message))
        is_claimed = self.is_claimed(standing.position, by_other_than=shown, key=message.key)
        allowed = replace(standing, position=None) if is_claimed else standing
        if shown is None or shown.standing is None or shown.view is None:
            return allowed
        compared = replace(standing, position=shown.position) if is_claimed and not is_late else allowed
        return allowed if is_news(shown.view, unfinished_view(message.job, compared, now=now), now=now) else None


def passed_by(shown: Shown | None, message: Message) -> PassedBy | None:
    """Why a job has a worse place than when its message was last edited; None if it has not."""
    if shown is None or shown.message.job.id != message.job.id:
        return None
    before, after = shown.message.standing, message.standing
    if before.position is None or after.position is None or after.position < before.position:
        return None
    if after.position == before.position:
        return None if shown.standing is None else shown.standing.passed_by
    return PassedBy.PEOPLE if (after.fair_position or 0) > (before.fair_position or 0) else PassedBy.MODEL


def is_news(before: JobView, after: JobView, *, now: float) -> bool:
    """Whether the reader of a view learns something from the other one; `now` in Unix seconds."""
    return _words(before) != _words(after) or _is_time_news(before.eta, after.eta, now=now)


def _words(view: JobView) -> tuple[object, ...]:
    return view.headline, view.notes, view.settings, view.actions


def _is_time_news(before: Phrase | None, after: Phrase | None, *, now: float) -> bool:
    before_at, after_at = _moment(before), _moment(after)
    if before_at is None or after_at is None:
        return before != after
    if before_at <= now:  # the time that it names has run out, the job has not
        return True
    return abs(before_at - after_at) > max(ETA_TOLERANCE_S, ETA_TOLERANCE_SHARE * (after_at - now))


def _moment(eta: Phrase | None) -> int | None:
    if eta is None or not isinstance(when := eta.values.get("when"), Moment):
        return None
    return when.at
