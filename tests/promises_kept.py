"""How many of the finish times that messages named were true: `python -m tests.promises_kept [COURSES]`.

Each course is 200 images of ten people on a bot that is started twice, on simulated time, as in
`tests/bot/test_promises.py`, which holds the first one to its bound. Prints the share of each, and of all.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.bot.simulation import World
from tests.bot.test_promises import PICTURES, is_kept, promises

COURSES: Final = 10


def main(courses: int) -> None:
    """Let the courses happen, and print what became of their promises."""
    everywhere: list[bool] = []
    for seed in range(1, courses + 1):
        with tempfile.TemporaryDirectory() as folder:
            messages = World(folder=Path(folder), seed=seed, pictures=PICTURES).run()
        kept = [is_kept(said, ready_at) for said, ready_at in promises(messages)]
        everywhere += kept
        print(f"course {seed}: {len(kept)} promises, {sum(kept) / len(kept):.1%} kept")  # noqa: T201 - its purpose
    print(f"all: {len(everywhere)} promises, {sum(everywhere) / len(everywhere):.1%} kept")  # noqa: T201 - its purpose


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else COURSES)
