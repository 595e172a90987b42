"""An engine without torch: the same contract, deterministic pictures, failures on demand. For tests only.

Words in the prompt drive it: `[fail]` the run fails, `[oom]` out of memory, `[dead]` the engine dies,
`[hang]` steps go on until stopped, `[step=0.2]` seconds per step, `[noise]` the picture is noise, whose file is large.
"""

from __future__ import annotations

import hashlib
import random
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PIL import Image

from pipeline.catalog.architecture import Architecture, Feature, Latent, StepCost
from pipeline.catalog.model_card import ModelCard
from pipeline.config import PipelineConfig
from pipeline.engine import (
    GeneratedImage,
    OnProgress,
    Preview,
    Progress,
    Reference,
    ShouldStop,
    Stage,
    check_references,
    check_source,
)
from pipeline.errors import EngineDead, GenerationFailed, GenerationStopped, InvalidSpec, OutOfMemory
from pipeline.spec import ImageSpec, last_steps

PREVIEW_PX: Final = 8


def make_fake(card: ModelCard, _config: PipelineConfig, *, prompts_dir: Path | None = None) -> FakeEngine:
    """Make one as `make_engine` does."""
    return FakeEngine(card)


def _cost(_width: int, _height: int, steps: int) -> StepCost:
    return StepCost(passes=steps, tokens=0, attention=0, activation_bytes=0, decode_bytes=0, tile_bytes=0)


FAKE_ARCHITECTURE: Final = Architecture(
    name="fake",
    engine=f"{__name__}:make_fake",
    cost=_cost,
    latent=Latent(channels=3, factor=1),
    schedule="",
    features=frozenset(
        {
            Feature.INIT_IMAGE,
            Feature.UPSCALE,
            Feature.LANGUAGES,
            Feature.NEGATIVE_PROMPT,
            Feature.CFG,
            Feature.SAMPLER,
            Feature.CLIP_SKIP,
            Feature.EDIT,
            Feature.LORA,
        }
    ),
    loras="flux",
)
_STEP_MARKER = re.compile(r"\[step=(\d+(?:\.\d+)?)\]")


class FakeEngine:
    """Draws a gradient whose corners are a hash of the spec."""

    def __init__(self, card: ModelCard, *, step_s: float = 0.0, load_s: float = 0.0) -> None:
        self._card = card
        self._step_s = step_s
        self._load_s = load_s
        self._is_loaded = False
        self._is_dead = False

    def load(self) -> None:
        """Wait `load_s` the first time."""
        self._check_alive()
        if not self._is_loaded:
            time.sleep(self._load_s)
            self._is_loaded = True

    def generate(
        self,
        spec: ImageSpec,
        *,
        on_progress: OnProgress,
        should_stop: ShouldStop,
        source: bytes | None = None,
        references: Sequence[Reference] = (),
        upcoming: Sequence[str] = (),
    ) -> GeneratedImage:
        """Walk through the stages of a real run, `step_s` per step; see `Engine.generate`."""
        self._check_alive()
        check_source(spec, source)
        check_references(spec, references)
        if spec.model != self._card.name:
            raise InvalidSpec("model", f"this engine draws with {self._card.name}")
        if not self._is_loaded:
            on_progress(Progress(stage=Stage.LOADING, steps=spec.steps))
            self.load()
        marker = _STEP_MARKER.search(spec.prompt)
        step_s = float(marker[1]) if marker else self._step_s

        steps = last_steps(spec.steps, spec.strength) if spec.upscale else spec.steps
        on_progress(Progress(stage=Stage.ENCODING, steps=steps))
        started_at = time.perf_counter()
        step = 0
        small = _gradient(spec, (PREVIEW_PX, PREVIEW_PX)).tobytes()

        def report(stage: Stage) -> None:
            preview = Preview(pixels=small, width=PREVIEW_PX, height=PREVIEW_PX) if step else None
            denoise_s = time.perf_counter() - started_at
            on_progress(Progress(stage=stage, step=step, steps=steps, denoise_s=denoise_s, preview=preview))

        while step < steps:
            if should_stop():
                raise GenerationStopped
            report(Stage.DENOISING)
            time.sleep(step_s)
            self._fail_if_asked(spec.prompt)
            if "[hang]" in spec.prompt:
                time.sleep(0.001)  # a hung run without step_s must not eat a core
            else:
                step += 1
        report(Stage.DENOISING)
        denoised_at = time.perf_counter()
        report(Stage.DECODING)
        picture = _gradient(spec, (spec.width, spec.height))
        if source is not None:
            start = Image.frombytes("RGB", spec.source_size, source).resize(picture.size)
            picture = Image.blend(start, picture, spec.strength)
        return GeneratedImage(
            pixels=picture.tobytes(),
            width=spec.width,
            height=spec.height,
            spec=spec,
            encode_s=0.0,
            denoise_s=denoised_at - started_at,
            decode_s=time.perf_counter() - denoised_at,
            peak_mib=None,
            steps_taken=steps,
        )

    def forget_prompts(self) -> None:
        """Nothing was read."""

    def close(self) -> None:
        """Nothing to free."""
        self._is_loaded = False

    def _fail_if_asked(self, prompt: str) -> None:
        if "[fail]" in prompt:
            raise GenerationFailed("asked to fail")
        if "[oom]" in prompt:
            raise OutOfMemory(free_mib=0)
        if "[dead]" in prompt:
            self._is_dead = True
            raise EngineDead("asked to die")

    def _check_alive(self) -> None:
        if self._is_dead:
            raise EngineDead("died before")


def _gradient(spec: ImageSpec, size: tuple[int, int]) -> Image.Image:
    """Four corner colours from a hash of the spec, stretched over the picture."""
    if "[noise]" in spec.prompt:
        return Image.frombytes("RGB", size, random.Random(spec.seed).randbytes(3 * size[0] * size[1]))
    digest = hashlib.sha256(spec.to_json().encode()).digest()
    return Image.frombytes("RGB", (2, 2), digest[:12]).resize(size, Image.Resampling.BILINEAR)
