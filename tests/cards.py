"""Models that the fake engine draws, too: one of which everything may be asked, and one that cannot edit."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pipeline.catalog.architecture import Feature
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

STARTER: Final[ModelCard] = replace(FAKE, name="starter", title="Starter", supports=FAKE.supports - {Feature.EDIT})
