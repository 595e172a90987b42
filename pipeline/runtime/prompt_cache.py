"""Prompts are read once: another seed of the same words needs no text encoder, after a restart neither.

With streamed encoders that saves seconds on a slow link; so does reading the prompts that come next along with the
first, since the encoders' weights then cross the link once for all of them. Embeddings can be turned back into words
(arXiv 2310.06816), so what is kept on the disk is kept as privately as history. Must not know which text encoders read.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import torch
from cachetools import LRUCache
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from pipeline.sealed_files import read_sealed, write_sealed

log = logging.getLogger(__name__)

PROMPTS: Final = 16  # kept in memory; a large model's take 4 MB each
FILES: Final = 128  # kept on the disk
MOST_BYTES: Final = 2**26  # of one of them
AT_ONCE: Final = (
    3  # prompts, if a family's encoders read several in one pass; more would make the first wait for arithmetic
)

Reading = Mapping[str, Tensor]  # a prompt's embeddings by name


class Key(NamedTuple):
    """What a reading depends on, as long as a model is in memory.

    tokens: what it is padded to.
    variant: what the text encoders are changed by meanwhile; "" for nothing.
    """

    prompt: str
    tokens: int
    variant: str = ""


class PromptFiles:
    """Readings on the disk, the latest used; a cache, so whatever goes wrong with it, prompts are read again."""

    def __init__(self, folder: Path, encoders: str) -> None:
        """`encoders` names what a reading depends on beside the prompt: what others have read is not found."""
        self._folder = folder
        self._encoders = encoders

    def find(self, key: Key) -> Reading | None:
        """What was read before; None if it was not, or if the file is damaged."""
        content = read_sealed(self._path(key), MOST_BYTES)
        try:
            reading = None if content is None else load(content)
        except (SafetensorError, KeyError):  # the latter: of a type that torch does not know
            return None
        return reading if reading and all(_is_finite(tensor) for tensor in reading.values()) else None

    def has(self, key: Key) -> bool:
        """Whether there is a file, whatever is in it."""
        return self._path(key).exists()

    def touch(self, key: Key) -> None:
        """Note that a reading was used."""
        with contextlib.suppress(OSError):
            os.utime(self._path(key))

    def keep(self, key: Key, reading: Reading) -> None:
        """Write it, whole or not at all, and delete what was not used for longest."""
        content = save({name: tensor.contiguous() for name, tensor in reading.items()})
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._folder.chmod(0o700)
            write_sealed(self._path(key), content, mode=0o600)
            ours = [path for path in self._folder.iterdir() if path.is_file()]
            for old in sorted(ours, key=_used_at)[:-FILES]:
                old.unlink(missing_ok=True)
        except OSError as error:
            log.warning("what was read of a prompt is not kept: %s", error)

    def _path(self, key: Key) -> Path:
        what = f"{self._encoders}{key.variant} {key.tokens} {key.prompt}"
        return self._folder / hashlib.sha256(what.encode()).hexdigest()


class PromptEmbeddingCache:
    """The latest readings in memory, and on the disk those of encoders that are streamed."""

    def __init__(self, files: PromptFiles | None = None, *, at_once: int = AT_ONCE) -> None:
        """Begin with what was kept.

        Args:
            at_once: how many prompts are read together at most; 1 if each is a pass of its own anyway, so that reading
                ahead would only make the first wait.
        """
        self._files = files
        self._at_once = at_once
        self._read: LRUCache[Key, Reading] = LRUCache(PROMPTS)
        self._unkept: dict[Key, Reading] = {}
        self.upcoming: Sequence[str] = ()  # prompts to read along with one that has to be read anyway
        self.variant = ""  # what the text encoders are changed by

    def embeddings(
        self, prompt: str, tokens: int, *, read: Callable[[list[str]], Reading], device: str | torch.device
    ) -> dict[str, Tensor]:
        """Embeddings of a prompt by name, on a device.

        Args:
            tokens: what a reading is padded to.
            read: reads several prompts at once, (prompts, …) each; called if this one is not known.
        """
        key = Key(prompt, tokens, self.variant)
        found = self._find(key)
        if found is None:
            # Those that come next may be drawn with text encoders that are changed otherwise.
            others = (text for text in dict.fromkeys(() if self.variant else self.upcoming) if text != prompt)
            unread = (text for text in others if not self._is_known(Key(text, tokens)))
            texts = [prompt, *islice(unread, self._at_once - 1)]
            together = read(texts)
            for number, text in enumerate(texts):
                reading = {name: tensor[number : number + 1].cpu() for name, tensor in together.items()}
                self._remember(key._replace(prompt=text), reading)
                if self._files is not None:
                    self._unkept[key._replace(prompt=text)] = reading
            found = self._read[key]
        elif self._files is not None:
            self._files.touch(key)
        return {name: tensor.to(device) for name, tensor in found.items()}

    @property
    def prompts(self) -> list[str]:
        """Those whose readings are in memory, in the order in which they were read."""
        return [key.prompt for key in self._read]

    def forget(self) -> None:
        """Drop the readings in memory, those that were not written yet too, and the prompts that come next."""
        self._read.clear()
        self._unkept.clear()
        self.upcoming = ()

    def keep(self) -> None:
        """Write what was read, now that the weights that read it are known to be right."""
        for key, reading in self._unkept.items():
            assert self._files is not None
            self._files.keep(key, reading)
        self._unkept.clear()

    def _is_known(self, key: Key) -> bool:
        return key in self._read or (self._files is not None and self._files.has(key))

    def _find(self, key: Key) -> Reading | None:
        if key in self._read:
            return self._read[key]
        found = self._files.find(key) if self._files is not None else None
        if found is not None:
            self._remember(key, found)
        return found

    def _remember(self, key: Key, reading: Reading) -> None:
        self._read[key] = reading


def _used_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # forgotten meanwhile
        return 0.0


def _is_finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())
