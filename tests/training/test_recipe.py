"""The recipe's stages fit together: each finds what it needs, and takes its share of the time."""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from training import recipe
from training.__main__ import _parser, main


class Stages:
    """Stands in for the processes: looks whether the commands can be given as they are, and writes folders."""

    def __init__(self, fails_at: str | None = None) -> None:
        self.given: list[argparse.Namespace] = []
        self.fails_at = fails_at

    def __call__(self, arguments: Sequence[str]) -> None:
        args = _parser().parse_args(list(arguments))
        if args.command == self.fails_at:
            raise subprocess.CalledProcessError(1, list(arguments))
        self.given.append(args)
        inputs = [vars(args).get(name) for name in ("weights", "first", "rest", "towards")]
        assert all(folder.is_dir() for folder in inputs if folder)
        for folder in ("base", "distill") if args.command == "train" else (".",):
            (args.out / folder).mkdir(parents=True)


def follow(out: Path, stages: Stages, minutes: float = recipe.MINUTES) -> Path:
    return recipe.follow(out, minutes=minutes, sprites=out / "sprites.npz", device="cpu", run=stages)


def minutes_of(args: argparse.Namespace) -> float:
    return sum(value for name, value in vars(args).items() if name.endswith("minutes"))


def test_every_stage_finds_what_it_goes_on_from(tmp_path: Path) -> None:
    stages = Stages()
    assert follow(tmp_path, stages) == tmp_path / "ship"
    assert [args.command for args in stages.given] == ["vae", "train", "train", "relay", "blend"]
    assert [args.variety for args in stages.given if args.command == "train"] == [0, 1]


@pytest.mark.parametrize("minutes", [recipe.MINUTES, 5.0])
def test_stages_take_the_time_that_there_is(minutes: float, tmp_path: Path) -> None:
    stages = Stages()
    follow(tmp_path, stages, minutes)
    assert sum(map(minutes_of, stages.given)) == pytest.approx(minutes, abs=0.01)


def test_whole_recipe_is_planned_for_less_than_an_hour() -> None:
    assert recipe.MINUTES + recipe.STARTING_MINUTES < 60


def test_finished_stages_are_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        follow(tmp_path, Stages(fails_at="relay"))
    again = Stages()
    follow(tmp_path, again)
    assert [args.command for args in again.given] == ["relay", "blend"]


def test_sprites_that_are_missing_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="training sprites makes it"):
        main(["recipe", "--sprites", str(tmp_path / "none.npz"), "--out", str(tmp_path)])


def test_stage_that_fails_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(arguments: Sequence[str], check: bool) -> None:
        assert check and arguments[1:4] == ["-m", "training", "vae"]
        raise subprocess.CalledProcessError(1, arguments)

    monkeypatch.setattr(subprocess, "run", fails)
    (tmp_path / "sprites.npz").touch()
    with pytest.raises(SystemExit, match="same command again"):
        main(["recipe", "--sprites", str(tmp_path / "sprites.npz"), "--out", str(tmp_path)])
