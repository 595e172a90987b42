"""A Qwen3 decoder on the CPU: 8-bit weights, one answer at a time, the most probable token each time.

Written for this one use, because importing the transformers library takes seconds in which the bot would stand still.
The architecture is that of transformers/models/qwen3 (RMS norms on queries and keys, grouped heads, rotary positions,
SwiGLU); a test compares the two. Same text, same answer. Imported on demand, since it imports torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import torch
from safetensors import safe_open
from tokenizers import Tokenizer
from torch.nn.functional import embedding, linear, rms_norm, scaled_dot_product_attention, silu

from pipeline.translation.instruction import ENDS
from pipeline.translation.translator_card import EMBEDDING, Shape, TranslatorPaths, read_shape

FEW_ROWS: Final = 8  # below, each weight is read once and multiplied in 8 bits; above, unpacked first
ROWS_AT_ONCE: Final = 8192  # of the table of words, in float32
MAX_TOKENS: Final = 1024  # of beginning, text and answer
# What an answer may consist of, in the alphabet of byte-level tokenizers, where Ġ is a space: English, and no sign that
# prompts give a meaning. So an answer cannot stay in another script.
_ALLOWED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789Ġ,.;!?'&%/+-")
_LINE_ENDS: Final = ("Ċ", "ĊĊ")


class Stopped(Exception):
    """The caller does not wait any longer."""


class Answer(NamedTuple):
    """What was said; `is_finished` unless it was cut at the most tokens."""

    text: str
    is_finished: bool


class Room:
    """Memory for all 8-bit weights, taken at once: in pieces between what comes and goes, the heap grew to 2.6 GB.

    Without any, weights stay as they are.
    """

    def __init__(self, size: int) -> None:
        self._memory = torch.empty(size, dtype=torch.int8)
        self._taken = 0

    def take(self, rows: int, columns: int) -> torch.Tensor:
        """Return room for a matrix; of no size if there is none."""
        begin, self._taken = self._taken, self._taken + rows * columns
        return self._memory[begin : self._taken].view(-1, columns)


class Weight:
    """A matrix of weights. (out, in): int8 with a factor for each row, or float32."""

    def __init__(self, weight: torch.Tensor, room: Room) -> None:
        """Quantize `weight`: (out, in), any float."""
        self._scale: torch.Tensor | None = None
        self._weight = room.take(*weight.shape)
        if not len(self._weight):
            self._weight = weight.float()
            return
        self._scale = torch.empty(weight.shape[0])
        for begin in range(0, weight.shape[0], ROWS_AT_ONCE):
            rows = weight[begin : begin + ROWS_AT_ONCE].float()
            scale = rows.abs().amax(dim=1).clamp_min(1e-12) / 127
            self._scale[begin : begin + ROWS_AT_ONCE] = scale
            self._weight[begin : begin + ROWS_AT_ONCE] = (rows / scale[:, None]).round().to(torch.int8)
        self._ones = torch.ones(weight.shape[0], dtype=torch.bfloat16)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply. x: (tokens, in), float32 → (tokens, out), float32."""
        if self._scale is None:
            return linear(x, self._weight)
        if x.shape[0] > FEW_ROWS or not _multiplies_int8():
            return linear(x, self._weight.float()) * self._scale
        return _int8_product(x, self._weight, self._ones) * self._scale

    def rows(self, places: torch.Tensor) -> torch.Tensor:
        """Return some rows. places: (tokens,) → (tokens, in), float32."""
        found = embedding(places, self._weight).float()
        return found if self._scale is None else found * self._scale[places, None]


