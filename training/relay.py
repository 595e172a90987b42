"""One model that draws as two do in a relay: the first sets out, the other takes over and finishes.

A varied model knows where each seed should lead and lacks the finish; a clean one finishes whatever it is handed, but
leads all seeds to one place. `Relay` learns the varied one's steps near pure noise and the clean one's below, both on
the way that the pair itself draws (on-policy, arXiv 2306.13649), so it needs no drawings, only captions. Words that
mean nothing it learns to take for the name of what unknown things are drawn as, however the two draw them.

Takes minutes on a GPU and can be done in hours without one, since every target is exact: a model's step, not a sample
of what it should be on average.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import torch
from diffsynth.diffusion import FlowMatchScheduler
from tokenizers import Tokenizer
from torch import Tensor

from training.captions import Author
from training.clock import Clock, learning_rate, record
from training.networks import Networks, TextEncoders, rotary_table, save, velocity
from training.scenes import TEXT_LENGTH, TOKENIZER
from training.trainer import LATENT, USUAL_GUIDANCE, make_optimizers, save_average
from training.vocabulary import Concept, load_unknown

STEPS: Final = 8  # that both models were made for
# Steps of the pictures that are drawn to learn from. Short ones are hardest to learn and give the fewest points.
SCHEDULES: Final = (4, 4, 4, 6, 6, 8, 8, 8, 12, 20)
POINTS: Final = 8  # at most so many steps of a picture are learned from, beside the first one's


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Sizes and rates, for a CPU; `docs/demo-model.md` tells of runs on a GPU."""

    batch: int = 64
    first_share: float = 0.33  # of the batch; what the first one does is learned soon, the finish of the rest is not
    kept: int = 96  # batches of points of a kind
    scenes_share: float = 0.25  # of the batch, drawn at once
    every: int = 6  # steps of learning between two such drawings: a point is used two to eight times
    rate: float = 5e-4
    averaging: float = 0.99
    above: float = 0.97  # s; there the first one's steps are learned: one of eight, two of twenty
    record_every: int = 10
    save_every_s: float = 300.0


class Pool:
    """The latest points of a kind: what a step began with, what it did, the caption's ids, s and guidance."""

    def __init__(self, size: int, device: str) -> None:
        self._columns = (
            torch.zeros(size, *LATENT, dtype=torch.float16, device=device),
            torch.zeros(size, *LATENT, dtype=torch.float16, device=device),
            torch.zeros(size, TEXT_LENGTH, dtype=torch.int16, device=device),
            torch.zeros(size, device=device),
            torch.zeros(size, device=device),
        )
        self._size, self._next, self._filled, self._device = size, 0, 0, device

    def add(self, columns: Sequence[Tensor]) -> None:
        """Take over rows (B, …) of each column; the oldest make room."""
        count = len(columns[0])
        places = (self._next + torch.arange(count, device=self._device)) % self._size
        for kept, column in zip(self._columns, columns, strict=True):
            kept[places] = column.to(kept)
        self._next, self._filled = (self._next + count) % self._size, min(self._size, self._filled + count)

    def draw(self, count: int) -> list[Tensor]:
        """Random rows."""
        rows = torch.randint(self._filled, (count,), device=self._device)
        return [column[rows] for column in self._columns]


