"""What an image is drawn with beside its spec, as a hash: where it is the same, so are the bytes of an image.

The program, PyTorch, the machine with its GPU and driver, the settings that reach the engine, and the files of the
model, of its LoRAs and of nothing else, by size and time of the last change. The image check counts as well, so that
no image is shown again that it has not seen. Whatever cannot be found out makes the hash unknown, so that nothing is
taken for the same.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

from pipeline.catalog.headers import NotWeights
from pipeline.catalog.loras import loras_of
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.model_parts import parts_of
from pipeline.config import PipelineConfig
from pipeline.device.gpu import look_at_gpu, torch_build
from pipeline.lora_uses import uses_in
from pipeline.spec import ImageSpec

log = logging.getLogger(__name__)

# Of the settings; the others say where files are, and which models there are.
SETTINGS: Final = ("device", "precision", "compile", "cpu_threads", "vram_limit_mib")


class Drawing:
    """How this process draws.

    image_check: the words of the program that looks at every image; see `scheduling/image_policy.py`.
    """

    def __init__(
        self,
        config: PipelineConfig,
        cards: Mapping[str, ModelCard],
        *,
        release: str,
        image_check: Sequence[str] = (),
    ) -> None:
        self._config = config
        self._cards = cards
        self._release = release
        self._image_check = tuple(image_check)

    def hash_of(self, spec: ImageSpec) -> str:
        """Return the hash for images of a spec; "" if it cannot be known. Blocks for milliseconds, and never fails."""
        try:
            if (card := self._cards.get(spec.model)) is None:
                return ""
            parts, _ = parts_of(card, self._config.models_dir)
            if not parts and any(component.part for component in card.architecture.components.values()):
                return ""
            paths = {path for part in parts.values() for path in part.paths}
            if uses := uses_in(spec.loras):
                loras = loras_of(self._config)
                paths |= {loras[use.name].file for use in uses}
            stamps = sorted(_stamp(path) for path in paths)
            judged = [self._image_check, [_stamp(path) for path in map(Path, self._image_check) if path.is_file()]]
            return hashlib.sha256(json.dumps([self._machine, spec.model, stamps, judged]).encode()).hexdigest()
        except (OSError, NotWeights, KeyError, IndexError, ValueError) as error:
            log.debug("what images are drawn with is not known: %s", error)
            return ""

    @cached_property
    def _machine(self) -> list[object]:
        build, gpu = torch_build(), look_at_gpu().gpu
        return [
            self._release,
            [build.version, build.cuda],
            [platform.node(), platform.machine(), os.cpu_count()],
            None if gpu is None else [gpu.name, gpu.driver],
            {name: str(getattr(self._config, name)) for name in SETTINGS},
        ]


def _stamp(path: Path) -> tuple[str, int, int]:
    status = path.stat()
    return str(path.resolve()), status.st_size, status.st_mtime_ns
