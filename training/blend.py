"""The mean of two runs' weights: between a clean model and a varied one lies one that is both.

It takes two ends of one lineage, where one was trained on from the other (WiSE-FT, arXiv 2109.01903; model soups,
arXiv 2203.05482). Knows files and tensors, not what they mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

Name = tuple[str, str]  # the part's file or folder, the tensor in it: parts may have tensors of one name


def blend(weights: Path, towards: Path, *, share: float, out: Path) -> None:
    """Write (1 − share) · `weights` + share · `towards`, averaged in float32, in the files and dtypes of `weights`.

    The two may be split over files differently. `out` may be either folder.

    Raises:
        ValueError: share is outside 0…1, there are no weights, or names or shapes differ. Nothing is written then.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"the share must lie between 0 and 1, not at {share:g}")
    start, end = _tensors(weights), _tensors(towards)
    for name in sorted(start.keys() | end.keys()):
        here, there = (tuple(side[name].shape) if name in side else "nothing" for side in (start, end))
        if here != there:
            raise ValueError(f"{': '.join(name)} is {here} in {weights} and {there} in {towards}")
    for path in _files(weights):
        place = path.relative_to(weights)
        with safe_open(path, "pt") as file:
            names, metadata = list(file.keys()), file.metadata()
        mixed = {}
        for name in names:
            one, other = start[place.parts[0], name], end[place.parts[0], name]
            mixed[name] = torch.lerp(one.float(), other.float(), share).to(one.dtype)
        (out / place).parent.mkdir(parents=True, exist_ok=True)
        fresh = (out / place).with_suffix(".part")
        save_file(mixed, fresh, metadata=metadata)
        fresh.replace(out / place)


def _files(folder: Path) -> list[Path]:
    found = sorted(folder.rglob("*.safetensors"))
    if not found:
        raise ValueError(f"no .safetensors in {folder}")
    return found


def _tensors(folder: Path) -> Mapping[Name, Tensor]:
    return {
        (path.relative_to(folder).parts[0], name): tensor
        for path in _files(folder)
        for name, tensor in load_file(path).items()
    }
