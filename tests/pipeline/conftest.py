"""What these tests need before any of their modules is imported, and a miniature FLUX.1 in the real file layout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from pipeline.config import PipelineConfig

settings.register_profile("no deadline", deadline=None)  # a busy machine is not a bug
settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def miniature_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with the miniature, its weights random; read only."""
    from pipeline.families.flux.cards import FLUX1_DEV
    from tests.pipeline.families.flux.random_flux import Sizes, write_random_flux

    folder = tmp_path_factory.mktemp("miniature")
    write_random_flux(folder, FLUX1_DEV, Sizes())
    return folder


@pytest.fixture
def cpu_config(miniature_dir: Path) -> PipelineConfig:
    return PipelineConfig(device="cpu", models_dir=miniature_dir)


@pytest.fixture(scope="session", autouse=True)
def small_flat_latents() -> Iterator[None]:
    """Loading an engine decodes flat latents for its previews, which takes most of a load on a CPU without bfloat16.

    A seventh of the pixels says the same: `runtime/test_latent_preview.py` compares them.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.runtime.latent_preview.FLAT_PX", 24)
        yield
