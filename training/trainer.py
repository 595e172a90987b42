"""Training of the transformer with its text encoders, and its distillation; on one device or several.

    coarse   as base, on pictures of half the side whose patches lie twice as far apart: what a name looks like is
             learned from two to three times as many samples in the same time, details are left to base.
    base     rectified flow: x = (1 − s) · image + s · noise, target noise − image (arXiv 2209.03003). Many samples
             lie close to pure noise: only there does the text decide what is drawn, below s ≈ 0.95 the picture
             itself betrays it. This taught names an order of magnitude sooner than FLUX's distribution.
    distill  the student does in one pass and one eighth of the way what the teacher does in four: two passes of
             classifier-free guidance (arXiv 2207.12598, 2210.03142), two substeps (arXiv 2202.00512). Guidance
             draws every seed towards what is typical of the text, so it is weak, and absent near pure noise, where
             the seed chooses among drawings of the same thing (arXiv 2404.07724).

Several devices: start one process for each with `torch.distributed.run`; gradients are averaged.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn

from pipeline.demo.model import SmallDiT
from training.clock import Clock, learning_rate, record
from training.muon import Muon
from training.networks import Networks, TextEncoders, rotary_table, save, velocity
from training.scenes import CAPTIONS, TEXT_LENGTH, Batch, compose
from training.sprites import SIZE_PX, Atlas

LATENT: Final = (16, 32, 32)
COARSE: Final = 2  # how many times fewer pixels a side has in that phase
SHIFT: Final = 3.0  # of the schedule that DiffSynth's pipeline samples with (diffsynth/diffusion/flow_match.py)
STEPS: Final = 8  # that the student is made for
SUBSTEPS: Final = 2
USUAL_GUIDANCE: Final = 3.5  # what a card says; it stands for a weight of `Options.guidance_weight`
Phase = Literal["coarse", "base", "distill"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Sizes and rates of the recipe; `docs/demo-model.md` says which runs made the shipped weights."""

    batch: int = 384  # samples per device and step, twice as many if coarse; the loader brings a quarter of that
    pool: int = 49152  # scenes kept encoded on the device, each used about four times
    rates: tuple[float, float] = (1e-3, 4e-4)  # peak, base and distill
    embedding_rate: float = 2.0  # times the others': a name is seen seldom
    averaging: float = 0.999
    drop: float = 0.1  # of the captions, so that the model can draw without one
    guidance_weight: float = 1.5  # at 2.2 the seeds drew alike; at 1, the base's, 98.8 % of the names are right
    guided_below: float = 0.97  # s; above lie both substeps of the first of the student's steps, where the seed chooses
    near_noise: float = 0.4  # share of samples with s in 0.86…1, densest at 1
    every: int = 100  # steps between log lines
    agree_every: int = 20  # steps between looks at the clock, which all processes share
    save_every_s: float = 60.0
    is_compiled: bool = True


def sample_sigma(count: int, near_noise: float, device: str) -> Tensor:
    """(count,) in 0.001…1: near noise, uniform (a tenth), else logit-normal shifted as the schedule is."""
    normal = torch.sigmoid(torch.randn(count, device=device))
    shifted = SHIFT * normal / (1 + (SHIFT - 1) * normal)
    uniform, tail, choice = (torch.rand(count, device=device) for _ in range(3))
    rest = torch.where(choice < near_noise + 0.1, uniform, shifted)
    return torch.where(choice < near_noise, 1 - 0.14 * tail**2, rest).clamp(1e-3, 1.0)


def one_step_below(sigma: Tensor, part: float) -> Tensor:
    """Where `part` of a step of the `STEPS`-step schedule leads from `sigma`."""
    place = sigma / (SHIFT - (SHIFT - 1) * sigma)
    place = (place - part / STEPS).clamp_min(0)
    return SHIFT * place / (1 + (SHIFT - 1) * place)


