"""What a planted bug is. Those that there are: `planted.py` and its neighbours `planted_*.py`."""

from __future__ import annotations

import attrs


@attrs.frozen
class Bug:
    """One edit, the promise that it breaks, and the tests that should notice."""

    promise: str
    what: str
    file: str
    old: str
    new: str
    tests: str
