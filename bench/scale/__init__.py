"""
Scale: what one account allows, what a warehouse does when many pull at once, and a simulation of many environments.

    allowance.py             how many records an hour an account's limits let through: arithmetic on documented limits
    accounts.py, asker.py    processes that ask one account at once, with one budget or with two: measured
    pulls.py, puller.py      what a small pull costs a warehouse, alone and beside others: measured
    large.py                 what a group costs as the table grows: measured
    real.py, far.py          a small fleet that really runs, and what the simulation says of it
    costs.py, costs.json     what was measured, as the simulation reads it
    kernel.py, world.py, fleet.py, scenarios.py, picture.py    the simulation

`python -m bench.scale` runs them; docs/scale.md tells what came out. Not here: what one large load costs (`bench`).
"""
