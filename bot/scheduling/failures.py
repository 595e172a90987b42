"""Why a job failed: the errors of saving and showing an image, and what each error means for its person. Pure."""

from __future__ import annotations

from typing import Final

from bot.jobs import FailureCode
from pipeline import InvalidSpec, LoraMisfit, ModelFilesMissing, OutOfMemory, PipelineError, UnknownModel
from pipeline.errors import UnknownLora


class StorageFailed(Exception):
    """The picture cannot be saved, or one that it needs cannot be read: the engine has no part in it."""


class InputGone(Exception):
    """An image that the job needs is not kept any more; the disk and the engine have no part in it."""


class ImageBlocked(Exception):
    """The image check did not let the picture pass; the engine has no part in it."""


# Errors of the request, or of files that are not there, which say nothing about the engine.
NOT_OF_THE_ENGINE: Final = (InvalidSpec, UnknownModel, UnknownLora, LoraMisfit, ModelFilesMissing, InputGone)


def failure_code(error: Exception) -> FailureCode:
    """What a failed run means for its person."""
    match error:
        case OutOfMemory():
            return FailureCode.OUT_OF_MEMORY
        case ModelFilesMissing() | UnknownModel():
            return FailureCode.MODEL_MISSING
        case UnknownLora() | LoraMisfit():
            return FailureCode.LORA_MISSING
        case InvalidSpec():
            return FailureCode.INVALID_SPEC
        case ImageBlocked():
            return FailureCode.BLOCKED
        case InputGone():
            return FailureCode.INPUT_GONE
        case PipelineError():
            return FailureCode.GENERATION_FAILED
        case StorageFailed() | OSError():  # the latter: a file of the engine's
            return FailureCode.STORAGE
        case _:
            return FailureCode.GENERATION_FAILED
