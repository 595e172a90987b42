"""What passes between the form and its handlers. Plain data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bot.jobs import Job
from pipeline.spec import ImageOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """The result of a press: the jobs that were queued, why there are not more, and what the prompt held but words."""

    jobs: tuple[Job, ...]
    text: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """The images of a form, and whether the words say what to change in them."""

    files: tuple[bytes | Path, ...] = ()
    is_edit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reuse:
    """The values that go back into the form, to draw one of this person's pictures again."""

    options: ImageOptions
    init_image: bytes | None
    references: tuple[bytes, ...] = ()


NO_IMAGES: Final = Attached()
