"""What a graphics card was measured at, kept in a file beside the packed weights. No torch, so that `check` is quick.

TFLOP/s are 10¹² multiplications and additions per second, GB are 10⁹ bytes.
"""

from __future__ import annotations

import logging
import re
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.catalog.model_card import ModelCard
from pipeline.device.gpu import Gpu
from pipeline.sealed_files import read_sealed, write_sealed

log = logging.getLogger(__name__)

FILE_NAME: Final = "card.txt"  # a checksum, then JSON
MOST_BYTES: Final = 2**16
_PACKED_ENDING: Final = r"\.[^.]+\.[^.]+\.(?:safetensors|part|journal|lock)"  # see `packed_path`
WORTH_IT: Final = 1.05  # times bfloat16; an 8-bit product below that is only a loss of precision
NEAR_ENOUGH: Final = 0.8  # of the fastest; integers are four times as exact as floats of 8 bits


class Tiles(NamedTuple):
    """How a product is cut up, see `pipeline.streaming.triton_int8`."""

    rows: int
    outputs: int
    inputs: int  # that are multiplied at a time
    warps: int
    stages: int  # of inputs on their way


class GpuProfile(BaseModel):
    """Rates of one card with one driver and one PyTorch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gpu: str
    driver: str
    torch: str
    link_gb_s: float = Field(gt=0)  # to the card, from page-locked memory
    tflops: dict[str, float]  # of large products, by format; those that the card can do
    int8_tiles: Tiles | None  # that multiply integers faster than the library; None: none do
    fuses_rows: bool  # whether our kernel that makes integers of rows is right here

    def choose_format(self, *, bears_float8: bool = True) -> tuple[str, bool]:
        """The 8-bit format for this card, and whether to multiply in it or only to keep weights so.

        Args:
            bears_float8: whether the model may be kept in floats of 8 bits; see `Architecture`.
        """
        names = ("int8", "float8") if bears_float8 else ("int8",)
        least = WORTH_IT * self.tflops.get("bfloat16", 0.0)
        rates = {name: self.tflops[name] for name in names if self.tflops.get(name, 0.0) >= least}
        if not rates:
            return "int8", False
        return ("int8" if rates.get("int8", 0.0) >= NEAR_ENOUGH * max(rates.values()) else "float8"), True


def is_writable(folder: Path) -> bool:
    """Whether files can be made there, or the folder itself where it is not there yet. Leaves nothing behind."""
    folder = folder.absolute()
    there = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    try:
        with tempfile.TemporaryFile(dir=there):
            return True
    except OSError:
        return False


def is_packed(packed_dir: Path, card: ModelCard) -> bool:
    """Whether a large model was loaded before, so that nothing need be written."""
    kinds = {path.name.split(".")[-3] for path in packed_files(packed_dir, card.name) if path.suffix == ".safetensors"}
    return _path(packed_dir).is_file() and kinds >= card.architecture.streamable.keys()


def read_profile(packed_dir: Path, gpu: Gpu, torch_version: str | None = None) -> GpuProfile | None:
    """What was measured for this card and driver, and for this PyTorch if one is named; None if nothing was."""
    content = read_sealed(_path(packed_dir), MOST_BYTES)
    try:
        speed = None if content is None else GpuProfile.model_validate_json(content)
    except ValidationError:  # of another release
        speed = None
    if speed is None:
        return None
    is_same = (speed.gpu, speed.driver) == (gpu.name, gpu.driver) and torch_version in (None, speed.torch)
    return speed if is_same else None


def write_profile(packed_dir: Path, speed: GpuProfile) -> None:
    """Keep it for the next start; where that fails, the card is measured again then."""
    path = _path(packed_dir)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_sealed(path, speed.model_dump_json(indent=1).encode())
    except OSError as error:
        log.warning("what the card was measured at is not kept: %s", error)


def packed_path(packed_dir: Path, card: ModelCard, kind: str, weight_format: str) -> Path:
    """Where the packed weights of one part of a model lie."""
    return packed_dir / f"{card.name}.{kind}.{weight_format}.safetensors"


def packed_files(packed_dir: Path, model: str) -> list[Path]:
    """What was packed of a model of this name, and what is left of a packing that was interrupted.

    Names of models may hold dots, so a name that only begins like this one is another model's.
    """
    try:
        paths = sorted(packed_dir.iterdir())
    except OSError:
        return []
    return [path for path in paths if re.fullmatch(re.escape(model) + _PACKED_ENDING, path.name)]


def _path(packed_dir: Path) -> Path:
    return packed_dir / FILE_NAME
