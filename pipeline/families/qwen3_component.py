"""What families declare of Qwen3, the language model that reads their prompts. No torch."""

from __future__ import annotations

from typing import Final

from pipeline.catalog.architecture import Component, Kind
from pipeline.catalog.parts import PartKind

# Its oldest reader here names the architecture; `Part.architecture` of every Qwen3 file says the same.
ARCHITECTURE: Final = "z-image"
TABLE: Final = "embed_tokens"

QWEN3: Final = Component(
    kind=Kind.TEXT_ENCODER,
    part=PartKind.QWEN3,
    architecture=ARCHITECTURE,
    block_pattern=r"(?P<block>layers\.\d+)\.",
    streamable=True,
    tables=(TABLE,),
)
