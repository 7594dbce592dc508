"""
The property by which a revert finds the records that it made in the place of merged ones. Data only, no I/O.

Not here: making it (`operations/create_properties.py`), the records themselves (`undoing.py`).
"""

from __future__ import annotations

RESTORED_FROM = "syncer_restored_from"  # unique, on a record that a revert made: the id that it had
