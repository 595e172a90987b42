"""The engine of the FLUX.1 family: `TorchEngine` with models read by `checkpoint.py` and driven by `model.py`."""

from __future__ import annotations

from pathlib import Path

from pipeline.catalog.model_card import ModelCard
from pipeline.config import PipelineConfig
from pipeline.families.flux.checkpoint import load_pipeline
from pipeline.families.torch_engine import ReadModel, TorchEngine
from pipeline.families.wanted_loras import FindLoras
from pipeline.runtime.vram_budget import VramBudget


class FluxEngine(TorchEngine):
    """Draws with one model of the family."""

    def __init__(
        self,
        card: ModelCard,
        config: PipelineConfig,
        *,
        prompts_dir: Path | None = None,
        read: ReadModel = load_pipeline,
        budget: VramBudget | None = None,
        loras: FindLoras = dict,
    ) -> None:
        """Nothing is loaded yet; see `TorchEngine`.

        Args:
            read: makes the model, as `load_pipeline` does; another one for models without files.
        """
        super().__init__(card, config, read=read, prompts_dir=prompts_dir, budget=budget, loras=loras)
