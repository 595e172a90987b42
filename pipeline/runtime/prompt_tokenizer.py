"""A folder's tokenizer → ids of prompts, by the `tokenizers` library alone: transformers takes seconds to import.

CLIP's and T5's are put together as transformers 5 does from the same files, so that the ids are the same, and Qwen's is
read as it is written; a folder of another kind is left to transformers. Must not know models.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, Unigram
from torch import Tensor

CONFIG: Final = "tokenizer_config.json"
WHOLE: Final = "tokenizer.json"
NAMED: Final = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
CLIP_END: Final = "<|endoftext|>"
CLIP_START: Final = "<|startoftext|>"
CLIP_PIECES: Final = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
T5_SPACE: Final = "▁"
T5_UNKNOWN: Final = 2
T5_EXTRA_IDS: Final = 100


class ReadsPrompts(Protocol):
    """What DiffSynth asks of a tokenizer."""

    def __call__(
        self,
        prompt: str | Sequence[str],
        *,
        max_length: int,
        padding: str = "max_length",
        truncation: bool = True,
        return_tensors: str = "pt",
    ) -> Any:
        """Ids of exactly `max_length` tokens per prompt."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Prompts (B, T), int64; the mask is 1 where a token is not padding."""

    input_ids: Tensor
    attention_mask: Tensor


class PromptTokenizer:
    """Pads and cuts prompts to one length. Not for several threads at a time: the length is set on the tokenizer."""

    def __init__(self, tokenizer: Tokenizer, padding: str) -> None:
        self.tokenizer = tokenizer
        self._padding = padding
        self._padding_id = _number(tokenizer, padding)

    def __call__(
        self,
        prompt: str | Sequence[str],
        *,
        max_length: int,
        padding: str = "max_length",
        truncation: bool = True,
        return_tensors: str = "pt",
    ) -> Tokens:
        """Encode one prompt or several. The options are there for DiffSynth, and have one value each."""
        assert (padding, truncation, return_tensors) == ("max_length", True, "pt")
        self.tokenizer.enable_truncation(max_length)
        self.tokenizer.enable_padding(length=max_length, pad_id=self._padding_id, pad_token=self._padding)
        encoded = self.tokenizer.encode_batch([prompt] if isinstance(prompt, str) else list(prompt))
        return Tokens(
            torch.tensor([each.ids for each in encoded], dtype=torch.long),
            torch.tensor([each.attention_mask for each in encoded], dtype=torch.long),
        )


def read_tokenizer(folder: Path) -> ReadsPrompts:
    """Read the tokenizer of a folder, by the class that its config names."""
    config = json.loads((folder / CONFIG).read_text("utf-8"))
    kind = str(config.get("tokenizer_class", "")).removesuffix("Fast")
    has_plain_names = all(isinstance(config.get(name), str | None) for name in NAMED)
    if has_plain_names and "pad_token" in config:
        if kind in {"TokenizersBackend", "PreTrainedTokenizer", "Qwen2Tokenizer"} and (folder / WHOLE).exists():
            return PromptTokenizer(_with_added(Tokenizer.from_file(str(folder / WHOLE)), config), config["pad_token"])
        if kind == "T5Tokenizer" and (folder / WHOLE).exists():
            return PromptTokenizer(_t5(folder, config), config["pad_token"])
        if kind == "CLIPTokenizer" and not (folder / WHOLE).exists():
            return PromptTokenizer(_clip(folder, config), config["pad_token"])
    from transformers import AutoTokenizer

    tokenizer: ReadsPrompts = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return tokenizer


