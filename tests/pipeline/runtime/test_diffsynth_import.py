"""The part of DiffSynth that is imported draws what the whole library draws, and leaves the rest out."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipeline.runtime.diffsynth_import import STAND_INS

ROOT = Path(__file__).parents[3]
# Each takes from half a second to five to import.
LEFT_OUT = {
    "accelerate", "huggingface_hub", "modelscope", "pandas", "peft", "sympy", "torchvision", "transformers",
    "torch._dynamo", "torch._inductor",
}  # fmt: skip

DRAW = """
import hashlib, json, sys
from pathlib import Path

from pipeline.catalog.models import DEMO, create_engine
from pipeline.config import PipelineConfig
from pipeline.spec import ImageOptions

spec = DEMO.resolve(ImageOptions(prompt="a red apple", seed=1, steps=2), random_seed=0)
engine = create_engine("demo", PipelineConfig(device="cpu", models_dir=Path(sys.argv[1])))
image = engine.generate(spec, on_progress=lambda _: None, should_stop=lambda: False)
from diffsynth.diffusion import ModelLogger
print(json.dumps({
    "drawn": hashlib.sha256(image.pixels).hexdigest(), "modules": list(sys.modules), "logger": ModelLogger.__module__,
}))
"""


def run(program: str, *arguments: object) -> dict[str, Any]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


MORE = """
from pipeline.runtime import diffsynth_import
diffsynth_import.STAND_INS["diffsynth.diffusion"]["diffsynth.diffusion.logger"].clear()
"""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same picture by the part of the library and, where a stand-in is missing, by all of it."""
    folder = tmp_path_factory.mktemp("models")
    with ThreadPoolExecutor() as both:
        part, whole = both.map(run, (DRAW, MORE + DRAW), (folder, folder))
    return {"part": part, "whole": whole}


@pytest.mark.timeout(240)  # the whole library takes long on a busy machine
def test_demo_draws_the_same_without_what_is_left_out(drawn: dict[str, Any]) -> None:
    assert drawn["part"]["drawn"] == drawn["whole"]["drawn"]
    assert LEFT_OUT & set(drawn["part"]["modules"]) == set()
    assert {"transformers", "modelscope"} <= set(drawn["whole"]["modules"])


@pytest.mark.timeout(240)
def test_release_that_needs_more_is_imported_whole(drawn: dict[str, Any]) -> None:
    assert drawn["whole"]["logger"] == "diffsynth.diffusion.logger" != drawn["part"]["logger"]


@pytest.mark.timeout(240)
def test_nobody_else_sees_the_stand_ins() -> None:
    seen = run("""
import json, sys
import torch

compiler, finders = torch.compile, list(sys.meta_path)
from pipeline.runtime.diffsynth_import import FLUX, import_diffsynth
import_diffsynth(FLUX)
is_clean = torch.compile is compiler and sys.meta_path == finders
is_clean = is_clean and all(module is None or module.__spec__ is not None or name == "__main__"
                            for name, module in sys.modules.items() if name.startswith("diffsynth"))
from diffsynth.core.vram.layers import AutoTorchModule
from transformers import T5EncoderModel
print(json.dumps({"is clean": is_clean, "real": [AutoTorchModule.__module__, T5EncoderModel.__module__]}))
""")
    assert seen == {"is clean": True, "real": ["diffsynth.core.vram.layers", "transformers.models.t5.modeling_t5"]}


@pytest.mark.timeout(240)
def test_second_family_is_imported_in_part_as_well() -> None:
    """Models take turns in one process."""
    seen = run("""
import json, sys
from pipeline.catalog.models import FLUX1_DEV, SD15, SDXL
from pipeline.runtime.process_setup import prepare_process
for card in (SDXL, FLUX1_DEV, SD15):
    prepare_process(*card.architecture.library)
print(json.dumps({"modules": list(sys.modules)}))
""")
    assert LEFT_OUT & set(seen["modules"]) == set()
    assert {"diffsynth.pipelines.flux_image", "diffsynth.models.stable_diffusion_xl_unet"} <= set(seen["modules"])


def test_every_stand_in_is_for_an_import_that_there_is() -> None:
    import importlib.util

    for name, stand_ins in STAND_INS.items():
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.origin is not None, name
        source = Path(spec.origin).read_text("utf-8")
        for module in stand_ins:
            assert module.rpartition(".")[2] in source, (name, module)
