"""There and back, as docs/upgrading.md says it: the real code of an earlier release, this one, and that one again.

The earlier code is taken from the history of the repository, so a checkout without history skips this.
"""

from __future__ import annotations

import io
import json
import os
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from bot.config import LimitsConfig
from bot.store.database import Database
from bot.store.job_store import JobStore
from pipeline import ImageSpec

ROOT: Final = Path(__file__).parents[3]
EARLIER: Final = "afefe8b"  # the last commit whose schema has version 2, in which `version_2.sql` was written
READ_ALL: Final = """
import asyncio, json, sys
from pathlib import Path
from bot.errors import OperatorError
from bot.store.database import Database
from bot.store.jobstore import JobStore

async def main():
    async with Database.open(Path(sys.argv[1])) as database:
        jobs = [await JobStore(database).get(number) for number in range(1, 40)]
        print(json.dumps([[job.id, job.status, job.spec.prompt] for job in jobs if job is not None]))

try:
    asyncio.run(main())
except OperatorError as error:
    print(error)
    sys.exit(error.exit_code)
"""


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of the earlier release, without the weights."""
    done = subprocess.run(
        ["git", "archive", EARLIER, "bot", "pipeline", ":(exclude)pipeline/demo", ":(exclude)**/tokenizers"],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"no history here: {done.stderr.decode().strip()}")
    folder = tmp_path_factory.mktemp("earlier")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "imagine-bot.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(Path(__file__).with_name("version_2.sql").read_text("utf-8"))
    return path


def read_all(packages: Path, path: Path) -> tuple[int, Any]:
    """What a release reads: its exit code, and the jobs or what it says instead."""
    done = subprocess.run(
        [sys.executable, "-c", READ_ALL, path],
        cwd=path.parent.parent, env={**os.environ, "PYTHONPATH": str(packages)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return done.returncode, done.stdout.strip() if done.returncode else json.loads(done.stdout)


async def test_earlier_release_reads_after_the_way_back_what_it_read_before_the_upgrade(
    earlier: Path, path: Path, make_request: Any, spec: ImageSpec, no_limits: LimitsConfig
) -> None:
    code, before = read_all(earlier, path)
    assert code == 0
    assert len(before) == 16

    async with Database.open(path) as upgraded:
        jobs = JobStore(upgraded)
        assert [(await jobs.get(number)).spec.prompt for number, *_ in before if number != 16] == [
            prompt for number, _, prompt in before if number != 16
        ]  # 16 is a row that the earlier release cannot read either
        await jobs.insert(make_request(), spec, size_class=0, limits=no_limits, now=1_800_000_200)
    code, said = read_all(earlier, path)
    assert (code, "newer" in said or "schema version" in said) == (2, True)

    (copy,) = path.parent.glob("imagine-bot.v2.*.db")
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)
    copy.rename(path)
    assert read_all(earlier, path) == (0, before)

    async with Database.open(path) as upgraded:  # and on again
        assert await JobStore(upgraded).get(1) is not None
