"""`identify`: files and folders → `Layout`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Final

from pipeline.catalog.headers import Header, NotWeights, Stamp, header_of, stamp_of
from pipeline.catalog.headers.strangers import PICKLE_SUFFIXES, parts_beside
from pipeline.catalog.layouts import folders
from pipeline.catalog.layouts.findings import Finding, with_article
from pipeline.catalog.layouts.others import TAKE_KNOWN, other_kind
from pipeline.catalog.layouts.sections import sections_of
from pipeline.catalog.layouts.storage import Kept, storage_of
from pipeline.catalog.layouts.templates import MOST_LISTED
from pipeline.catalog.layouts.tensors import Tensors
from pipeline.catalog.parts import Layout, Part, PartKind, Refusal

_MOST_KEPT: Final = 512
# Notes that name a model; others are long, or tell of its training.
_NOTES: Final = (
    "modelspec.title",
    "modelspec.architecture",
    "modelspec.prediction_type",
    "general.name",
    "general.basename",
    "general.finetune",
)
_MOST_NOTE: Final = 200
_GENERAL_NAMES: Final = ("diffusion_pytorch_model", "model", "pytorch_model")
_SHARD_IS_ABSENT: Final = "a part of a model"


def identify(path: Path) -> Layout:
    """Say what a file or a folder is. Never raises for what it holds: what is of no use has a `refusal`.

    A shard or an index stands for all of its part, a folder with a `model_index.json` for the parts in those below it.
    """
    try:
        if path.name.endswith(folders.INDEX_SUFFIX) and (names := folders.shards_of_index(path)):
            return identify_files([path.with_name(name) for name in sorted(names)], path=path)
        if path.name == folders.PIPELINE_INDEX and path.is_file():
            return _pipeline(path, path.parent)
        if not _is_folder(path):
            return identify_files(folders.shards_beside(path), path=path)
        home = folders.snapshot_of(path)
        if (home / folders.PIPELINE_INDEX).is_file():
            return _pipeline(path, home)
        weights = folders.weights_in(home)
        return identify_files(weights, path=path) if weights else _refused(path, _without_weights(home))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "its name means nothing here"
        instead = "see that this program may read it"
        return _refused(path, Refusal(what="a place that cannot be read", reason=reason, instead=instead))


def identify_files(paths: Sequence[Path], *, path: Path | None = None) -> Layout:
    """Say what files are that belong together: the shards of one part, there or not.

    Args:
        path: what people call them; the first of them if it is not given.

    Raises:
        ValueError: there are no paths.
    """
    if not paths:
        raise ValueError("there are no files to identify")
    path = path or paths[0]
    there: list[tuple[Path, Stamp]] = []
    absent: list[str] = []
    for each in paths:
        try:
            there.append((each, stamp_of(each)))
            if parts := parts_beside(each):
                return _refused(path, _unfinished(parts[0]))
        except NotWeights as error:
            if len(paths) == 1 or error.is_there:
                return _refused(path, error.refusal)
            absent.append(each.name)
    if not there:
        return _refused(path, Refusal(what="no files", reason="none of them is there", instead="fetch them"))
    try:
        layout = replace(_identified(tuple(there), _hints_beside(paths[0])), path=path)
    except NotWeights as error:
        return _refused(path, error.refusal)
    return _with_absent(layout, paths[0].parent, absent) if absent else layout


@lru_cache(maxsize=_MOST_KEPT)
def _identified(files: tuple[tuple[Path, Stamp], ...], hints: str) -> Layout:
    """Raises NotWeights, which is not kept: it may be about something else than what a file holds."""
    path = files[0][0]
    headers = [header_of(each) for each, _ in files]
    names = [name for header in headers for name in header.tensors]
    if len(names) > len(set(names)):
        reason = "its files hold tensors of the same names"
        return _refused(
            path, Refusal(what="a folder with several models", reason=reason, instead="name the one that you mean")
        )
    if (other := other_kind(names)) is not None and other.refusal is not None:
        return _refused(path, other.refusal)
    return _of_sections(path, headers, " ".join((hints, *_notes(headers))))


def _of_sections(path: Path, headers: Sequence[Header], hints: str) -> Layout:
    found = [(reader(tensors, hints), tensors) for reader, tensors in sections_of(headers)]
    if not all(finding.is_extra for finding, _ in found):
        found = [(finding, tensors) for finding, tensors in found if not finding.is_extra]
    parts: dict[PartKind, Part] = {}
    titles: dict[PartKind, str] = {}
    for finding, tensors in found:
        kept = storage_of(tensors)
        if isinstance(kept, Refusal):  # first, since packed shapes tell nothing
            named = f"a file of {kept.what}" if finding.refusal else f"{with_article(finding.title)} in {kept.what}"
            return _refused(path, replace(kept, what=named))
        if finding.refusal is not None:
            return _refused(path, finding.refusal)
        if finding.kind is not None and finding.kind not in parts:
            parts[finding.kind] = _part(finding, finding.kind, tensors, kept)
            titles[finding.kind] = f"{finding.title}, {kept.precision}"
    if not parts:
        return _refused(path, _unknown(headers))
    kinds = [kind for kind in PartKind if kind in parts]
    return Layout(
        path=path, title="; ".join(titles[kind] for kind in kinds), parts=tuple(parts[kind] for kind in kinds)
    )


def _part(finding: Finding, kind: PartKind, tensors: Tensors, kept: Kept) -> Part:
    return Part(
        kind=kind,
        architecture=finding.architecture,
        variant=finding.variant,
        paths=tensors.paths,
        prefix=tensors.prefix,
        naming=finding.naming,
        storage=kept.storage,
        precision=kept.precision,
        width=finding.width,
        reads=tuple((kind, width) for kind, width in finding.reads if width),
        lacks=finding.lacks,
    )


def _pipeline(path: Path, home: Path) -> Layout:
    """The parts of a model that diffusers saved; those that cannot be used are left out, but for the denoiser."""
    found: list[Layout] = []
    for name in folders.PARTS:
        weights = folders.weights_in(home / name) if (home / name).is_dir() else []
        if weights:
            found.append(identify_files(weights, path=home / name))
    beside = [
        identify_files([file], path=file) for file in folders.weights_in(home)
    ]  # one file each, in whatever names
    denoisers = [layout for layout in found if layout.path.name in ("transformer", "unet")]
    if denoisers and denoisers[0].refusal is not None:
        return _refused(path, denoisers[0].refusal)
    parts: dict[PartKind, Part] = {}
    titles: list[str] = []
    for layout in (*found, *beside):
        new = {part.kind: part for part in layout.parts if part.kind not in parts}
        parts |= new
        titles += [layout.title] if new else []
    if not parts:
        return _refused(path, next((each.refusal for each in found if each.refusal), None) or _without_weights(home))
    return Layout(path=path, title="; ".join(titles), parts=tuple(parts[kind] for kind in PartKind if kind in parts))


def _with_absent(layout: Layout, folder: Path, absent: Sequence[str]) -> Layout:
    """The same, but for what is in shards that are not there."""
    if layout.refusal is not None:
        reason, instead = f"{absent[0]} is not there", "fetch it"
        return _refused(layout.path, Refusal(what=_SHARD_IS_ABSENT, reason=reason, instead=instead))
    indices = sorted(folder.glob(f"*{folders.INDEX_SUFFIX}"))
    names = [name for index in indices for shard in absent for name in folders.names_in_shard(index, shard)]
    missing = tuple(names[:MOST_LISTED]) or tuple(f"whatever is in {name}" for name in absent[:MOST_LISTED])
    return replace(layout, parts=tuple(replace(part, lacks=part.lacks or missing) for part in layout.parts))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # of a name that nothing can have; asked as a file, it says why
        return False


def _notes(headers: Sequence[Header]) -> list[str]:
    return [header.metadata[key][:_MOST_NOTE] for header in headers for key in _NOTES if key in header.metadata]


def _hints_beside(path: Path) -> str:
    """What the name of a file and the files beside it say, which its head may not."""
    if path.name.split(".")[0].split("-00")[0] not in _GENERAL_NAMES:
        return path.name
    config = folders.read_json(path.with_name("config.json"))
    pipeline = folders.read_json(path.parent.parent / folders.PIPELINE_INDEX)
    scheduler = folders.read_json(path.parent.parent / "scheduler/scheduler_config.json")
    told = (
        pipeline.get("_class_name"),
        "undistilled" if pipeline.get("is_distilled") is False else "",  # FLUX.2 [klein] Base
        scheduler.get("prediction_type"),
        config.get("architectures"),
    )
    return " ".join((path.parent.name, path.name, *(str(each)[:_MOST_NOTE] for each in told if each)))


def _unfinished(part: Path) -> Refusal:
    reason = f"{part.name} lies beside it"
    instead = "wait for it; delete that if it is left over"
    return Refusal(what="a file that is still being downloaded", reason=reason, instead=instead)


def _unknown(headers: Sequence[Header]) -> Refusal:
    if not any(header.tensors for header in headers):
        return Refusal(what="a file without tensors", reason="there is nothing in it", instead="fetch it again")
    return Refusal(
        what="a file with weights of no model that is known here",
        reason="its tensors have other names",
        instead=TAKE_KNOWN,
    )


def _without_weights(folder: Path) -> Refusal:
    if any(path.suffix in PICKLE_SUFFIXES for path in folder.iterdir()):
        return Refusal(
            what="a folder with pickled weights",
            reason="loading those runs whatever code is inside them",
            instead="take the .safetensors files of the same model",
        )
    return Refusal(
        what="a folder without weights",
        reason="no .safetensors or .gguf file lies in it",
        instead="name a file, or the folder that they lie in",
    )


def _refused(path: Path, refusal: Refusal) -> Layout:
    return Layout(path=path, title=refusal.what, refusal=refusal)
