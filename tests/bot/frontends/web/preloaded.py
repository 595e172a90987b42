"""What a start of the page imports for seconds: a process that has imported this is forked, see `forks.py`.

Gradio is imported as the service does it, and every fork says anew where its uploads lie. What Gradio keeps for good
of the folder that it was imported with is where it would put videos, of which the page has none.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import bot.app  # noqa: F401
from bot.frontends.web.gradio_import import import_page

FOLDER = Path(tempfile.mkdtemp(prefix="gradio-"))
ROOT_PID = os.getpid()


def _delete() -> None:
    if os.getpid() == ROOT_PID:  # and not in a fork, which inherits this
        shutil.rmtree(FOLDER, ignore_errors=True)


atexit.register(_delete)
import_page(FOLDER)
