"""LoRAs for tests, as cards without files: those for the fake model and FLUX.1, and one for Stable Diffusion 1.5."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pipeline.catalog.lora_card import KeyStyle, LoraCard

INK = LoraCard(
    name="ink",
    title="Ink: wash",
    file=Path("/loras/ink-wash-v2.safetensors"),
    base="flux",
    style=KeyStyle.KOHYA,
    rank=16,
    triggers=("inkstyle",),
    weight=0.8,
)
FILM = replace(INK, name="film", title="Film grain", file=Path("/loras/film.safetensors"), triggers=(), weight=1.0)
LACE = replace(FILM, name="lace", title="Lace", file=Path("/loras/lace.safetensors"))
TURBO = replace(
    FILM, name="turbo", title="Turbo", file=Path("/loras/turbo.safetensors"), triggers=(), weight=0.125, steps=8
)
OLD = replace(FILM, name="old", title="Old photo", file=Path("/loras/old.safetensors"), base="sd15")
LORAS: Mapping[str, LoraCard] = {lora.name: lora for lora in (INK, FILM, LACE, TURBO, OLD)}
