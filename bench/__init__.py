"""
The bench, `python -m bench`: what an engine costs around a fast load made by hand, and what others cost for the same
work.

Not a part of the package and not installed with it. How it measures, and what it does not tell: `docs/bench.md`.
"""
