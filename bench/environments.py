"""
The environments that the contenders run in: a virtual environment each under `.bench/`, made when it is missing or its
list has changed.

Packages come by name from the index that pip is set up for; their versions stand in `bench/requirements-NAME.txt`.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".bench"
NAMES = ("syncer", "dlt")


class NoEnvironment(Exception):
    """An environment could not be made; the message says why, and what to do."""


def interpreter(name: str) -> Path:
    """Return the interpreter of the environment *name*, made first where that is needed. Raises NoEnvironment."""
    wanted = Path(__file__).with_name(f"requirements-{name}.txt")
    folder = FOLDER / name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / "requirements.sha256"
    digest = hashlib.sha256(wanted.read_bytes() + sys.version.encode()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text() == digest:
        return python
    print(f"bench: making the environment {name}", file=sys.stderr)
    venv.create(folder, with_pip=True, clear=True, symlinks=os.name != "nt")
    installed = subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", str(wanted)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if installed.returncode:
        raise NoEnvironment(f"{wanted.name} could not be installed.\n{installed.stdout.strip()}")
    stamp.write_text(digest)
    return python


def variables(packages: Path, folder: Path) -> Mapping[str, str]:
    """
    Return the environment variables of a child that works in *folder*, the package `syncer` being that in *packages*.

    Nobody's settings reach it, and it writes to *folder* and `.bench` only: compiled modules too, which are kept from
    run to run.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SYNCER_", "DLT_"))}
    return kept | {
        "PYTHONPATH": os.pathsep.join([str(packages), str(ROOT)]),
        "PYTHONPYCACHEPREFIX": str(FOLDER / "compiled"),
        "HOME": str(folder),
        "DLT_DATA_DIR": str(folder / "dlt"),
    }
