"""The page can be installed like a program: what the manifest says is true."""

from __future__ import annotations

import io
import re

import pytest
from PIL import Image

from bot.frontends.web.installing import manifest
from bot.frontends.web.own_files import own_files


@pytest.mark.parametrize("root_path", ["", "/imagine"])
def test_manifest_has_what_browsers_ask_for_below_the_path_of_the_page(root_path: str) -> None:
    told = manifest(root_path)
    assert told["start_url"] == told["scope"] == told["id"] == f"{root_path}/"
    assert told["display"] == "standalone" and told["name"] and told["short_name"]
    icons = told["icons"]
    assert isinstance(icons, list)
    assert {(icon["sizes"], icon["purpose"]) for icon in icons} == {
        ("192x192", "any"),
        ("512x512", "any"),
        ("512x512", "maskable"),
    }
    for icon in icons:
        found = re.fullmatch(rf"{root_path}/console/assets/[0-9a-f]+/(.+)", icon["src"])
        assert found is not None
        file = own_files()[found[1]]
        assert file.kind == icon["type"] == "image/png" and len(file.content) < 32_000
        with Image.open(io.BytesIO(file.content)) as drawing:
            assert f"{drawing.width}x{drawing.height}" == icon["sizes"]


def test_icon_that_is_cut_to_a_circle_keeps_its_drawing() -> None:
    with Image.open(io.BytesIO(own_files()["icon-maskable.png"].content)) as icon:
        drawing = icon.convert("RGB")
    ground = drawing.getpixel((256, 8))
    for x in range(0, 512, 8):
        for y in range(0, 512, 8):
            if (x - 256) ** 2 + (y - 256) ** 2 > 205**2:  # outside of the circle of 80 %
                pixel = drawing.getpixel((x, y))
                assert isinstance(pixel, tuple) and isinstance(ground, tuple)
                assert max(abs(one - other) for one, other in zip(pixel, ground, strict=True)) < 24
