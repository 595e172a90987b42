"""Fairness has a bound that is a number, capabilities are kept to, and models stay where they are within that."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from bot.jobs import UserKey
from bot.scheduling import placement
from bot.scheduling.eta import foretell
from bot.scheduling.placement import MAX_DELAY_S, RunnerState, Ticket, fair_order, place, take

MODELS = ("small", "large", "other")
LOAD_S = 20.0


def ticket(number: int, user: str = "ann", model: str = "small", seconds: float = 10.0, **delays: float) -> Ticket:
    return Ticket(id=number, user=UserKey(frontend="t", id=user), model=model, seconds=seconds, **delays)


people = st.sampled_from("abcd")
lengths = st.integers(1, 200).map(float)
asked = st.lists(st.tuples(people, st.sampled_from(MODELS), lengths), max_size=14).map(
    lambda jobs: [ticket(number, *job) for number, job in enumerate(jobs, start=1)]
)
used = st.dictionaries(people.map(lambda name: UserKey(frontend="t", id=name)), lengths)
models = st.sampled_from(MODELS)
a_runner = st.tuples(st.none() | models, st.none() | st.frozensets(models), st.sampled_from([0.5, 1, 3]))
runners = st.lists(a_runner, min_size=1, max_size=3).map(
    lambda fields: [
        RunnerState(number=number, model=model, models=models, pace=float(pace))
        for number, (model, models, pace) in enumerate(fields)
    ]
)


@dataclass
class Drawing:
    """What runners drew, one after the other, each as long as was expected."""

    begun: list[tuple[float, RunnerState, Ticket]] = field(default_factory=list)
    delays: list[Ticket] = field(default_factory=list)  # as they were when the job was begun
    loads: int = 0

    def begins_s(self) -> dict[int, float]:
        return {job.id: at_s for at_s, _, job in self.begun}


def draw(
    waiting: list[Ticket], gpu_s: dict[UserKey, float], states: list[RunnerState], *, load_s: float = 0.0
) -> Drawing:
    """Let runners draw all that they can, asking for a job whenever one is free; who drew what counts for the next."""
    done, free_s = Drawing(), {state.number: 0.0 for state in states}
    by_number = {state.number: state for state in states}
    order = fair_order(waiting, gpu_s)
    while order and free_s:
        now = min(free_s.values())
        idle = [by_number[number] for number, at_s in free_s.items() if at_s <= now]
        if (choice := place(order, idle)) is None:
            for state in idle:
                del free_s[state.number]
            continue
        number = choice.runner.number
        is_read = not choice.runner.holds(order[choice.index].model)
        job = take(order, choice)
        done.loads += is_read
        done.delays.append(job)
        done.begun.append((now, choice.runner, job))
        by_number[number] = RunnerState(
            number=number, model=job.model, models=choice.runner.models, pace=choice.runner.pace
        )
        free_s[number] = now + job.seconds * choice.runner.pace + load_s * is_read
        # The order anew, from what the database would say: this job counts against its person now.
        gpu_s = {**gpu_s, job.user: gpu_s.get(job.user, 0.0) + job.seconds * choice.runner.pace}
        order = fair_order(sorted(order, key=lambda each: each.id), gpu_s)
    return done


@given(asked, used, runners)
def test_every_job_is_drawn_once_by_a_runner_that_can(waiting, gpu_s, states) -> None:
    done = draw(waiting, gpu_s, states)
    drawable = [job.id for job in waiting if any(state.can_draw(job.model) for state in states)]
    assert sorted(job.id for _, _, job in done.begun) == drawable
    assert all(runner.can_draw(job.model) for _, runner, job in done.begun)


@given(asked, used, runners)
def test_no_job_is_delayed_by_more_than_the_bound(waiting, gpu_s, states) -> None:
    done = draw(waiting, gpu_s, states)
    assert max((job.delayed_s for job in done.delays), default=0.0) <= MAX_DELAY_S


@given(asked, used, st.none() | st.sampled_from(MODELS))
def test_on_one_runner_nobody_waits_longer_than_in_fair_order_and_the_bound(waiting, gpu_s, held) -> None:
    fair_s, before_s = {}, 0.0
    for job in fair_order(waiting, gpu_s):
        fair_s[job.id] = before_s
        before_s += job.seconds
    for job_id, begins_s in draw(waiting, gpu_s, [RunnerState(number=0, model=held)]).begins_s().items():
        assert begins_s <= fair_s[job_id] + MAX_DELAY_S


@given(asked, used)
def test_with_one_model_one_runner_draws_in_fair_order(waiting, gpu_s) -> None:
    same = [ticket(job.id, job.user.id, "small", job.seconds) for job in waiting]
    done = draw(same, gpu_s, [RunnerState(number=0, model="small")])
    assert [job.id for _, _, job in done.begun] == [job.id for job in fair_order(same, gpu_s)]


@given(asked, used)
def test_fair_order_is_that_of_the_person_with_the_fewest_seconds_and_the_oldest_job(waiting, gpu_s) -> None:
    """Against the plainest way to say it: choose one, charge it, choose again."""
    left, spent, expected = list(waiting), dict(gpu_s), []
    while left:
        heads = [next(job for job in left if job.user == user) for user in {job.user for job in left}]
        job = min(heads, key=lambda job: (spent.get(job.user, 0.0), job.id))
        left.remove(job)
        spent[job.user] = spent.get(job.user, 0.0) + job.seconds
        expected.append(job.id)
    assert [job.id for job in fair_order(waiting, gpu_s)] == expected


@given(asked, used, runners)
def test_no_runner_rests_while_a_job_waits_that_it_can_draw(waiting, gpu_s, states) -> None:
    order = fair_order(waiting, gpu_s)
    for size in range(1, len(states) + 1):
        for idle in itertools.combinations(states, size):
            can = any(state.can_draw(job.model) for job in order for state in idle)
            assert (place(order, idle) is not None) == can


@given(asked, used, runners)
def test_forecast_is_what_happens_if_every_job_takes_as_long_as_expected(waiting, gpu_s, states) -> None:
    even = [RunnerState(number=state.number, model=state.model, models=state.models) for state in states]
    done = draw(waiting, gpu_s, even)
    foretold = [each for each in foretell(fair_order(waiting, gpu_s), even, {}) if each.begins_s is not None]
    assert {each.job_id: each.begins_s for each in foretold} == done.begins_s()
    assert [each.job_id for each in foretold] == [job.id for _, _, job in done.begun]


# ── two people with two models, 12 pictures, one runner ─────────────────────────────────────────────────


def two_people() -> list[Ticket]:
    """Each asks for six; the large model takes half as long again, so that fair order loads ten times."""
    return [
        ticket(number, *(("ann", "small", 40.0) if number % 2 else ("bob", "large", 60.0))) for number in range(1, 13)
    ]


def test_twelve_pictures_of_two_people_with_two_models_need_four_loads_at_most(monkeypatch) -> None:
    runner = [RunnerState(number=0)]
    after = draw(two_people(), {}, runner, load_s=LOAD_S)
    monkeypatch.setattr(placement, "MAX_DELAY_S", 0.0)  # fair order, whatever it costs
    before = draw(two_people(), {}, runner, load_s=LOAD_S)
    assert (before.loads, after.loads) == (10, 4)
    waited_s, fair_s = after.begins_s(), before.begins_s()
    assert max(waited_s[number] - fair_s[number] for number in waited_s) <= MAX_DELAY_S
    assert max(at_s for at_s, _, _ in after.begun) < max(at_s for at_s, _, _ in before.begun)


# ── who takes what ──────────────────────────────────────────────────────────────────────────────────────


def chosen(order: list[Ticket], *idle: RunnerState) -> tuple[int, int] | None:
    choice = place(order, idle)
    return None if choice is None else (choice.runner.number, order[choice.index].id)


def test_job_goes_to_the_fastest_runner_that_holds_its_model() -> None:
    slow, fast = RunnerState(number=0, model="small", pace=2.0), RunnerState(number=1, model="small")
    other = RunnerState(number=2, model="large", pace=0.1)
    assert chosen([ticket(1)], slow, fast, other) == (1, 1)


def test_model_is_read_by_a_runner_whose_memory_is_empty_before_one_whose_is_not() -> None:
    fast, empty = RunnerState(number=0, model="large", pace=0.1), RunnerState(number=1)
    assert chosen([ticket(1)], fast, empty) == (1, 1)


def test_model_is_read_by_a_runner_that_has_nothing_else_to_draw() -> None:
    order = [ticket(1, model="other"), ticket(2, model="small")]
    busy, free = RunnerState(number=0, model="small"), RunnerState(number=1, model="large", pace=9.0)
    assert chosen(order, busy, free) == (1, 1)
    assert chosen(order, busy) == (0, 2)


def test_job_that_was_delayed_long_enough_comes_first() -> None:
    runner = RunnerState(number=0, model="small")
    assert chosen([ticket(1, model="large", delayed_s=MAX_DELAY_S - 10), ticket(2)], runner) == (0, 2)
    assert chosen([ticket(1, model="large", delayed_s=MAX_DELAY_S - 9), ticket(2)], runner) == (0, 1)


def test_picture_that_takes_longer_than_the_bound_goes_ahead_of_nobody() -> None:
    order = [ticket(1, model="large", seconds=1.0), ticket(2, seconds=MAX_DELAY_S + 1)]
    assert chosen(order, RunnerState(number=0, model="small")) == (0, 1)


def test_job_that_no_runner_can_draw_holds_up_nobody() -> None:
    small = RunnerState(number=0, model="small", models=frozenset({"small"}))
    assert chosen([ticket(1, model="large"), ticket(2)], small) == (0, 2)
    assert chosen([ticket(1, model="large")], small) is None


def test_job_that_cannot_be_read_is_taken_by_any_runner() -> None:
    order = [Ticket(id=1, user=UserKey(frontend="t", id="ann"), model=None, seconds=1.0)]
    assert chosen(order, RunnerState(number=0, model="small", models=frozenset({"small"}))) == (0, 1)
