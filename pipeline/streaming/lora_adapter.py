"""A LoRA's pairs on the layers of one model → side branches, those of several LoRAs as one.

Everything is compared with the model before a tensor is read, so that a LoRA fits as a whole or not at all. Tensors
stay on the CPU here. Letters in shapes: see `lora_product.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.errors import LoraMisfit
from pipeline.streaming.lora_file import Pair, listed, read_pairs, read_values
from pipeline.streaming.lora_names import LoraPart, LoraParts, Target, inputs_of, outputs_of
from pipeline.streaming.lora_product import RANK_STEP, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one pair changes of one layer.

    down: (R, K), or (R, K, height, width).
    up: (M', R), of the outputs from `start` on.
    scale: what the product is multiplied by.
    """

    start: int
    down: Tensor
    up: Tensor
    scale: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """A LoRA that fits a model, in host memory: what it changes, by part and layer."""

    name: str
    changes: Mapping[str, Mapping[str, Sequence[Change]]]


def read_adapter(name: str, path: Path, parts: LoraParts) -> Adapter:
    """Read a LoRA for a model.

    Raises:
        LoraMisfit: it does not fit the model, or cannot be read.
    """
    pairs = read_pairs(name, path)
    placed: list[tuple[Pair, str, tuple[Target, ...]]] = []
    strangers = []
    for pair in pairs:
        found = next(
            ((part, targets) for part, each in parts.items() if (targets := each.find(pair.name)) is not None), None
        )
        if found is None:
            strangers.append(pair.name)
        else:
            placed.append((pair, *found))
    if strangers:
        what = "was made for another model" if len(strangers) == len(pairs) else "does not fit this model as a whole"
        raise LoraMisfit(name, f"{what}: nothing here is called {listed(strangers)}")
    placed = [each for each in placed if each[2]]  # what changes layers that are not read changes no image
    if not placed:
        raise LoraMisfit(name, "changes nothing: this model does not read the layers that it is for")
    for pair, part, targets in placed:
        _demand_fit(name, pair, parts[part], targets)
    _demand_once(name, placed)
    changes: dict[str, dict[str, list[Change]]] = {}
    for pair, part, targets in placed:
        down, up = read_values(name, pair.down), read_values(name, pair.up).flatten(1)
        for layer in dict.fromkeys(target.module for target in targets):
            rows = [target for target in targets if target.module == layer]
            start, end = min(row.to for row in rows), max(row.to + row.rows for row in rows)
            ours = up.new_zeros(end - start, pair.rank)
            for row in rows:
                ours[row.to - start : row.to - start + row.rows] = up[row.of : row.of + row.rows]
            change = Change(start=start, down=_shaped(down, parts[part].modules[layer]), up=ours, scale=pair.scale)
            changes.setdefault(part, {}).setdefault(layer, []).append(change)
    return Adapter(name=name, changes=changes)


def combine(adapters: Iterable[tuple[Adapter, float]], part_name: str, part: LoraPart) -> dict[str, Side]:
    """The side branches of several LoRAs with these weights, by layer, in float32.

    In a part with compiled blocks, every layer inside them gets one, of the same rank: which layers LoRAs change and
    how much must not be seen in the code.
    """
    found: dict[str, list[Change]] = {}
    for adapter, weight in adapters:
        for layer, changes in adapter.changes.get(part_name, {}).items():
            found.setdefault(layer, []).extend(
                Change(start=each.start, down=each.down, up=each.up, scale=each.scale * weight) for each in changes
            )
    if not found:
        return {}
    pieces = {layer: part.pieces.get(layer) or (outputs_of(part.modules[layer]),) for layer in part.modules}
    ranks = {layer: _rank(changes, pieces[layer]) for layer, changes in found.items()}
    shared = max((rank for layer, rank in ranks.items() if layer in part.compiled), default=RANK_STEP)
    sides = {
        layer: _side(changes, pieces[layer], shared if layer in part.compiled else ranks[layer], part.modules[layer])
        for layer, changes in found.items()
    }
    empty: dict[tuple[str, int, tuple[int, ...]], Side] = {}
    for layer in sorted(part.compiled - sides.keys()):
        module = part.modules[layer]
        place = layer.removeprefix(part.blocks[layer]), inputs_of(module), pieces[layer]
        if place not in empty:
            down = torch.zeros(len(pieces[layer]), shared, inputs_of(module))
            empty[place] = Side(down, torch.zeros(outputs_of(module), shared), pieces[layer])
        sides[layer] = empty[place]
    return sides


