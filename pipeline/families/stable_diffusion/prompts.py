"""A prompt with weights → chunks of 75 tokens for CLIP, and what the weights do to what CLIP makes of them.

The syntax is AUTOMATIC1111's (`modules/prompt_parser.py`), of which ComfyUI's is a part: `(word)` counts × 1.1,
`[word]` ÷ 1.1, `(word:1.3)` × 1.3, brackets multiply, `\\(` is a bracket to draw, `BREAK` begins a new chunk. A weight
that is no number is text. Prompt editing (`[cat:dog:0.5]`, `[cat|dog]`), `AND` and names of embeddings are text, too;
`<lora:…>` never comes here (`bot/requests/pasted_settings.py`). No torch is imported, and no text raises an error.

    positive = chunks(parse(prompt), vocabulary)
    embeddings = weigh(encode(positive.ids(pad)), positive.factors(), encode of an empty chunk)
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor

    from pipeline.runtime.prompt_tokenizer import ReadsPrompts

STRONGER: Final = 1.1
MAX_WEIGHT: Final = 10.0  # either side of 0: far beyond what draws anything, and finite in 16 bits
CHUNK_TOKENS: Final = 75
CLIP_TOKENS: Final = CHUNK_TOKENS + 2  # with start and end
COMMA_TOKENS: Final = 20  # AUTOMATIC1111's default of `comma_padding_backtrack`
MAX_CHUNKS: Final = 16  # 1200 tokens: a bound for the memory of attention, which 2000 English letters hardly reach
OPEN_CLIP_PAD: Final = 0  # of SDXL's second text encoder; the first one, and SD 1.5's, are padded with the end

_NUMBER: Final = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)"
_PIECE: Final = re.compile(
    rf"(?P<escaped>\\[\\()\[\]])|(?P<bracket>[()\[\]]|:\s*+(?P<weight>{_NUMBER})\s*+\))|[^\\()\[\]:]+|[\\:]"
)
_BREAK: Final = re.compile(r"(?<!\s)(?:\s*+\bBREAK\b)+\s*+")
_OPENING: Final = {")": "(", "]": "["}


@dataclass(frozen=True, slots=True)
class Span:
    """Text of one weight; `begins_chunk` after a BREAK."""

    text: str
    weight: float = 1.0
    begins_chunk: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """What chunks need of a tokenizer; `tokenize` adds neither start nor end."""

    tokenize: Callable[[str], Sequence[int]]
    start: int
    end: int
    comma: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunks:
    """At least one chunk of at most 75 tokens, and their weights; without start, end and padding.

    is_cut: the prompt went on, but there are MAX_CHUNKS already.
    """

    tokens: tuple[tuple[int, ...], ...]
    weights: tuple[tuple[float, ...], ...]
    start: int
    end: int
    is_cut: bool = False

    @property
    def is_weighted(self) -> bool:
        """Whether any weight is not 1."""
        return any(weight != 1 for weights in self.weights for weight in weights)

    @property
    def end_at(self) -> int:
        """Return the place of the first chunk's end in `ids`, where CLIP's pooled embedding is read.

        AUTOMATIC1111 and ComfyUI pool the first chunk, and diffusers the only one, there. DiffSynth 2.1.12's
        `SDXLTextEncoder2` pools at place 0, the start token, whose embedding is the same for every prompt.
        """
        return 1 + len(self.tokens[0])

    def ids(self, pad: int) -> list[list[int]]:
        """Return what a text encoder reads, (chunks, 77)."""
        rows = ([self.start, *tokens, self.end] for tokens in self.tokens)
        return [row + [pad] * (CLIP_TOKENS - len(row)) for row in rows]

    def factors(self) -> list[list[float]]:
        """Return the weights of `ids`, (chunks, 77); 1 for start, end and padding."""
        rows = ([1.0, *weights] for weights in self.weights)
        return [row + [1.0] * (CLIP_TOKENS - len(row)) for row in rows]

    def extended(self, count: int) -> Chunks:
        """Return at least this many chunks, the new ones empty, so that two prompts can be drawn in one batch."""
        added = ((),) * (count - len(self.tokens))
        return replace(self, tokens=self.tokens + added, weights=self.weights + added)


def parse(prompt: str) -> list[Span]:
    """Take the markup out of a prompt. Neighbours of equal weight are one span.

    A bracket that is never closed counts up to the end, and one that was never opened is text.
    """
    spans: list[Span] = []
    begins_chunk = False
    for piece, weight in _weighted(list(_PIECE.finditer(prompt))):
        for number, text in enumerate(_BREAK.split(piece)):
            begins_chunk = bool(spans) and (begins_chunk or number > 0)
            if text and spans and not begins_chunk and spans[-1].weight == weight:
                spans[-1] = replace(spans[-1], text=spans[-1].text + text)
            elif text:
                spans.append(Span(text, weight, begins_chunk))
                begins_chunk = False
    return spans


def chunks(spans: Sequence[Span], vocabulary: Vocabulary) -> Chunks:
    """Cut tokens into chunks of 75, at a BREAK, or else after a comma among the last 20 tokens.

    As in AUTOMATIC1111's `modules/sd_hijack_clip.py` (`tokenize_line`), but for chunks with nothing in them: several
    BREAKs are one. Start and end themselves, if they are written in a prompt, are left out.
    """
    rows: list[list[tuple[int, float]]] = [[]]
    for token, weight, begins_chunk in _tokens(spans, vocabulary):
        if begins_chunk and rows[-1]:
            rows.append([])
        elif len(rows[-1]) == CHUNK_TOKENS:
            rows.append([] if token == vocabulary.comma else _cut_after_comma(rows[-1], vocabulary.comma))
        rows[-1].append((token, weight))
        if len(rows) > MAX_CHUNKS:
            break
    return Chunks(
        tokens=tuple(tuple(token for token, _ in row) for row in rows[:MAX_CHUNKS]),
        weights=tuple(tuple(weight for _, weight in row) for row in rows[:MAX_CHUNKS]),
        start=vocabulary.start,
        end=vocabulary.end,
        is_cut=len(rows) > MAX_CHUNKS,
    )


def vocabulary_of(tokenizer: ReadsPrompts) -> Vocabulary:
    """Read a prompt's tokens with CLIP's tokenizer.

    SDXL's second text encoder gets the tokens of the first one: its tokenizer differs in its padding alone, "!", which
    would no longer be read as CLIP learnt it. AUTOMATIC1111 and ComfyUI have one tokenizer for both as well.
    """

    def with_ends(text: str) -> list[int]:
        # A token is at least one byte; normalized, and in lower case, a text has at most six times as many.
        read = tokenizer(text, max_length=2 + 6 * len(text.encode("utf-8", "replace")))
        ids: list[int] = read.input_ids[read.attention_mask == 1].tolist()
        return ids

    start, end = with_ends("")
    comma = with_ends(",")[1:-1]
    return Vocabulary(
        tokenize=lambda text: with_ends(text)[1:-1],
        start=start,
        end=end,
        comma=comma[0] if len(comma) == 1 else None,
    )


def is_cut(tokenizer: Tokenizer, prompt: str) -> bool:
    """Whether a prompt has more chunks than are read, with CLIP's tokenizer, for which no torch is needed."""

    def tokenize(text: str) -> list[int]:
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    start, end = tokenizer.encode("").ids
    comma = tokenize(",")
    vocabulary = Vocabulary(tokenize=tokenize, start=start, end=end, comma=comma[0] if len(comma) == 1 else None)
    return chunks(parse(prompt), vocabulary).is_cut


