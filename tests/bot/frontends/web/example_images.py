"""Draws the examples of the page: python -m tests.bot.frontends.web.example_images [FOLDER]

With the demo model, on the CPU. Look at them before they go in.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image

from bot.frontends.web.examples import EXAMPLES, Example
from bot.frontends.web.own_files import FOLDER
from pipeline.catalog.models import DEMO, create_engine
from pipeline.config import PipelineConfig
from pipeline.engine import Engine
from pipeline.spec import ImageOptions

QUALITY = 82  # a few KiB each, and no difference that can be seen


def main(folder: Path) -> None:
    """Draw and save them all."""
    with tempfile.TemporaryDirectory() as empty:
        engine = create_engine("demo", PipelineConfig(device="cpu", models_dir=Path(empty)))
        engine.load()
        for example in EXAMPLES:
            drawn(engine, example).save(folder / f"example-{example.name}.webp", quality=QUALITY, method=6)
        engine.close()


def drawn(engine: Engine, example: Example) -> Image.Image:
    """Draw one of them with the demo model, as it is drawn for people."""
    spec = DEMO.resolve(ImageOptions(prompt=example.english, seed=example.seed), random_seed=0)
    image = engine.generate(spec, on_progress=lambda _progress: None, should_stop=lambda: False)
    return Image.frombytes("RGB", (image.width, image.height), image.pixels)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
