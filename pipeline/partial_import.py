"""Imports a library without parts of it that are never used here and take seconds: some of its modules see stand-ins.

Only their own import statements do. `sys.modules` and the libraries that are left out stay as they are, so other
threads may import those meanwhile, and functions that import something when they are called get the real thing.
"""

from __future__ import annotations

import builtins
import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import resolve_name
from types import ModuleType
from typing import Any

# Instead of a module: what it shall have, by name.
Names = Mapping[str, object]
# By the module that imports: by the module that it asks for.
StandIns = Mapping[str, Mapping[str, Names | ModuleType]]


class LeftOut:
    """Stands for a class that is never made; nothing is an instance of it."""

    def __init__(self, *_args: object, **_options: object) -> None:
        raise RuntimeError("this part of the library was left out")


class Later(ModuleType):
    """Stands for a module that is imported when something of it is first asked for."""

    def __getattr__(self, name: str) -> Any:
        """Import it."""
        if name.startswith("__"):  # the import statement itself asks for some
            raise AttributeError(name)
        return getattr(import_module(self.__name__), name)


@contextlib.contextmanager
def standing_in(stand_ins: StandIns) -> Iterator[None]:
    """While this lasts, let modules that are imported for the first time see these stand-ins."""
    finder = _Finder(stand_ins)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder(MetaPathFinder):
    """Finds the modules that get stand-ins."""

    def __init__(self, stand_ins: StandIns) -> None:
        self._stand_ins = stand_ins

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find one; None if it gets none, or is no plain file."""
        if fullname not in self._stand_ins:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(fullname, spec.loader.path, self._stand_ins[fullname])
        return spec


class _Loader(SourceFileLoader):
    """Runs a module whose import statements find stand-ins."""

    def __init__(self, name: str, path: str, stand_ins: Mapping[str, Names | ModuleType]) -> None:
        super().__init__(name, path)
        self._stand_ins = stand_ins

    def exec_module(self, module: ModuleType) -> None:
        """Run it, with a set of built-in names of its own."""
        own = {**vars(builtins), "__import__": _importing(self._stand_ins)}
        vars(module)["__builtins__"] = own
        try:
            super().exec_module(module)
        finally:
            own["__import__"] = builtins.__import__


def _importing(stand_ins: Mapping[str, Names | ModuleType]) -> Callable[..., ModuleType]:
    def import_(
        name: str,
        namespace: Mapping[str, Any] | None = None,
        local: Mapping[str, Any] | None = None,
        wanted: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        whole = resolve_name("." * level + name, (namespace or {}).get("__package__")) if level else name
        found = stand_ins.get(whole)
        if found is None:
            return builtins.__import__(name, namespace, local, wanted or (), level)
        if isinstance(found, ModuleType):
            return found
        module = ModuleType(whole)
        vars(module).update(found)
        return module

    return import_
