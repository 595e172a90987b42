"""The machine room: one `ImageSpec` in, one picture out. Synchronous; knows no people and no queue.

    spec.py      ImageOptions (gaps allowed), ImageSpec (complete), JSON both ways, rules true for any model
    engine.py    Engine protocol, Progress, Stage, GeneratedImage. No torch.
    errors.py    errors of this side, tree drawn on top
    config.py    PipelineConfig: model, paths, memory budget. Plain data.
    cards.py     ModelCard: what is true of a model before loading it; card.resolve(options) → spec
    models.py    MODELS: name → card; choose_model(); create_engine() imports torch on demand
    hardware.py  the GPU as its driver describes it, and whether PyTorch can use it. No torch.
    speed.py     what a card was measured at, and the 8-bit format that follows. No torch.
    outlook.py   how a large model will run here, for `check` and `/admin stats`. No torch.
    plan.py      what stays on the card, what is streamed: arithmetic. No torch.
    caches.py    files kept to save time: read back as they were written, or made again. No torch.
    files.py     model files: where they lie, whether they are whole. No torch.
    vocabulary.py  what of a prompt a model cannot read. No torch.
    fetch.py     model files: brought from their hub through modelscope, checked. No torch.
    source.py    a person's picture → pixels to start from. No torch.
    png.py       pixels → PNG bytes with the spec inside
    quality.py   scores settings of the engine on the demo model, for `imagine-bot bench quality`
    timing.py    times FLUX.1 with random weights, for `imagine-bot bench engine`
    fake.py      an Engine without torch: same contract, deterministic pictures. Tests only.
    flux/        the FLUX.1 family; the only code that knows DiffSynth
    demo/        the small trained model that ships inside the package

The names below are the torch-free public ones.
"""

from pipeline.engine import Engine, GeneratedImage, Progress, Stage
from pipeline.errors import (
    DiskFull,
    EngineDead,
    FetchFailed,
    GenerationFailed,
    GenerationStopped,
    GpuUnusable,
    InvalidSpec,
    ModelFilesMissing,
    OutOfMemory,
    PackedDirReadOnly,
    PipelineError,
    UnknownModel,
)
from pipeline.spec import Aspect, ImageOptions, ImageSpec

__all__ = [
    "Aspect",
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
    "ModelFilesMissing",
    "OutOfMemory",
    "PackedDirReadOnly",
    "PipelineError",
    "Progress",
    "Stage",
    "UnknownModel",
]