class Relay:
    """Teaches `student` to set out as `first` and to go on as `rest`."""

    def __init__(
        self,
        student: Networks,
        first: Networks,
        rest: Networks,
        concepts: Sequence[Concept],
        out: Path,
        *,
        device: str,
        seed: int,
        options: Options,
    ) -> None:
        self._student, self._out, self._device, self._options = student.to(device), out, device, options
        self._pair = [each.to(device) for each in (first, rest)]
        self._texts = [TextEncoders(each.t5, each.clip).to(device) for each in self._pair]
        self._text = TextEncoders(student.t5, student.clip).to(device)
        self._rotary = rotary_table(student.dit, LATENT[1] // 2, device)
        self._author = Author(concepts, seed=seed, unknown=load_unknown())
        self._knowing = Author(concepts, seed=seed)  # to whom no word is unknown
        self._random = torch.Generator().manual_seed(seed)
        self._tokenizer = Tokenizer.from_file(str(TOKENIZER))
        self._tokenizer.enable_truncation(TEXT_LENGTH)
        self._tokenizer.enable_padding(length=TEXT_LENGTH, pad_id=0, pad_token="<pad>")
        size = options.kept * options.batch
        self._pools = {is_first: Pool(size, device) for is_first in (True, False)}

    def run(self, *, seconds: float) -> int:
        """Learn for so long, put the averaged weights into the student and into the folder; returns the steps."""
        options, student = self._options, self._student
        optimizers, weights = make_optimizers(
            [student.dit, student.t5, student.clip], student.dit, rate=options.rate, embedding_factor=1.0
        )
        average = [weight.detach().clone() for weight in weights]
        clock, step, saved_at, losses = Clock(time.monotonic() + seconds), 0, time.monotonic(), torch.zeros(2)
        while (share := clock.share) < 1:
            if step % options.every == 0:
                self.draw_points()
            rate = learning_rate(options.rate, step, share, warmup_steps=20)
            for optimizer in optimizers:
                optimizer.zero_grad()
                for group in optimizer.param_groups:
                    group["lr"] = rate * group["factor"]
            count = round(options.batch * options.first_share)
            both = [self._loss(self._pools[True], count), self._loss(self._pools[False], options.batch - count)]
            torch.autograd.backward(both)
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            for optimizer in optimizers:
                optimizer.step()
            step += 1
            pull = 1 - min(options.averaging, (1 + step) / (10 + step))
            torch._foreach_lerp_(average, [weight.detach() for weight in weights], pull)
            losses += torch.stack(both).detach().cpu()
            if step % options.record_every == 0:
                first, rest = (losses / options.record_every).tolist()
                record(self._out, step=step, first=first, rest=rest, rate=rate, share=share)
                losses.zero_()
            if time.monotonic() - saved_at > options.save_every_s:
                save_average(student, weights, average, self._out)
                saved_at = time.monotonic()
        with torch.no_grad():
            torch._foreach_copy_(weights, average)
        save(student, self._out)
        record(self._out, step=step, is_saved=True)
        return step

    @torch.no_grad()
    def draw_points(self) -> None:
        """Let the pair draw some scenes and keep what each step began with and what it did."""
        options, device = self._options, self._device
        count = max(1, round(options.batch * options.scenes_share))
        scenes = [self._author.scene() for _ in range(count)]
        ids = self._ids([self._author.caption(scene) for scene in scenes])
        # To the pair, nothing is unknown: it is told the name of what the unknown is drawn as.
        known = self._ids([self._knowing.caption(scene) for scene in scenes])
        is_unknown = torch.tensor([scene.is_unknown for scene in scenes])
        told = torch.where(is_unknown[:, None], known, ids).to(device)
        with self._autocast():
            texts = [text(told) for text in self._texts]
        guidance = torch.rand(count, generator=self._random) * 5 + 1
        guidance = torch.where(torch.rand(count, generator=self._random) < 0.6, USUAL_GUIDANCE, guidance)
        steps = SCHEDULES[int(torch.randint(len(SCHEDULES), (), generator=self._random))]
        noise = torch.randn(count, *LATENT, generator=self._random).to(device)

        def move(x: Tensor, sigma: float) -> Tensor:
            is_first = sigma > options.above
            at = torch.full((count,), sigma, device=device)
            with self._autocast():
                model, text = self._pair[not is_first], texts[not is_first]
                return velocity(model.dit, x, at, text, guidance.to(device), self._rotary).float()

        end: Tensor | None = None
        if steps < STEPS:  # too few for the pair: such steps learn to lead to what enough of them draw
            end = noise
            for sigma, below in pairwise(sigmas_of(STEPS)):
                end = end + move(end, sigma) * (below - sigma)
        x, sigmas = noise, sigmas_of(steps)
        kept = torch.randperm(steps, generator=self._random)[:POINTS].tolist()
        for number, (sigma, below) in enumerate(pairwise(sigmas)):
            is_first = sigma > options.above
            moved = move(x, sigma) if is_first or end is None else (x - end) / sigma
            if is_first or number in kept:
                self._pools[is_first].add([x, moved, ids, torch.full((count,), sigma), guidance])
            x = x + moved * (below - sigma)

    def _loss(self, pool: Pool, count: int) -> Tensor:
        x, target, ids, sigma, guidance = pool.draw(count)
        with self._autocast():
            moved = velocity(self._student.dit, x.float(), sigma, self._text(ids.long()), guidance, self._rotary)
        return (moved.float() - target.float()).pow(2).mean()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(torch.device(self._device).type, torch.bfloat16, enabled=self._device != "cpu")

    def _ids(self, captions: list[str]) -> Tensor:
        return torch.tensor([encoding.ids for encoding in self._tokenizer.encode_batch(captions)])


def sigmas_of(steps: int) -> list[float]:
    """Noise levels at the beginning of each step of the pipeline's schedule, and 0."""
    schedule = FlowMatchScheduler("FLUX.1")
    schedule.set_timesteps(steps)
    return [*(float(timestep) / 1000 for timestep in schedule.timesteps), 0.0]
