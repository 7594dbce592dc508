"""Run a campaign by name, in full: `python -m tests.campaign NAME`."""

from __future__ import annotations

import argparse
import importlib
import sys

from loguru import logger

from tests.campaign import beds

OF_PUSHES = tuple(
    f"push-{name}" for name in ("kills", "random-kills", "lost-answers", "interleavings", "days", "budget", "rejects")
)
OF_MERGES = ("merges", "merge-kills", "merge-lost-answers", "merge-reverts")
OF_TICKETS = OF_MERGES[:2]
OF_DAYS = ("portal", "push-days")
# On what kind of warehouse is an option.
ON_ANY = ("churn", "company-fix", "kills", "kills-random", "older", "portal", "verify", *OF_PUSHES, *OF_MERGES)
CAMPAIGNS = {
    "portal": "30 days of a HubSpot portal, 10 seeds, three forms: plain, a kill -9 in every pull, from an older copy",
    "kills": "kill -9 at every I/O call of a small pull of every stream, before and after each",
    "kills-random": "kill -9 at 50 random moments of a pull of 20,000 records",
    "churn": "3,000 records changing, appearing and disappearing while they are pulled, 20 seeds",
    "older": "going on from an older copy of the warehouse",
    "server-kills": "PostgreSQL: client, and the server's process that serves it, killed at 50 random moments each",
    "hosts": "PostgreSQL: two hosts on one mapping at the same moment, 200 times",
    "lost-host": "PostgreSQL: a host, or the server, that vanishes without a word: how long until it is noticed",
    "push-kills": "kill -9 at every I/O call of a small push, before and after each",
    "verify": "20 of 5,000 records damaged behind our back: each named, and nothing else",
    "push-random-kills": "a push of 2,000 changes that ends at 100 random moments: kill -9, SIGTERM, the server's end",
    "push-lost-answers": "the answer of every single write of a push is lost, one at a time and all at once",
    "push-interleavings": "between plan and apply, rows, the CRM's fields and the mapping's words change, 1,000 times",
    "push-days": "30 random days of both sides being edited, push and pull in turn, 10 seeds",
    "push-budget": "four processes of four threads push to one portal: its limit is never passed, and used",
    "push-rejects": "bad rows that only the portal can tell, in each batch: what they cost",
    "merges": "5,000 tickets, 400 groups of which become one each: nothing lost or touched, requests counted",
    "merge-kills": "kill -9 at every I/O call of a small merge of tickets, and at 50 random moments of a large one",
    "merge-lost-answers": "the answer of every write of a merge of tickets is lost, some merges take place late",
    "merge-reverts": "some twenty merges put back, and what people did on the survivors since stands",
    "planner": "100,000 random cases planned by the product and by a naive second planner, applied and planned again",
    "requests": "GitLab with 500 projects: the requests of an incremental run of all streams, and REST's rows beside",
    "together": "two processes on one token and one file, never above the limit, and status answers meanwhile",
    "portal-large": "120,000 companies: the requests of a first load, and of 25,000 changes in one window",
    "portal-together": "two portals and two processes on each: no limit of any bucket is passed",
    "company-fix": "2,000 tickets of a stand-in get their company; a small one killed, and robbed of each answer",
    "friday": "Friday Pulse, 150 dates of 60 groups: killed on the way, no finished slice is asked again",
    "red-night": "three nights of a WhereScape RED site, 5 seeds, and a kill -9 at every I/O call of one host script",
    "schedulers": "the examples of docs/scheduling.md, run by Airflow, Dagster and cron",
    "privacy": "what masking finds and misses in the labelled texts",
    "planted": "bugs planted on purpose, each of which a test must notice",
}


def main() -> int:
    """Run what was named; 1 where it failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument(
        "name", choices=CAMPAIGNS, help="; ".join(f"{name}: {what}" for name, what in CAMPAIGNS.items())
    )
    parser.add_argument("--short", action="store_true", help="the short form that the suite runs")
    parser.add_argument(
        "--warehouse",
        choices=[beds.DUCKDB, beds.POSTGRESQL],
        default=beds.DUCKDB,
        help=f"what to pull into, of: {', '.join(ON_ANY)}",
    )
    parser.add_argument("--seeds", type=int, default=0, help=f"how many seeds, of: {', '.join(OF_DAYS)}")
    parser.add_argument("--days", type=int, default=0, help=f"how many days, of: {', '.join(OF_DAYS)}")
    parser.add_argument(
        "--seed", type=int, default=0, help=f"which seed, or the first one, of: {', '.join((*OF_PUSHES, *OF_MERGES))}"
    )
    parser.add_argument("--tickets", type=int, default=0, help=f"how many tickets, of: {', '.join(OF_TICKETS)}")
    arguments = parser.parse_args()
    if arguments.warehouse != beds.DUCKDB and arguments.name not in ON_ANY:
        parser.error(f"--warehouse is for {', '.join(ON_ANY)}")
    if (arguments.seeds or arguments.days) and arguments.name not in OF_DAYS:
        parser.error(f"--seeds and --days are for {', '.join(OF_DAYS)}")
    if arguments.seed and arguments.name not in (*OF_PUSHES, *OF_MERGES):
        parser.error(f"--seed is for {', '.join((*OF_PUSHES, *OF_MERGES))}")
    if arguments.tickets and arguments.name not in OF_TICKETS:
        parser.error(f"--tickets is for {', '.join(OF_TICKETS)}")
    beds.KIND.name = arguments.warehouse
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    module = importlib.import_module(f"tests.campaign.{arguments.name.replace('-', '_')}")
    size = {key: value for key in ("seeds", "days", "seed", "tickets") if (value := getattr(arguments, key))}
    failed: int = module.campaign(is_short=arguments.short, **size)
    print(f"{arguments.name}: {'failed' if failed else 'passed'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
