"""
What can be found by name: the files of `sources/`, `mappings/` and `operations/`, and those that a company adds
without forking.

A company's own stand in a folder named in `syncer.toml` (`FOLDER/sources/NAME.py`, `FOLDER/mappings/NAME.py`, …), or
come with an installed package through the entry points `syncer.sources`, `syncer.mappings`, `syncer.operations`, each
naming a module. An own file goes before ours of the same name. Names are listed without importing anything.

Own files are programs that others wrote: whatever is raised while one is loaded is told as an error of that file.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.util
import pkgutil
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from syncer.errors import MappingError, SyncerError, UsageError

Loader = Callable[[], ModuleType]
T = TypeVar("T")
_LOADING = threading.RLock()  # another thread must not find a module that is half there


def modules(kind: str, *, folders: Sequence[Path] = ()) -> dict[str, Loader]:
    """Return, by name, how to load each module of *kind* (`sources`, `mappings`, `operations`)."""
    package = importlib.import_module(f"syncer.{kind}")
    found: dict[str, Loader] = {
        name: _ours(f"syncer.{kind}.{name}")
        for _, name, _ in pkgutil.iter_modules(package.__path__)
        if not name.startswith("_")
    }
    for entry in _entries(f"syncer.{kind}", *sys.path):
        found[entry.name] = _entry(kind, entry)
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"The folder {folder} that syncer.toml names in [syncer] is not there.")
        for file in sorted((folder / kind).glob("[!_]*.py")):
            found[file.stem] = _theirs(kind, file)
    return found


def names(kind: str, *, folders: Sequence[Path] = ()) -> set[str]:
    """Return the names of the modules of *kind* without importing anything, not even its package."""
    homes = [Path(__file__).parent / kind, *(folder / kind for folder in folders)]
    found = {file.stem for home in homes for file in home.glob("[!_]*.py")}
    return found | {entry.name for entry in _entries(f"syncer.{kind}", *sys.path)}


def nearest(name: str, names: Iterable[str]) -> list[str]:
    """Return the one that *name* is, or is meant to be: `merge_ticket` is 0.96 alike, another operation 0.7."""
    return difflib.get_close_matches(name, sorted(names), n=1, cutoff=0.9)


def is_ours(module: ModuleType) -> bool:
    """Tell whether a module is one of this package, and not one that others wrote."""
    return Path(__file__).parent in Path(module.__file__ or module.__name__).parents


def carried_out(module: ModuleType, make: Callable[[], Iterable[T]]) -> Iterator[T]:
    """
    Yield what a module makes. What one of others raises, and is no error of ours, is told as one of its file, without
    its text: that may hold a record's values.
    """
    file = Path(module.__file__ or module.__name__)
    try:
        yield from make()
    except SyncerError:
        raise
    except Exception as error:  # a door: a file that others wrote
        if is_ours(module):
            raise
        line = _line(error, file)
        where = f"{file}, line {line}" if line else str(file)
        raise SyncerError(
            f"{where}: unexpected {type(error).__name__}.",
            hint="Mend the file; what was done stands, and it is safe to run again.",
        ) from error


@functools.lru_cache(maxsize=8)
def _entries(group: str, *path: str) -> metadata.EntryPoints:
    """Return what packages on *path* have for a group; reading them takes 4 ms (measured, 66 packages)."""
    return metadata.entry_points(group=group)


def _ours(name: str) -> Loader:
    return lambda: importlib.import_module(name)


def _entry(kind: str, entry: metadata.EntryPoint) -> Loader:
    def load() -> ModuleType:
        try:
            found: ModuleType = entry.load()
        except (Exception, SystemExit) as error:  # a door: a package that others wrote
            where = f"The entry point {entry.name} = {entry.value} of {entry.group}"
            raise _broken(kind, where, error, hint="Mend or uninstall its package.") from error
        return found

    return load


def _theirs(kind: str, file: Path) -> Loader:
    def load() -> ModuleType:
        with _LOADING:
            return loaded()

    def loaded() -> ModuleType:
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
        except (Exception, SystemExit) as error:  # a door: a file that others wrote
            sys.modules.pop(name, None)
            line = _line(error, file)
            where = f"{file}, line {line}" if line else str(file)
            hint = "Mend the file, or take its folder out of [syncer] in syncer.toml."
            raise _broken(kind, where, error, hint=hint) from error
        except BaseException:
            sys.modules.pop(name, None)
            raise
        return module

    return load


def _broken(kind: str, where: str, error: BaseException, *, hint: str) -> UsageError:
    """Tell what a file of others raised while it was loaded, where, and what to do."""
    made = MappingError if kind == "mappings" else UsageError
    if isinstance(error, SyncerError):
        return made(f"{where}: {error}", hint=hint)
    # A validator of attrs adds its field and itself to what it says.
    text = error.args[0] if len(error.args) > 1 and isinstance(error.args[0], str) else error
    return made(f"{where}: {type(error).__name__}: {str(text).strip().rstrip('.')}.", hint=hint)


def _line(error: BaseException, file: Path) -> int | None:
    """Find the line of *file* that an error came from, while it was loaded; None where it never came so far."""
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno for frame in reversed(frames) if frame.filename == str(file)), None)
