"""All routes of the site, from the modules that answer them."""

from __future__ import annotations

from syncer.sandbox.hubspot import associations, batches, merge_routes, reads, search, settings_routes, writes
from syncer.sandbox.hubspot.paths import Route


def all_routes() -> list[Route]:
    """Return every route."""
    return [
        *reads.ROUTES,
        *writes.ROUTES,
        *merge_routes.ROUTES,
        *batches.ROUTES,
        *search.ROUTES,
        *associations.ROUTES,
        *settings_routes.ROUTES,
    ]
