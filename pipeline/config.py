"""Settings of the machine room: which model, where its files lie, how much memory it may take. Plain data."""

from __future__ import annotations

import errno
import unicodedata
from pathlib import Path
from typing import Annotated, Final, Literal

import platformdirs
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pipeline.errors import HomeUnknown

LEAST_LIMIT_MIB: Final = 2000  # a large model's largest block, the ring and CUDA itself
# In TOML's double quotes a backslash begins something else: "D:\\bots\\new" holds a backspace and a line break.
WINDOWS_PATHS: Final = "write Windows paths in single quotes, 'D:\\bots', or with /, \"D:/bots\""
INNER_NAME_CHARS: Final = 64  # room in a folder's path for the names inside
LEFT_FREE_MIB: Final = 1188  # of the card by default, for the desktop: 7000 are taken of a card of 8 GB


def _user_path(path: Path) -> Path:
    """A path as it was written, `~` for the user's folder, as in a shell."""
    if any(unicodedata.category(character) == "Cc" for character in str(path)):
        raise ValueError(f"must hold no control characters; {WINDOWS_PATHS}")
    try:
        path = path.expanduser()
    except RuntimeError as error:
        raise ValueError("must not begin with ~ where no home folder is known") from error
    try:
        (path.absolute() / ("_" * INNER_NAME_CHARS)).lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ValueError("must be shorter: this system has no paths that long") from error
    return path


UserPath = Annotated[Path, AfterValidator(_user_path)]


def user_data_dir() -> Path:
    """The user's data folder of this program.

    Raises:
        HomeUnknown: the system names no home folder for this user, as in some containers.
    """
    try:
        folder = Path(platformdirs.user_data_dir("imagine-bot", appauthor=False))
    except (RuntimeError, KeyError, OSError) as error:
        raise HomeUnknown from error
    if not folder.is_absolute():  # the library leaves `~` as it is
        raise HomeUnknown
    return folder


def default_models_dir() -> Path:
    """The folder for model files when the config names none: under the user's data folder."""
    return user_data_dir() / "models"


class PipelineConfig(BaseModel):
    """The `[pipeline]` section of the config file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(
        "auto", description="Model to draw with; auto = majicflus-v1 if files and GPU are there, else demo"
    )
    device: Literal["auto", "cuda", "cpu"] = Field("auto", description="Where to compute; auto = cuda if there is one")
    models_dir: UserPath = Field(
        default_factory=default_models_dir, validate_default=True, description="Folder of the model files"
    )
    packed_dir: UserPath | None = Field(
        None, description="Folder of packed weights, compiled code and measurements; unset = packed in models_dir"
    )
    endpoint: str | None = Field(None, description="ModelScope endpoint to fetch from; unset = its own default")
    vram_limit_mib: int | None = Field(
        None, ge=LEAST_LIMIT_MIB, description="GPU memory that this program may take in all, in MiB; unset = most of it"
    )
    precision: Literal["auto", "float32", "bfloat16", "float8", "int8"] = Field(
        "auto", description="How weights are stored; auto = float32 on the CPU, else 8 bits for models of billions"
    )
    compile: bool = Field(
        True, description="Compile large models when they are loaded: twice as fast, a minute the first time"
    )
    cpu_threads: int = Field(
        0, ge=0, le=256, description="Threads for drawing on the CPU; 0 = one per core but one, both of two"
    )

    @property
    def packed_folder(self) -> Path:
        """Where packed weights, compiled code and the measurements of the card lie: 17 GB for each large model."""
        return self.packed_dir or self.models_dir / "packed"

    def limit_mib(self, total_mib: int) -> int:
        """GPU memory that the program may take of a card that has so much."""
        return self.vram_limit_mib or max(LEAST_LIMIT_MIB, total_mib - LEFT_FREE_MIB)
