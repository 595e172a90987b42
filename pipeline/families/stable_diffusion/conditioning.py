"""Prompts → what the UNet is told of them, each read once: `prompts.py`, the text encoders, `PromptEmbeddingCache`.

Every chunk of 77 tokens is read by itself, so that no embedding depends on what it is read along with. Must not know
latents or images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from pipeline.families.stable_diffusion.prompts import (
    OPEN_CLIP_PAD,
    Chunks,
    chunks,
    hidden_index,
    parse,
    vocabulary_of,
    weigh,
)
from pipeline.families.stable_diffusion.text_encoders import Clip, PooledTextEncoder, TextEncoder
from pipeline.families.stable_diffusion.unet import Conditioning
from pipeline.runtime.prompt_cache import PromptEmbeddingCache
from pipeline.runtime.prompt_tokenizer import ReadsPrompts
from pipeline.spec import ImageSpec

READING: Final = 1  # to be raised if `prompts.py` or this file read otherwise: what was read is kept across releases
NO_GUIDANCE: Final = 1.0  # the scale of guidance at which the negative prompt changes nothing


class PromptReader:
    """Reads prompts with one text encoder (SD 1.5) or two (SDXL)."""

    def __init__(
        self, encoders: Sequence[TextEncoder], tokenizer: ReadsPrompts, cache: PromptEmbeddingCache, *, device: str
    ) -> None:
        """Take the encoders in the order in which their embeddings stand side by side."""
        self._encoders = encoders
        self._vocabulary = vocabulary_of(tokenizer)
        self._cache = cache
        self._device = device
        self._is_xl = any(isinstance(encoder, PooledTextEncoder) for encoder in encoders)

    @torch.no_grad()
    def conditioning(self, spec: ImageSpec) -> Conditioning:
        """Read the prompt, and the negative one if there is guidance; the shorter one goes on with empty chunks.

        SDXL is told zeros in place of an empty negative prompt, as by diffusers (`force_zeros_for_empty_prompt`) and
        A1111; SD 1.5 what was read of it.
        """
        found = [self._embeddings(spec.text, spec.clip_skip)]
        if spec.cfg_scale != NO_GUIDANCE and self._is_xl and not spec.negative_text:
            found.append({name: torch.zeros_like(tensor) for name, tensor in found[0].items()})
        elif spec.cfg_scale != NO_GUIDANCE:
            found.append(self._embeddings(spec.negative_text, spec.clip_skip))
        length = max(each["text"].shape[1] for each in found)
        rows = []
        for each in found:
            row = each["text"]
            if row.shape[1] < length:
                empty = self._embeddings("", spec.clip_skip)["text"]
                row = torch.cat([row, *[empty] * ((length - row.shape[1]) // empty.shape[1])], 1)
            rows.append(row)
        text = torch.cat(rows)
        if not self._is_xl:
            return Conditioning(text=text)
        width, height = spec.tile_size  # each tile is told that it is an image of its own
        size = [height, width]
        time_ids = torch.tensor([[*size, 0, 0, *size]], dtype=torch.float32, device=self._device)
        return Conditioning(
            text=text,
            pooled=torch.cat([each["pooled"] for each in found]),
            time_ids=time_ids.expand(len(found), -1),
        )

    def _embeddings(self, prompt: str, clip_skip: int) -> dict[str, Tensor]:
        """`text` (1, T, C), and `pooled` (1, P) with SDXL."""
        found = self._cache.embeddings(
            prompt, clip_skip, read=lambda prompts: self._read(prompts, clip_skip), device=self._device
        )
        tokens = int(found.pop("tokens"))
        return found | {"text": found["text"][:, :tokens]}

    def _read(self, prompts: Sequence[str], clip_skip: int) -> dict[str, Tensor]:
        """Read several prompts, each padded to the longest with zeros; `tokens` says how long it is."""
        read = [self._read_one(chunks(parse(prompt), self._vocabulary), clip_skip) for prompt in prompts]
        texts = [text for text, _ in read]
        together = {
            "text": torch.nn.utils.rnn.pad_sequence(texts, batch_first=True),
            "tokens": torch.tensor([len(text) for text in texts]),
        }
        if self._is_xl:
            together["pooled"] = torch.stack([pooled for _, pooled in read if pooled is not None])
        return together

    def _read_one(self, prompt: Chunks, clip_skip: int) -> tuple[Tensor, Tensor | None]:
        """One prompt → (T, C), and (P,) of its first chunk with SDXL."""
        side_by_side, pooled, at = [], None, 0
        # Known already, as a rule: each pass has all of an encoder's weights cross the link if it is streamed.
        empty = self._embeddings("", clip_skip)["text"] if prompt.is_weighted else None
        for encoder in self._encoders:
            pad = OPEN_CLIP_PAD if isinstance(encoder, PooledTextEncoder) else prompt.end
            ids = torch.tensor(prompt.ids(pad))
            embeddings = []
            for number, chunk in enumerate(ids.split(1)):
                layer, summed = self._read_chunk(encoder, chunk, clip_skip)
                embeddings.append(layer)
                if number == 0 and summed is not None:
                    pooled = summed[0]
            joined = torch.cat(embeddings)
            width = joined.shape[-1]
            if empty is not None:
                factors = torch.tensor(prompt.factors(), device=joined.device)
                joined = weigh(joined, factors, empty[..., at : at + width])
            at += width
            side_by_side.append(joined.flatten(0, 1))
        return torch.cat(side_by_side, -1), pooled

    def _read_chunk(self, encoder: TextEncoder, ids: Tensor, clip_skip: int) -> tuple[Tensor, Tensor | None]:
        """(1, 77) ids → the layer that is asked for, (1, 77, C), and what the encoder sums up, (1, P)."""
        clip = encoder.module
        assert isinstance(clip, Clip)
        read = encoder.read_chunk(ids.to(self._device))
        count = len(read.layers) - 1
        layer = read.layers[hidden_index(min(clip_skip, count), is_xl=self._is_xl, layers=count)]
        return layer if self._is_xl else clip.final_layer_norm(layer), read.pooled