def guidance_weights(guidance: Tensor, sigma: Tensor, options: Options) -> Tensor:
    """(B,) guidance as people give it, and s → the weight of classifier-free guidance; 1 is none."""
    per_guidance = (options.guidance_weight - 1) / (USUAL_GUIDANCE - 1)
    return torch.where(sigma < options.guided_below, 1 + (guidance - 1) * per_guidance, 1.0)


class Trainer:
    """Holds the parts, a pool of encoded scenes, and runs phases on them."""

    def __init__(
        self, parts: Networks, atlas: Atlas, batches: Iterator[Batch], out: Path, *, device: str, options: Options
    ) -> None:
        self._parts, self._atlas, self._batches, self._out = parts.to(device), atlas, batches, out
        self._device, self._options = device, options
        parts.encoder.eval().requires_grad_(False)
        self._text = TextEncoders(parts.t5, parts.clip).to(device)
        self._empty = torch.zeros(TEXT_LENGTH, dtype=torch.long, device=device)
        self._empty[0] = 1
        self._shrink = 0  # times fewer pixels a side; none are drawn yet

    def prepare(self, phase: Phase) -> None:
        """Encode a pool of scenes of the phase's size, unless it is there."""
        options, device, shrink = self._options, self._device, COARSE if phase == "coarse" else 1
        if shrink == self._shrink:
            return
        channels, height, width = LATENT
        self._shrink, self._batch = shrink, options.batch * (COARSE if shrink > 1 else 1)
        self._rotary = rotary_table(self._parts.dit, width // 2 // shrink, device, spacing=shrink)
        self._latents = torch.zeros(
            options.pool, channels, height // shrink, width // shrink, dtype=torch.bfloat16, device=device
        )
        self._ids = torch.zeros(options.pool, CAPTIONS, TEXT_LENGTH, dtype=torch.int16, device=device)
        self._next = 0
        filled, started_at = 0, time.monotonic()
        while filled < options.pool:
            filled += self._refill()
        self._next = 0
        self._record(filled=filled, seconds=time.monotonic() - started_at)

    def run(self, phase: Phase, *, seconds: float) -> int:
        """Train for so long, put the averaged weights into the parts and into the folder `out`/`phase`.

        They are written every `save_every_s`, too, so that a run that is killed is not lost. The time begins after
        compiling, which takes about a minute. Returns the number of steps.
        """
        options = self._options
        self.prepare(phase)
        teacher = copy.deepcopy(self._parts.dit).eval().requires_grad_(False)
        if options.is_compiled:
            compile_blocks(self._parts.dit, teacher)
        loss_of: Callable[[], Tensor] = self._base_loss if phase != "distill" else lambda: self._distill_loss(teacher)
        modules: list[nn.Module] = [self._parts.dit]
        modules += [self._parts.t5, self._parts.clip] if phase != "distill" else []
        optimizers, weights = make_optimizers(
            modules, self._parts.dit, rate=options.rates[0], embedding_factor=options.embedding_rate
        )
        gradients = _flat_gradients(weights)
        average = [weight.detach().clone() for weight in weights]
        started_at = time.monotonic()
        backward = self._captured(loss_of, gradients)
        saved_at = time.monotonic()
        self._record(phase=phase, step=0, compiled_s=saved_at - started_at)
        clock = Clock(saved_at + seconds)
        total, step, share = torch.zeros((), device=self._device), 0, 0.0
        while True:
            if step % options.agree_every == 0 and (share := self._agreed(clock.share)) >= 1:
                break
            if time.monotonic() - saved_at > options.save_every_s and not _is_follower():
                save_average(self._parts, weights, average, self._out / phase)
                saved_at = time.monotonic()
            rate = learning_rate(options.rates[phase == "distill"], step, share)
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = rate * group["factor"]
            self._refill()
            total += backward()
            self._reduce(gradients)
            for optimizer in optimizers:
                optimizer.step()
            step += 1
            pull = 1 - min(options.averaging, (1 + step) / (10 + step))
            torch._foreach_lerp_(average, [weight.detach() for weight in weights], pull)
            if step % options.every == 0:
                self._record(phase=phase, step=step, loss=total.item() / options.every, rate=rate, share=share)
                total.zero_()
        with torch.no_grad():
            torch._foreach_copy_(weights, average)
        for weight in weights:
            weight.grad = None
        if not _is_follower():
            save(self._parts, self._out / phase)
        self._record(phase=phase, step=step, is_saved=True)
        return step

    def _record(self, **values: object) -> None:
        if not _is_follower():
            record(self._out, **values)

    @torch.no_grad()
    def _refill(self) -> int:
        objects, grounds, ids = next(self._batches)
        picture = compose(self._atlas, objects, grounds, side_px=SIZE_PX // self._shrink)
        with self._autocast():
            latents = self._parts.encoder(picture)
        latents = torch.nan_to_num(latents.float()).clamp(-8, 8)
        count = min(len(latents), self._options.pool - self._next)
        place = slice(self._next, self._next + count)
        self._latents[place] = latents[:count].bfloat16()
        self._ids[place] = ids[:count].to(self._device, non_blocking=True)
        self._next = (self._next + count) % self._options.pool
        return count

    def _autocast(self) -> torch.autocast:
        return torch.autocast(torch.device(self._device).type, torch.bfloat16, enabled=self._device != "cpu")

    def _draw(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Latents, ids, sigma, noise and their mixture."""
        count, device = self._batch, self._device
        row = torch.randint(self._options.pool, (count,), device=device)
        latents = self._latents[row].float()
        ids = self._ids[row, torch.randint(CAPTIONS, (count,), device=device)].long()
        sigma, noise = sample_sigma(count, self._options.near_noise, device), torch.randn_like(latents)
        weight = sigma.view(-1, 1, 1, 1)
        return latents, ids, sigma, noise, (1 - weight) * latents + weight * noise

    def _base_loss(self) -> Tensor:
        latents, ids, sigma, noise, mixed = self._draw()
        is_dropped = torch.rand(len(ids), device=self._device) < self._options.drop
        ids = torch.where(is_dropped[:, None], self._empty, ids)
        guidance = torch.rand(len(ids), device=self._device) * 6 + 1  # means nothing yet: any value must do
        with self._autocast():
            moved = velocity(self._parts.dit, mixed, sigma, self._text(ids), guidance, self._rotary)
        return (moved.float() - (noise - latents)).pow(2).mean()

    def _distill_loss(self, teacher: SmallDiT) -> Tensor:
        _, ids, sigma, _, mixed = self._draw()
        count, device = len(ids), self._device
        guidance = torch.rand(count, device=device) * 5 + 1
        guidance = torch.where(torch.rand(count, device=device) < 0.4, USUAL_GUIDANCE, guidance)
        with torch.no_grad(), self._autocast():
            text, nothing = self._text(ids), self._text(self._empty[None])
            pairs = [torch.cat([full, none.expand_as(full)]) for full, none in zip(text, nothing, strict=True)]
            both = (pairs[0], pairs[1])
            x, at = mixed, sigma
            for substep in range(1, SUBSTEPS + 1):
                below = one_step_below(sigma, substep / SUBSTEPS)
                pair = velocity(teacher, x.repeat(2, 1, 1, 1), at.repeat(2), both, guidance.repeat(2), self._rotary)
                named, unnamed = pair.float().chunk(2)
                weight = guidance_weights(guidance, at, self._options).view(-1, 1, 1, 1)
                x = x + (unnamed + weight * (named - unnamed)) * (below - at).view(-1, 1, 1, 1)
                at = below
            target = (x - mixed) / (at - sigma).clamp(max=-1e-4).view(-1, 1, 1, 1)
        with self._autocast():
            moved = velocity(self._parts.dit, mixed, sigma, text, guidance, self._rotary)
        return (moved.float() - target).pow(2).mean()

    def _captured(self, loss_of: Callable[[], Tensor], gradients: Tensor) -> Callable[[], Tensor]:
        """Forward and backward pass as one CUDA graph: launching the kernels one by one takes longer than they do."""

        def backward() -> Tensor:
            gradients.zero_()
            loss = loss_of()
            torch.autograd.backward(loss)
            return loss.detach()

        if self._device == "cpu":
            return backward
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(4):
                backward()
        torch.cuda.current_stream().wait_stream(aside)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # NCCL's watchdog asks for events meanwhile
            loss = backward()

        def replay() -> Tensor:
            graph.replay()
            return loss

        return replay

    def _agreed(self, share: float) -> float:
        """The first process's clock holds for all: they must stop, and slow down, together."""
        if not dist.is_initialized():
            return share
        value = torch.tensor([share], device=self._device)
        dist.broadcast(value, 0)
        return float(value)

    @torch.no_grad()
    def _reduce(self, gradients: Tensor) -> None:
        """Average over processes and limit the norm to 1; a gradient that is not finite counts as none."""
        if dist.is_initialized():
            dist.all_reduce(gradients)
            gradients /= dist.get_world_size()
        norm = gradients.norm()
        scale = torch.where(torch.isfinite(norm), (1 / (norm + 1e-6)).clamp(max=1.0), 0.0)
        gradients.nan_to_num_(0.0, 0.0, 0.0).mul_(scale)


@torch.no_grad()
def save_average(parts: Networks, weights: list[Tensor], average: list[Tensor], folder: Path) -> None:
    """Write `parts` with the averages of their weights, and go on with the weights themselves."""
    # In place, since a captured graph knows the weights by their addresses.
    trained = [weight.detach().clone() for weight in weights]
    torch._foreach_copy_(weights, average)
    save(parts, folder)
    torch._foreach_copy_(weights, trained)


def compile_blocks(*transformers: SmallDiT) -> None:
    """Compile block by block: alike ones share their code, so it takes half a minute."""
    for transformer in transformers:
        for block in [*transformer.blocks, *transformer.single_blocks]:
            block.compile(dynamic=False)


def _is_follower() -> bool:
    return dist.is_initialized() and dist.get_rank() > 0


def make_optimizers(
    modules: Sequence[nn.Module], dit: nn.Module, *, rate: float, embedding_factor: float
) -> tuple[list[torch.optim.Optimizer], list[Tensor]]:
    """Muon for the transformer's hidden matrices, AdamW for the rest (the text encoders have no query-key norm)."""
    matrices: list[Tensor] = []
    embeddings: list[Tensor] = []
    others: list[Tensor] = []
    outer = ("embed", "final_proj")
    for module in modules:
        for name, weight in module.named_parameters():
            if module is dit and weight.ndim == 2 and not any(part in name for part in outer):
                matrices.append(weight)
            else:
                (embeddings if "shared" in name or "token_embedding" in name else others).append(weight)
    groups = [{"params": others, "factor": 1.0}, {"params": embeddings, "factor": embedding_factor}]
    adamw = torch.optim.AdamW([group for group in groups if group["params"]], betas=(0.9, 0.98), weight_decay=0.0)
    muon = Muon(matrices, lr=rate)
    muon.param_groups[0]["factor"] = 1.0
    return [muon, adamw], [*matrices, *embeddings, *others]


def _flat_gradients(weights: Sequence[Tensor]) -> Tensor:
    """One tensor for all gradients, so that averaging and limiting them is one call each."""
    flat = torch.zeros(sum(weight.numel() for weight in weights), device=weights[0].device)
    for weight, part in zip(weights, torch.split(flat, [weight.numel() for weight in weights]), strict=True):
        weight.grad = part.view_as(weight)
    return flat
