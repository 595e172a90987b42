"""What a backup says of itself: the manifest, and which names a file in it may have. Pure.

A backup may come from anywhere: nothing in it is believed before it was read here.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from bot.store.database import DATABASE_NAME
from bot.store.image_store import IMAGES_FOLDER, SOURCES

MANIFEST_NAME: Final = "manifest.json"
MAX_MANIFEST_BYTES: Final = 256 * 2**20  # a million images
MAX_FILE_BYTES: Final = 2**40
# A picture by its number, or what pictures were made from by its content. ASCII, and no way out of the folder.
IMAGE: Final = re.compile(
    rf"{IMAGES_FOLDER}/(?:[0-9]{{5,12}}/[0-9]{{1,15}}(?:-[0-9a-f]{{1,32}})?|{SOURCES}/[0-9a-f]{{2}}/[0-9a-f]{{64}})\.png",
    re.ASCII,
)


class ManifestUnreadable(Exception):
    """It is no manifest of a backup; `str()` says what is wrong."""


def _name(text: str) -> str:
    if text != DATABASE_NAME and not IMAGE.fullmatch(text):
        raise ValueError("is no file of a backup")
    return text


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class BackedUpFile(_Strict):
    """A file in a backup."""

    bytes: Annotated[int, Field(ge=0, le=MAX_FILE_BYTES)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


FileName = Annotated[str, AfterValidator(_name)]
Pseudonym = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Moment = Annotated[int, Field(ge=0, le=10**12)]


class Manifest(_Strict):
    """What is in a backup.

    made_at: Unix seconds, before the database was copied.
    schema_version: of the database.
    erased: when people were erased, by pseudonym, as far as it was known then.
    """

    format: Literal[1] = 1
    release: Annotated[str, Field(max_length=100)]
    made_at: Moment
    schema_version: Annotated[int, Field(ge=1, le=9999)]
    files: dict[FileName, BackedUpFile]
    erased: dict[Pseudonym, Moment] = Field(default_factory=dict)

    @property
    def total_bytes(self) -> int:
        """How much room the files take."""
        return sum(file.bytes for file in self.files.values())


def read_manifest(content: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        ManifestUnreadable
    """
    try:
        manifest = Manifest.model_validate_json(content)
    except (ValidationError, ValueError, RecursionError) as error:
        raise ManifestUnreadable("its list of files cannot be read") from error
    if DATABASE_NAME not in manifest.files:
        raise ManifestUnreadable("it has no database")
    return manifest
