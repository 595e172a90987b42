"""One model learns the first steps of one and the rest of another."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from training import captions, relay
from training.__main__ import WEIGHTS, main
from training.networks import Networks
from training.relay import Options, Pool, Relay
from training.scenes import TOKENIZER
from training.vocabulary import UNKNOWN_IS_DRAWN_AS, Concept, load_concepts

SMALL = Options(batch=4, kept=4, scenes_share=0.5, every=2, record_every=1, rate=1e-3)


@pytest.fixture
def pair(miniature: Networks) -> tuple[Networks, Networks]:
    """Two of one size and other weights."""
    other = copy.deepcopy(miniature)
    with torch.no_grad():
        for parameter in other.dit.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return miniature, other


def make(pair: tuple[Networks, Networks], concepts: list[Concept], out: Path) -> Relay:
    student = copy.deepcopy(pair[1])  # to begin with; a third place, as near to the one as to the other
    with torch.no_grad():
        for parameter in student.dit.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return Relay(student, *pair, concepts, out, device="cpu", seed=1, options=SMALL)


def test_first_sets_out_and_the_rest_goes_on_from_there(
    pair: tuple[Networks, Networks], concepts: list[Concept], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first moves by 1 and the rest by 2, so every point tells whose step it is and where it began."""

    def moves(dit: object, latents: torch.Tensor, *_rest: object) -> torch.Tensor:
        return torch.full_like(latents, 1.0 if dit is pair[0].dit else 2.0)

    monkeypatch.setattr(relay, "velocity", moves)
    monkeypatch.setattr(relay, "SCHEDULES", (8,))
    taught = make(pair, concepts, tmp_path)
    taught.draw_points()
    for is_first, speed in ((True, 1.0), (False, 2.0)):
        _, moved, _, sigma, _ = taught._pools[is_first].draw(32)
        assert bool((moved == speed).all())
        assert bool(((sigma > 0.97) == is_first).all())
    begins, _, _, sigma, _ = taught._pools[False].draw(32)
    place, (first, second, *_) = sigma.argmax(), relay.sigmas_of(8)
    noise, _, _, _, _ = taught._pools[True].draw(32)
    assert sigma[place] == pytest.approx(second)
    way = begins[place] - noise  # from one of these beginnings, the first's step led there
    assert min(float((each - (second - first)).abs().max()) for each in way) < 0.01


def test_rare_words_are_taught_as_what_the_unknown_is_drawn_as(
    pair: tuple[Networks, Networks], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(captions, "UNKNOWN_SHARE", 1.0)
    monkeypatch.setattr(relay, "SCHEDULES", (4,))
    concepts = load_concepts()
    (puzzled,) = [concept for concept in concepts if concept.key == UNKNOWN_IS_DRAWN_AS]
    names = [
        name.lower() for language in ("en", "zh") for name in (*puzzled.names[language], *puzzled.aliases[language])
    ]
    taught = make(pair, concepts, tmp_path)
    told: list[torch.Tensor] = []
    for text in taught._texts:
        text.register_forward_pre_hook(lambda _module, inputs: told.append(inputs[0]))
    taught.draw_points()
    tokenizer = Tokenizer.from_file(str(TOKENIZER))

    def named(ids: torch.Tensor) -> list[bool]:
        return [any(name in tokenizer.decode(row.tolist()).lower() for name in names) for row in ids]

    assert all(named(told[0])) and torch.equal(told[0], told[1])
    assert not any(named(taught._pools[True].draw(8)[2]))


def test_student_comes_nearer_to_both(
    pair: tuple[Networks, Networks], concepts: list[Concept], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = iter(step / 60 for step in range(61))
    monkeypatch.setattr(relay, "Clock", lambda _end_at: Steps(shares))
    monkeypatch.setattr(relay, "SCHEDULES", (4,))
    taught = make(pair, concepts, tmp_path)
    assert taught.run(seconds=60) == 60
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text("utf-8").splitlines()]
    for kind in ("first", "rest"):
        losses = [line[kind] for line in lines if kind in line]
        assert sum(losses[-10:]) < 0.8 * sum(losses[:10]), kind


class Steps:
    """A clock that goes by steps."""

    def __init__(self, shares: Iterator[float]) -> None:
        self._shares = shares

    @property
    def share(self) -> float:
        return next(self._shares)


def test_command_that_has_no_time_leaves_the_weights_as_they_are(tmp_path: Path) -> None:
    folders = [part for name in ("first", "rest", "weights") for part in (f"--{name}", str(WEIGHTS))]
    main(["relay", *folders, "--out", str(tmp_path), "--minutes", "0", "--device", "cpu"])
    files = {path.relative_to(WEIGHTS) for path in WEIGHTS.rglob("*.safetensors")}
    assert files == {path.relative_to(tmp_path) for path in tmp_path.rglob("*.safetensors")}
    for part in {file.parts[0] for file in files}:  # the transformer's may be split over its files otherwise
        written, wanted = tensors(tmp_path / part), tensors(WEIGHTS / part)
        assert written.keys() == wanted.keys()
        assert all(torch.equal(written[name], wanted[name]) for name in wanted)


def tensors(place: Path) -> dict[str, torch.Tensor]:
    paths = place.iterdir() if place.is_dir() else [place]
    return {name: tensor for path in paths for name, tensor in load_file(path).items()}


def test_oldest_points_make_room() -> None:
    pool = Pool(3, "cpu")
    for number in range(5):
        row = torch.full((1,), float(number))
        pool.add([torch.zeros(1, 16, 32, 32), torch.zeros(1, 16, 32, 32), torch.zeros(1, 48), row, row])
    assert set(pool.draw(64)[3].tolist()) == {2.0, 3.0, 4.0}
