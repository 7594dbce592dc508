"""
Campaigns prove, the suite guards: `python -m tests.campaign NAME` runs the full number of kills, seeds or records and
prints its figures.

The suite runs a short form of each with fixed seeds.
"""
