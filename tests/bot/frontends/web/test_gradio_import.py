"""Gradio comes without what the page never shows, and writes no files of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bot.frontends.web.gradio_import import set_environment
from tests.network import ROOT

PROGRAM = """
import json, sys
from pathlib import Path

written = []
really = Path.write_text
Path.write_text = lambda self, *args, **options: written.append(str(self)) or really(self, *args, **options)
from bot.frontends.web.gradio_import import import_page
is_there = "gradio" in sys.modules
page = import_page(Path(sys.argv[1]))
import gradio, gradio.caching, inspect
heavy = [name for name in ("pandas", "torch", "transformers", "matplotlib") if name in sys.modules]
is_whole = inspect.getfile(gradio.Image).endswith("image.py") and callable(page.mount)
table = gradio.caching.pd.DataFrame({"a": [1]})
print(json.dumps([is_there, heavy, written, is_whole, len(table), "pandas" in sys.modules]))
"""


@pytest.mark.timeout(120)
def test_pandas_is_imported_when_it_is_asked_for_and_no_file_is_written(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [False, [], [], True, 1, True]


def test_gradio_is_told_where_uploads_lie_and_of_no_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "x")
    set_environment(tmp_path)
    assert os.environ["GRADIO_TEMP_DIR"] == str(tmp_path) and os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert "HTTPS_PROXY" not in os.environ and "all_proxy" not in os.environ
