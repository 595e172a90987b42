"""How many inputs a target is given, and the count of those it was given. Knows no target.

A target is a test with `@fuzz(inputs, name=strategy, …)`: so many inputs, always the same, in every run of the suite;
with `--fuzz-inputs N` N others each time.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import StopTest, UnsatisfiedAssumption
from hypothesis.strategies import SearchStrategy

# What holds for a test of one function holds for none that asks a page or opens a database: they take their time, and
# what a fixture made may serve all inputs, since later ones meet what earlier ones left behind on purpose.
UNCHECKED: Final = (
    HealthCheck.too_slow,
    HealthCheck.data_too_large,
    HealthCheck.filter_too_much,
    HealthCheck.function_scoped_fixture,
)

inputs_per_target: int | None = None  # what `--fuzz-inputs` says
tried = 0  # inputs so far, of all targets

Test = Callable[..., Any]


def fuzz(inputs: int, /, **strategies: SearchStrategy[Any]) -> Callable[[Test], Test]:
    """Call the test with `inputs` values drawn from the strategies."""

    def decorate(test: Test) -> Test:
        if inputs_per_target is None:
            how = settings(max_examples=inputs, derandomize=True, phases=(Phase.explicit, Phase.generate, Phase.shrink))
        else:
            how = settings(max_examples=inputs_per_target, print_blob=True)
        return settings(how, deadline=None, suppress_health_check=UNCHECKED)(given(**strategies)(_counted(test)))

    return decorate


def _counted(test: Test) -> Test:
    @contextlib.contextmanager
    def counting() -> Iterator[None]:
        global tried
        try:
            yield
        except (StopTest, UnsatisfiedAssumption):  # an input that was not finished, or that the test left out
            tried -= 1
            raise
        finally:
            tried += 1

    @functools.wraps(test)
    def count(*arguments: Any, **values: Any) -> None:
        with counting():
            test(*arguments, **values)

    @functools.wraps(test)
    async def count_async(*arguments: Any, **values: Any) -> None:
        with counting():
            await test(*arguments, **values)

    return count_async if inspect.iscoroutinefunction(test) else count
