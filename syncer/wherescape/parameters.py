"""
RED's parameters: names with a text, kept in the repository, by which scripts and jobs speak to each other.

An unknown parameter and an empty one are the same: None. A value may be a token, so none is in a log, an error or a
`repr`; one whose name says so is a secret, and taken out of all that is told once it was read or written. Names differ
by capitals.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import attrs

from syncer.errors import UsageError, WarehouseError
from syncer.wherescape import hosting

if TYPE_CHECKING:
    from syncer.wherescape.procedures import Procedures

LONGEST_NAME, LONGEST_VALUE = 64, 2_000
WRITTEN = {1: "updated", 2: "added"}
# A parameter with one of these in its name holds a secret.
SECRET = ("token", "key", "password", "passwd", "pwd", "secret", "credential", "webhook", "wachtwoord")


def is_secret(name: str) -> bool:
    """Tell by its name whether a parameter holds a secret."""
    return any(each in name.casefold() for each in SECRET)


@attrs.frozen
class Parameters:
    """RED's parameters. All raise WarehouseError where the repository refuses."""

    procedures: Procedures

    def read(self, name: str) -> str | None:
        """Return a parameter's value; None where it is unknown, empty or blank."""
        value, _ = self.procedures.read_parameter(name)
        if value is None or not value.strip():
            return None
        _keep_back(name, value)
        return value

    def comment(self, name: str) -> str | None:
        """Return a parameter's comment; None where there is none."""
        return self.procedures.read_parameter(name)[1] or None

    def required(self, name: str) -> str:
        """Return a parameter's value. Raises UsageError, with the name, where there is none."""
        value = self.read(name)
        if value is None:
            raise UsageError(f"RED has no parameter {name}, or it is empty.", hint=self._nearest(name))
        return value

    def write(self, name: str, value: str, comment: str | None = None) -> str:
        """
        Write a parameter; without a comment the one that is there stays.

        Returns: "updated" or "added".
        Raises: UsageError: name or value do not fit, nothing was written; WarehouseError: RED answered with an error.
        """
        for what, text, longest in (("name", name, LONGEST_NAME), ("value", value, LONGEST_VALUE)):
            if not isinstance(text, str):
                kind = type(text).__name__
                raise UsageError(f"The {what} of a parameter is a text, and not {kind}.", hint="Nothing was written.")
            if len(text) > longest:
                raise UsageError(
                    f"The {what} of parameter {name[:LONGEST_NAME]} has {len(text):,} letters; RED takes {longest:,}.",
                    hint="Nothing was written.",
                )
        if not name.strip():
            raise UsageError("A parameter without a name cannot be written.")
        _keep_back(name, value)
        code = self.procedures.write_parameter(name, value, comment)
        if code not in WRITTEN:
            raise WarehouseError(f"Writing parameter {name}: RED answered {code}, neither updated (1) nor added (2).")
        return WRITTEN[code]

    def _nearest(self, name: str) -> str:
        """Say which parameter may be meant; nothing where the repository does not let its names be read."""
        if len(name) > LONGEST_NAME:
            return f"Its name has {len(name):,} letters; RED's have at most {LONGEST_NAME}."
        schema = self.procedures.schema
        try:
            rows = self.procedures.meta.query(f"SELECT dss_parameter_name FROM {schema}dss_parameter")
        except WarehouseError:
            return "Set it in RED (Tools, Parameters)."
        names = [str(row[0]) for row in rows]
        if name in names:
            return "It is there and holds nothing: set it in RED (Tools, Parameters)."
        other = [each for each in names if each.casefold() == name.casefold()]
        if other:
            return f"There is {', '.join(other)}: names differ by capitals."
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
        return f"Did you mean {' or '.join(near)}?" if near else "Set it in RED (Tools, Parameters)."


def _keep_back(name: str, value: str) -> None:
    if is_secret(name):
        hosting.conceal(value)
