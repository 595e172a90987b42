"""Where engines run. `create_executor` is the list of backends by name; there is one so far."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bot.executors.base import Executor
from pipeline.config import PipelineConfig
from pipeline.models import create_engine

__all__ = ["Executor", "create_executor"]


def create_executor(config: PipelineConfig, *, stop_grace_s: float, prompts_dir: Path | None = None) -> Executor:
    """Make the executor for this machine; nothing is loaded yet.

    Args:
        prompts_dir: where what large models read of prompts is kept across restarts; None: nowhere.
    """
    from bot.executors.thread import ThreadExecutor

    return ThreadExecutor(
        config, stop_grace_s=stop_grace_s, make_engine=partial(create_engine, prompts_dir=prompts_dir)
    )
