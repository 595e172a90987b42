"""The library comes without what drawing never uses, and leaves torch as it was."""

from __future__ import annotations

import subprocess
import sys


def test_training_half_and_compiler_stay_out() -> None:
    program = """
import sys, torch
compile_ = torch.compile
import pipeline.families.flux.engine
assert torch.compile is compile_
unwanted = ("pandas", "imageio", "torch._inductor.compile_fx")
print([name for name in unwanted if name in sys.modules])
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=55)
    assert result.stdout.strip() == "[]"
