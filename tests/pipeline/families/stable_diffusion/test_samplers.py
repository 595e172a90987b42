"""Samplers take the steps of DiffSynth and of diffusers, and end where the exact way from the noise ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.families.stable_diffusion.samplers import Stepper, initial, schedule_of, training_alphas_bar
from pipeline.spec import MAX_STEPS, Sampler

SHAPE = (2, 4, 8, 8)
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
MEAN = torch.linspace(-0.5, 0.5, 4).view(1, 4, 1, 1)
DEVIATION = torch.tensor([0.2, 0.5, 1.0, 1.5]).view(1, 4, 1, 1)

Predict = Callable[[Tensor, Tensor], Tensor]


@pytest.fixture(scope="module")
def diffusers() -> ModuleType:
    """Imported once, since it takes seconds."""
    import diffusers

    return diffusers


def random_latents(seed: int) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def wavy(latents: Tensor, timestep: Tensor) -> Tensor:
    """Predict something that depends on every input, and not linearly."""
    return torch.sin(1.3 * latents + timestep / 300) + 0.3 * latents.roll(1, -1)


def gaussian(latents: Tensor, timestep: Tensor) -> Tensor:
    """Predict noise as well as can be, if images are independent numbers of MEAN and DEVIATION."""
    alpha_bar = signal_at(timestep)
    variance = alpha_bar * DEVIATION**2 + 1 - alpha_bar
    return math.sqrt(1 - alpha_bar) * (latents - math.sqrt(alpha_bar) * MEAN) / variance


def signal_at(timestep: Tensor) -> float:
    """ᾱ at a timestep, between two of the table if it lies there."""
    table = training_alphas_bar()
    below = min(int(timestep), len(table) - 2)
    return table[below] + (table[below + 1] - table[below]) * (float(timestep) - below)


def drawn(
    sampler: Sampler, steps: int, predict: Predict = wavy, *, init: Tensor | None = None, strength: float = 1.0
) -> Tensor:
    schedule = schedule_of(sampler, steps, strength=strength)
    latents, stepper = initial(random_latents(0), init, schedule), Stepper(schedule)
    for timestep in schedule.timesteps:
        latents = stepper(predict(latents, timestep), latents)
    return latents


def drawn_by_diffusers(scheduler: Any, steps: int, *, init: Tensor | None = None, strength: float = 1.0) -> Tensor:
    """The loops of `StableDiffusionPipeline` and `StableDiffusionImg2ImgPipeline`."""
    scheduler.set_timesteps(steps)
    timesteps, noise = scheduler.timesteps, random_latents(0)
    if init is None:
        latents = noise * scheduler.init_noise_sigma
    else:
        first = max(steps - min(int(steps * strength), steps), 0)
        timesteps = timesteps[first:]
        scheduler.set_begin_index(first)
        latents = scheduler.add_noise(init, noise, timesteps[:1].repeat(len(init)))
    for timestep in timesteps:
        prediction = wavy(scheduler.scale_model_input(latents, timestep), timestep)
        latents = scheduler.step(prediction, timestep, latents).prev_sample
    return latents


def distance(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


def error_of(sampler: Sampler, steps: int) -> float:
    """Distance from the exact end of the way, which is known for Gaussian data: deviations shrink together."""
    schedule = schedule_of(sampler, steps)
    begin = initial(random_latents(0), None, schedule) / math.sqrt(schedule.alphas_bar[0])
    exact = MEAN + (begin - MEAN) * DEVIATION / torch.sqrt(DEVIATION**2 + schedule.sigmas[0] ** 2)
    return distance(drawn(sampler, steps, gaussian), exact)


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 20, 28, 50])
def test_ddim_is_that_of_diffsynth_to_the_bit(steps: int) -> None:
    from diffsynth.diffusion.ddim_scheduler import DDIMScheduler

    scheduler = DDIMScheduler()
    scheduler.set_timesteps(steps)
    latents = random_latents(0)
    for timestep in scheduler.timesteps:
        latents = scheduler.step(wavy(latents, timestep), timestep[None], latents)
    schedule, init = schedule_of(Sampler.DDIM, steps), random_latents(1)

    assert torch.equal(schedule.timesteps, scheduler.timesteps)
    assert torch.equal(drawn(Sampler.DDIM, steps), latents)
    assert torch.equal(
        initial(random_latents(0), init, schedule),
        scheduler.add_noise(init, random_latents(0), scheduler.timesteps[:1]),
    )


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of diffusers with numpy 2
@pytest.mark.parametrize("sampler", [Sampler.DPMPP_2M_KARRAS, Sampler.EULER])
def test_steps_are_those_of_diffusers(sampler: Sampler, diffusers: ModuleType) -> None:
    for steps in (1, 2, 3, 5, 20, 50):
        if sampler is Sampler.EULER and steps == 1:
            continue  # diffusers begins a single step at the end of the schedule
        for strength in (None, 0.3, 0.58, 0.75, 1.0):
            if strength is not None and int(steps * strength) == 0:
                continue  # diffusers takes no step then
            scheduler = (
                diffusers.EulerDiscreteScheduler(**BETAS)
                if sampler is Sampler.EULER
                else diffusers.DPMSolverMultistepScheduler(**BETAS, use_karras_sigmas=True)
            )
            init = None if strength is None else random_latents(1)
            share = strength or 1.0
            ours = drawn(sampler, steps, init=init, strength=share)
            theirs = drawn_by_diffusers(scheduler, steps, init=init, strength=share)

            assert distance(ours, theirs) < 1e-5, (steps, strength)


def test_ddim_is_that_of_diffusers_at_the_same_timesteps(diffusers: ModuleType) -> None:
    # It takes 1000 // steps off a timestep, whatever the next one is, so it is told a number of steps for each gap.
    schedule, init = schedule_of(Sampler.DDIM, 50, strength=0.6), random_latents(1)
    scheduler = diffusers.DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=True)
    scheduler.set_timesteps(50)
    timesteps = schedule.timesteps.int()
    latents = scheduler.add_noise(init, random_latents(0), timesteps[:1])
    for timestep, following in zip(timesteps, [*timesteps[1:], timesteps.new_tensor(-20)], strict=True):
        scheduler.num_inference_steps = 1000 // int(timestep - following)
        latents = scheduler.step(wavy(latents, timestep), int(timestep), latents).prev_sample

    assert distance(drawn(Sampler.DDIM, 50, init=init, strength=0.6), latents) < 1e-5


def test_samplers_end_where_the_exact_way_ends() -> None:
    assert error_of(Sampler.DPMPP_2M_KARRAS, 50) < 0.003
    assert error_of(Sampler.EULER, 50) < 0.04
    assert error_of(Sampler.DDIM, 50) < 0.04
    # Of the second order and of the first: steps of 40 % leave an error of 16 % and of 40 %.
    assert error_of(Sampler.DPMPP_2M_KARRAS, 50) < 0.2 * error_of(Sampler.DPMPP_2M_KARRAS, 20)
    assert 0.35 < error_of(Sampler.EULER, 50) / error_of(Sampler.EULER, 20) < 0.5


@pytest.mark.parametrize("steps", [5, 10, 15, 25])
def test_the_default_needs_less_than_half_the_steps_of_euler(steps: int) -> None:
    assert error_of(Sampler.DPMPP_2M_KARRAS, steps) < error_of(Sampler.EULER, 2 * steps)


@pytest.mark.parametrize("sampler", Sampler)
def test_two_kinds_of_images_come_out_as_often_as_they_are(sampler: Sampler) -> None:
    def predict(latents: Tensor, timestep: Tensor) -> Tensor:
        """Predict noise as well as can be, if 3 of 10 numbers are near −1 and the others near 1."""
        alpha_bar = signal_at(timestep)
        variance = alpha_bar * 0.1**2 + 1 - alpha_bar
        away = latents.unsqueeze(-1) - math.sqrt(alpha_bar) * torch.tensor([-1.0, 1.0])
        shares = (torch.tensor([0.3, 0.7]).log() - away**2 / (2 * variance)).softmax(-1)
        estimate = shares * (torch.tensor([-1.0, 1.0]) + math.sqrt(alpha_bar) * 0.1**2 / variance * away)
        return (latents - math.sqrt(alpha_bar) * estimate.sum(-1)) / math.sqrt(1 - alpha_bar)

    schedule, noise = schedule_of(sampler, 30), torch.randn(4, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    latents, stepper = initial(noise, None, schedule), Stepper(schedule)
    for timestep in schedule.timesteps:
        latents = stepper(predict(latents, timestep), latents)
    bright = latents > 0

    assert float(bright.float().mean()) == pytest.approx(0.7, abs=0.03)
    assert float(latents[bright].mean()) == pytest.approx(1, abs=0.02)
    assert float(latents[~bright].mean()) == pytest.approx(-1, abs=0.02)
    assert float(latents[bright].std()) == pytest.approx(0.1, abs=0.03)


def schedules() -> Iterator[tuple[Sampler, int, float]]:
    for sampler in Sampler:
        for steps in range(1, MAX_STEPS + 1):
            for strength in (0.0, 0.001, 0.5, 1.0):
                yield sampler, steps, strength


def test_every_number_of_steps_and_every_strength_takes_at_least_one_step_to_a_finite_end() -> None:
    target = random_latents(1)

    def predict(latents: Tensor, timestep: Tensor) -> Tensor:
        signal = signal_at(timestep)
        return (latents - math.sqrt(signal) * target) / math.sqrt(1 - signal)

    for sampler, steps, strength in schedules():
        schedule = schedule_of(sampler, steps, strength=strength)

        assert schedule.timesteps.dtype is torch.float32
        assert len(schedule.timesteps) == max(int(steps * strength), 1)
        assert len(schedule.sigmas) == len(schedule.timesteps) + 1
        assert list(schedule.sigmas) == sorted(schedule.sigmas, reverse=True)
        assert schedule.sigmas[-1] == 0
        # Karras' steps are told to the network rounded, so what it predicts is off by that much.
        assert distance(drawn(sampler, steps, predict, init=target, strength=strength), target) < 0.02


@pytest.mark.parametrize("sampler", Sampler)
def test_the_first_step_begins_in_noise_and_the_last_estimate_is_the_result(sampler: Sampler) -> None:
    schedule = schedule_of(sampler, 4)
    latents, stepper = initial(random_latents(0), None, schedule), Stepper(schedule)
    for timestep in schedule.timesteps:
        latents = stepper(wavy(latents, timestep), latents)

    assert schedule.timesteps[0] == 999
    assert torch.allclose(stepper.estimate, latents, atol=1e-4)
    with pytest.raises(IndexError):
        stepper(latents, latents)


@pytest.mark.parametrize("sampler", Sampler)
def test_predictions_of_16_bits_leave_latents_in_float32(sampler: Sampler) -> None:
    schedule = schedule_of(sampler, 3)
    latents, stepper = initial(random_latents(0), None, schedule), Stepper(schedule)
    for timestep in schedule.timesteps:
        latents = stepper(wavy(latents, timestep).half(), latents)

    assert latents.dtype is stepper.estimate.dtype is torch.float32
    assert distance(latents, drawn(sampler, 3)) < 1e-2


@pytest.mark.parametrize(
    ("steps", "strength"), [(0, 1.0), (-1, 1.0), (1001, 1.0), (20, 1.01), (20, -0.1), (20, math.nan)]
)
def test_numbers_out_of_range_are_refused(steps: int, strength: float) -> None:
    with pytest.raises(ValueError, match="no schedule"):
        schedule_of(Sampler.EULER, steps, strength=strength)