def _demand_fit(name: str, pair: Pair, part: LoraPart, targets: Sequence[Target]) -> None:
    """Compare shapes.

    Raises:
        LoraMisfit: those of the layer are others.
    """
    outputs = max(target.of + target.rows for target in targets)
    inputs, kernel = pair.down.info.shape[1], pair.down.info.shape[2:] or (1, 1)
    for target in targets:
        module = part.modules[target.module]
        if isinstance(module, nn.Conv2d) and module.groups != 1:
            raise LoraMisfit(name, f"changes {pair.name}, which is computed in groups")
        wanted = tuple(module.kernel_size) if isinstance(module, nn.Conv2d) else (1, 1)
        has, needs = (pair.up.info.shape[0], inputs, *kernel), (outputs, inputs_of(module), *wanted)
        if has != needs:
            raise LoraMisfit(
                name,
                f"was made for another model: it changes {pair.name} of {_size(has)}, and here that is {_size(needs)}",
            )


def _demand_once(name: str, placed: Iterable[tuple[Pair, str, Sequence[Target]]]) -> None:
    """See that no output is changed under two names.

    Raises:
        LoraMisfit: one is.
    """
    seen: dict[tuple[str, str], list[Target]] = {}
    for pair, part, targets in placed:
        for target in targets:
            others = seen.setdefault((part, target.module), [])
            if any(each.to < target.to + target.rows and target.to < each.to + each.rows for each in others):
                raise LoraMisfit(name, f"changes {pair.name} under another name as well")
            others.append(target)


def _size(shape: Sequence[int]) -> str:
    outputs, inputs, *kernel = shape
    return f"{inputs} → {outputs}" + (f" by {kernel[0]} × {kernel[1]}" if max(kernel) > 1 else "")


def _shaped(down: Tensor, module: nn.Module) -> Tensor:
    """As the layer takes it: files keep products as convolutions of one pixel, and the reverse."""
    if isinstance(module, nn.Conv2d):
        return down if down.dim() == 4 else down[..., None, None]
    return down.flatten(1)


def _rank(changes: Sequence[Change], pieces: tuple[int, ...]) -> int:
    """The largest rank that a piece meets, filled up."""
    start = most = 0
    for count in pieces:
        most = max(most, sum(len(each.down) for each in changes if _meets(each, start, count)))
        start += count
    return -(-most // RANK_STEP) * RANK_STEP


def _meets(change: Change, start: int, count: int) -> bool:
    return change.start < start + count and start < change.start + len(change.up)


def _side(changes: Sequence[Change], pieces: tuple[int, ...], rank: int, module: nn.Module) -> Side:
    down = torch.zeros(len(pieces), rank, *changes[0].down.shape[1:])
    up = torch.zeros(outputs_of(module), rank)
    start = 0
    for number, count in enumerate(pieces):
        at = 0
        for change in changes:
            if not _meets(change, start, count):
                continue
            first, last = max(change.start, start), min(change.start + len(change.up), start + count)
            small, large = _balanced(change.down, change.up[first - change.start : last - change.start], change.scale)
            down[number, at : at + len(small)] = small
            up[first:last, at : at + len(small)] = large
            at += len(small)
        start += count
    return Side(down, up, pieces)


def _balanced(down: Tensor, up: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Both in float32, about equally large, `up` scaled: in 16 bits, the small half of a LoRA would lose its digits.

    By a power of two, which costs nothing.
    """
    down, up = down.float(), up.float() * scale
    sizes = float(down.abs().amax()) if down.numel() else 0.0, float(up.abs().amax()) if up.numel() else 0.0
    if not all(math.isfinite(size) and size > 0 for size in sizes):
        return down, up
    power = 2.0 ** round((math.log2(sizes[0]) - math.log2(sizes[1])) / 2)
    return down / power, up * power
