"""
One REST or GraphQL request on its way: who asks, which settings hold, and how it finds its project, group and rows.

Not here: the routes (`gitlab.rest`, `gitlab.graphql`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, get_args

import attrs

from syncer.sandbox.gitlab.access import Caller
from syncer.sandbox.gitlab.pages import OFFSET_LIMIT, ApiError, Page, Params, offset_page, refused
from syncer.sandbox.gitlab.rows import Group, Project
from syncer.sandbox.gitlab.shapes import Record, Shapes
from syncer.sandbox.gitlab.store import Store
from syncer.sandbox.messages import Request, Response, json_response

T = TypeVar("T")
Availability = Literal["on", "absent", "refused"]
Counting = Literal["sheet", "gitlab"]


def _is_availability(quirks: object, attribute: attrs.Attribute[str], value: str) -> None:
    if value not in get_args(Availability):
        raise ValueError(f"Quirks.graphql is one of {', '.join(get_args(Availability))}, not {value!r}")


@attrs.frozen(kw_only=True)
class Quirks:
    """What differs between GitLab instances, and what can be made gentler; as it stands, everything hurts."""

    version: str = "18.4.2-ee"
    has_branch_page_bug: bool = True  # branches by offset: from page 2 on [] under right headers (some 18.x)
    has_lazy_merge_status: bool = True  # lists show unchecked, checking or the settled state, and not the same twice
    has_unstable_ties: bool = True  # pipelines ordered by what is not unique: ties come in another order each time
    has_issue_keyset: bool = True  # a project's issues by keyset (18.3 and later)
    offset_limit: int = OFFSET_LIMIT
    graphql: Availability = attrs.field(default="on", validator=_is_availability)
    graphql_missing: frozenset[str] = attrs.field(default=frozenset(), converter=frozenset)  # "Pipeline.source", …
    graphql_max_complexity: int = 250
    graphql_counting: Counting = "sheet"  # "gitlab": as GitLab's code does, about twice as much
    graphql_has_milliseconds: bool = False  # GitLab's GraphQL cuts times to whole seconds


@attrs.frozen(kw_only=True)
class Call:
    """A request, with what a route needs to answer it."""

    request: Request
    params: Params
    caller: Caller
    store: Store
    shapes: Shapes
    quirks: Quirks
    serial: int  # the site's number of this request: what is arbitrary in an answer hangs on it
    args: Mapping[str, str] = attrs.field(factory=dict)  # the parts of the path that the route names

    def visible(self) -> dict[int, Project]:
        """Return the projects that the caller sees, by id."""
        return self.store.visible_projects(self.caller.user)

    def project(self) -> Project:
        """Return the project that the path names by id or by path; 301 for a path that it had, 404 if it is hidden."""
        wanted = self.args["id"]
        project_id = int(wanted) if wanted.isdigit() else self.store.paths.get(wanted.lower(), 0)
        project = self.visible().get(project_id)
        if project is None:
            raise refused(404, message="404 Project Not Found")
        if not wanted.isdigit() and self.store.path_of(project).lower() != wanted.lower():
            raise self._moved_to(project)
        return project

    def _moved_to(self, project: Project) -> ApiError:
        head, _, rest = self.request.raw_path.partition("/projects/")
        _, slash, below = rest.partition("/")
        query = f"?{self.request.raw_query}" if self.request.raw_query else ""
        location = f"{self.request.base_url}{head}/projects/{project.id}{slash}{below}{query}"
        body = {"message": f"This resource has been moved permanently to {location}"}
        return ApiError(json_response(body, status=301, headers={"Location": location}))

    def group(self) -> Group:
        """Return the group that the path names by id or by path, else 404."""
        wanted = self.args["id"]
        group = self.store.groups.get(int(wanted)) if wanted.isdigit() else self.store.group_by_path(wanted)
        if group is None or group.kind != "group" or not self.sees(group):
            raise refused(404, message="404 Group Not Found")
        return group

    def sees(self, group: Group) -> bool:
        """Whether the caller sees *group*: it is public, or a project below it is theirs."""
        user = self.caller.user
        if group.visibility == "public" or (user is not None and user.is_admin):
            return True
        if user is None:
            return False
        return group.id in self.store.cached(("groups", user.id), lambda: self._own_groups(user.id))

    def _own_groups(self, user_id: int) -> set[int]:
        found: set[int] = set()
        for project in self.store.projects.values():
            group = self.store.groups.get(project.namespace_id) if user_id in project.members else None
            while group is not None and group.id not in found:
                found.add(group.id)
                group = self.store.groups.get(group.parent_id or 0)
        return found

    def need_user(self) -> None:
        """Refuse nobody."""
        if self.caller.user is None:
            raise refused(401, message="401 Unauthorized")

    def answer(self, page: Page[T], shape: Callable[[T], Record]) -> Response:
        """Return a page of records."""
        return json_response([shape(row) for row in page.rows], headers=page.headers)

    def offset(self, rows: list[T], shape: Callable[[T], Record], *, has_totals: bool = True) -> Response:
        """Return the offset page of *rows* that was asked for."""
        return self.answer(offset_page(rows, self.request, self.params, has_totals=has_totals), shape)

    def cached(self, make: Callable[[], list[T]], *extra: Any) -> list[T]:
        """Return the rows that *make* returns, kept for the pages that are asked next."""
        user = self.caller.user
        return self.store.cached((self.request.path, self.params.frozen(), user and user.id, *extra), make)
