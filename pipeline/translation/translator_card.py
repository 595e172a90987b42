"""The language model that translates: its files, its licence, and whether it can be used. No torch.

Why this one: see `docs/models.md`. A folder of the operator's own may hold a larger one of the same architecture.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from tokenizers import Tokenizer

from pipeline.catalog import files
from pipeline.catalog.architecture import Component, Kind
from pipeline.catalog.headers import NotWeights, header_of
from pipeline.catalog.model_card import ModelFile
from pipeline.translation.instruction import END_OF_TURN, TURN

CONFIG: Final = "config.json"
TOKENIZER: Final = "tokenizer.json"
WEIGHTS: Final = "model.safetensors"
MODEL_TYPE: Final = "qwen3"
EMBEDDING: Final = "model.embed_tokens.weight"
REPO: Final = "Qwen/Qwen3-0.6B"
_SIZES: Final = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
    "vocab_size",
)  # fmt: skip
_MOST: Final = 1 << 24  # of any of these numbers; real ones are far below


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslatorFiles:
    """The components of the language model, as the catalogue looks at those of models that draw."""

    components: Mapping[str, Component] = field(
        default_factory=lambda: MappingProxyType(
            {
                "language_model": Component(kind=Kind.TEXT_ENCODER),
                "config": Component(kind=Kind.TOKENIZER),
                "tokenizer": Component(kind=Kind.TOKENIZER),
            }
        )
    )
    variant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslatorCard:
    """The facts of a language model that translates.

    fetch_gb: about how much is fetched if nothing of it is there.
    """

    name: str
    title: str
    licence: str
    licence_url: str
    files: Mapping[str, ModelFile]
    fetch_gb: float
    architecture: TranslatorFiles = TranslatorFiles()

    def in_folder(self, folder: Path) -> TranslatorCard:
        """Return the card of such a model in a folder of the operator's own."""
        placed = {
            name: ModelFile(path=file.path, place=folder.absolute() / file.path) for name, file in self.files.items()
        }
        return replace(self, files=MappingProxyType(placed))


QWEN3: Final = TranslatorCard(
    name="translator",
    title="Qwen3-0.6B",
    licence="Apache-2.0",
    licence_url="https://modelscope.cn/models/Qwen/Qwen3-0.6B",
    files=MappingProxyType(
        {
            "language_model": ModelFile(repo=REPO, path=WEIGHTS),
            "config": ModelFile(repo=REPO, path=CONFIG),
            "tokenizer": ModelFile(repo=REPO, path=TOKENIZER),
        }
    ),
    fetch_gb=1.5,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The sizes of a Qwen3 decoder; `head_dim` is that of one head, `theta` the base of its rotary positions."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    words: int
    theta: float
    epsilon: float
    is_tied: bool

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of every tensor that it is computed with; the others in a file are not read."""
        inner, outer = self.heads * self.head_dim, self.kv_heads * self.head_dim
        found: dict[str, tuple[int, ...]] = {EMBEDDING: (self.words, self.hidden), "model.norm.weight": (self.hidden,)}
        for number in range(self.layers):
            layer = f"model.layers.{number}"
            found |= {
                f"{layer}.input_layernorm.weight": (self.hidden,),
                f"{layer}.post_attention_layernorm.weight": (self.hidden,),
                f"{layer}.self_attn.q_norm.weight": (self.head_dim,),
                f"{layer}.self_attn.k_norm.weight": (self.head_dim,),
                f"{layer}.self_attn.q_proj.weight": (inner, self.hidden),
                f"{layer}.self_attn.k_proj.weight": (outer, self.hidden),
                f"{layer}.self_attn.v_proj.weight": (outer, self.hidden),
                f"{layer}.self_attn.o_proj.weight": (self.hidden, inner),
                f"{layer}.mlp.gate_proj.weight": (self.intermediate, self.hidden),
                f"{layer}.mlp.up_proj.weight": (self.intermediate, self.hidden),
                f"{layer}.mlp.down_proj.weight": (self.hidden, self.intermediate),
            }
        if not self.is_tied:
            found["lm_head.weight"] = (self.words, self.hidden)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslatorPaths:
    """Where the files of a language model lie."""

    weights: Path
    config: Path
    tokenizer: Path


def paths_of(card: TranslatorCard, models_dir: Path) -> TranslatorPaths:
    """Return where its files lie, there or not."""
    weights, config, tokenizer = (
        files.path_of(card.files[name], models_dir) for name in ("language_model", "config", "tokenizer")
    )
    return TranslatorPaths(weights=weights, config=config, tokenizer=tokenizer)


def is_there(card: TranslatorCard, models_dir: Path) -> bool:
    """Whether anything of it is there."""
    paths = paths_of(card, models_dir)
    return any(path.exists() for path in (paths.weights, paths.config, paths.tokenizer))


def flaws_of(card: TranslatorCard, models_dir: Path) -> dict[Path, str]:
    """Say of each file that cannot be used what is wrong with it; empty means ready. Up to a second."""
    if found := {flaw.path: flaw.told for flaw in files.missing(card, models_dir)}:
        return found
    paths = paths_of(card, models_dir)
    try:
        shape = read_shape(paths.config)
    except ValueError as error:
        return {paths.config: str(error)}
    if flaw := _flaw_of_weights(paths.weights, shape):
        return {paths.weights: flaw}
    return {} if _is_chat_tokenizer(paths.tokenizer, shape) else {paths.tokenizer: "is not the tokenizer of this model"}


def read_shape(path: Path) -> Shape:
    """Read the sizes from a `config.json`.

    Raises:
        ValueError: it cannot be read, or is that of another kind of model; the message goes on after its path.
    """
    try:
        config: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError("cannot be read") from error
    if not isinstance(config, dict) or config.get("model_type") != MODEL_TYPE:
        raise ValueError(f"is not that of a {MODEL_TYPE} language model")
    sizes = [config.get(name) for name in _SIZES]
    theta = (config.get("rope_parameters") or config).get("rope_theta")
    epsilon = config.get("rms_norm_eps")
    numbers = [number for number in (theta, epsilon) if isinstance(number, int | float) and 0 < number < 1e12]
    if not all(type(size) is int and 0 < size < _MOST for size in sizes) or len(numbers) < 2:
        raise ValueError("lacks sizes")
    hidden, intermediate, layers, heads, kv_heads, head_dim, words = sizes
    if heads % kv_heads or head_dim % 2:
        raise ValueError("has sizes that do not fit together")
    return Shape(
        hidden=hidden,
        intermediate=intermediate,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        words=words,
        theta=float(theta),
        epsilon=float(epsilon),
        is_tied=config.get("tie_word_embeddings") is True,
    )


def _flaw_of_weights(path: Path, shape: Shape) -> str:
    try:
        tensors = header_of(path).tensors
    except NotWeights as error:
        return str(error)
    for name, size in shape.tensors().items():
        if name not in tensors:
            return f"lacks {name}"
        if tuple(tensors[name].shape) != size:
            return f"has {name} in another size than {CONFIG} says"
    return ""


def _is_chat_tokenizer(path: Path, shape: Shape) -> bool:
    try:
        tokenizer: Tokenizer = Tokenizer.from_file(str(path))
    except Exception:  # noqa: BLE001 - the library raises bare ones
        return False
    marks = [tokenizer.token_to_id(mark) for mark in (TURN, END_OF_TURN)]
    return None not in marks and tokenizer.get_vocab_size() <= shape.words
