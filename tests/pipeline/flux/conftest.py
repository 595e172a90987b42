"""A miniature FLUX.1 with random weights, in the real file layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config import PipelineConfig
from tests.pipeline.flux.random_flux import Sizes, register_miniature, write_random_flux


@pytest.fixture(scope="session")
def miniature_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with the miniature; read only."""
    folder = tmp_path_factory.mktemp("miniature")
    write_random_flux(folder, Sizes(), seed=1)
    register_miniature(folder, Sizes())
    return folder


@pytest.fixture
def cpu_config(miniature_dir: Path) -> PipelineConfig:
    return PipelineConfig(device="cpu", models_dir=miniature_dir)
