"""The machine room: one `ImageSpec` in, one picture out. Synchronous; knows no people and no queue.

    spec.py          ImageOptions (gaps allowed), ImageSpec (complete), JSON both ways, rules true for any model
    engine.py        Engine protocol, Progress, Stage, GeneratedImage. No torch.
    tiling.py        where the tiles of an upscaled image lie. No torch.
    errors.py        errors of this side, tree drawn on top
    config.py        PipelineConfig: model, paths, memory budget. Plain data.
    atomic_file.py   files that appear whole or not at all
    sealed_files.py  files kept to save time: read back as they were written, or made again. No torch.
    partial_import.py  a library without parts of it that take seconds and are never used. No torch.
    catalog/         which models there are, where their files lie, and how they get here. No torch.
    images/          a person's picture → pixels to start from; pixels → PNG with the spec inside. No torch.
    device/          the GPU: what it is, what it was measured at, what fits, how long it takes. No torch.
    runtime/         what every torch engine needs: GPU memory, tiles, previews, embeddings that are kept
    streaming/       weights that are larger than the GPU's memory: packed, quantized, passed through a ring
    translation/     prompts that are not English put into English, on the CPU
    families/        one folder per model family
    demo/            the small trained model that ships inside the package
    fake.py          an Engine without torch: same contract, deterministic pictures. Tests only.
    bench/           measures quality and speed; nothing of the product imports it

The names below are the torch-free public ones.
"""

from pipeline.engine import Engine, GeneratedImage, Progress, Reference, Stage
from pipeline.errors import (
    DiskFull,
    EngineDead,
    FetchFailed,
    GenerationFailed,
    GenerationStopped,
    GpuUnusable,
    InvalidSpec,
    LoraMisfit,
    ModelFilesMissing,
    OutOfMemory,
    PackedDirReadOnly,
    PipelineError,
    UnknownModel,
)
from pipeline.spec import Aspect, Dimensions, ImageOptions, ImageSpec, Sampler, Size

__all__ = [
    "Aspect",
    "Dimensions",
    "DiskFull",
    "Engine",
    "EngineDead",
    "FetchFailed",
    "GeneratedImage",
    "GenerationFailed",
    "GenerationStopped",
    "GpuUnusable",
    "ImageOptions",
    "ImageSpec",
    "InvalidSpec",
    "LoraMisfit",
    "ModelFilesMissing",
    "OutOfMemory",
    "PackedDirReadOnly",
    "PipelineError",
    "Progress",
    "Reference",
    "Sampler",
    "Size",
    "Stage",
    "UnknownModel",
]
