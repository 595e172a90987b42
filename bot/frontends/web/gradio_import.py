"""Imports Gradio: what it reads from the environment is set first, and parts of it that take seconds are left out.

pandas, of which the page shows nothing, is a quarter of the import; a fifth is the `.pyi` file that Gradio writes
beside each of its components. Nothing happens before `import_page` is called, which blocks for seconds.
"""

from __future__ import annotations

import inspect
import os
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final, Never

from pipeline.partial_import import Later, StandIns, standing_in

PROXY_VARIABLES: Final = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "https_proxy", "http_proxy")


def _no_file(_of: object) -> Never:
    raise OSError("no file of Gradio's is to be written")


STAND_INS: Final[StandIns] = {
    "gradio.caching": {"pandas": Later("pandas")},
    "gradio.component_meta": {"inspect": {**vars(inspect), "getfile": _no_file}},
}


def import_page(uploads: Path) -> ModuleType:
    """Import `gradio_page`. From here on, this process has the environment that Gradio wants."""
    set_environment(uploads)
    with standing_in(STAND_INS):
        return import_module("bot.frontends.web.gradio_page")


def set_environment(uploads: Path) -> None:
    """Say where uploads lie, and that nothing is reported; Gradio reads it at its import, and at every upload."""
    os.environ.update(GRADIO_TEMP_DIR=str(uploads), GRADIO_ANALYTICS_ENABLED="False")
    # The page goes nowhere, so it need not know the proxies, some of which Gradio's library ends the import for.
    for name in PROXY_VARIABLES:
        os.environ.pop(name, None)
