"""Browsing a connection: RED reads a status and a tree in one line; a failure is a message."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from syncer.verbs.sandbox import Amount
from syncer.wherescape.browsing import source_of
from tests.wherescape.red_site import Ended, RedSite, red_site
from tests.wherescape.stand_in import Red

KNOWN = ["anythingllm", "friday_pulse", "gitlab", "hubspot", "jira"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedSite]:
    """A site that no test here changes."""
    from tests.wherescape.stand_in import red_repository

    folder = tmp_path_factory.mktemp("browse")
    with red_site(folder, Red(red_repository.make(folder / "red.sqlite")), amount=Amount(1, 5)) as made:
        yield made


def browsed(site: RedSite, call: str, *, source: str, **more: str) -> Ended:
    """Run the browse script as RED does: without a load table, and without a target."""
    targets = dict.fromkeys(("WSL_TGT_DSN", "WSL_TGT_USER", "WSL_LOAD_TABLE"), "")
    return site.run(call, source=source, **targets, **more)


def tree_of(ended: Ended) -> dict[str, Any]:
    status, body, *rest = ended.out.split("\n")
    assert (status, rest, ended.code) == ("1", [""], 0), ended
    found: dict[str, Any] = json.loads(body)
    return found


def test_the_tree_is_the_streams_with_their_columns(site: RedSite) -> None:
    """The second line is the whole tree; which source it is of, the URL tells."""
    tree = tree_of(browsed(site, "wherescape.browse()", source="gitlab"))
    assert tree["treeViewLayout"] == "Tabular"
    assert tree["treeViewIcons"] == {"schema": "project.ico", "table": "File.ico"}
    branches = tree["gitlab"]["branches"]
    assert (branches["name"], branches["rowCount"]) == ("gitlab_branches", None)
    columns = {each["name"]: each["dataType"] for each in branches["columns"]}
    assert columns["default"] == "boolean" and "dss_load_date" not in columns


def test_what_the_source_itself_defines_is_in_the_tree(site: RedSite) -> None:
    """Properties that only this portal has."""
    tree = tree_of(browsed(site, 'wherescape.browse("hubspot")', source="hubspot"))
    columns = [each["name"] for each in tree["hubspot"]["companies"]["columns"]]
    assert "client_id" in columns and len(columns) == len(set(columns))


@pytest.mark.parametrize(
    ("call", "more", "said"),
    [
        ("wherescape.browse()", {"WSL_SRCCFG_url": "http://127.0.0.1:9"}, "does not tell which source"),
        ("wherescape.browse()", {"WSL_SRCCFG_url": ""}, "WSL_SRCCFG_url is not set"),
        ('wherescape.browse("jra")', {}, "No source named 'jra'"),
        ('wherescape.browse("hubspot")', {"WSL_SRCCFG_url": "http://127.0.0.1:9"}, "127.0.0.1:9"),
    ],
)
def test_a_failure_is_a_message(site: RedSite, call: str, more: dict[str, str], said: str) -> None:
    """RED shows the second line; there is no half a tree."""
    ended = browsed(site, call, source="hubspot", **more)
    assert (ended.status, ended.code) == ("-2", 0), ended
    assert said in ended.message


def test_it_needs_no_repository(site: RedSite) -> None:
    """RED may name none to a script of a connection; it reads the same two lines."""
    ended = browsed(site, "wherescape.browse()", source="anythingllm", WSL_META_DSN="")
    assert list(tree_of(ended)["anythingllm"]) and not ended.err.strip().startswith("Traceback")
    failed = browsed(site, "wherescape.browse()", source="", WSL_META_DSN="")
    assert (failed.status, failed.code) == ("-2", 2), failed


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("https://example.atlassian.net/rest/api/3", "jira"),
        ("https://api.hubapi.com", "hubspot"),
        ("https://app.fridaypulse.com/", "friday_pulse"),
        ("https://gitlab.example.com/api/v4", "gitlab"),
        ("https://git.example.com/api/v4", "gitlab"),
        ("https://anythingllm.example.com/api", "anythingllm"),
        ("http://127.0.0.1:8700/friday_pulse", "friday_pulse"),
        ("jira.example.com", "jira"),
        ("https://gitlab.example.com/jira", None),
        ("https://mygitlab.example.com", None),
        ("https://atlassian.net.example.com", None),
        ("", None),
    ],
)
def test_the_url_tells_the_source(url: str, source: str | None) -> None:
    """By the service's domain, else by the source's name as a whole word; never by a guess."""
    assert source_of(url, KNOWN) == source
