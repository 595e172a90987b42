"""Both trainings run on the CPU in miniature, and their files are the product's."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from types import MappingProxyType

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import pipeline.demo
from pipeline.catalog.model_card import ModelFile
from pipeline.catalog.models import DEMO
from pipeline.config import PipelineConfig
from pipeline.demo.engine import DemoEngine
from pipeline.demo.model import SmallDiT
from pipeline.spec import ImageOptions
from training import autoencoder, networks, trainer
from training.__main__ import main
from training.clock import learning_rate
from training.muon import orthogonalise
from training.networks import Networks, TextEncoders, rotary_table, velocity
from training.sampling import contact_sheet, draw
from training.scenes import TEXT_LENGTH, batches
from training.sprites import Atlas
from training.vocabulary import Concept

SHIPPED = Path(pipeline.demo.__file__).parent / "weights"
PLACES = {"dit": "dit/", "vae": "vae.safetensors", "clip": "clip.safetensors", "t5": "t5.safetensors"}
SMALL = trainer.Options(batch=2, pool=4, every=1, agree_every=1, is_compiled=False)


@pytest.fixture(scope="module")
def shipped() -> Networks:
    return networks.load(SHIPPED)


@pytest.mark.parametrize("phase", ["coarse", "base", "distill"])
def test_phase_changes_the_transformer(
    phase: trainer.Phase, miniature: Networks, atlas: Atlas, concepts: list[Concept], tmp_path: Path
) -> None:
    before = miniature.dit.final_proj_out.weight.detach().clone()
    stream = batches(concepts, atlas.number, 2, seed=0, workers=0)
    run = trainer.Trainer(miniature, atlas, stream, tmp_path, device="cpu", options=SMALL)
    assert run.run(phase, seconds=0.5) > 0
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text("utf-8").splitlines()]
    assert all(math.isfinite(line["loss"]) for line in lines if "loss" in line)
    assert (tmp_path / phase / "t5.safetensors").exists()
    assert not torch.equal(before, miniature.dit.final_proj_out.weight)


def test_run_that_is_killed_leaves_whole_weights(
    miniature: Networks, atlas: Atlas, concepts: list[Concept], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save_and_die(parts: Networks, folder: Path) -> None:
        networks.save(parts, folder)
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "save", save_and_die)
    stream = batches(concepts, atlas.number, 2, seed=0, workers=0)
    options = dataclasses.replace(SMALL, save_every_s=0.0)
    run = trainer.Trainer(miniature, atlas, stream, tmp_path, device="cpu", options=options)
    with pytest.raises(KeyboardInterrupt):
        run.run("base", seconds=30)
    files = {path.name for path in (tmp_path / "base").rglob("*") if path.is_file()}
    assert files == {path.name for path in SHIPPED.rglob("*.safetensors")}


def test_saving_writes_the_averaged_weights_and_leaves_the_trained_ones(miniature: Networks, tmp_path: Path) -> None:
    weight = miniature.t5.shared.weight
    trained, average = weight.detach().clone(), torch.full_like(weight, 0.5)
    trainer.save_average(miniature, [weight], [average], tmp_path / "base")
    written = load_file(tmp_path / "base" / "t5.safetensors")["shared.weight"]
    assert torch.equal(written.float(), average)
    assert torch.equal(weight, trained)


def test_coarse_patch_lies_at_the_centre_of_those_it_stands_for(shipped: Networks) -> None:
    coarse = rotary_table(shipped.dit, 1, "cpu", spacing=3)
    fine = rotary_table(shipped.dit, 3, "cpu")
    torch.testing.assert_close(coarse[..., TEXT_LENGTH, :, :, :], fine[..., TEXT_LENGTH + 4, :, :, :])


def test_coarse_pool_holds_pictures_of_half_the_side(
    miniature: Networks, atlas: Atlas, concepts: list[Concept], tmp_path: Path
) -> None:
    stream = batches(concepts, atlas.number, 2, seed=0, workers=0)
    run = trainer.Trainer(miniature, atlas, stream, tmp_path, device="cpu", options=SMALL)
    sizes = []
    for phase in ("coarse", "base", "distill"):
        run.prepare(phase)
        sizes.append(tuple(run._draw()[0].shape))
    assert sizes == [(4, 16, 16, 16), (2, 16, 32, 32), (2, 16, 32, 32)]
    lines = (tmp_path / "log.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == 2  # a pool is drawn anew for another size only


def test_guidance_is_absent_near_noise_and_weak_below() -> None:
    sigma, guidance = torch.tensor([1.0, 0.97, 0.96, 0.5, 0.5]), torch.tensor([3.5, 3.5, 3.5, 3.5, 1.0])
    weights = trainer.guidance_weights(guidance, sigma, trainer.Options())
    torch.testing.assert_close(weights, torch.tensor([1.0, 1.0, 1.5, 1.5, 1.0]))


def test_first_step_of_the_student_is_not_guided_and_the_second_is() -> None:
    options, ends = trainer.Options(), trainer.one_step_below(torch.ones(1), 1.0)
    within = trainer.one_step_below(torch.ones(1), 1 / trainer.SUBSTEPS)
    assert within > options.guided_below > ends


def test_target_of_the_student_is_the_mean_velocity_of_the_teacher(
    miniature: Networks, atlas: Atlas, concepts: list[Concept], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A teacher that always moves by 2 with the text and by 0 without, so by 2 × weight."""
    seen: list[float] = []

    def moves(dit: object, latents: torch.Tensor, sigma: torch.Tensor, *_rest: object) -> torch.Tensor:
        if dit is not teacher:
            return torch.zeros_like(latents)
        seen.append(float(sigma[0]))
        named, unnamed = torch.full_like(latents, 2.0).chunk(2)
        return torch.cat([named, 0 * unnamed])

    teacher = SmallDiT(dim=64, heads=1, joint_blocks=1, single_blocks=1)
    monkeypatch.setattr(trainer, "velocity", moves)
    monkeypatch.setattr(trainer, "sample_sigma", lambda count, *_: torch.full((count,), 0.99))
    stream = batches(concepts, atlas.number, 2, seed=0, workers=0)
    run = trainer.Trainer(miniature, atlas, stream, tmp_path, device="cpu", options=SMALL)
    run.prepare("distill")
    loss = run._distill_loss(teacher)
    ends = trainer.one_step_below(torch.tensor([0.99]), 1.0).item()
    assert len(seen) == trainer.SUBSTEPS
    assert seen[1] < trainer.Options().guided_below
    assert ends < seen[1] < seen[0]
    assert (
        2.0**2 <= float(loss) < (2 * trainer.guidance_weights(torch.tensor([6.0]), torch.zeros(1), SMALL).item()) ** 2
    )


