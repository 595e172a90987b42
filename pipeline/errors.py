"""What can go wrong while turning an ImageSpec into a picture.

PipelineError                    who reacts
├─ InvalidSpec                   the person: change the request
├─ UnknownModel                  the person or the operator
│  └─ ModelUnusable              the operator: its files, or the licence that the config asks for
├─ LoraMisfit                    the person: another LoRA; or the operator: another file
├─ UnknownLora                   the person or the operator
│  └─ LoraUnusable               the operator: its file
├─ NothingAdded                  the operator: other files
├─ AddedModelsUnwritable         the operator: let them be written
├─ ModelFilesMissing             the operator: fetch the files, or put others in their places
├─ GpuUnusable                   the operator: the card, its driver, PyTorch, or a smaller model
├─ HomeUnknown                   the operator: name the folders, or a home
├─ PackedDirReadOnly             the operator: let it be written, or name another folder
├─ HubSilent                     the operator: the connection, or the hub's address
├─ FetchFailed                   the operator: fetch again; what arrived is kept
├─ DiskFull                      the operator: make room
├─ OutOfMemory                   the job fails, the engine lives
├─ GenerationStopped             nobody: stopping was asked for
├─ GenerationFailed              the job fails, the engine lives
└─ EngineDead                    the process ends, its supervisor restarts it

Exceptions carry values; the sentences that people read are written upstairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path


class PipelineError(Exception):
    """Base of everything the machine room raises on purpose."""


class InvalidSpec(PipelineError):
    """A field of a request has no meaning for this model."""

    def __init__(self, field: str, reason: str, *, detail: str = "", **values: str | int) -> None:
        """`detail` tells cases of one field apart that are said in sentences of their own, with `values` in them."""
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason
        self.detail = detail
        self.values = values


class UnknownModel(PipelineError):
    """No model card has this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"unknown model {name!r}; known: {', '.join(known)}")
        self.name = name
        self.known = tuple(known)


class ModelUnusable(UnknownModel):
    """A model of this name is known, but cannot be used as things are."""

    def __init__(self, name: str, known: Sequence[str], *, reason: str, way_out: str) -> None:
        """`reason` goes on after the name: "is not there: …"."""
        super().__init__(name, known)
        self.reason, self.way_out = reason, way_out

    def __str__(self) -> str:
        return f"model {self.name!r} {self.reason}"


class LoraMisfit(PipelineError):
    """A LoRA cannot be used with this model; nothing of it was."""

    def __init__(self, name: str, reason: str) -> None:
        """`reason` goes on after the name: "was made for sdxl"."""
        self.name = name
        self.reason = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in reason)
        super().__init__(f"LoRA {name!r} {self.reason}")


class UnknownLora(PipelineError):
    """No LoRA has this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"unknown LoRA {name!r}; known: {', '.join(known) or 'none'}")
        self.name = name
        self.known = tuple(known)


class LoraUnusable(UnknownLora):
    """A LoRA of this name is known, but cannot be used as things are."""

    def __init__(self, name: str, known: Sequence[str], *, reason: str, way_out: str) -> None:
        """`reason` goes on after the name: "needs …, which is not there"."""
        super().__init__(name, known)
        self.reason, self.way_out = reason, way_out

    def __str__(self) -> str:
        return f"LoRA {self.name!r} {self.reason}"


class NothingAdded(PipelineError):
    """Files or folders hold nothing that can be drawn with."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = tuple(reasons)


class AddedModelsUnwritable(PipelineError):
    """The list of models that were added cannot be written."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be written: {reason}")
        self.path, self.reason = path, reason


class ModelFilesMissing(PipelineError):
    """Files that a model needs are absent, not whole, or of another kind."""

    def __init__(self, model: str, paths: Sequence[Path], *, reasons: Mapping[Path, str] | None = None) -> None:
        """`reasons` go on after the paths, as in "is absent"; "" where nothing is known."""
        told = [f"{path} {reason}".rstrip() for path, reason in {**dict.fromkeys(paths, ""), **(reasons or {})}.items()]
        super().__init__(f"model {model!r} lacks {len(told)} file(s): {', '.join(told)}")
        self.model = model
        self.reasons = {**dict.fromkeys(paths, ""), **(reasons or {})}
        self.paths = tuple(self.reasons)


class GpuUnusable(PipelineError):
    """A model that is too large for a CPU has no card here that PyTorch can compute on."""

    def __init__(self, model: str, *, gpu: str, obstacle: str, way_out: str) -> None:
        super().__init__(f"model {model!r} needs a graphics card: {f'{gpu}: ' if gpu else ''}{obstacle}")
        self.model, self.gpu, self.obstacle, self.way_out = model, gpu, obstacle, way_out


class HomeUnknown(PipelineError):
    """Folders are under the user's home by default, and the system names none for this user."""


class PackedDirReadOnly(PipelineError):
    """A large model was not packed yet, and its packed weights cannot be written."""

    def __init__(self, model: str, folder: Path, needed_gb: int) -> None:
        self.reason = f"{needed_gb} GB of packed weights have to be written to {folder}, which is read-only"
        self.way_out = "let this user write there, or set [pipeline] packed_dir to a folder on another disk"
        super().__init__(f"model {model!r}: {self.reason}")
        self.model, self.folder, self.needed_gb = model, folder, needed_gb


class HubSilent(PipelineError):
    """The hub did not say what its repositories hold, so nothing was fetched or compared."""

    def __init__(self, model: str, reasons: Mapping[str, str]) -> None:
        lines = "; ".join(f"{repo}: {reason}" for repo, reason in reasons.items())
        super().__init__(f"model {model!r}: no listing of {lines}")
        self.model = model
        self.reasons = dict(reasons)


class FetchFailed(PipelineError):
    """Files could not be fetched, or arrived wrong; whole files and resumable parts stay on disk."""

    def __init__(self, model: str, reasons: Mapping[Path, str], *, aside: Sequence[Path] = ()) -> None:
        """`aside` is where files went that had been there with another content."""
        lines = "; ".join(f"{path}: {reason}" for path, reason in reasons.items())
        super().__init__(f"model {model!r}: {len(reasons)} file(s) not fetched: {lines}")
        self.model = model
        self.reasons = dict(reasons)
        self.aside = tuple(aside)


class DiskFull(PipelineError):
    """The disk has no room for the files that are to be fetched."""

    def __init__(self, folder: Path, needed_bytes: int, free_bytes: int) -> None:
        super().__init__(f"{folder}: {needed_bytes} bytes are needed, {free_bytes} are free")
        self.folder = folder
        self.needed_bytes = needed_bytes
        self.free_bytes = free_bytes


class OutOfMemory(PipelineError):
    """There was no room in memory, as a rule the GPU's; smaller pictures may still work."""

    def __init__(self, free_mib: int | None = None) -> None:
        super().__init__("out of memory" + ("" if free_mib is None else f", {free_mib} MiB of GPU were free"))
        self.free_mib = free_mib


class GenerationStopped(PipelineError):
    """The run ended early because `should_stop` said so."""


class GenerationFailed(PipelineError):
    """The run failed; the engine is at rest and takes the next one."""


class EngineDead(PipelineError):
    """The engine cannot be used again in this process (poisoned CUDA context, hung kernel)."""
