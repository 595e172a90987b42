"""Which tensors a part must hold, as templates: what is always there, and what repeats with every block.

The number of blocks is what the file shows, so that pruned and small models are whole.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Final

MOST_LISTED: Final = 8  # names of missing tensors that are told
_MOST_BLOCKS: Final = 5000  # of a kind that are looked at
_ENDS: Final = (".weight", ".bias", ".scale")


@dataclass(frozen=True)
class Template:
    """Names of tensors.

    `a|b` means either. A name stands for its weight and its bias, unless it ends in one of `.weight`, `.bias` and
    `.scale`, or begins with `=`.

    rest: that belong to no block.
    blocks: patterns like `double_blocks.#.`, with what each such block holds. A block counts if any tensor of it is
        there, and so do those before it. Words in round brackets after a pattern say which tensors make it a block of
        its kind, `input_blocks.#.#.(in_layers.|emb_layers.)`; then those before it need not be of that kind.
    needs: patterns of which there must be a block.
    """

    rest: tuple[str, ...]
    blocks: tuple[tuple[str, tuple[str, ...]], ...] = ()
    needs: tuple[str, ...] = ()

    def lacks(self, names: Collection[str]) -> tuple[str, ...]:
        """What of it is not there; at most some."""
        return _absent(names, self._expected(names))

    def _expected(self, names: Collection[str]) -> Iterator[str]:
        yield from spelled("", self.rest)
        for pattern, leaves in self.blocks:
            found = blocks_of(pattern, names)
            if not found and pattern in self.needs:
                found = [pattern.split("(")[0].replace("#", "0")]
            for block in found:
                yield from spelled(block, leaves)


def absent(names: Collection[str], leaves: Iterable[str]) -> tuple[str, ...]:
    """Which of these are not there, at most some; spelled as in a `Template`."""
    return _absent(names, spelled("", leaves))


def _absent(names: Collection[str], expected: Iterable[str]) -> tuple[str, ...]:
    missing: list[str] = []
    for name in expected:
        choices = name.split("|")
        if not any(choice in names for choice in choices):
            missing.append(choices[0])
            if len(missing) == MOST_LISTED:
                break
    return tuple(missing)


def spelled(before: str, leaves: Iterable[str]) -> Iterator[str]:
    """The full names of leaves; see `Template`."""
    for leaf in leaves:
        ends = ("",) if leaf.startswith("=") or leaf.endswith(_ENDS) else (".weight", ".bias")
        for end in ends:
            yield "|".join(f"{before}{choice}{end}" for choice in leaf.removeprefix("=").split("|"))


def blocks_of(pattern: str, names: Iterable[str]) -> list[str]:
    """What the names of blocks begin with: of those that are there, and of those before them."""
    expression, after, has_kind = _compiled(pattern)
    matches = [match for name in names if (match := expression.match(name)) is not None]
    if has_kind:
        return sorted({match["block"] for match in matches})[:_MOST_BLOCKS]
    last: dict[str, int] = {}
    for match in matches:
        last[match["before"]] = max(last.get(match["before"], -1), int(match["number"]))
    found = (f"{before}{number}{after}" for before in sorted(last) for number in range(last[before] + 1))
    return list(islice(found, _MOST_BLOCKS))


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> tuple[re.Pattern[str], str, bool]:
    """(regular expression, what follows the last number, whether blocks have a kind)."""
    place, _, kind = pattern.partition("(")
    before, after = place.rsplit("#", 1)
    spelled_before = r"\d{1,4}".join(map(re.escape, before.split("#")))
    marker = f"(?=(?:{kind[:-1].replace('.', chr(92) + '.')}))" if kind else ""
    expression = rf"(?P<block>(?P<before>{spelled_before})(?P<number>\d{{1,4}}){re.escape(after)}){marker}"
    return re.compile(expression), after, bool(kind)
