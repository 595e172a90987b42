"""What a component of a model is made of: its tensors, what they are called here, and its module. For all families.

Must not know any one family, prompts or steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import torch
from torch import nn

from pipeline.catalog import files
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.model_parts import parts_of
from pipeline.config import PipelineConfig
from pipeline.device.gpu_profile import packed_path
from pipeline.errors import GenerationFailed
from pipeline.streaming.arithmetic import Arithmetic
from pipeline.streaming.checkpoint_files import CheckpointFiles
from pipeline.streaming.conversion import Conversion, Convert, load_whole
from pipeline.streaming.quantization import Format
from pipeline.streaming.streamed_module import StreamedModule

Shapes = Mapping[str, Sequence[int]]  # of a module's tensors, by name
Make = Callable[[Shapes], nn.Module]
UNPACKED: Final = {kept.dtype: kept for kept in Format if not kept.is_8bit}

S = TypeVar("S", bound=StreamedModule)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The tensors of one component, or of a half of the VAE, and the module that they are for.

    Raises GenerationFailed if they fit no module.
    """

    source: CheckpointFiles
    convert: Convert
    make: Make

    @property
    def shapes(self) -> Shapes:
        """Of the tensors by their names in the module. Reads heads only."""
        made = (group.makes for group in Conversion(self.source, self.convert).groups)
        return {name: shape for shapes in made for name, shape in shapes.items()}

    def new(self) -> nn.Module:
        """A module of the sizes of the tensors."""
        return self.make(self.shapes)

    def whole(self, arithmetic: Arithmetic) -> nn.Module:
        """The module with its weights, where it computes."""
        return load_whole(self.new, self.source, self.convert, dtype=arithmetic.dtype, device=arithmetic.device)

    def streamed(self, part: type[S], weight_format: Format, arithmetic: Arithmetic, cache: Path | None = None) -> S:
        """The module in our own keeping; see `StreamedModule.read`."""
        return part.read(
            self.source,
            self.new,
            convert=self.convert,
            weight_format=weight_format,
            dtype=arithmetic.dtype,
            device=arithmetic.device,
            cache=cache,
        )


def sources_of(card: ModelCard, models_dir: Path) -> dict[str, CheckpointFiles]:
    """Find out what a card's files hold, by component. Reads heads only.

    Raises:
        ModelFilesMissing: files are absent, empty or not whole.
        GenerationFailed: a file holds something else than its place says.
    """
    files.demand(card, models_dir)
    parts, misfits = parts_of(card, models_dir)
    if misfits:
        raise GenerationFailed("; ".join(map(str, misfits)))
    return {name: CheckpointFiles(part, models_dir=models_dir) for name, part in parts.items()}


def packed_file(
    card: ModelCard, config: PipelineConfig, arithmetic: Arithmetic, name: str, weight_format: Format
) -> Path | None:
    """Where a component is kept packed; None if it is not streamed, or so small that it is packed at each start."""
    if not arithmetic.is_streamed or card.packed_gb <= 0:
        return None
    return packed_path(config.packed_folder, card, name, weight_format)


def reading_key(*facts: object, tokenizers: Iterable[Path], arithmetic: Arithmetic) -> str:
    """What an embedding depends on beside the prompt: these facts, the tokenizers' files, and what computes it."""
    found = (path for folder in tokenizers for path in sorted(folder.iterdir()) if path.is_file())
    tokens = [(path.name, path.stat().st_size) for path in found]
    where = torch.cuda.get_device_name() if arithmetic.device == "cuda" else arithmetic.device
    return repr((*facts, tokens, arithmetic.dtype, torch.__version__, where))
