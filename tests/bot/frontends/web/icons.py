"""Makes the icons of the page from a drawing of the shipped model: python -m tests.bot.frontends.web.icons

Look at them before they go in.
"""

from __future__ import annotations

from PIL import Image

from bot.frontends.web.installing import GROUND
from bot.frontends.web.own_files import FOLDER

DRAWING = "example-fox.webp"
COLOURS = 64
SAFE = 0.8  # of the side: what every shape leaves, https://www.w3.org/TR/appmanifest/#icon-masks


def main() -> None:
    """Write them into `assets/`."""
    with Image.open(FOLDER / DRAWING) as drawing:
        fox = drawing.convert("RGB")
    whole = fox.resize((512, 512), Image.Resampling.LANCZOS)
    inner = round(512 * SAFE)
    maskable = Image.new("RGB", (512, 512), GROUND)
    maskable.paste(fox.resize((inner, inner), Image.Resampling.LANCZOS), ((512 - inner) // 2, (512 - inner) // 2))
    for name, icon in (("192", whole.resize((192, 192))), ("512", whole), ("maskable", maskable)):
        few = icon.quantize(COLOURS, dither=Image.Dither.NONE)
        few.save(FOLDER / f"icon-{name}.png", optimize=True)


if __name__ == "__main__":
    main()