class _Layer:
    """One layer of the decoder."""

    def __init__(self, number: int, shape: Shape, tensor: Callable[[str], torch.Tensor], room: Room) -> None:
        self._shape = shape
        name = f"model.layers.{number}"

        def weight(part: str) -> Weight:
            return Weight(tensor(f"{name}.{part}.weight"), room)

        def norm(part: str) -> torch.Tensor:
            return tensor(f"{name}.{part}.weight").float()

        self._before_attention, self._before_mlp = norm("input_layernorm"), norm("post_attention_layernorm")
        self._query_norm, self._key_norm = norm("self_attn.q_norm"), norm("self_attn.k_norm")
        self._query, self._key, self._value, self._out = (weight(f"self_attn.{part}_proj") for part in "qkvo")
        self._gate, self._up, self._down = (weight(f"mlp.{part}_proj") for part in ("gate", "up", "down"))

    def __call__(
        self, x: torch.Tensor, seen: int, memory: torch.Tensor, rotation: tuple[torch.Tensor, torch.Tensor]
    ) -> torch.Tensor:
        """Go through the layer. x: (tokens, hidden), behind `seen` earlier ones; memory: (2, kv heads, -, head_dim)."""
        x = x + self._attention(self._norm(x, self._before_attention), seen, memory, rotation)
        normed = self._norm(x, self._before_mlp)
        return x + self._down(silu(self._gate(normed)) * self._up(normed))

    def _attention(
        self, x: torch.Tensor, seen: int, memory: torch.Tensor, rotation: tuple[torch.Tensor, torch.Tensor]
    ) -> torch.Tensor:
        count, shape = x.shape[0], self._shape
        query = self._norm(self._query(x).view(count, shape.heads, shape.head_dim), self._query_norm)
        key = self._norm(self._key(x).view(count, shape.kv_heads, shape.head_dim), self._key_norm)
        (keys, values), end = memory, seen + count
        keys[:, seen:end] = _rotated(key.transpose(0, 1), rotation)
        values[:, seen:end] = self._value(x).view(count, shape.kv_heads, shape.head_dim).transpose(0, 1)
        places = torch.arange(end)
        sees = places[None, :] <= places[seen:, None]  # (tokens, all tokens)
        times = shape.heads // shape.kv_heads
        mixed = scaled_dot_product_attention(
            _rotated(query.transpose(0, 1), rotation),
            keys[:, :end].repeat_interleave(times, dim=0),
            values[:, :end].repeat_interleave(times, dim=0),
            attn_mask=sees,
        )  # (heads, tokens, head_dim)
        return self._out(mixed.transpose(0, 1).reshape(count, shape.heads * shape.head_dim))

    def _norm(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return rms_norm(x, (x.shape[-1],), weight, self._shape.epsilon)


class LanguageModel:
    """A loaded language model; one thread at a time."""

    def __init__(
        self, paths: TranslatorPaths, *, is_over: Callable[[], bool] = lambda: False, is_exact: bool = False
    ) -> None:
        """Read and quantize the weights: seconds. `is_exact` keeps float32, for comparisons.

        Raises:
            Stopped: `is_over` said so.
            OSError, ValueError, KeyError, safetensors.SafetensorError: the files cannot be used.
        """
        self.shape = read_shape(paths.config)
        self._tokenizer: Tokenizer = Tokenizer.from_file(str(paths.tokenizer))
        self._tokenizer.no_truncation()
        with torch.inference_mode(), safe_open(paths.weights, framework="pt") as file:  # type: ignore[no-untyped-call]

            def tensor(name: str) -> torch.Tensor:
                if is_over():
                    raise Stopped
                found: torch.Tensor = file.get_tensor(name)
                return found

            sizes = [size for size in self.shape.tensors().values() if len(size) == 2]
            room = Room(0 if is_exact else sum(rows * columns for rows, columns in sizes))
            # Keys and values of the tokens that each layer has seen.
            self._memory = torch.empty(self.shape.layers, 2, self.shape.kv_heads, MAX_TOKENS, self.shape.head_dim)
            self._table = Weight(tensor(EMBEDDING), room)
            self._head = self._table if self.shape.is_tied else Weight(tensor("lm_head.weight"), room)
            self._norm = tensor("model.norm.weight").float()
            self._layers = [_Layer(number, self.shape, tensor, room) for number in range(self.shape.layers)]
            half = torch.arange(0, self.shape.head_dim, 2) / self.shape.head_dim
            angles = torch.arange(MAX_TOKENS)[:, None] * (self.shape.theta**-half)[None, :]
            self._rotation = angles.cos().repeat(1, 2), angles.sin().repeat(1, 2)  # (tokens, head_dim)
        self._ends = {
            found for mark in (*ENDS, *_LINE_ENDS) if (found := self._tokenizer.token_to_id(mark)) is not None
        }
        self._forbidden = self._forbidden_tokens()
        self._beginning, self._seen = "", 0

    def answer(
        self, beginning: str, ending: str, *, most_tokens: int, is_over: Callable[[], bool] = lambda: False
    ) -> Answer:
        """Go on with `beginning` and `ending`; what was computed of the same beginning before is used again.

        Raises:
            Stopped: `is_over`, which is asked before each token, said so.
        """
        with torch.inference_mode():
            if beginning != self._beginning:
                self._beginning, self._seen = "", 0
                begun = self._tokens(beginning)
                self.logits(begun, 0)
                self._beginning, self._seen = beginning, len(begun)
            said: list[int] = []
            tokens, seen = self._tokens(ending), self._seen
            for _ in range(most_tokens):
                if seen + len(tokens) > MAX_TOKENS:
                    break
                if is_over():
                    raise Stopped
                logits = self.logits(tokens, seen)[-1]
                seen += len(tokens)
                token = int(logits.masked_fill(self._forbidden, -torch.inf).argmax())
                if token in self._ends:
                    return Answer(self._tokenizer.decode(said), is_finished=True)
                said.append(token)
                tokens = [token]
        return Answer(self._tokenizer.decode(said), is_finished=False)

    def logits(self, tokens: list[int], seen: int) -> torch.Tensor:
        """Return (1, words) float32: what may follow `tokens`, which stand behind `seen` earlier ones."""
        x = self._table.rows(torch.tensor(tokens))
        rotation = tuple(each[seen : seen + len(tokens)] for each in self._rotation)
        for layer, memory in zip(self._layers, self._memory, strict=True):
            x = layer(x, seen, memory, (rotation[0], rotation[1]))
        return self._head(rms_norm(x[-1:], (x.shape[-1],), self._norm, self.shape.epsilon))

    def _tokens(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _forbidden_tokens(self) -> torch.Tensor:
        """(words,) bool: the tokens that no answer may have."""
        added = self._tokenizer.get_added_tokens_decoder().keys()
        forbidden = torch.ones(self.shape.words, dtype=torch.bool)
        allowed = [
            place
            for token, place in self._tokenizer.get_vocab(with_added_tokens=False).items()
            if place not in added and place < self.shape.words and _ALLOWED.issuperset(token)
        ]
        forbidden[torch.tensor([*allowed, *(end for end in self._ends if end < self.shape.words)])] = False
        return forbidden


def _rotated(x: torch.Tensor, rotation: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Turn by position. x: (heads, tokens, head_dim); the two halves of a head are the two coordinates."""
    one, other = x.chunk(2, dim=-1)
    return x * rotation[0] + torch.cat([-other, one], dim=-1) * rotation[1]


def _int8_product(x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    product: torch.Tensor = torch._weight_int8pack_mm(x.bfloat16(), weight, scale)  # noqa: SLF001 - has no public name
    return product.float()


_can_multiply_int8: bool | None = None


def _multiplies_int8() -> bool:
    """Whether this torch multiplies with 8-bit weights on this CPU, and rightly; tried once."""
    global _can_multiply_int8
    if _can_multiply_int8 is None:
        x, weight = torch.ones(1, 64), torch.ones(64, 64, dtype=torch.int8)
        try:
            product = _int8_product(x, weight, torch.ones(64, dtype=torch.bfloat16))
            _can_multiply_int8 = bool((product == 64).all())
        except (RuntimeError, AttributeError):
            _can_multiply_int8 = False
    return _can_multiply_int8