def test_saved_weights_draw_the_same_in_the_product(shipped: Networks, tmp_path: Path) -> None:
    networks.save(shipped, tmp_path / "runs" / "distill")
    own = {name: ModelFile(repo="runs/distill", path=path) for name, path in PLACES.items()}
    card = dataclasses.replace(DEMO, files=MappingProxyType({**DEMO.files, **own}))
    engine = DemoEngine(card, PipelineConfig(device="cpu", models_dir=tmp_path))
    spec = DEMO.resolve(ImageOptions(prompt="a red apple", seed=7, steps=4), random_seed=0)
    image = engine.generate(spec, on_progress=lambda _progress: None, should_stop=lambda: False)
    engine.close()
    theirs = torch.frombuffer(bytearray(image.pixels), dtype=torch.uint8).view(256, 256, 3)
    again = networks.load(tmp_path / "runs" / "distill")
    ours = draw(again, ["a red apple"], [7], device="cpu", steps=4)[0]
    assert (ours.float() - theirs.float()).abs().mean() < 0.5


def test_autoencoder_stores_the_same_scale_in_both_halves(
    miniature: Networks, atlas: Atlas, concepts: list[Concept], tmp_path: Path
) -> None:
    stream = batches(concepts, atlas.number, 2, seed=0, workers=0)
    assert autoencoder.train(miniature, atlas, stream, tmp_path, seconds=0.2, device="cpu", rounds=1) > 0
    assert torch.equal(miniature.encoder.scaling_factor, miniature.decoder.scaling_factor)


