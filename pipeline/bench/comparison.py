"""The comparison of models on one GPU: what is measured of each, and how it is laid out as a table and a chart.

Random weights of full size, so that no files are needed. Plain data; `model_timing.py` measures. No torch at import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pipeline.bench.report import STOCK, Conditions, Emulation
from pipeline.spec import Aspect

if TYPE_CHECKING:
    from pipeline.bench.model_timing import Figures
    from pipeline.catalog.model_card import ModelCard

STEPS: Final = 4  # that are timed; images of any number are reckoned from them
USUAL_STEPS: Final = 20
SIDES_PX: Final = (512, 1024)
OURS: Final = "int8"
# Of a GPU with so many GB, what one process may take beside what a desktop needs, in MiB.
LIMITS_MIB: Final[Mapping[int, int]] = MappingProxyType({8: 7372, 6: 5324})
COLUMNS: Final = (
    "model", "type", "parameters", "licence", "offline", "peak MiB", "512²/20, s", "1024²/20, s", "own steps, s",
    "8 GB", "6 GB", "× stock",
)  # fmt: skip
# 512², 20 steps on a laptop's RTX 4060 with 8 GB, as the article that this program began with has it: seconds and, if
# given, GB.
ARTICLE: Final[Mapping[str, tuple[float, float | None]]] = MappingProxyType(
    {"sd15": (8.0, None), "sdxl": (15.0, None), "flux1-dev": (18.0, 13.8), "majicflus-v1": (22.0, 7.2)}
)
CLOUD: Final = "closed cloud services: nothing to measure here; not offline, and prompts and images leave this machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One model. Figures by (limit in MiB, side in px); a text says why there are none."""

    card: ModelCard
    ours: Mapping[tuple[int, int], Figures | str] = field(default_factory=dict)
    stock: Mapping[tuple[int, int], Figures | str] = field(default_factory=dict)

    def image_s(self, limit_mib: int, side_px: int, steps: int, *, is_stock: bool = False) -> float | None:
        """Seconds of a whole image with a new prompt, reckoned from fewer steps; None if that was not measured."""
        found = (self.stock if is_stock else self.ours).get((limit_mib, side_px))
        if found is None or isinstance(found, str):
            return None
        return found.image_s + (steps - STEPS) * found.step_s

    def fits(self, limit_mib: int) -> bool | None:
        """Whether it drew its own size within a limit; None if that was not tried."""
        tried = [figures for (limit, _side), figures in self.ours.items() if limit == limit_mib]
        if not tried:
            return None
        return not any(isinstance(each, str) for each in tried)

    def times(self, limit_mib: int) -> float | None:
        """How many times as long a step of stock DiffSynth takes, at the largest size that both drew."""
        for side in sorted(SIDES_PX, reverse=True):
            ours, stock = self.ours.get((limit_mib, side)), self.stock.get((limit_mib, side))
            if ours is not None and stock is not None and not isinstance(ours, str) and not isinstance(stock, str):
                return stock.step_s / ours.step_s
        return None


Time = Callable[[str, str, Conditions], "Figures"]


def compare(
    cards: Sequence[ModelCard],
    limits_mib: Sequence[int],
    time: Time,
    *,
    with_stock: bool = True,
    emulation: Emulation | None = None,
) -> Iterator[Compared]:
    """Measure one model after the other; what fails gets the reason in place of figures.

    Args:
        limits_mib: of the whole process; times of stock DiffSynth are taken under the first.
        time: of (model, system, conditions), see `model_timing.time_model`.
    """
    for card in cards:
        ours: dict[tuple[int, int], Figures | str] = {}
        stock: dict[tuple[int, int], Figures | str] = {}
        for limit in limits_mib:
            sides = SIDES_PX if limit == limits_mib[0] else (_own_side(card),)
            for side in sides:
                conditions = Conditions(limit_mib=limit, sides_px=(side,), steps=STEPS, emulation=emulation)
                ours[limit, side] = _timed(time, card.name, OURS, conditions)
                if with_stock and limit == limits_mib[0]:
                    stock[limit, side] = _timed(time, card.name, STOCK, conditions)
        yield Compared(card=card, ours=ours, stock=stock)


