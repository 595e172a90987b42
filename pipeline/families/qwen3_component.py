"""What families declare of Qwen3, the language model that reads their prompts, and how it is asked. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.catalog.architecture import Component, Kind
from pipeline.catalog.parts import PartKind

if TYPE_CHECKING:
    from tokenizers import Tokenizer

ARCHITECTURE: Final = "z-image"  # its oldest reader here; `Part.architecture` of every Qwen3 file says the same
TABLE: Final = "embed_tokens"
MOST_TOKENS: Final = 512  # of a prompt and what is around it; DiffSynth's `max_sequence_length`
# Qwen3's template for one message of a person, as its tokenizer_config.json has it.
_CHAT: Final = "<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
_NO_THOUGHTS: Final = "<think>\n\n</think>\n\n"

QWEN3: Final = Component(
    kind=Kind.TEXT_ENCODER,
    part=PartKind.QWEN3,
    architecture=ARCHITECTURE,
    block_pattern=r"(?P<block>layers\.\d+)\.",
    streamable=True,
    tables=(TABLE,),
)


def chat_text(prompt: str, *, may_think: bool) -> str:
    """Write a prompt as the message that Qwen3 answers next.

    Args:
        may_think: False ends with empty thoughts, as the template does with `enable_thinking=False`.
    """
    return _CHAT.format(prompt=prompt) + ("" if may_think else _NO_THOUGHTS)


def is_cut(tokenizer: Tokenizer, prompt: str) -> bool:
    """Whether a prompt is longer than is read; thoughts are not counted, so that a prompt at the limit is not told."""
    return len(tokenizer.encode(chat_text(prompt, may_think=True)).ids) > MOST_TOKENS
