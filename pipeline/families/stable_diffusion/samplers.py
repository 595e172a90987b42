"""From noise to latents: DPM++ 2M Karras, Euler and DDIM over the noise schedule that SD 1.5 and SDXL learnt.

Must not know the network, prompts or guidance: it is told the noise that was predicted, and says the next latents. What
the network learnt must be noise (epsilon); models that predict velocity are not among ours. One image:

    schedule = schedule_of(sampler, steps, strength=strength)
    latents, stepper = initial(noise, init_latents, schedule), Stepper(schedule)
    for timestep in run.watch(schedule.timesteps):
        latents = stepper(predict(latents, timestep), latents)
        run.show(stepper.estimate)

Latents are always as the network reads them, √ᾱ·x₀ + √(1−ᾱ)·ε: nothing is scaled before a prediction. They are to be
kept in float32 in between, since the steps of 50 add up; predictions may be of 16 bits. No step draws noise, so equal
noise gives equal latents.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import cache
from typing import Final, assert_never

import torch
from torch import Tensor

from pipeline.spec import Sampler, last_steps

TRAINING_STEPS: Final = 1000
BETA_START: Final = 0.00085
BETA_END: Final = 0.012
KARRAS_RHO: Final = 7.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Schedule:
    """The steps of one image.

    timesteps: (n,), float32, CPU, falling: what to tell the network. Euler's lie between whole numbers, and bfloat16
        rounds those above 256, so they are to stay in float32.
    alphas_bar: n + 1 shares of the signal's variance, rising, one before each step and one after the last: 1.
    noise_scale: what noise is multiplied by if there is nothing else to start from.
    """

    sampler: Sampler
    timesteps: Tensor
    alphas_bar: tuple[float, ...]
    noise_scale: float

    @property
    def sigmas(self) -> tuple[float, ...]:
        """Noise per signal, n + 1 values that fall to 0, as k-diffusion counts."""
        return tuple(math.sqrt((1 - alpha_bar) / alpha_bar) for alpha_bar in self.alphas_bar)


def schedule_of(sampler: Sampler, steps: int, *, strength: float = 1.0) -> Schedule:
    """Choose the timesteps.

    DDIM's are DiffSynth's, aligned to 999 … 0 (`diffsynth/diffusion/ddim_scheduler.py`). The others are those of
    diffusers' `DPMSolverMultistepScheduler` with Karras' sigmas and `EulerDiscreteScheduler`, neither told more than
    the betas. One step always begins at 999.

    Args:
        steps: 1 to 1000, for the whole way from noise.
        strength: 0 to 1. Below 1, only the last steps are taken, as in diffusers' `StableDiffusionImg2ImgPipeline`,
            at least one; only makes sense with an init image.

    Raises:
        ValueError: a number is out of range.
    """
    if not (1 <= steps <= TRAINING_STEPS and 0 <= strength <= 1):
        raise ValueError(f"no schedule has {steps} steps at a strength of {strength}")
    noise_scale = 1.0
    match sampler:
        case Sampler.DPMPP_2M_KARRAS:
            sigmas = _karras_sigmas(steps)
            timesteps = [float(round(_timestep_of(sigma))) for sigma in sigmas]
            alphas_bar = [_alpha_bar_of(sigma) for sigma in sigmas]
        case Sampler.EULER:
            timesteps = _evenly(TRAINING_STEPS - 1.0, 0.0, steps)
            alphas_bar = [_alpha_bar_of(_sigma_of(timestep)) for timestep in timesteps]
            noise_scale = math.sqrt(1 - alphas_bar[0])
        case Sampler.DDIM:
            stride = (TRAINING_STEPS - 1) / max(steps - 1, 1)
            timesteps = [float(round(TRAINING_STEPS - 1 - step * stride)) for step in range(steps)]
            alphas_bar = [training_alphas_bar()[int(timestep)] for timestep in timesteps]
        case _:
            assert_never(sampler)
    first = steps - last_steps(steps, strength)
    return Schedule(
        sampler=sampler,
        timesteps=torch.tensor(timesteps[first:], dtype=torch.float32),
        alphas_bar=(*alphas_bar[first:], 1.0),
        noise_scale=noise_scale,
    )


def initial(noise: Tensor, init_latents: Tensor | None, schedule: Schedule) -> Tensor:
    """Return the latents that the first step starts from.

    Args:
        noise: (B, 4, h, w), of variance 1, float32.
        init_latents: of the init image, scaled as the network knows latents, of the same shape; None to start from
            noise alone.
    """
    if init_latents is None:
        return noise * schedule.noise_scale
    alpha_bar = schedule.alphas_bar[0]
    return math.sqrt(alpha_bar) * init_latents + math.sqrt(1 - alpha_bar) * noise


class Stepper:
    """The steps of one image, one call each.

    estimate: after a step, the image that the network expected there (x₀), in latents; for previews.
    """

    estimate: Tensor

    def __init__(self, schedule: Schedule) -> None:
        """Stand before the first step."""
        self._schedule = schedule
        self._step = 0

    def __call__(self, noise: Tensor, latents: Tensor) -> Tensor:
        """Take one step.

        Args:
            noise: (B, 4, h, w), what the network, and guidance, see in the latents; of any dtype.
            latents: (B, 4, h, w), float32, what this object returned last, or `initial`.

        Raises:
            IndexError: the schedule has no further step.
        """
        alphas_bar, step = self._schedule.alphas_bar, self._step
        before, after = alphas_bar[step], alphas_bar[step + 1]
        noise = noise.to(latents.dtype)
        estimate = (latents - math.sqrt(1 - before) * noise) / math.sqrt(before)
        if self._schedule.sampler is Sampler.DPMPP_2M_KARRAS:
            heading = estimate if step == 0 or after == 1 else self._extrapolated(estimate)
            following = _towards(heading, latents, before, after)
        else:
            following = _along(noise, latents, before, after)
        self.estimate = estimate
        self._step += 1
        return following

    def _extrapolated(self, estimate: Tensor) -> Tensor:
        """Continue the line of the last two estimates to the middle of the step (Lu et al. 2022, arXiv 2211.01095).

        Algorithm 2 there; `sample_dpmpp_2m` in k-diffusion's `k_diffusion/sampling.py`, "midpoint" in diffusers.
        """
        first, here, after = (math.log(sigma) for sigma in self._schedule.sigmas[self._step - 1 : self._step + 2])
        share = 0.5 * (here - after) / (first - here)
        return (1 + share) * estimate - share * self.estimate


def _along(noise: Tensor, latents: Tensor, before: float, after: float) -> Tensor:
    """Follow the noise (Song et al. 2020, arXiv 2010.02502, (12), with η = 0): Euler's step for noise per signal.

    The terms stand as in DiffSynth's `DDIMScheduler.denoise`, so that every bit is the same.
    """
    noise_weight = math.sqrt(1 - after) - math.sqrt(after * (1 - before) / before)
    return latents * math.sqrt(after / before) + noise * noise_weight


def _towards(estimate: Tensor, latents: Tensor, before: float, after: float) -> Tensor:
    """Keep the direction to an estimate and shrink the noise: the exact way if the estimate stays what it is."""
    kept = math.sqrt((1 - after) / (1 - before))
    return kept * latents + (math.sqrt(after) - kept * math.sqrt(before)) * estimate


@cache
def training_alphas_bar() -> tuple[float, ...]:
    """Return ᾱ, the share of the signal's variance, at each of the 1000 timesteps: 0.9991 … 0.0047.

    "Scaled linear": the roots of the betas are evenly spaced. In float32, as everybody computes it.
    """
    roots = torch.linspace(math.sqrt(BETA_START), math.sqrt(BETA_END), TRAINING_STEPS, dtype=torch.float32)
    alphas_bar: list[float] = torch.cumprod(1.0 - torch.square(roots), dim=0).tolist()
    return tuple(alphas_bar)


@cache
def _training_sigmas() -> tuple[float, ...]:
    return tuple(math.sqrt((1 - alpha_bar) / alpha_bar) for alpha_bar in training_alphas_bar())


def _karras_sigmas(steps: int) -> list[float]:
    """Return sigmas that fall from 14.61 to 0.029, dense near the end (Karras et al. 2022, arXiv 2206.00364, (5))."""
    low, *_, high = _training_sigmas()
    return [root**KARRAS_RHO for root in _evenly(high ** (1 / KARRAS_RHO), low ** (1 / KARRAS_RHO), steps)]


def _evenly(first: float, last: float, count: int) -> list[float]:
    """Return evenly spaced numbers; of one, the first."""
    return [first + (last - first) * step / max(count - 1, 1) for step in range(count)]


def _sigma_of(timestep: float) -> float:
    """Interpolate linearly, as diffusers' Euler does; k-diffusion does so between logarithms."""
    sigmas = _training_sigmas()
    below = min(int(timestep), TRAINING_STEPS - 2)
    return sigmas[below] + (sigmas[below + 1] - sigmas[below]) * (timestep - below)


def _alpha_bar_of(sigma: float) -> float:
    return 1 / (1 + sigma**2)


def _timestep_of(sigma: float) -> float:
    """Interpolate between the logarithms of sigmas."""
    sigmas = _training_sigmas()
    below = min(max(bisect_right(sigmas, sigma) - 1, 0), TRAINING_STEPS - 2)
    low, high = math.log(sigmas[below]), math.log(sigmas[below + 1])
    return below + min(max((math.log(sigma) - low) / (high - low), 0.0), 1.0)
