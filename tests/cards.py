"""A model of which everything may be asked, as Stable Diffusion is: the fake engine draws it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.models import FAKE
from pipeline.fake import FAKE_ARCHITECTURE
from pipeline.spec import Sampler

PAINTER: Final[ModelCard] = replace(
    FAKE,
    name="painter",
    title="Painter",
    supports=FAKE_ARCHITECTURE.features,
    guidance=0.0,
    cfg_scale=7.0,
    samplers=(Sampler.DPMPP_2M_KARRAS, Sampler.DDIM),
    clip_skip=1,
)
