"""Fixtures of the stores' tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bot.config import LimitsConfig
from bot.jobs import Job, Request
from bot.store.job_store import JobStore
from pipeline import ImageSpec
from tests.bot.store.drawing import NOW


@pytest.fixture
def put(
    jobs: JobStore, spec: ImageSpec, make_request: Callable[..., Request], no_limits: LimitsConfig
) -> Callable[..., object]:
    async def put(user: str = "ann", *, now: int = NOW, limits: LimitsConfig = no_limits) -> Job | None:
        return await jobs.insert(make_request(user), spec, size_class=0, limits=limits, now=now)

    return put