def weigh(embeddings: Tensor, factors: Tensor, empty: Tensor) -> Tensor:
    """Move every token's embedding away from, or towards, what stands at its place in an empty prompt.

    That is ComfyUI's way (`comfy/sd1_clip.py`, `encode_token_weights`). AUTOMATIC1111 multiplies by the weight and then
    restores the mean of the prompt; the mean may be near 0, above all SDXL's, so that one word can change all others.
    Embeddings of weight 1 are returned to the bit.

    Args:
        embeddings: (chunks, 77, C), of one text encoder.
        factors: (chunks, 77), on the same device.
        empty: (1, 77, C) or (77, C), of a chunk without tokens.
    """
    weights = factors.to(embeddings.dtype).unsqueeze(-1)
    return embeddings.where(weights == 1, empty + (embeddings - empty) * weights)


def hidden_index(clip_skip: int, *, is_xl: bool, layers: int) -> int:
    """Return which of a text encoder's hidden states to use, counted from the end: −1 is what its last layer returns.

    As in AUTOMATIC1111 and ComfyUI, 1 is the last layer and 2 the one before, where diffusers' pipelines count 0 and 1.
    SD 1.5 normalizes whichever it is with the encoder's final norm. SDXL learnt from the layer before the last one of
    both its encoders, without that norm; AUTOMATIC1111 keeps to it whatever is asked, ComfyUI can go deeper. The same
    layer is `clip_skip=1` in DiffSynth's SDXL pipeline, whose default of 2 is one layer deeper for the first encoder.

    Args:
        clip_skip: 1 to `layers`; 0 for what the model learnt from.
        layers: that the encoder has; its hidden states are one more.

    Raises:
        ValueError: there is no such layer.
    """
    if not 0 <= clip_skip <= layers:
        raise ValueError(f"CLIP skip {clip_skip} of a text encoder with {layers} layers")
    return -max(clip_skip, 2 if is_xl else 1)


