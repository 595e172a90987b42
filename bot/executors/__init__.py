"""Where engines run. `create_executor` is the list of backends by name; there is one so far."""

from __future__ import annotations

from bot.executors.base import Executor
from pipeline.config import PipelineConfig

__all__ = ["Executor", "create_executor"]


def create_executor(config: PipelineConfig, *, stop_grace_s: float) -> Executor:
    """Make the executor for this machine; nothing is loaded yet."""
    from bot.executors.thread import ThreadExecutor

    return ThreadExecutor(config, stop_grace_s=stop_grace_s)
