"""The Dockerfile as stages of steps, for tests and for `tests/container_build.py`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Final

from dockerfile_parse import DockerfileParser

ROOT: Final = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction: its name in capitals, and the rest of it in one line."""

    name: str
    value: str

    def words(self, known: Mapping[str, str]) -> list[str]:
        """The words, with variables replaced; of a JSON list its members."""
        if self.value.startswith("["):
            return [str(word) for word in json.loads(self.value)]
        return [Template(word).safe_substitute(known) for word in shlex.split(self.value)]

    def pairs(self, known: Mapping[str, str]) -> dict[str, str]:
        """The settings of ENV, ARG and LABEL; an ARG without a value has an empty one."""
        split = (word.partition("=") for word in self.words(known))
        return {name: value for name, _, value in split}


@dataclass(slots=True)
class Stage:
    """What one FROM begins."""

    base: str
    name: str
    steps: list[Step] = field(default_factory=list)

    def all(self, name: str) -> list[Step]:
        """The steps of one kind."""
        return [step for step in self.steps if step.name == name]


def read_stages(arguments: Mapping[str, str] | None = None) -> list[Stage]:
    """The stages of the Dockerfile, with `arguments` in place of the defaults of the ARG before the first FROM."""
    stages: list[Stage] = []
    known: dict[str, str] = {}
    for each in DockerfileParser(path=str(ROOT / "Dockerfile")).structure:
        step = Step(each["instruction"].upper(), each["value"])
        if step.name == "COMMENT":
            continue
        if step.name == "FROM":
            base, *rest = [Template(word).safe_substitute(known) for word in step.value.split()]
            stages.append(Stage(base, rest[1] if len(rest) == 2 else ""))
        elif stages:
            stages[-1].steps.append(step)
        else:
            known |= step.pairs({}) | dict(arguments or {})
    return stages
