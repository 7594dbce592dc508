"""
What can be found by name: the files of `sources/`, `mappings/` and `operations/`, and those that a company adds
without forking.

A company's own stand in a folder named in `syncer.toml` (`FOLDER/sources/NAME.py`, `FOLDER/mappings/NAME.py`, …), or
come with an installed package through the entry points `syncer.sources`, `syncer.mappings`, `syncer.operations`, each
naming a module. An own file goes before ours of the same name. Names are listed without importing anything.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType

from syncer.errors import UsageError

Loader = Callable[[], ModuleType]


def modules(kind: str, *, folders: Sequence[Path] = ()) -> Mapping[str, Loader]:
    """Return, by name, how to load each module of *kind* (`sources`, `mappings`, `operations`)."""
    package = importlib.import_module(f"syncer.{kind}")
    found: dict[str, Loader] = {
        name: _ours(f"syncer.{kind}.{name}")
        for _, name, _ in pkgutil.iter_modules(package.__path__)
        if not name.startswith("_")
    }
    for entry in metadata.entry_points(group=f"syncer.{kind}"):
        found[entry.name] = entry.load
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"The folder {folder} that syncer.toml names in [syncer] is not there.")
        for file in sorted((folder / kind).glob("[!_]*.py")):
            found[file.stem] = _theirs(kind, file)
    return found


def _ours(name: str) -> Loader:
    return lambda: importlib.import_module(name)


def _theirs(kind: str, file: Path) -> Loader:
    def load() -> ModuleType:
        name = f"syncer_own_{kind}_{file.stem}"
        known = sys.modules.get(name)
        if known is not None and getattr(known, "__file__", None) == str(file):
            return known
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise UsageError(f"{file} cannot be loaded as Python.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except (SyntaxError, ImportError, NameError, TypeError, AttributeError, ValueError) as error:
            del sys.modules[name]
            line = getattr(error, "lineno", None)
            raise UsageError(f"{file}{f', line {line}' if line else ''}: {type(error).__name__}: {error}.") from error
        return module

    return load
