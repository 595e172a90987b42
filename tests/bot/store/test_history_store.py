"""A history is paged and searched, by its person alone."""

from __future__ import annotations

from bot.jobs import UserKey
from bot.store.history_query import Stretch, Wanted
from bot.store.job_store import JobStore
from pipeline import ImageSpec
from tests.bot.store.drawing import NOW, draw


async def test_history_pages_and_searches(jobs: JobStore, make_request, no_limits, spec: ImageSpec) -> None:
    import dataclasses

    for number, prompt in enumerate(["a red apple", "100 % cotton", "under_score", "熊猫"]):
        drawn = dataclasses.replace(spec, prompt=prompt, seed=number)
        await jobs.insert(make_request(), drawn, size_class=0, limits=no_limits, now=NOW)
        await draw(jobs)
    ann = UserKey(frontend="test", id="ann")

    async def prompts(*words: str, limit: int = 10, before_id: int | None = None) -> list[str]:
        stretch = Stretch(limit=limit, before_id=before_id)
        return [job.spec.prompt for job in await jobs.history(ann, stretch, Wanted(words=words))]

    assert await prompts() == ["熊猫", "under_score", "100 % cotton", "a red apple"]
    assert await prompts(limit=2) == ["熊猫", "under_score"]
    newest = (await jobs.history(ann, Stretch(limit=1)))[0]
    assert await prompts(before_id=newest.id, limit=1) == ["under_score"]
    assert await prompts("APPLE") == ["a red apple"]
    assert await prompts("%") == ["100 % cotton"]
    assert await prompts("_") == ["under_score"]
    assert await prompts("3") == ["熊猫"]  # a seed
    assert await prompts("'; DROP TABLE jobs; --") == []
    assert await jobs.history(UserKey(frontend="test", id="bob"), Stretch(limit=9)) == []
