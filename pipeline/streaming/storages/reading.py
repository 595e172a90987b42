"""Which way a tensor is kept in. That follows from the tensor and from what lies beside it, since files mix them."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.catalog.headers import Container
from pipeline.catalog.layouts.scales import SCALE_ENDS
from pipeline.streaming.storages.four_bit import STATE_END, read_four_bit, shape_of_four_bit
from pipeline.streaming.storages.gguf_blocks import read_gguf
from pipeline.streaming.storages.scaled import read_scaled
from pipeline.streaming.storages.stored import Stored


def shape_of(stored: Stored) -> torch.Size:
    """The shape that `read_tensor` returns."""
    return torch.Size(shape_of_four_bit(stored) if stored.find(STATE_END) is not None else stored.info.shape)


def read_tensor(stored: Stored) -> Tensor:
    """A tensor on the CPU: in the dtype that it is kept in if that is plain, else float32.

    Raises:
        GenerationFailed: it makes no sense, or is kept in a way that is not supported.
    """
    if stored.container is Container.GGUF:
        return read_gguf(stored)
    if stored.find(STATE_END) is not None:
        return read_four_bit(stored)
    if stored.find(*SCALE_ENDS) is not None:
        return read_scaled(stored)
    if stored.beside:
        return _without_scale(stored)
    return stored.values()


def _without_scale(stored: Stored) -> Tensor:
    """A weight beside which there are only scales of inputs, or a note that it is a plain one."""
    if stored.info.dtype in ("I8", "U8"):
        stored.refuse("lacks its scale")
    return stored.values()
