"""Python imports this as a process starts whose PYTHONPATH has this folder: RED's repository is a stand-in then."""

from __future__ import annotations

import red_repository

red_repository.install()
