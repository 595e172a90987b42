"""What a file of weights is, read from its head alone: family and variant, parts, how they are kept, what is missing.

`check`, `fetch`, `models`, the choice of a model and the engines use this one answer. No torch, milliseconds; kept
until the size or the time of a file changes.
"""

from __future__ import annotations

from pipeline.catalog.layouts.folders import weights_in
from pipeline.catalog.layouts.identification import identify, identify_files
from pipeline.catalog.layouts.places import mismatch, wrong_place

__all__ = ["identify", "identify_files", "mismatch", "weights_in", "wrong_place"]
