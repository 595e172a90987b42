"""Importing a module changes nothing in the process: what has to change is changed when it is asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Libraries come first, and may do as they like; what is left is what our own modules do.
PROGRAM = '''
import ast, builtins, gc, importlib, json, locale, logging, os, random, signal, socket, sys, threading, warnings
from pathlib import Path

import numpy
import torch
import torch._dynamo.config
import torch._inductor.config


def own_modules():
    for package in ("pipeline", "bot"):
        for path in sorted(Path(package).rglob("*.py")):
            parts = path.with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def libraries(path):
    """What is imported when the module is; not what is imported inside functions, or for type checkers."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def state():
    loggers = {"": logging.getLogger(), **logging.Logger.manager.loggerDict}
    configs = (torch._dynamo.config, torch._inductor.config)
    return {
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "threads of torch": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "torch": {name: id(value) for name, value in vars(torch).items() if callable(value)},
        "torch.compiler": {name: id(value) for name, value in vars(torch.compiler).items()},
        "compiler settings": [repr(sorted(config.get_config_copy().items())) for config in configs],
        "defaults of torch": (
            torch.get_default_dtype(), torch.get_float32_matmul_precision(), torch.is_grad_enabled(),
            torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark,
            torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32,
        ),
        "stubs": sorted(
            name for name, module in sys.modules.items()
            if module is None or (getattr(module, "__spec__", None) is None and name != "__main__")
        ),
        "warnings": list(warnings.filters),
        "signals": [signal.getsignal(number) for number in signal.valid_signals()],
        "logging": {
            name: (logger.level, list(logger.handlers), list(logger.filters), logger.propagate, logger.disabled)
            for name, logger in loggers.items()
            if isinstance(logger, logging.Logger)
            and (not name or logger.level or logger.handlers or logger.filters or not logger.propagate)
        },
        "imports": (list(sys.path), list(sys.meta_path), list(sys.path_hooks)),
        "hooks": (sys.excepthook, sys.unraisablehook, sys.displayhook, threading.excepthook, sys.stdout, sys.stderr),
        "built-in names": {name: id(value) for name, value in vars(builtins).items() if name != "_"},
        "locale": locale.setlocale(locale.LC_ALL),
        "sockets": socket.getdefaulttimeout(),
        "randomness": (
            random.getstate(), numpy.random.get_state()[1].tolist(), torch.random.get_rng_state().tolist()
        ),
        "collector": (gc.isenabled(), gc.get_threshold(), sys.getrecursionlimit()),
    }


ours = list(own_modules())
for name in sorted({library for _, path in ours for library in libraries(path)}):
    if name.partition(".")[0] not in {"bot", "pipeline", "__future__"}:
        importlib.import_module(name)

changed, before = {}, state()
for name, _ in ours:
    importlib.import_module(name)
    after = state()
    if differences := [key for key in after if after[key] != before[key]]:
        changed[name] = differences
    before = after
print(json.dumps({"changed": changed, "modules": len(ours)}))
'''


@pytest.mark.slow
@pytest.mark.timeout(300)  # it imports every library that there is here
def test_importing_any_module_changes_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["changed"] == {}
    assert seen["modules"] > 150
