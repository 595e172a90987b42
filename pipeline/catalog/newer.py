"""Whether the hub has newer files of a model than those that are here. Only listings are read; nothing is changed.

Asked by `imagine-bot check --updates` and by nobody else: no start and no drawing asks the hub anything. No torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipeline.catalog.hub import Hub, ModelScope
from pipeline.catalog.listing import list_wanted
from pipeline.catalog.model_card import ModelCard


@dataclass(frozen=True, slots=True, kw_only=True)
class NewerFile:
    """A file that the hub has replaced.

    fetched_on: the day on which the one that is here was fetched, as `2026-11-30`.
    changed_at: when the hub's was committed, if the hub says so.
    """

    path: Path
    fetched_on: str
    changed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What the hub's listing says about the files of one model.

    newer: were fetched from the hub, which has others now.
    unknown: are here, and nobody noted that they came from the hub: `fetch` compares their content.
    revisions: of the repositories that were asked, as branch, tag or commit.
    """

    newer: tuple[NewerFile, ...]
    unknown: tuple[Path, ...]
    revisions: tuple[str, ...]


def is_here(card: ModelCard, models_dir: Path) -> bool:
    """Whether any file of a model lies where those from the hub do."""
    return any(file.repo is not None and (models_dir / file.repo / file.path).exists() for file in card.files.values())


def compare_with_hub(
    card: ModelCard, models_dir: Path, *, endpoint: str | None = None, hub: Hub | None = None
) -> Comparison:
    """Ask the hub which of the files that are here it has replaced since. Blocks for seconds.

    Raises:
        HubSilent: it did not say.
        FetchFailed: it does not have a file of this model any more.
    """
    wanted = list_wanted(card, models_dir, hub or ModelScope(endpoint))
    here = [file for file in wanted if file.target.is_file()]
    newer = [
        NewerFile(path=file.target, fetched_on=file.replaced.day, changed_at=file.listed.modified_at)
        for file in here
        if file.replaced is not None
    ]
    return Comparison(
        newer=tuple(newer),
        unknown=tuple(file.target for file in here if file.recorded is None and file.listed.sha256 is not None),
        revisions=tuple(dict.fromkeys(file.revision for file in wanted)),
    )
