"""Emoji as bitmaps: rendered once from two icon packages, then kept on the device.

Needs `resvg-py` (`pip install resvg-py`) for rendering only. The packages come from npm:
`@iconify-json/noto` (Apache-2.0) and `@iconify-json/fluent-emoji-flat` (MIT).
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch.nn import functional

from training.vocabulary import Concept

Pixels = npt.NDArray[np.uint8]
SIZE_PX: Final = 256
PACKAGES: Final = ("noto", "fluent-emoji-flat")  # the index is the style's number


def render(node_modules: Path, concepts: Sequence[Concept], target: Path) -> int:
    """Write every concept in both styles to `target` (.npz) and return how many there are. A minute on one core.

    Raises:
        KeyError: a package lacks a concept.
    """
    blobs = [
        _webp(_svg(package, concept))
        for package in (_load(node_modules, name) for name in PACKAGES)
        for concept in concepts
    ]
    keys = [concept.key for concept in concepts] * len(PACKAGES)
    styles = [style for style in range(len(PACKAGES)) for _ in concepts]
    np.savez(
        target,
        data=np.frombuffer(b"".join(blobs), np.uint8),
        offsets=np.cumsum([0, *map(len, blobs)]),
        key=np.array(keys),
        style=np.array(styles),
    )
    return len(blobs)


class Atlas:
    """Sprites on a device, colour times alpha, uint8. `whole`: (sprite, RGBA, 256, 256); `half` is half as wide.

    `number` maps (concept's index, style) to the sprite.
    """

    def __init__(self, sprites: Pixels, number: Mapping[tuple[int, int], int]) -> None:
        self.number = dict(number)
        self.whole = torch.from_numpy(sprites).permute(0, 3, 1, 2).contiguous()
        parts = torch.split(self.whole, 64)  # all at once would take 1 GB as floats
        self.half = torch.cat([functional.avg_pool2d(part.float(), 2).round().to(torch.uint8) for part in parts])

    def to(self, device: str) -> Atlas:
        """Move the sprites, in place."""
        self.whole, self.half = self.whole.to(device), self.half.to(device)
        return self

    @classmethod
    def load(cls, path: Path, concepts: Sequence[Concept]) -> Atlas:
        """Read what `render` wrote, to the CPU; concepts that are not in `concepts` are left out.

        Raises:
            KeyError: the file lacks a concept, so it was rendered for another list.
        """
        with np.load(path) as file:
            pack = {name: file[name] for name in file.files}
        index = {concept.key: i for i, concept in enumerate(concepts)}
        rows = [row for row, key in enumerate(pack["key"].tolist()) if key in index]
        sprites = np.stack([_decode(pack["data"], pack["offsets"], row) for row in rows])
        number = {(index[str(pack["key"][row])], int(pack["style"][row])): n for n, row in enumerate(rows)}
        if missing := [concept.key for i, concept in enumerate(concepts) if (i, 0) not in number]:
            raise KeyError(*missing)
        return cls(sprites, number)


def _load(node_modules: Path, package: str) -> dict[str, Any]:
    folder = node_modules / "@iconify-json" / package
    icons = json.loads((folder / "icons.json").read_text("utf-8"))
    chars = json.loads((folder / "chars.json").read_text("utf-8"))
    icons["by_code"] = {code.replace("-fe0f", ""): name for code, name in chars.items()}
    return dict(icons)


def _svg(package: Mapping[str, Any], concept: Concept) -> str:
    emoji = concept.emoji
    slug = re.sub(r"[^a-z0-9]+", "-", concept.key.replace("'", "")).strip("-")  # where the code is not listed
    code = "-".join(f"{ord(character):x}" for character in emoji if ord(character) != 0xFE0F)
    icon = package["icons"][package["by_code"].get(code, slug)]
    width, height = (icon.get(side, package.get(side, 16)) for side in ("width", "height"))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{icon.get("left", 0)} {icon.get("top", 0)} {width} {height}" '
        f'width="{SIZE_PX}" height="{SIZE_PX}">{icon["body"]}</svg>'
    )


def _webp(svg: str) -> bytes:
    import resvg_py

    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=SIZE_PX, height=SIZE_PX, skip_system_fonts=True))
    out = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGBA").resize((SIZE_PX, SIZE_PX)).save(out, "WEBP", lossless=True)
    return out.getvalue()


def _decode(data: Pixels, offsets: npt.NDArray[np.int64], row: int) -> Pixels:
    with Image.open(io.BytesIO(data[offsets[row] : offsets[row + 1]].tobytes())) as image:
        pixels = np.asarray(image.convert("RGBA")).astype(np.uint16)
    pixels[..., :3] = (pixels[..., :3] * pixels[..., 3:] + 127) // 255
    return pixels.astype(np.uint8)
