"""The tokenizers that ship with this program, for models whose files bring none: `ModelFile` entries for cards.

NOTICE names their sources. No torch.
"""

from __future__ import annotations

from typing import Final

from pipeline.catalog.model_card import ModelFile

_NEEDS: Final = ("tokenizer.json", "tokenizer_config.json")
CLIP_TOKENIZER: Final = ModelFile(path="catalog/tokenizers/clip/", needs=_NEEDS)  # of CLIP-L and of CLIP-G
T5_TOKENIZER: Final = ModelFile(path="catalog/tokenizers/t5/", needs=_NEEDS)  # of T5 v1.1
