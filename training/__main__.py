"""`python -m training`: the commands of the recipe, in the order in which they are used."""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.distributed as dist

import pipeline.demo
from training import autoencoder, evaluation, known, networks, recipe, relay, sampling, scenes, sprites, trainer
from training.blend import blend
from training.vocabulary import load_concepts

WEIGHTS = Path(pipeline.demo.__file__).parent / "weights"
DEFAULTS = trainer.Options()
logger = logging.getLogger("training")


def main(arguments: list[str] | None = None) -> None:
    """Run one command."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    args = _parser().parse_args(arguments)
    {
        "sprites": _sprites,
        "recipe": _recipe,
        "vae": _vae,
        "train": _train,
        "blend": _blend,
        "relay": _relay,
        "evaluate": _evaluate,
        "references": _references,
        "words": _words,
    }[args.command](args)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--sprites", type=Path, default=Path("sprites.npz"), help="the rendered emoji")
        command.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
        command.add_argument("--concepts", type=int, default=None, help="only the first so many (for trying out)")
        return command

    render = add("sprites", "render the emoji of both icon packages")
    render.add_argument("--node-modules", type=Path, required=True, help="where npm has put the packages")
    command = add("recipe", "from nothing to weights that can be shipped, all stages in one go")
    command.add_argument("--out", type=Path, required=True, help="folder; stages that it holds are not repeated")
    text = f"of training; starting the stages takes some {recipe.STARTING_MINUTES} more"
    command.add_argument("--minutes", type=float, default=recipe.MINUTES, help=text)
    for name, text in (
        ("vae", "train the autoencoder"),
        ("train", "train transformer and text encoders, then distill"),
    ):
        command = add(name, text)
        command.add_argument("--weights", type=Path, default=None, help="folder to go on from (default: from nothing)")
        command.add_argument("--out", type=Path, required=True, help="folder for weights and log")
        command.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2))
        command.add_argument("--seed", type=int, default=0, help="a new one for each run that goes on from weights")
        command.add_argument("--batch", type=int, default=64 if name == "vae" else DEFAULTS.batch)
        if name == "vae":
            command.add_argument("--minutes", type=float, default=3.0)
        else:
            text = "first, on pictures of half the side: names are learned sooner"
            command.add_argument("--coarse-minutes", type=float, default=0.0, help=text)
            command.add_argument("--base-minutes", type=float, default=30.0)
            command.add_argument("--distill-minutes", type=float, default=8.0)
            text = "0…1, how far scenes stray from what is usual where no caption says so"
            command.add_argument("--variety", type=_share, default=1.0, help=text)
            command.add_argument("--pool", type=int, default=DEFAULTS.pool)
            command.add_argument("--base-rate", type=float, default=DEFAULTS.rates[0], help="learning rate's peak")
            command.add_argument("--guidance-weight", type=float, default=DEFAULTS.guidance_weight)
            command.add_argument("--guided-below", type=float, default=DEFAULTS.guided_below, help="noise level, 0…1")
            command.add_argument("--no-compile", action="store_true")
    text = "average the weights of a run with those of one that went on from it"
    command = commands.add_parser("blend", help=text, description=text)
    command.add_argument("--weights", type=Path, default=WEIGHTS, help="folder whose files' layout is kept")
    command.add_argument("--towards", type=Path, required=True, help="folder of the run that went on")
    command.add_argument("--share", type=float, required=True, help="0…1: how far to go")
    command.add_argument("--out", type=Path, required=True, help="folder for the blend")
    command = add("relay", "teach one model to set out as one and to go on as another")
    command.add_argument("--first", type=Path, required=True, help="folder of the one that sets out")
    command.add_argument("--rest", type=Path, required=True, help="folder of the one that goes on")
    command.add_argument("--weights", type=Path, required=True, help="folder to begin with, such as a blend of both")
    command.add_argument("--out", type=Path, required=True, help="folder for weights and log")
    command.add_argument("--minutes", type=float, required=True)
    command.add_argument("--batch", type=int, default=relay.Options().batch, help="points per step")
    command.add_argument("--rate", type=float, default=relay.Options().rate, help="learning rate's peak")
    command.add_argument("--seed", type=int, default=0, help="a new one for each run that goes on from weights")
    command = add("evaluate", "score every concept in both languages, unknown words and the variety of the seeds")
    command.add_argument("--weights", type=Path, default=WEIGHTS)
    command.add_argument("--steps", type=int, default=8)
    command.add_argument("--guidance", type=float, default=trainer.USUAL_GUIDANCE)
    command.add_argument("--cfg-scale", type=float, default=1.0)
    command.add_argument("--sheet", type=Path, default=None, help="PNG of every concept, in place of the scores")
    command.add_argument("--seeds-sheet", type=Path, default=None, help="PNG of the same prompts with several seeds")
    command.add_argument("--prompts", nargs="+", default=evaluation.SEED_PROMPTS, help="of the seeds' sheet")
    text = "write the words that the model knows, pipeline/demo/vocabulary.json"
    commands.add_parser("words", help=text, description=text)
    add("references", "write the cutouts that pictures are compared with, pipeline/demo/references")
    return parser


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text} does not lie between 0 and 1")
    return share


def _sprites(args: argparse.Namespace) -> None:
    count = sprites.render(args.node_modules, load_concepts(args.concepts), args.sprites)
    logger.info("%d sprites in %s", count, args.sprites)


def _recipe(args: argparse.Namespace) -> None:
    if not args.sprites.exists():
        sys.exit(f"{args.sprites} does not exist: python -m training sprites makes it")
    try:
        folder = recipe.follow(args.out, minutes=args.minutes, sprites=args.sprites, device=args.device)
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error}\nGive the same command again to go on from there.")
    logger.info("the weights are in %s", folder)


def _vae(args: argparse.Namespace) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    concepts = load_concepts(args.concepts)
    atlas = sprites.Atlas.load(args.sprites, concepts)
    stream = scenes.batches(concepts, atlas.number, args.batch, seed=args.seed, workers=args.workers)
    parts = networks.load(args.weights) if args.weights else networks.new(seed=args.seed)
    atlas.to(args.device)
    psnr_db = autoencoder.train(parts, atlas, stream, args.out, seconds=args.minutes * 60, device=args.device)
    networks.save(parts, args.out)
    logger.info("PSNR %.1f dB", psnr_db)


def _train(args: argparse.Namespace) -> None:
    """One process per device; `torch.distributed.run` sets the environment that says which."""
    rank, devices = int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    args.out.mkdir(parents=True, exist_ok=True)
    concepts = load_concepts(args.concepts)
    atlas = sprites.Atlas.load(args.sprites, concepts)
    brought = max(1, args.batch // 4)
    workers = args.workers // devices
    seed = args.seed * 1000 + rank
    stream = scenes.batches(concepts, atlas.number, brought, seed=seed, workers=workers, variety=args.variety)
    if args.device == "cuda":
        torch.cuda.set_device(rank)
        torch.set_float32_matmul_precision("high")
        torch.backends.cuda.enable_cudnn_sdp(
            False
        )  # gave NaN once in a while with torch 2.11; flash attention does not
    if devices > 1:
        dist.init_process_group("nccl" if args.device == "cuda" else "gloo")
    parts = networks.load(args.weights) if args.weights else networks.new()
    torch.manual_seed(seed)
    options = trainer.Options(
        batch=args.batch,
        pool=args.pool,
        rates=(args.base_rate, DEFAULTS.rates[1]),
        guidance_weight=args.guidance_weight,
        guided_below=args.guided_below,
        is_compiled=not args.no_compile,
    )
    run = trainer.Trainer(parts, atlas.to(args.device), stream, args.out, device=args.device, options=options)
    phases: dict[trainer.Phase, float] = {
        "coarse": args.coarse_minutes,
        "base": args.base_minutes,
        "distill": args.distill_minutes,
    }
    for phase, minutes in phases.items():
        if minutes > 0:
            run.run(phase, seconds=minutes * 60)
    if devices > 1:
        dist.destroy_process_group()


def _blend(args: argparse.Namespace) -> None:
    try:
        blend(args.weights, args.towards, share=args.share, out=args.out)
    except ValueError as error:
        sys.exit(str(error))
    logger.info("%g of the way from %s to %s is in %s", args.share, args.weights, args.towards, args.out)


def _relay(args: argparse.Namespace) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    run = relay.Relay(
        networks.load(args.weights),
        networks.load(args.first),
        networks.load(args.rest),
        load_concepts(args.concepts),
        args.out,
        device=args.device,
        seed=args.seed,
        options=relay.Options(batch=args.batch, rate=args.rate),
    )
    run.run(seconds=args.minutes * 60)


def _evaluate(args: argparse.Namespace) -> None:
    parts = networks.load(args.weights).to(args.device)
    concepts = load_concepts(args.concepts)

    def draw(prompts: Sequence[str], seeds: Sequence[int]) -> torch.Tensor:
        return sampling.draw(
            parts,
            prompts,
            seeds,
            device=args.device,
            steps=args.steps,
            guidance=args.guidance,
            cfg_scale=args.cfg_scale,
        )

    if args.sheet:
        names = [concept.names["zh" if i % 2 else "en"][0] for i, concept in enumerate(concepts)]
        sampling.contact_sheet(draw(names, [7] * len(names)), args.sheet)
    if args.seeds_sheet:
        prompts = [prompt for prompt in args.prompts for _ in range(evaluation.SEEDS)]
        pictures = draw(prompts, list(range(evaluation.SEEDS)) * len(args.prompts))
        sampling.contact_sheet(pictures, args.seeds_sheet, columns=evaluation.SEEDS)
        measured = [evaluation.variety(part) for part in torch.split(pictures, evaluation.SEEDS)]
        for prompt, each in zip(args.prompts, measured, strict=True):
            logger.info("%s: picture %.1f, thing %.1f", prompt, each.picture, each.thing)
        logger.info(
            "variety of %d seeds, RMS of 255: picture %.1f, thing %.1f",
            evaluation.SEEDS,
            statistics.mean(each.picture for each in measured),
            statistics.mean(each.thing for each in measured),
        )
    if args.sheet or args.seeds_sheet:
        return
    share, missed = evaluation.unknown(draw)
    logger.info("unknown words seen as such %.1f %%, missed: %s", 100 * share, missed)
    scores = evaluation.retrieval(concepts, draw)
    logger.info("top-1 %.1f %%, top-5 %.1f %%, %s", 100 * scores.top1, 100 * scores.top5, scores.by_language)
    logger.info("missed: %s", scores.missed)


def _references(args: argparse.Namespace) -> None:
    concepts = load_concepts(args.concepts)
    atlas = sprites.Atlas.load(args.sprites, concepts)
    evaluation.write_references(concepts, atlas, Path(pipeline.demo.__file__).parent / "references")


def _words(_args: argparse.Namespace) -> None:
    path = Path(pipeline.demo.__file__).parent / "vocabulary.json"
    path.write_text(known.vocabulary_json(load_concepts()), encoding="utf-8")


if __name__ == "__main__":
    main()
