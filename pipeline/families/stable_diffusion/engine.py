"""The engine of the Stable Diffusion family: `TorchEngine` with models that `checkpoint.py` reads."""

from __future__ import annotations

from pathlib import Path

from pipeline.catalog.model_card import ModelCard
from pipeline.config import PipelineConfig
from pipeline.families.stable_diffusion.checkpoint import in_16_bits_if_all_fits, load_model
from pipeline.families.torch_engine import ReadModel, TorchEngine
from pipeline.families.wanted_loras import FindLoras
from pipeline.runtime.vram_budget import VramBudget
from pipeline.streaming.arithmetic import Arithmetic


class StableDiffusionEngine(TorchEngine):
    """Draws with SD 1.5, SDXL or a model made of one of them."""

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

    def choose_arithmetic(self, budget: VramBudget | None) -> Arithmetic:
        """Keep weights in 16 bits where all of them fit, in 8 bits otherwise, unless the setting says how."""
        arithmetic = super().choose_arithmetic(budget)
        is_open = self._config.precision == "auto" and arithmetic.weight_format.is_8bit
        if budget is None or not is_open or not self.card.architecture.prefers_half:
            return arithmetic
        return in_16_bits_if_all_fits(self.card, self._config, arithmetic, budget)
