"""What times models on a GPU runs on a CPU, with small modules of Z-Image; SD 1.5 and SDXL have a file of their own."""

from __future__ import annotations

import pytest

from pipeline.bench import random_flux2
from pipeline.bench.model_timing import time_tenant
from pipeline.bench.random_z_image import Parts, tenant_of
from pipeline.bench.report import STOCK, Conditions
from pipeline.bench.tenants import MAKERS, find_tenant
from pipeline.catalog.models import MODELS
from pipeline.errors import UnknownModel
from pipeline.families.flux.sized import SizedVAEDecoder, SizedVAEEncoder
from pipeline.families.flux2.model import Flux2Model
from tests.pipeline.families.flux2.random_flux2 import VAE_WIDTHS, make_miniature
from tests.pipeline.families.random_qwen3 import LAYERS, WIDTH, miniature_qwen3
from tests.pipeline.families.z_image.random_z_image import VAE_SIZES, make_transformer

QWEN3 = {
    "vocabulary": 256,
    "width": WIDTH,
    "hidden_width": 80,
    "heads": 4,
    "key_heads": 2,
    "head_width": 16,
}
Z_IMAGE = Parts(
    dit=make_transformer,
    qwen3=QWEN3,
    layers=LAYERS,
    stock_qwen3=miniature_qwen3,
    vae_decoder=lambda: SizedVAEDecoder(VAE_SIZES.vae_widths),
    vae_encoder=lambda: SizedVAEEncoder(VAE_SIZES.vae_widths),
)


@pytest.mark.parametrize("system", ["int8", "float32", STOCK])
def test_every_system_is_timed(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.bench.random_weights.PATTERN", 2**16 - 3)
    monkeypatch.setattr("torch.cpu.empty_cache", lambda: None, raising=False)  # which DiffSynth calls by the device
    conditions = Conditions(limit_mib=3000, sides_px=(64,), steps=2, is_eager=True)
    figures = time_tenant(tenant_of("z-image-turbo", Z_IMAGE), system, conditions, "cpu")
    assert 0 < figures.step_s < figures.image_s
    assert figures.streamed_bytes == (None if system == STOCK else 0)
    assert figures.peak_mib is None


@pytest.mark.parametrize("system", ["int8", STOCK])
def test_klein_is_timed_with_a_reference(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.bench.random_weights.PATTERN", 2**16 - 3)
    monkeypatch.setattr("torch.cpu.empty_cache", lambda: None, raising=False)
    monkeypatch.setattr(Flux2Model, "decode", lambda _model, latents: latents[:, :3].repeat_interleave(16, 2))
    small = random_flux2.Parts(
        dit=lambda: make_miniature().dit,
        qwen3=QWEN3,
        stock_qwen3=lambda: miniature_qwen3(num_hidden_layers=28),
        vae_widths=VAE_WIDTHS,
    )
    conditions = Conditions(limit_mib=3000, sides_px=(64,), steps=2, is_eager=True)
    figures = time_tenant(random_flux2.tenant_of("flux2-klein-4b", small), system, conditions, "cpu", references=1)
    assert 0 < figures.step_s < figures.image_s


@pytest.mark.parametrize("name", MAKERS)
def test_every_tenant_is_of_its_card_in_full_size(name: str) -> None:
    tenant = find_tenant(name)
    assert tenant.card is MODELS[name]
    assert tenant.card.architecture.load_engine() is tenant.engine


def test_models_that_nobody_made_random_are_refused() -> None:
    with pytest.raises(UnknownModel):
        find_tenant("demo")
