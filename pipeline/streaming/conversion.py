"""A checkpoint's tensors → a module's: in the module's names, a few at a time, compared before anything is read.

Must not know how files keep tensors, nor what becomes of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import torch
from torch import Tensor, nn

from pipeline.errors import GenerationFailed

# Brings the names of some of a checkpoint's tensors to those of a module. It gets those of one block, whose names are
# alike up to the first number, or all without a number, and may join and drop some. It also has to work with tensors
# on the meta device.
Convert = Callable[[dict[str, Tensor]], Mapping[str, Tensor]]

MOST_NAMED: Final = 10  # tensors in one message
_GROUP: Final = re.compile(r"(?:[^.]+\.)*?\d+\.")  # up to the first number


class Source(Protocol):
    """Where tensors come from: `CheckpointFiles`."""

    @property
    def names(self) -> Sequence[str]:
        """Of its tensors."""

    @property
    def title(self) -> str:
        """The file, for messages."""

    def shape_of(self, name: str) -> torch.Size:
        """The shape of a tensor."""

    def read(self, name: str) -> Tensor:
        """A tensor on the CPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Tensors that are read together.

    names: in the checkpoint.
    makes: shapes of what they become, by the module's names.
    """

    names: tuple[str, ...]
    makes: Mapping[str, torch.Size]


class Conversion:
    """What the tensors of a source become in a module; those that become nothing are not looked at."""

    def __init__(self, source: Source, convert: Convert | None) -> None:
        """Find out by converting tensors without values."""
        self._source = source
        self._convert = convert
        names: dict[str, list[str]] = {}
        for name in filter(self._is_of_use, source.names):
            found = _GROUP.match(name)
            names.setdefault(found[0] if found else "", []).append(name)
        self.groups = [self._group(each) for each in names.values()]

    def read(self, group: Group) -> dict[str, Tensor]:
        """The tensors of a group, by the module's names."""
        return self._converted({name: self._source.read(name) for name in group.names})

    def check(self, wanted: Mapping[str, torch.Size], *, may_hold_more: bool = True) -> None:
        """Compare what is there with what a module needs, before minutes are spent on it.

        Raises:
            GenerationFailed: tensors are missing or have another shape, or, unless it may hold more, are unexpected.
        """
        found = {name: shape for group in self.groups for name, shape in group.makes.items()}
        misshapen = [
            f"{name} is {tuple(found[name])}, not {tuple(shape)}"
            for name, shape in wanted.items()
            if name in found and found[name] != shape
        ]
        problems = {
            "lacks ": [name for name in wanted if name not in found],
            "": misshapen,
            "has no use for ": [] if may_hold_more else [name for name in found if name not in wanted],
        }
        if said := [what + _listed(names) for what, names in problems.items() if names]:
            raise GenerationFailed(f"{self._source.title} {'; '.join(said)}")

    def _group(self, names: Iterable[str]) -> Group:
        try:
            empty = {name: torch.empty(self._source.shape_of(name), device="meta") for name in names}
        except RuntimeError as error:  # of sizes that no memory has, although one side may be 0
            raise self._misfit(error) from error
        with torch.device("meta"):
            made = self._converted(empty)
        return Group(names=tuple(names), makes={name: tensor.shape for name, tensor in made.items()})

    def _is_of_use(self, name: str) -> bool:
        """Whether a tensor becomes something. Those that need others beside them do; so may what makes no sense."""
        if self._convert is None:
            return True
        try:
            shape = self._source.shape_of(name)
        except GenerationFailed:
            shape = torch.Size((1, 1))
        try:
            with torch.device("meta"):
                return bool(self._convert({name: torch.empty(shape)}))
        except (GenerationFailed, LookupError, RuntimeError, ValueError):
            return True

    def _misfit(self, error: Exception) -> GenerationFailed:
        return GenerationFailed(f"{self._source.title} holds tensors that do not fit together: {error}")

    def _converted(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        if self._convert is None:
            return tensors
        try:
            return dict(self._convert(tensors))
        except KeyError as error:
            raise GenerationFailed(f"{self._source.title} lacks {error.args[0]}") from error
        except (RuntimeError, IndexError, ValueError) as error:
            raise self._misfit(error) from error


def demand_floats(name: str, tensor: Tensor) -> None:
    """See that a tensor can be a weight.

    Raises:
        GenerationFailed: it holds integers.
    """
    if not tensor.is_floating_point():
        raise GenerationFailed(f"{name} is kept as {str(tensor.dtype).removeprefix('torch.')}, which is no weight")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def load_whole(
    make: Callable[[], nn.Module], source: Source, convert: Convert | None, *, dtype: torch.dtype, device: str
) -> nn.Module:
    """Make a module that is not packed and read its weights; memory holds one copy and some tensors more.

    What `make` puts on a device by itself needs no tensors in the file.

    Raises:
        GenerationFailed: tensors are missing, unexpected, damaged, or have another shape.
    """
    with torch.device("meta"):
        module = make()
    empty = {
        name: tensor
        for name, tensor in (*module.named_parameters(), *module.named_buffers())
        if tensor.device.type == "meta"
    }
    places: dict[int, list[tuple[nn.Module, str]]] = {}  # of a tensor in the module; several if it is shared
    for owner in module.modules():
        for attribute, tensor in (*owner.named_parameters(recurse=False), *owner.named_buffers(recurse=False)):
            places.setdefault(id(tensor), []).append((owner, attribute))
    conversion = Conversion(source, convert)
    conversion.check({name: tensor.shape for name, tensor in empty.items()}, may_hold_more=False)
    for group in conversion.groups:
        for name, tensor in conversion.read(group).items():
            place = empty[name]
            if place.is_floating_point():
                demand_floats(name, tensor)
            kept = tensor.to(device, dtype if place.is_floating_point() else place.dtype)
            for owner, attribute in places[id(place)]:
                is_parameter = isinstance(place, nn.Parameter)
                setattr(owner, attribute, nn.Parameter(kept, requires_grad=False) if is_parameter else kept)
    return module.to(device).eval().requires_grad_(False)
