"""
The routes of what a portal is set up with: properties and groups, pipelines, owners, the account and its limits.

Not here: the handlers, each in the module that it is imported from.
"""

from __future__ import annotations

from syncer.sandbox.hubspot import account_routes, owner_routes, pipeline_routes, property_routes
from syncer.sandbox.hubspot.paths import Route

ROUTES: list[Route] = [
    *property_routes.ROUTES,
    *pipeline_routes.ROUTES,
    *owner_routes.ROUTES,
    *account_routes.ROUTES,
]