def _weighted(pieces: Sequence[re.Match[str]]) -> Iterator[tuple[str, float]]:
    """Return texts and their weights, of all brackets around them; round and square ones do not know each other."""
    factors, closing = _factors(pieces)
    active: dict[int, float] = {}  # opening bracket → its factor, until it is closed
    for place, piece in enumerate(pieces):
        if place in factors:
            active[place] = factors[place]
        elif place in closing:
            del active[closing[place]]
        else:
            yield piece[0][1:] if piece["escaped"] else piece[0], _product(active.values())


def _factors(pieces: Sequence[re.Match[str]]) -> tuple[dict[int, float], dict[int, int]]:
    """Return the factor of every opening bracket, and which one each closing bracket closes, by their places."""
    factors: dict[int, float] = {}
    closing: dict[int, int] = {}
    opened: dict[str, list[int]] = {"(": [], "[": []}
    for place, piece in enumerate(pieces):
        bracket = (piece["bracket"] or " ")[-1]
        if bracket in opened:
            opened[bracket].append(place)
            factors[place] = STRONGER if bracket == "(" else 1 / STRONGER
        elif bracket in _OPENING and opened[_OPENING[bracket]]:
            closing[place] = opened[_OPENING[bracket]].pop()
            if piece["weight"] is not None:
                factors[closing[place]] = _bounded(float(piece["weight"]))
    return factors, closing


def _product(factors: Collection[float]) -> float:
    # Rounded, so that `([word])` weighs 1. Without the zeros, an overflow could become NaN.
    return 0.0 if 0.0 in factors else round(_bounded(math.prod(factors, start=1.0)), 6)


def _bounded(weight: float) -> float:
    return min(max(weight, -MAX_WEIGHT), MAX_WEIGHT)


def _tokens(spans: Sequence[Span], vocabulary: Vocabulary) -> Iterator[tuple[int, float, bool]]:
    """Return tokens, their weights, and whether a chunk begins with them."""
    begins_chunk = False
    for span in spans:
        begins_chunk = begins_chunk or span.begins_chunk
        for token in vocabulary.tokenize(span.text):
            if token not in (vocabulary.start, vocabulary.end):
                yield token, span.weight, begins_chunk
                begins_chunk = False


def _cut_after_comma(row: list[tuple[int, float]], comma: int | None) -> list[tuple[int, float]]:
    """Take what follows the last comma out of a full row, if it is near the end."""
    near = range(len(row) - 1, len(row) - COMMA_TOKENS - 1, -1)
    last = next((place for place in near if row[place][0] == comma), len(row) - 1)
    moved = row[last + 1 :]
    del row[last + 1 :]
    return moved
