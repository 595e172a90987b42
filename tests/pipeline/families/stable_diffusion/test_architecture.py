"""What the family says of itself is true of its full-size modules, counted without values; and it fits small GPUs."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffsynth.models.stable_diffusion_unet import UNet2DConditionModel
from diffsynth.models.stable_diffusion_vae import StableDiffusionVAE
from diffsynth.models.stable_diffusion_xl_unet import SDXLUNet2DConditionModel
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from pipeline.catalog.model_card import ModelCard
from pipeline.device.gpu import MIB
from pipeline.device.memory_plan import Plan, Weights, plan_blocks
from pipeline.device.runtime_estimate import CONTEXT_BYTES
from pipeline.families.stable_diffusion.architecture import FLOAT32_DECODER_BYTES, VAE_BYTES
from pipeline.families.stable_diffusion.cards import SD15, SDXL
from pipeline.families.stable_diffusion.checkpoint import weights_of
from pipeline.families.stable_diffusion.text_encoders import GELU, QUICK_GELU, Clip
from pipeline.families.stable_diffusion.unet import Conditioning, random_conditioning
from pipeline.runtime.vram_budget import FakeBudget
from pipeline.spec import Aspect
from pipeline.streaming.quantization import Format

GIB = 2**30


def full_unet(card: ModelCard) -> Any:
    if card is SD15:
        return UNet2DConditionModel()
    return SDXLUNet2DConditionModel(
        attention_head_dim=[5, 10, 20],
        transformer_layers_per_block=[1, 2, 10],
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2816,
    )


def clip(width: int, layers: int, projection: int | None) -> Callable[[], nn.Module]:
    return lambda: Clip(
        vocabulary=49408,
        width=width,
        hidden_width=4 * width,
        heads=width // 64,
        layers=layers,
        tokens=77,
        projection=projection,
        activation=QUICK_GELU if projection is None else GELU,
    )


class Alive(TorchDispatchMode):
    """Counts the bytes of what a run makes, most at once."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.most = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        given = {each.untyped_storage()._cdata for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)}
        for each in tree_leaves(made):
            storage = each.untyped_storage() if isinstance(each, Tensor) else None
            if storage is not None and storage._cdata not in given | self._seen:
                self._seen.add(storage._cdata)
                self.bytes += storage.nbytes()
                self.most = max(self.most, self.bytes)
                weakref.finalize(storage, self._forget, storage._cdata, storage.nbytes())
        return made

    def _forget(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.bytes -= size


@pytest.mark.parametrize(("card", "size"), [(SD15, (512, 512)), (SDXL, (1024, 1024))])
def test_cost_and_order_of_blocks_are_what_is_counted(
    card: ModelCard, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ring brings blocks in that order. On a GPU, attention makes nothing of the size of its matrix."""
    with torch.device("meta"):
        unet = full_unet(card).half()
    weights = weights_of("unet", lambda: full_unet(card), Format.FLOAT16, torch.float16)
    cost = card.architecture.cost(*size, 1)
    counted, alive = FlopCounterMode(display=False), Alive()
    latents = torch.empty(2, 4, size[1] // 8, size[0] // 8, device="meta", dtype=torch.float16)
    told = on_meta(random_conditioning(unet))
    added = {"text_embeds": told.pooled, "time_ids": told.time_ids}

    def run() -> None:
        with torch.no_grad():
            unet(latents, torch.empty(1, device="meta"), told.text, added_cond_kwargs=added, return_dict=False)

    order: list[str] = []
    for name in weights.running:
        unet.get_submodule(name).register_forward_pre_hook(lambda *_inputs, name=name: order.append(name))
    with counted:
        run()
    assert order == list(weights.running)
    operations = cost.operations({name: bytes_ / 2 for name, bytes_ in weights.running.items()})
    assert operations == pytest.approx(counted.get_total_flops(), rel=0.02)
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", lambda q, *_a, **_k: torch.empty_like(q))
    with alive:
        run()
    assert 1.7 * alive.most < cost.activation_bytes < 2.2 * alive.most


def on_meta(told: Conditioning) -> Conditioning:
    made = {
        name: None if (value := getattr(told, name)) is None else value.half().to("meta") for name in told.__slots__
    }
    return Conditioning(**made)  # type: ignore[arg-type]


def test_vae_takes_what_its_constants_say() -> None:
    with torch.device("meta"):
        vae = StableDiffusionVAE()
    count = sum(weight.numel() for weight in vae.parameters())
    assert 2 * count == pytest.approx(VAE_BYTES, rel=0.02)
    decoder = sum(weight.numel() for weight in vae.decoder.parameters())
    assert 4 * decoder == pytest.approx(FLOAT32_DECODER_BYTES, rel=0.02)


def plan_of(card: ModelCard, weight_format: Format, limit_bytes: int, aspect: Aspect = Aspect.SQUARE) -> Plan:
    """As `Residency` plans, for full-size modules."""
    encoders = {"clip_l": clip(768, 12, None)} | ({"clip_g": clip(1280, 32, 1280)} if card is SDXL else {})
    unet = weights_of("unet", lambda: full_unet(card), weight_format, torch.float16)
    read: list[Weights] = [weights_of(name, make, Format.FLOAT16, torch.float16) for name, make in encoders.items()]
    budget = FakeBudget(limit_bytes)
    return plan_blocks(
        unet,
        read,
        fixed_bytes=VAE_BYTES,
        free_bytes=budget.limit - CONTEXT_BYTES,
        cost=card.architecture.cost(*card.sizes[aspect], card.default_steps),
    )


def test_sdxl_stays_whole_in_16_bits_within_7_gib_and_in_8_bits_within_5() -> None:
    """A GPU of 8 GB keeps all 2.57 billion weights; one of 6 GB keeps them in 8 bits, or streams some."""
    whole = plan_of(SDXL, Format.FLOAT16, 7000 * MIB)
    assert whole.streamed_bytes == 0
    assert whole.resident_bytes == pytest.approx(4.37e9, rel=0.01)
    assert whole.peak_bytes + CONTEXT_BYTES < 7.2 * GIB
    small = plan_of(SDXL, Format.INT8, int(5.2 * GIB))
    assert small.streamed_bytes == 0
    assert small.resident_bytes == pytest.approx(2.2e9, rel=0.02)
    assert small.peak_bytes + CONTEXT_BYTES < 5.2 * GIB
    streamed = plan_of(SDXL, Format.FLOAT16, int(5.2 * GIB))
    assert 0 < streamed.streamed_bytes < 2e9
    assert streamed.peak_bytes + CONTEXT_BYTES < 5.2 * GIB


def test_sd15_stays_whole_within_4_gib() -> None:
    plan = plan_of(SD15, Format.FLOAT16, 4 * GIB, Aspect.PORTRAIT)
    assert plan.streamed_bytes == 0
    assert plan.peak_bytes + CONTEXT_BYTES < 4 * GIB
