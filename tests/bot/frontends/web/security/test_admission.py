"""Who is let in, after which wait, with clocks and sleeps that the test moves."""

from __future__ import annotations

import asyncio
import base64

import pytest
from pydantic import SecretStr

from bot.frontends.web.security.admission import (
    LINE_EVERY_S,
    MAX_ADDRESSES,
    MAX_WAIT_S,
    MAX_WAITING_HERE,
    WAIT_S,
    Admission,
    Verdict,
)
from tests.conftest import FrozenClock

HERE, ELSEWHERE = "192.0.2.7", "198.51.100.7"


def brings(password: str, user: str = "ann") -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


class Sleeper:
    """Sleeps that end when the test says so; every one is written down."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.may_wake = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)
        await self.may_wake.wait()


@pytest.fixture
def sleeper() -> Sleeper:
    return Sleeper()


@pytest.fixture
def admission(sleeper: Sleeper, clock: FrozenClock) -> Admission:
    return Admission(SecretStr("ge heim: 密码"), sleep=sleeper, clock=clock)


RIGHT, WRONG = brings("ge heim: 密码"), brings("geheim")


async def test_password_is_compared_after_the_wait_whether_right_or_wrong(
    admission: Admission, sleeper: Sleeper
) -> None:
    for authorization, verdict in ((RIGHT, Verdict.ADMITTED), (WRONG, Verdict.REFUSED)):
        sleeper.may_wake.clear()
        sleeper.waits.clear()
        judging = asyncio.create_task(admission.judge(authorization, token="", address=HERE))
        await asyncio.sleep(0)
        assert sleeper.waits == [WAIT_S] and not judging.done()
        sleeper.may_wake.set()
        assert await judging is verdict
        assert await admission.judge(WRONG, token="", address=HERE) is Verdict.REFUSED  # forgotten again


async def test_nothing_brought_is_refused_at_once(admission: Admission, sleeper: Sleeper) -> None:
    assert await admission.judge(None, token="", address=HERE) is Verdict.REFUSED
    assert sleeper.waits == []


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic é",
        "Bearer x",
        RIGHT.replace("Basic", "Bearer"),
        "x" * 60_000,
        f"Basic {'A' * 60_000}",
        brings(""),
        brings("ge heim: 密码 "),
        f"Basic {base64.b64encode(b'no colon').decode()}",
    ],
)
async def test_anything_else_is_a_wrong_password(admission: Admission, sleeper: Sleeper, authorization: str) -> None:
    sleeper.may_wake.set()
    assert await admission.judge(authorization, token="", address=HERE) is Verdict.REFUSED


async def test_whoever_was_let_in_does_not_wait_again_until_a_wrong_one(admission: Admission, sleeper: Sleeper) -> None:
    sleeper.may_wake.set()
    admission.introduce("token of ann")
    assert await admission.judge(RIGHT, token="token of ann", address=HERE) is Verdict.ADMITTED
    assert sleeper.waits == []
    assert await admission.judge(RIGHT, token="token of ben", address=HERE) is Verdict.ADMITTED
    assert len(sleeper.waits) == 1
    assert await admission.judge(RIGHT, token="token of ben", address=ELSEWHERE) is Verdict.ADMITTED
    assert len(sleeper.waits) == 1
    assert await admission.judge(WRONG, token="token of ben", address=HERE) is Verdict.REFUSED
    assert await admission.judge(RIGHT, token="token of ben", address=HERE) is Verdict.ADMITTED
    assert len(sleeper.waits) == 3


async def test_many_guesses_at_once_are_no_faster_at_the_address_of_somebody_who_was_let_in(
    admission: Admission, sleeper: Sleeper
) -> None:
    sleeper.may_wake.set()
    await admission.judge(RIGHT, token="", address=HERE)
    sleeper.may_wake.clear()
    sleeper.waits.clear()
    guesses = [asyncio.create_task(admission.judge(brings(f"{each}"), token="", address=HERE)) for each in range(20)]
    guesses.append(asyncio.create_task(admission.judge(RIGHT, token="", address=HERE)))
    await asyncio.sleep(0)
    assert len(sleeper.waits) == 21 and not any(each.done() for each in guesses)
    sleeper.may_wake.set()
    await asyncio.gather(*guesses)


async def test_guesser_makes_strangers_wait_a_little_and_locks_nobody_out(
    admission: Admission, sleeper: Sleeper
) -> None:
    admission.introduce("token of ann")
    guesser = [asyncio.create_task(admission.judge(WRONG, token="", address=HERE)) for _ in range(100)]
    await asyncio.sleep(0)
    honest = [
        asyncio.create_task(admission.judge(WRONG, token="", address=ELSEWHERE)),
        asyncio.create_task(admission.judge(WRONG, token="", address=HERE)),
    ]
    await asyncio.sleep(0)
    assert len(sleeper.waits) == 102
    assert WAIT_S < sleeper.waits[-2] < 1.5 and max(sleeper.waits) <= MAX_WAIT_S < 3
    assert await admission.judge(RIGHT, token="token of ann", address=HERE) is Verdict.ADMITTED
    sleeper.may_wake.set()
    assert set(await asyncio.gather(*guesser, *honest)) == {Verdict.REFUSED}


async def test_oldest_at_an_address_with_too_many_waiting_are_sent_away_at_once_and_nobody_else(
    admission: Admission, sleeper: Sleeper
) -> None:
    def guess(authorization: str, address: str = HERE) -> asyncio.Task[Verdict]:
        return asyncio.create_task(admission.judge(authorization, token="", address=address))

    other = guess(RIGHT, ELSEWHERE)
    oldest = [guess(RIGHT), guess(WRONG)]
    others = [guess(WRONG) for _ in range(MAX_WAITING_HERE - 2)]
    await asyncio.sleep(0)
    honest = [guess(RIGHT), guess(RIGHT)]
    assert await asyncio.gather(*oldest) == [Verdict.TOO_MANY] * 2  # whatever they brought: it was not compared
    assert not any(each.done() for each in (other, *others, *honest))
    assert max(sleeper.waits) <= MAX_WAIT_S
    sleeper.may_wake.set()
    assert await asyncio.gather(other, *honest) == [Verdict.ADMITTED] * 3
    assert set(await asyncio.gather(*others)) == {Verdict.REFUSED}
    assert admission._waiting == {}


async def test_flood_of_guesses_has_no_more_compared_than_there_is_room_for(
    admission: Admission, sleeper: Sleeper
) -> None:
    flood = [asyncio.create_task(admission.judge(WRONG, token="", address=HERE)) for _ in range(1100)]
    await asyncio.sleep(0)
    honest = asyncio.create_task(admission.judge(RIGHT, token="", address=HERE))
    await asyncio.sleep(0)
    sleeper.may_wake.set()
    assert await honest is Verdict.ADMITTED
    verdicts = await asyncio.gather(*flood)
    assert verdicts.count(Verdict.REFUSED) == MAX_WAITING_HERE - 1
    assert verdicts.count(Verdict.TOO_MANY) == 1100 - MAX_WAITING_HERE + 1


async def test_request_that_is_given_up_makes_room(admission: Admission, sleeper: Sleeper) -> None:
    guesses = [asyncio.create_task(admission.judge(WRONG, token="", address=HERE)) for _ in range(MAX_WAITING_HERE)]
    await asyncio.sleep(0)
    for each in guesses:
        each.cancel()
    await asyncio.gather(*guesses, return_exceptions=True)
    sleeper.may_wake.set()
    assert await admission.judge(RIGHT, token="", address=HERE) is Verdict.ADMITTED


async def test_wrong_passwords_leave_one_line_per_address_and_minute_with_their_number(
    admission: Admission, sleeper: Sleeper, clock: FrozenClock, caplog: pytest.LogCaptureFixture
) -> None:
    sleeper.may_wake.set()
    for address in (HERE, ELSEWHERE, HERE, HERE):
        await admission.judge(brings("a secret guess"), token="", address=address)
    assert caplog.messages == [f"a wrong password from {HERE}", f"a wrong password from {ELSEWHERE}"]
    clock.advance(LINE_EVERY_S)
    await admission.judge(WRONG, token="", address=HERE)
    assert caplog.messages[2:] == [f"2 more wrong passwords from {HERE}", f"a wrong password from {HERE}"]
    await admission.judge(WRONG, token="", address=HERE)
    admission.tell_wrong()
    assert caplog.messages[4:] == [f"1 more wrong passwords from {HERE}"]
    assert "guess" not in caplog.text.replace("a wrong password", "")


async def test_many_addresses_do_not_fill_log_or_memory(
    admission: Admission, sleeper: Sleeper, caplog: pytest.LogCaptureFixture
) -> None:
    sleeper.may_wake.set()
    for number in range(MAX_ADDRESSES + 50):
        await admission.judge(WRONG, token="", address=f"10.0.{number // 256}.{number % 256}")
    assert len(caplog.messages) == MAX_ADDRESSES + 1 == len(admission._wrong)
