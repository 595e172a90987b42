"""Where engines run. `create_executor` is the list of backends by name; there is one so far."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

from bot.errors import ConfigError
from bot.executors.base import Executor
from pipeline import Engine
from pipeline.catalog.models import create_engine, demand_files, find_model
from pipeline.config import PipelineConfig
from pipeline.device.gpu import look_at_gpu

__all__ = ["Executor", "create_executor"]

ANY_DEVICE: Final = 'set [pipeline] device = "auto"'


def create_executor(config: PipelineConfig, *, stop_grace_s: float, prompts_dir: Path | None = None) -> Executor:
    """Make the executor for this machine; nothing is loaded yet.

    Args:
        prompts_dir: where what large models read of prompts is kept across restarts; None: nowhere.

    Raises:
        ConfigError: it has to be a GPU, and there is none that PyTorch can use; only loading would notice that.
    """
    if config.device == "cuda" and not (state := look_at_gpu()).is_usable:
        which = "" if state.gpu is None else f"{state.gpu.description}: "
        problem = f"[pipeline] device is cuda, but {which}{state.obstacle}"
        raise ConfigError([problem], way_out=f"{state.way_out}, or {ANY_DEVICE}")
    from bot.executors.thread import ThreadExecutor

    return ThreadExecutor(config, stop_grace_s=stop_grace_s, make_engine=partial(_make_engine, prompts_dir=prompts_dir))


def _make_engine(name: str, config: PipelineConfig, *, prompts_dir: Path | None) -> Engine:
    """Make an engine whose files are there, lest a file that vanished costs the model that is loaded.

    Raises:
        ModelFilesMissing, and what `create_engine` raises.
    """
    demand_files(find_model(name, config), config)
    return create_engine(name, config, prompts_dir=prompts_dir)
