"""The busy hour of a large GitLab: how many requests an incremental pull of all nine streams takes."""

from __future__ import annotations

from pathlib import Path

from syncer.sandbox import Clock, GitLabSite
from tests.sources.gitlab_world import START, world


def test_a_busy_hour_of_500_projects_takes_at_most_300_requests(tmp_path: Path) -> None:
    """
    In 30 of 500 projects: 200 issues, 150 merge requests (60 new heads), 40 branches by 3 commits, 300 pipelines.

    The site is smaller than `GitLabSite.large()` where only the first load would see it: requests follow changes.
    """
    sizes = {"issues": 4000, "merge_requests": 5000, "pipelines": 2000, "branches": 3000, "commits": 5000, "tags": 300}
    site = GitLabSite.generate(seed=1, clock=Clock(START), projects=500, hidden=0, **sizes)
    with world(tmp_path, site=site, workers=2) as gitlab:
        gitlab.pull()
        happened = site.busy_hour()
        gitlab.forget()
        pulled = gitlab.pull()
        assert gitlab.asked() <= 300
        assert gitlab.all_differences() == []
        assert pulled["pipelines"].inserted + pulled["pipelines"].updated == len(set(happened.pipelines)) == 300
        assert (pulled["issues"].updated, pulled["merge_requests"].updated) == (200, 150)
        assert pulled["merge_request_commits"].inserted == 60
        assert pulled["commits"].inserted == 60 + 40 * 3