def test_saved_files_have_the_names_and_shapes_of_the_shipped_ones(shipped: Networks, tmp_path: Path) -> None:
    networks.save(shipped, tmp_path)
    paths = sorted(path.relative_to(SHIPPED) for path in SHIPPED.rglob("*.safetensors"))
    assert paths == sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.safetensors"))

    def shapes(folder: Path) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for path in paths:
            with safe_open(folder / path, "pt") as file:
                found |= {f"{path.parts[0]}:{key}": file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
        return found

    assert shapes(tmp_path) == shapes(SHIPPED)


def test_text_encoders_give_what_the_product_computes(shipped: Networks) -> None:
    ids = torch.zeros(1, TEXT_LENGTH, dtype=torch.long)
    ids[0, :4] = torch.tensor([90, 400, 30, 1])
    clip_ids = torch.zeros(1, 77, dtype=torch.long)
    clip_ids[0, :4] = torch.tensor([90, 400, 30, 6000])
    with torch.no_grad():
        sequence, pooled = TextEncoders(shipped.t5, shipped.clip)(ids)
        torch.testing.assert_close(sequence, shipped.t5(ids), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(pooled, shipped.clip(clip_ids)[0], atol=1e-4, rtol=1e-4)


def test_velocity_is_what_the_product_computes(shipped: Networks) -> None:
    from diffsynth.pipelines.flux_image import model_fn_flux_image

    latents, sigma = torch.randn(1, 16, 8, 8), torch.tensor([0.7])
    text, guidance = (torch.randn(1, TEXT_LENGTH, 256), torch.randn(1, 128)), torch.tensor([3.5])
    with torch.no_grad():
        ours = velocity(shipped.dit, latents, sigma, text, guidance, rotary_table(shipped.dit, 4, "cpu"))
        theirs = model_fn_flux_image(
            shipped.dit,
            latents=latents,
            timestep=sigma * 1000,
            prompt_emb=text[0],
            pooled_prompt_emb=text[1],
            guidance=guidance,
            text_ids=torch.zeros(1, TEXT_LENGTH, 3),
        )
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_drawing_gives_pictures_and_a_sheet(shipped: Networks, tmp_path: Path) -> None:
    pictures = draw(shipped, ["a red apple", "熊猫"], [1, 2], device="cpu", steps=2)
    contact_sheet(pictures, tmp_path / "sheet.png")
    assert pictures.shape == (2, 256, 256, 3)
    assert (tmp_path / "sheet.png").exists()


def test_step_of_the_schedule_ends_at_the_picture() -> None:
    ends = trainer.one_step_below(torch.tensor([1.0, 0.3, 0.0]), 1.0)
    torch.testing.assert_close(ends, torch.tensor([21 / 22, 0.0, 0.0]))


def test_samples_lie_near_noise_as_often_as_asked() -> None:
    sigma = trainer.sample_sigma(4000, 1.0, "cpu")
    assert sigma.min() >= 0.86 - 1e-6
    assert sigma.max() <= 1


def test_learning_rate_warms_up_and_ends_low() -> None:
    assert learning_rate(1.0, 0, 0.0) == pytest.approx(0.01)
    assert learning_rate(1.0, 500, 0.0) == pytest.approx(1.0)
    assert learning_rate(1.0, 500, 1.0) == pytest.approx(0.02)


def test_orthogonalised_matrices_have_singular_values_near_one() -> None:
    values = torch.linalg.svdvals(orthogonalise(torch.randn(3, 32, 64)))
    assert values.min() > 0.5
    assert values.max() < 1.4


@pytest.mark.parametrize("variety", ["-0.1", "1.5", "nan", "much"])
def test_variety_that_is_no_share_is_refused(variety: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--out", str(tmp_path / "run"), "--variety", variety])
    assert "--variety" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
