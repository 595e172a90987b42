"""Settings of the machine room: which model, where its files lie, how much memory it may take. Plain data."""

from __future__ import annotations

import errno
import re
import unicodedata
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

import platformdirs
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from pipeline.errors import HomeUnknown
from pipeline.lora_uses import LORA_NAME, MAX_WEIGHT
from pipeline.spec import MAX_ASKED_SCALE, MAX_CLIP_SKIP, MAX_STEPS, MIN_ASKED_CFG, Sampler

LEAST_LIMIT_MIB: Final = 2000  # a large model's largest block, the ring and CUDA itself
# In TOML's double quotes a backslash begins something else: "D:\\bots\\new" holds a backspace and a line break.
WINDOWS_PATHS: Final = "write Windows paths in single quotes, 'D:\\bots', or with /, \"D:/bots\""
INNER_NAME_CHARS: Final = 64  # room in a folder's path for the names inside
MODEL_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,38}[a-z0-9])?")  # typed by people, and part of file names
AUTO: Final = "auto"  # in place of a model's name: the best that can draw here
# As names: what means something else here, and what no file may be called on Windows.
_TAKEN: Final = frozenset(
    {AUTO, "con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
)
NO_LORA: Final = "none"  # in place of a LoRA's name
MOST_TRIGGERS: Final = 5  # words of one LoRA
MOST_FILES: Final = 32  # of one model: a transformer in shards, text encoders, a VAE
LEFT_FREE_MIB: Final = 1188  # of the card by default, for the desktop: 7000 are taken of a card of 8 GB


def check_path(text: str) -> None:
    """Check that a path was not written so that its backslashes became something else.

    Raises:
        ValueError: it holds control characters.
    """
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise ValueError(f"must hold no control characters; {WINDOWS_PATHS}")


def _endpoint(text: str) -> str:
    if not text.isprintable() or any(map(str.isspace, text)):
        raise ValueError("must be an address like https://modelscope.cn")
    return text


def _user_path(path: Path) -> Path:
    """A path as it was written, `~` for the user's folder, as in a shell."""
    check_path(str(path))
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


def _model_name(name: str) -> str:
    if MODEL_NAME.fullmatch(name) is None or name.partition(".")[0] in _TAKEN:
        raise ValueError("must be up to 40 small letters, digits, dots and dashes, as in 'my-flux.q4'")
    return name


def _line(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise ValueError("must be one line of text")
    return text.strip()


def _lora_name(name: str) -> str:
    if LORA_NAME.fullmatch(name) is None or name == NO_LORA:
        raise ValueError("must be up to 40 small letters, digits, dots, dashes and underscores, as in 'ink-wash'")
    return name


def _lora_weight(weight: float) -> float:
    weight = round(weight, 4)  # as a spec writes it
    if not 0 < abs(weight) <= MAX_WEIGHT:  # not a number, too
        raise ValueError(f"must be a number from -{MAX_WEIGHT:g} to {MAX_WEIGHT:g}, not 0")
    return weight


UserPath = Annotated[Path, AfterValidator(_user_path)]
ModelName = Annotated[str, AfterValidator(_model_name)]
LoraName = Annotated[str, AfterValidator(_lora_name)]
LoraWeight = Annotated[float, AfterValidator(_lora_weight)]
Line = Annotated[str, AfterValidator(_line)]


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


class ModelEntry(BaseModel):
    """A `[[models]]` entry: files of the operator's own under a name, or other defaults for a model that is there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ModelName = Field(description="what people ask for; without files, of a model that is there")
    files: tuple[UserPath, ...] = Field(
        (), max_length=MOST_FILES, description="its files or folders, wherever they are"
    )
    title: Line | None = Field(None, max_length=80, description="what people read; unset = the name of its file")
    text_encoders: tuple[UserPath, ...] = Field(
        (), max_length=MOST_FILES, description="files to take the text encoders from, whatever the others hold"
    )
    vae: UserPath | None = Field(None, description="file to take the VAE from, whatever the others hold")
    steps: int | None = Field(None, ge=1, le=MAX_STEPS, description="if nobody says otherwise")
    guidance: float | None = Field(None, ge=0, le=MAX_ASKED_SCALE, description="likewise; of FLUX")
    cfg_scale: float | None = Field(None, ge=MIN_ASKED_CFG, le=MAX_ASKED_SCALE, description="likewise; of the others")
    sampler: Sampler | None = Field(None, description="likewise")
    clip_skip: int | None = Field(None, ge=1, le=MAX_CLIP_SKIP, description="likewise; 1 = the last layer")
    negative_prompt: str | None = Field(None, max_length=2000, description="likewise")
    licence: Line | None = Field(None, max_length=500, description="as its page says; unset = that of its base model")
    licence_url: Line | None = Field(None, max_length=500, description="where it is to be read")
    commercial: bool | None = Field(None, description="whether it allows commercial use; unset = no, of own files")


class LoraEntry(BaseModel):
    """A `[[loras]]` entry: a LoRA of the operator's own under a name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: LoraName = Field(description="what people ask for")
    file: UserPath = Field(description="its safetensors file, wherever it is")
    title: Line | None = Field(None, max_length=80, description="what people read; unset = as its file says")
    triggers: tuple[Line, ...] | None = Field(
        None, max_length=MOST_TRIGGERS, description="words that call what it was trained on; unset = as its file says"
    )
    weight: LoraWeight = Field(1.0, description="unless a person says otherwise")
    speed: Literal["fast"] | None = Field(None, description="fast = it is what `speed: fast` draws with")
    steps: int | None = Field(None, ge=1, le=MAX_STEPS, description="steps of an image with it, of a fast one")

    @model_validator(mode="after")
    def _have_steps_if_fast(self) -> LoraEntry:
        if (self.speed is None) != (self.steps is None):
            raise ValueError('must have both of speed = "fast" and steps, or neither')
        return self


_Entries = TypeVar("_Entries", tuple[ModelEntry, ...], tuple[LoraEntry, ...])


class PipelineConfig(BaseModel):
    """The `[pipeline]` section of the config file, and its `[[models]]` and `[[loras]]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models_dir: UserPath = Field(
        default_factory=default_models_dir, validate_default=True, description="Folder of the model files"
    )
    models: tuple[ModelEntry, ...] = Field((), max_length=200, description="the `[[models]]` entries")
    loras: tuple[LoraEntry, ...] = Field((), max_length=200, description="the `[[loras]]` entries")
    model: str = Field(
        AUTO, description="Model to draw with; auto = majicflus-v1 if files and GPU are there, else what is, else demo"
    )
    commercial_only: bool = Field(False, description="Hide models whose licence does not allow commercial use")
    device: Literal["auto", "cuda", "cpu"] = Field("auto", description="Where to compute; auto = cuda if there is one")
    packed_dir: UserPath | None = Field(
        None, description="Folder of packed weights, compiled code and measurements; unset = packed in models_dir"
    )
    endpoint: Annotated[str, AfterValidator(_endpoint)] | None = Field(
        None, description="ModelScope endpoint to fetch from; unset = its own default"
    )
    vram_limit_mib: int | None = Field(
        None, ge=LEAST_LIMIT_MIB, description="GPU memory that this program may take in all, in MiB; unset = most of it"
    )
    precision: Literal["auto", "float32", "float16", "bfloat16", "float8", "int8"] = Field(
        "auto", description="How weights are stored; auto = float32 on the CPU, else 8 bits for models of billions"
    )
    compile: bool = Field(
        True, description="Compile large models when they are loaded: twice as fast, a minute the first time"
    )
    cpu_threads: int = Field(
        0, ge=0, le=256, description="Threads for drawing on the CPU; 0 = one per core but one, both of two"
    )

    @field_validator("models", "loras")
    @classmethod
    def _have_names_of_their_own(cls, entries: _Entries) -> _Entries:
        names = [entry.name for entry in entries]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"must have names of their own: {', '.join(twice)} stands there twice")
        return entries

    @property
    def packed_folder(self) -> Path:
        """Where packed weights, compiled code and the measurements of the card lie: 17 GB for each large model."""
        return self.packed_dir or self.models_dir / "packed"

    def limit_mib(self, total_mib: int) -> int:
        """GPU memory that the program may take of a card that has so much."""
        return self.vram_limit_mib or max(LEAST_LIMIT_MIB, total_mib - LEFT_FREE_MIB)
