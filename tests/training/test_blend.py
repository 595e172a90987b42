"""Weights between two runs', laid out as those that one starts from."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from training import networks
from training.__main__ import main
from training.blend import blend
from training.networks import Networks


@pytest.fixture
def runs(miniature: Networks, tmp_path: Path) -> tuple[Path, Path]:
    """Two folders of weights, the second a little further."""
    further = copy.deepcopy(miniature)
    with torch.no_grad():
        for part in (further.dit, further.t5, further.clip, further.decoder):
            for parameter in part.parameters():
                parameter.add_(torch.randn_like(parameter))
    networks.save(miniature, tmp_path / "a")
    networks.save(further, tmp_path / "b")
    return tmp_path / "a", tmp_path / "b"


def files(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    """All of a folder's tensors, whichever file of their part they are in."""
    return {
        f"{path.parts[0]}:{name}": tensor for path in files(folder) for name, tensor in load_file(folder / path).items()
    }


@pytest.mark.parametrize(("share", "same_as"), [(0.0, 0), (1.0, 1)])
def test_ends_of_the_way_are_the_two_runs(share: float, same_as: int, runs: tuple[Path, Path], tmp_path: Path) -> None:
    blend(*runs, share=share, out=tmp_path / "out")
    written, wanted = tensors(tmp_path / "out"), tensors(runs[same_as])
    assert written.keys() == wanted.keys()
    assert all(torch.equal(written[name], wanted[name]) for name in wanted)


def test_half_way_is_the_mean(runs: tuple[Path, Path], tmp_path: Path) -> None:
    main(
        ["blend", "--weights", str(runs[0]), "--towards", str(runs[1]), "--share", "0.5", "--out", str(tmp_path / "c")]
    )
    one, other = (tensors(folder) for folder in runs)
    for name, tensor in tensors(tmp_path / "c").items():
        assert tensor.dtype == one[name].dtype
        torch.testing.assert_close(tensor, ((one[name].float() + other[name].float()) / 2).to(tensor.dtype))


def test_files_are_those_of_the_first_run_however_the_second_is_split(runs: tuple[Path, Path], tmp_path: Path) -> None:
    first, second = (runs[1] / "dit" / f"dit-0000{number}-of-00002.safetensors" for number in (1, 2))
    both = load_file(first) | load_file(second)
    names = sorted(both)
    save_file({name: both[name] for name in names[:3]}, first)
    save_file({name: both[name] for name in names[3:]}, second)
    blend(*runs, share=0.3, out=tmp_path / "out")
    assert files(tmp_path / "out") == files(runs[0])
    for path in files(runs[0]):
        with safe_open(runs[0] / path, "pt") as before, safe_open(tmp_path / "out" / path, "pt") as after:
            assert list(before.keys()) == list(after.keys())
            assert before.metadata() == after.metadata()
        assert (runs[0] / path).stat().st_size == (tmp_path / "out" / path).stat().st_size


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_share_beyond_the_two_runs_is_refused(share: float, runs: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        blend(*runs, share=share, out=tmp_path / "out")


def test_runs_of_other_tensors_are_refused_before_anything_is_written(runs: tuple[Path, Path], tmp_path: Path) -> None:
    clip = load_file(runs[1] / "clip.safetensors")
    wider = clip | {"position_embeds": torch.zeros(1, 99, 128)}
    for changed, message in ((wider, "99"), ({"position_embeds": clip["position_embeds"]}, "nothing")):
        save_file(changed, runs[1] / "clip.safetensors")
        with pytest.raises(ValueError, match=message):
            blend(*runs, share=0.5, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_folder_without_weights_is_named(runs: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty"):
        blend(runs[0], tmp_path / "empty", share=0.5, out=tmp_path / "out")
