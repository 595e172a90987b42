"""`FileOwner`: what the catalogue has to know of a model to look at its files and to fetch them. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from pipeline.catalog.architecture import Component
from pipeline.catalog.model_card import ModelFile


class FileParts(Protocol):
    """What is known of a model's files: `components` by their names, and the only `variant` that they may be."""

    @property
    def components(self) -> Mapping[str, Component]: ...

    @property
    def variant(self) -> str: ...


class FileOwner(Protocol):
    """What has files to look at and to fetch: a model that draws, or the language model that translates."""

    @property
    def name(self) -> str: ...

    @property
    def files(self) -> Mapping[str, ModelFile]: ...

    @property
    def architecture(self) -> FileParts: ...