def _clip(folder: Path, config: Mapping[str, Any]) -> Tokenizer:
    """Byte pairs with an end of word, lower case; start and end are added."""
    lines = (folder / "merges.txt").read_text("utf-8").splitlines()
    merges = [(left, right) for left, _, right in (line.partition(" ") for line in lines[1:]) if right]
    tokenizer = Tokenizer(
        BPE(
            vocab=json.loads((folder / "vocab.json").read_text("utf-8")),
            merges=merges,
            dropout=None,
            continuing_subword_prefix="",
            end_of_word_suffix="</w>",
            fuse_unk=False,
            unk_token=config.get("unk_token") or CLIP_END,
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(CLIP_PIECES), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    _with_added(tokenizer, config)
    end, start = config.get("eos_token") or CLIP_END, config.get("bos_token") or CLIP_START
    tokenizer.post_processor = processors.RobertaProcessing(
        (end, _number(tokenizer, end)),
        (start, _number(tokenizer, start)),
        trim_offsets=False,
        add_prefix_space=False,
    )
    return tokenizer


def _t5(folder: Path, config: Mapping[str, Any]) -> Tokenizer:
    """Unigram pieces; every word begins with a mark, and the end is added."""
    whole = json.loads((folder / WHOLE).read_text("utf-8"))
    tokenizer = Tokenizer(
        Unigram([(piece, score) for piece, score in whole["model"]["vocab"]], unk_id=T5_UNKNOWN, byte_fallback=False)
    )
    if (table := _precompiled(whole.get("normalizer"))) is not None:
        tokenizer.normalizer = table
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement=T5_SPACE, prepend_scheme="always", split=True),
        ]
    )
    tokenizer.decoder = decoders.Metaspace(replacement=T5_SPACE, prepend_scheme="always", split=True)
    extra = [f"<extra_id_{number}>" for number in range(config.get("extra_ids", T5_EXTRA_IDS))]
    _with_added(tokenizer, config, extra, whole.get("added_tokens", ()))
    end = config.get("eos_token") or "</s>"
    tokenizer.post_processor = processors.TemplateProcessing(
        single=["$A", "</s>"], pair=["$A", "</s>", "$B", "</s>"], special_tokens=[("</s>", _number(tokenizer, end))]
    )
    return tokenizer


def _number(tokenizer: Tokenizer, piece: str) -> int:
    number: int | None = tokenizer.token_to_id(piece)
    if number is None:
        raise ValueError(f"the tokenizer has no {piece}")
    return number


def _precompiled(normalizer: Any) -> Any:
    """SentencePiece's own table of characters out of a serialized normalizer; None if it has none."""
    if not normalizer:
        return None
    parts = normalizer["normalizers"] if normalizer.get("type") == "Sequence" else [normalizer]
    for part in parts:
        if part.get("type") == "Precompiled":
            empty = Tokenizer(BPE())
            state = json.loads(empty.to_str())
            state["normalizer"] = part
            return Tokenizer.from_str(json.dumps(state)).normalizer
    return None


def _with_added(
    tokenizer: Tokenizer,
    config: Mapping[str, Any],
    extra: Iterable[str] = (),
    serialized: Iterable[Mapping[str, Any]] = (),
) -> Tokenizer:
    """Mark what is a token wherever it stands in a text: what the config lists, or the file; then those with names."""
    listed = config.get("added_tokens_decoder")
    if listed is None:
        entries = [({**each}, each["id"]) for each in serialized]
    else:
        entries = [({**each}, int(number)) for number, each in listed.items()]
    named = {config[name] for name in NAMED if config.get(name)}
    tokens = []
    for entry, _ in sorted(entries, key=lambda each: each[1]):
        fields = {name: value for name, value in entry.items() if name not in {"id", "__type"}}
        token = AddedToken(**fields)
        token.special = token.special or token.content in named
        tokens.append(token)
    known = {token.content for token in tokens} | {
        each.content for each in tokenizer.get_added_tokens_decoder().values()
    }
    more = dict.fromkeys([*(config[name] for name in NAMED if config.get(name)), *extra])
    tokens += [AddedToken(content, special=True) for content in more if content not in known]
    tokenizer.add_tokens(tokens)
    return tokenizer
