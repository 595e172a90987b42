"""How the weights of a model are kept and multiplied here: decided by its size, the device and the setting."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.device.gpu_profile import GpuProfile
from pipeline.streaming.autotune import is_supported, measure_gpu
from pipeline.streaming.quantization import Format
from pipeline.streaming.streamed_module import StreamedModule


@dataclass(frozen=True, slots=True, kw_only=True)
class Arithmetic:
    """How a model is kept and computed with.

    `is_streamed`: it is larger than the card, so its blocks take turns there; see `Residency`.
    """

    weight_format: Format  # the transformer's weights
    uses_8bit_matmul: bool  # or whether 8 bits are only how they are kept
    dtype: torch.dtype  # of everything else
    device: str
    is_streamed: bool
    speed: GpuProfile | None  # of a card that blocks are streamed to

    def use_in(self, transformer: StreamedModule) -> None:
        """Have its products made so."""
        transformer.use_8bit_matmul(self.uses_8bit_matmul)
        if self.speed is not None:
            transformer.use_kernels(self.speed.int8_tiles, fuses_rows=self.speed.fuses_rows)


def choose_arithmetic(
    *,
    is_streamed: bool,
    device: str,
    precision: str,
    packed_dir: Path,
    half: str = Format.BFLOAT16,
    bears_float8: bool = True,
) -> Arithmetic:
    """Decide by the size of the model, the device and the setting.

    `auto`: small models are float32 everywhere, since on a CPU bfloat16 is many times slower and on a GPU it
    does not matter; large ones compute in 16 bits on the GPU, and their transformer in the 8 bits that this card is
    fastest at. `float8` and `int8` are for the transformer alone.

    Args:
        half: the format of 16 bits that the model computes with beside 8 bits.
        bears_float8: whether `auto` may mean floats of 8 bits.
    """
    speed = measure_gpu(packed_dir) if is_streamed and device == "cuda" else None
    uses_8bit_matmul = precision == Format.INT8 or device == "cuda"  # floats of 8 bits are slow on a CPU
    if precision != "auto":
        weight_format = Format(precision)
    elif speed is not None:
        chosen, uses_8bit_matmul = speed.choose_format(bears_float8=bears_float8)
        weight_format = Format(chosen)
    else:
        weight_format = Format.FLOAT32
    if weight_format is Format.FLOAT16 and half == Format.BFLOAT16:
        weight_format = Format.BFLOAT16  # models that were not made for float16 overflow in it
    if weight_format.is_8bit:
        dtype = torch.float32 if device == "cpu" else Format(half).dtype
        uses_8bit_matmul = uses_8bit_matmul and (device == "cpu" or is_supported(weight_format))
    else:
        dtype, uses_8bit_matmul = weight_format.dtype, False
    return Arithmetic(
        weight_format=weight_format,
        uses_8bit_matmul=uses_8bit_matmul,
        dtype=dtype,
        device=device,
        is_streamed=is_streamed,
        speed=speed,
    )
