"""What a browser needs to install the page like a program: a web manifest, https://www.w3.org/TR/appmanifest/.

Its icons are a drawing of the shipped model; `python -m tests.bot.frontends.web.icons` made them. Pure.
"""

from __future__ import annotations

from typing import Final

from bot.frontends.web.own_files import address_of

MANIFEST_KIND: Final = "application/manifest+json"
SMALL_ICON: Final = "icon-192.png"
GROUND: Final = "#8541cd"  # of the drawing
THEME: Final = "#4f46e5"  # of the buttons


def manifest(root_path: str) -> dict[str, object]:
    """Return the manifest of a page that a proxy shows below `root_path`."""

    def icon(name: str, side: int, purpose: str) -> dict[str, str]:
        address = f"{root_path}{address_of(name)}"
        return {"src": address, "sizes": f"{side}x{side}", "type": "image/png", "purpose": purpose}

    return {
        "id": f"{root_path}/",
        "name": "imagine-bot",
        "short_name": "imagine",
        "description": "Draws images from words, on a computer of your own",
        "start_url": f"{root_path}/",
        "scope": f"{root_path}/",
        "display": "standalone",
        "background_color": GROUND,
        "theme_color": THEME,
        # One has room around it, since systems cut icons to circles and other shapes.
        "icons": [
            icon(SMALL_ICON, 192, "any"),
            icon("icon-512.png", 512, "any"),
            icon("icon-maskable.png", 512, "maskable"),
        ],
    }
