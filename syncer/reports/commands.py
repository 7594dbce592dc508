"""
Commands that a person can take from the screen and type: they work as they are printed, in sh and in PowerShell, also
where `syncer` is not on the PATH.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path


def argument(text: str) -> str:
    """Quote an argument where it must be: in double quotes, which both shells know, unless it holds what they obey."""
    if re.fullmatch(r"[\w./:\\+-]+", text):
        return text
    return shlex.quote(text) if re.search(r"[\"$`!]", text) else f'"{text}"'


def program(name: str) -> str:
    """Name a program of the Python that runs us: by its name where a shell finds this very one, else by path."""
    here = Path(sys.executable)
    found = shutil.which(name)
    if found is not None and Path(found).parent.resolve() == here.parent.resolve():
        return name
    python = str(here.relative_to(Path.cwd())) if here.is_relative_to(Path.cwd()) else str(here)
    quoted = argument(python)
    called = f"& {quoted}" if sys.platform == "win32" and quoted != python else quoted
    return called if name == "python" else f"{called} -m {name}"
