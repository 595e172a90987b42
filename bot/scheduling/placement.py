"""Who takes which job: a fair order among people, and runners that stay with the model they hold. Pure.

*Fair order*: the person who used the fewest GPU seconds comes first, and of one person the oldest job.

*Affinity*: reading another model into memory takes longer than many a picture. So a runner whose turn would need that
takes the next job of the model it holds instead, if no job that this passes over is delayed too much.

*Bound*: in all its life no job is delayed by more than `MAX_DELAY_S` seconds of drawing that went ahead of it out of
turn. On one runner, everybody's picture begins at most so much later than in fair order; what is saved is the reading
of models. A picture that takes longer than the bound goes ahead of nobody. The delays are kept by one process: after a
restart they begin at zero.

*Work*: no runner rests while a job waits that it can draw. A job is taken only by a runner that can draw its model;
those that wait for such a runner hold up nobody.

No clock, no SQL: the claim of what is chosen here is in `store/job_store.py`, what it foretells in `eta.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bot.jobs import UserKey

MAX_DELAY_S: Final = 120.0
LOOK_AHEAD: Final = 50  # places in which a job of the same model is looked for, however long the queue is


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A waiting job, as far as it matters who draws it when."""

    id: int
    user: UserKey
    model: str | None  # None: any runner will do, since it is not going to be drawn
    seconds: float  # how long it is expected to take
    delayed_s: float = 0.0  # seconds of drawing that went ahead of it out of turn
    ahead_s: float = 0.0  # seconds that younger jobs of the same person took ahead of it, for whatever reason


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerState:
    """A runner at this moment."""

    number: int
    model: str | None = None  # in its memory
    models: frozenset[str] | None = None  # that it can draw; None: whatever it is asked for
    pace: float = 1.0  # seconds it takes for an expected second
    ready_in_s: float = 0.0  # it draws nothing before
    is_loading: bool = False  # it reads `model` ahead of its first job until then
    is_rough: bool = False  # `ready_in_s` is a guess
    has_loaded: bool = False  # some model in this process, so that the next load is none with imports

    def can_draw(self, model: str | None) -> bool:
        """Whether a job of this model may be given to it."""
        return model is None or self.models is None or model in self.models

    @property
    def is_first_load(self) -> bool:
        """Whether the next model that it reads is the first of the process."""
        return self.model is None and not self.has_loaded

    def holds(self, model: str | None) -> bool:
        """Whether it need not read another model first."""
        return model is None or model == self.model


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A job for a runner. `index` and `passed` are places in the order that it was chosen from."""

    runner: RunnerState
    index: int
    passed: tuple[int, ...] = ()  # the jobs that it goes ahead of, out of turn


def fair_order(waiting: Iterable[Ticket], gpu_s: Mapping[UserKey, float]) -> list[Ticket]:
    """Sort waiting jobs as they would be drawn one after the other, if model and runner did not matter.

    Args:
        waiting: oldest first.
        gpu_s: GPU seconds per person that count against them; none means 0.
    """
    used_s: defaultdict[UserKey, float] = defaultdict(float, gpu_s)
    keys: list[tuple[float, int, Ticket]] = []
    for ticket in waiting:
        # Only older jobs of the same person count against a job: younger ones keep their place behind it.
        keys.append((used_s[ticket.user] - ticket.ahead_s, ticket.id, ticket))
        used_s[ticket.user] += ticket.seconds
    return [ticket for _, _, ticket in sorted(keys, key=lambda key: key[:2])]


def place(order: Sequence[Ticket], idle: Sequence[RunnerState]) -> Placement | None:
    """Choose the next job to begin and the idle runner that takes it; None if none of them can draw any of these.

    The first job in the order that an idle runner can draw goes to one that holds its model. If there is none, a runner
    has to read it: preferably one whose memory is empty, then one that has nothing else to draw within the bound. If
    all of them have, the fastest goes on with what it holds.
    """
    index = next((at for at, job in enumerate(order) if any(runner.can_draw(job.model) for runner in idle)), None)
    if index is None:
        return None
    head = order[index]
    able = [runner for runner in idle if runner.can_draw(head.model)]
    if holders := [runner for runner in able if runner.holds(head.model)]:
        return Placement(runner=_fastest(holders), index=index)
    staying = {runner.number: stay for runner in able if (stay := _stay_with_model(order, runner)) is not None}
    if free := [runner for runner in able if runner.number not in staying]:
        empty = [runner for runner in free if runner.model is None]
        return Placement(runner=_fastest(empty or free), index=index)
    return staying[_fastest(able).number]


def take(order: list[Ticket], placement: Placement) -> Ticket:
    """Remove the job that was placed from the order, and note there whom it delayed. Returns the job."""
    taken = order[placement.index]
    for index in range(placement.index):
        order[index] = after(order[index], taken, placement, is_passed=index in placement.passed)
    del order[placement.index]
    return taken


def after(ticket: Ticket, begun: Ticket, placement: Placement, *, is_passed: bool) -> Ticket:
    """A job that waits on, after one behind it was begun."""
    seconds = begun.seconds * placement.runner.pace
    is_own = ticket.user == begun.user and ticket.id < begun.id
    if not is_passed and not is_own:
        return ticket
    return replace(
        ticket,
        delayed_s=ticket.delayed_s + seconds * is_passed,
        ahead_s=ticket.ahead_s + seconds * is_own,
    )


def _stay_with_model(order: Sequence[Ticket], runner: RunnerState) -> Placement | None:
    """The next job of the model that the runner holds, if nobody is delayed beyond the bound."""
    passed: list[int] = []
    longest_s = 0.0
    for index, ticket in enumerate(order[:LOOK_AHEAD]):
        if not runner.can_draw(ticket.model):
            continue
        if runner.holds(ticket.model):
            is_fair = longest_s + ticket.seconds * runner.pace <= MAX_DELAY_S
            return Placement(runner=runner, index=index, passed=tuple(passed)) if is_fair else None
        passed.append(index)
        longest_s = max(longest_s, ticket.delayed_s)
    return None


def _fastest(runners: Sequence[RunnerState]) -> RunnerState:
    return min(runners, key=lambda runner: (runner.pace, runner.number))
