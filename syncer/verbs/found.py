"""One thing that `syncer check` looked at: whether it works, and what to do. No verb itself."""

from __future__ import annotations

import attrs

from syncer.errors import SyncerError

OK, WARNING, FAILED, NOT_SET_UP = "ok", "warning", "failed", "not set up"


@attrs.frozen(kw_only=True)
class Found:
    """One thing that was looked at. `hint` is what to do; what is to be pasted stands behind it, a line each."""

    about: str
    status: str = OK
    detail: str = ""
    hint: str = ""

    @classmethod
    def of_error(cls, about: str, error: SyncerError) -> Found:
        """Tell what failed."""
        return cls(about=about, status=FAILED, detail=error.message, hint=error.hint)
