"""What drawing changes in the whole process is changed when it is asked for, and what was set before stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.runtime import process_setup

ROOT = Path(__file__).parents[3]


def test_environment_is_set_unless_somebody_has_set_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "x")
    monkeypatch.delenv("CUDA_DEVICE_ORDER")
    process_setup.set_environment()
    assert os.environ["GOMP_SPINCOUNT"] == "7"
    assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_openmp_is_told_before_torch_is_imported() -> None:
    program = """
import json, os, sys
from importlib.abc import MetaPathFinder

class Look(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            seen.append({each: os.environ.get(each) for each in ("GOMP_SPINCOUNT", "CUDA_DEVICE_ORDER")})

seen = []
from pipeline.runtime.process_setup import FLUX, prepare_process
is_there = "torch" in sys.modules
sys.meta_path.insert(0, Look())
prepare_process(FLUX)
print(json.dumps([is_there, seen[0]]))
"""
    names = ("GOMP_SPINCOUNT", "CUDA_DEVICE_ORDER")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [False, {"GOMP_SPINCOUNT": "3000", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}]


@pytest.mark.parametrize(("cores", "asked", "used"), [(1, 0, 1), (2, 0, 2), (8, 0, 7), (8, 3, 3)])
def test_drawing_leaves_a_core_to_the_event_loop(
    cores: int, asked: int, used: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_to: list[int] = []
    monkeypatch.setattr(process_setup, "_torch_threads", lambda: cores)
    monkeypatch.setattr(torch, "set_num_threads", set_to.append)
    process_setup.use_threads(asked)
    assert set_to == [used]


def test_library_prints_nothing_and_everybody_else_may(capsys: pytest.CaptureFixture[str]) -> None:
    from diffsynth.models import model_loader

    process_setup.silence_diffsynth()
    pool: Any = model_loader.ModelPool()
    assert pool.fetch_model("none") is None
    print("here")  # noqa: T201
    assert capsys.readouterr().out == "here\n"
