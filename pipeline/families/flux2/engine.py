"""The engine of the FLUX.2 family: `TorchEngine` with models read by `checkpoint.py` and driven by `model.py`."""

from __future__ import annotations

from pathlib import Path

from pipeline.catalog.model_card import ModelCard
from pipeline.config import PipelineConfig
from pipeline.families.flux2.checkpoint import load_model
from pipeline.families.torch_engine import ReadModel, TorchEngine
from pipeline.families.wanted_loras import FindLoras
from pipeline.runtime.vram_budget import VramBudget


class Flux2Engine(TorchEngine):
    """Draws with FLUX.2 [klein] or a model made of it."""

    def __init__(
        self,
        card: ModelCard,
        config: PipelineConfig,
        *,
        prompts_dir: Path | None = None,
        read: ReadModel = load_model,
        budget: VramBudget | None = None,
        loras: FindLoras = dict,
    ) -> None:
        """Nothing is loaded yet; see `TorchEngine`.

        Args:
            read: makes the model, as `load_model` does; another one for models without files.
        """
        super().__init__(card, config, read=read, prompts_dir=prompts_dir, budget=budget, loras=loras)
