"""The count of inputs per target in the summary, and no time-out where somebody asks for more of them."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.fuzz import fuzzing

INPUTS = "fuzz inputs"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let targets take as long as they want, if somebody asked for it."""
    if fuzzing.inputs_per_target is not None:
        for item in items:
            if item.nodeid.startswith("tests/fuzz/"):
                item.add_marker(pytest.mark.timeout(0), append=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Note down how many inputs a target was given; the note travels with the report from process to process."""
    before = fuzzing.tried
    try:
        return (yield)
    finally:
        item.user_properties.append((INPUTS, fuzzing.tried - before))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what every target was given, and how many of them failed."""
    counts: dict[str, int] = {}
    failed = 0
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            given = dict(report.user_properties).get(INPUTS, 0)
            if given and report.when == "call":
                counts[report.nodeid] = given
                failed += outcome == "failed"
    if counts:
        terminalreporter.section("fuzzing")
        for name, given in counts.items():
            terminalreporter.line(f"{given:>9,} {name}")
        terminalreporter.line(f"{sum(counts.values()):>9,} inputs to {len(counts)} targets, {failed} of them failed")
