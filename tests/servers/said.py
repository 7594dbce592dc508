"""Errors as pyodbc raises them, and a value that none of them may repeat."""

from __future__ import annotations

SECRET = "Gehe1m"


class Told(Exception):
    """An error as pyodbc raises it."""


def error(state: str, text: str) -> Told:
    """Make the error of a driver."""
    return Told(state, f"[{state}] {text} (1) (SQLExecDirectW)")
