"""The whole recipe in one go: from nothing to weights that can be shipped, planned for an hour of one GPU.

    vae     the autoencoder
    clean   scenes that hardly vary, coarse first: names, and a clean finish
    varied  goes on from clean's base with scenes that vary: where each seed leads
    relay   one model that sets out as varied does and finishes as clean does
    ship    back towards clean, which mends short schedules

Each stage is a process of its own, a command that can also be given alone. One that was finished is not repeated.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

DONE: Final = "done"  # a file in the folder of a stage that was finished
STARTING_MINUTES: Final = 5  # imports, compiling and the first scenes of all stages together, on an H100

logger = logging.getLogger("training")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One command: its options, folders of other stages, and minutes by the option that takes them."""

    folder: str
    command: str
    options: Sequence[str] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    minutes: Mapping[str, float] = field(default_factory=dict)
    needs_sprites: bool = True


STAGES: Final = (
    Stage(folder="vae", command="vae", minutes={"--minutes": 2}),
    Stage(
        folder="clean",
        command="train",
        options=("--variety", "0", "--guidance-weight", "2.2", "--guided-below", "1"),
        inputs={"--weights": "vae"},
        minutes={"--coarse-minutes": 6.5, "--base-minutes": 15, "--distill-minutes": 3.5},
    ),
    Stage(
        folder="varied",
        command="train",
        options=("--seed", "1"),
        inputs={"--weights": "clean/base"},
        minutes={"--base-minutes": 7, "--distill-minutes": 3},
    ),
    Stage(
        folder="relay",
        command="relay",
        options=("--batch", "256", "--seed", "2"),
        inputs={"--first": "varied/distill", "--rest": "clean/distill", "--weights": "clean/distill"},
        minutes={"--minutes": 8},
        needs_sprites=False,
    ),
    Stage(
        folder="ship",
        command="blend",
        options=("--share", "0.6"),
        inputs={"--weights": "clean/distill", "--towards": "relay"},
        needs_sprites=False,
    ),
)
MINUTES: Final = sum(sum(stage.minutes.values()) for stage in STAGES)


def _run(arguments: Sequence[str]) -> None:
    subprocess.run([sys.executable, "-m", "training", *arguments], check=True)


def follow(
    out: Path, *, minutes: float, sprites: Path, device: str, run: Callable[[Sequence[str]], None] = _run
) -> Path:
    """Run every stage that is not finished, scaled to `minutes` of training in all; returns the last one's folder.

    Args:
        run: takes the arguments of `python -m training`.

    Raises:
        subprocess.CalledProcessError: a stage failed; those before it need not be repeated.
    """
    for stage in STAGES:
        folder = out / stage.folder
        if (folder / DONE).exists():
            logger.info("%s is finished already", folder)
            continue
        arguments = [stage.command, "--out", str(folder), *stage.options]
        for option, source in stage.inputs.items():
            arguments += [option, str(out / source)]
        for option, share in stage.minutes.items():
            arguments += [option, f"{share * minutes / MINUTES:.3f}"]
        if stage.needs_sprites:
            arguments += ["--sprites", str(sprites)]
        if stage.minutes:
            arguments += ["--device", device]
        logger.info("%s: python -m training %s", stage.folder, " ".join(arguments))
        run(arguments)
        (folder / DONE).touch()
    return folder
