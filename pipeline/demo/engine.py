"""The engine of the demo model: that of FLUX.1 with the demo's modules."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pipeline.catalog.model_card import ModelCard
from pipeline.config import PipelineConfig
from pipeline.demo.model import DEMO_MODULES
from pipeline.families.flux.checkpoint import load_pipeline
from pipeline.families.flux.engine import FluxEngine
from pipeline.families.wanted_loras import FindLoras


class DemoEngine(FluxEngine):
    """Draws with the demo."""

    def __init__(
        self, card: ModelCard, config: PipelineConfig, *, prompts_dir: Path | None = None, loras: FindLoras = dict
    ) -> None:
        """Nothing is loaded yet; see `TorchEngine`."""
        read = partial(load_pipeline, modules=DEMO_MODULES)
        super().__init__(card, config, prompts_dir=prompts_dir, read=read, loras=loras)