def _own_side(card: ModelCard) -> int:
    return max(side for side in SIDES_PX if side <= max(min(SIDES_PX), *card.sizes[Aspect.SQUARE]))


def _timed(time: Time, name: str, system: str, conditions: Conditions) -> Figures | str:
    try:
        return time(name, system, conditions)
    except Exception as error:  # noqa: BLE001 - why a system has no figures is one of them; its process may have died
        return f"{type(error).__name__}: {error}".splitlines()[0]


def rows(models: Sequence[Compared], limit_mib: int) -> Iterator[tuple[str, ...]]:
    """Yield a row of `COLUMNS` for each model, with the times under this limit."""
    for each in models:
        card = each.card
        measured = [figures for figures in each.ours.values() if not isinstance(figures, str)]
        at_limit = [
            figures for (limit, _), figures in each.ours.items() if limit == limit_mib and not isinstance(figures, str)
        ]
        parameters = max((figures.parameters or 0 for figures in measured), default=0)
        peaks = [figures.peak_mib for figures in at_limit if figures.peak_mib is not None]
        own = _own_side(card)
        yield (
            card.title,
            card.architecture.name,
            f"{parameters / 1e9:.1f} G" if parameters else "–",
            "commercial" if card.is_commercial else "non-commercial",
            "yes",
            str(max(peaks)) if peaks else "–",
            _seconds(each.image_s(limit_mib, 512, USUAL_STEPS)),
            _seconds(each.image_s(limit_mib, 1024, USUAL_STEPS)),
            f"{_seconds(each.image_s(limit_mib, own, card.default_steps))} ({own}²/{card.default_steps})",
            *(_yes_or_no(each.fits(LIMITS_MIB[gb])) for gb in (8, 6)),
            "–" if (times := each.times(limit_mib)) is None else f"{times:.1f}",
        )


def notes(models: Sequence[Compared]) -> Iterator[str]:
    """Yield the lines below the table: why figures are missing, how good they are for this GPU, and what others say."""
    for each in models:
        for kind, figures in (("", each.ours), (f" ({STOCK})", each.stock)):
            for (limit, side), found in figures.items():
                where = f"{each.card.title}{kind} at {side}² within {limit} MiB"
                if isinstance(found, str):
                    yield f"{where}: {found}"
                elif found.floor_share is not None:
                    yield f"{where}: {found.floor_share:.0%} of the speed that link and arithmetic allow"
    for name, (seconds, gb) in ARTICLE.items():
        yield f"the article, RTX 4060 laptop, 512²/20, {name}: {seconds:g} s" + (f", {gb:g} GB" if gb else "")
    yield CLOUD


def chart(models: Sequence[Compared], limit_mib: int, path: Path) -> None:
    """Write a bar chart of the seconds of an image in a model's own steps, ours beside stock DiffSynth.

    In the format that the name of the file asks for: SVG, PNG or PDF.
    """
    from matplotlib.figure import Figure as Chart

    chart = Chart(figsize=(9, 1.2 + 0.7 * len(models)), layout="constrained")
    axes = chart.subplots()
    for offset, (title, is_stock) in enumerate((("imagine-bot", False), ("DiffSynth's own recipe", True))):
        seconds = [
            each.image_s(limit_mib, _own_side(each.card), each.card.default_steps, is_stock=is_stock) or 0.0
            for each in models
        ]
        bars = axes.barh([place + 0.4 * offset for place in range(len(models))], seconds, height=0.38, label=title)
        axes.bar_label(bars, [f"{each:.1f} s" if each else "not measured" for each in seconds], padding=4)
    axes.set_yticks([place + 0.2 for place in range(len(models))], [each.card.title for each in models])
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_xlabel(f"seconds of one image in the model's own steps, within {limit_mib} MiB")
    axes.legend(loc="lower right")
    chart.savefig(path)


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _yes_or_no(value: bool | None) -> str:
    return "–" if value is None else "yes" if value else "no"
