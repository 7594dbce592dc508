"""A row that only the portal's definitions refuse is tried again when they change, and is not asked for until then."""

from __future__ import annotations

from typing import Any

import pytest

from tests.outbound import KEY, PushHome

TIN = {"value": "tin", "label": "Tin"}


def rejected(home: PushHome) -> list[tuple[Any, ...]]:
    return home.rows("SELECT key FROM syncer.rejects WHERE scope = 'push'")


def read(home: PushHome) -> list[str]:
    """Return which records were asked for since the last call."""
    return [each for each in home.sent() if each.endswith("/batch/read")]


def refused(home: PushHome, **more: Any) -> None:
    """Push a row whose choice the portal does not know, beside one that it takes."""
    home.relation([{KEY: "1", "name": "One", "tier": "tin"}, {KEY: "2", "name": "Two", "tier": "gold", **more}])
    done = home.push()
    assert (done.counts.created, done.counts.rejected, done.exit_code) == (1, 1, 3), done
    assert (rejected(home), home.values("tier")) == ([("1",)], {"2": "gold"})
    home.later()
    home.sent()


def test_a_choice_that_was_added_is_written_without_a_change_of_the_row(home: PushHome) -> None:
    refused(home)
    home.site.store.definitions["companies"]["tier"].options.append(TIN)
    done = home.push()
    assert (done.counts.created, done.counts.unchanged, done.counts.rejected, done.exit_code) == (1, 1, 0, 0), done
    assert (rejected(home), home.values("tier")) == ([], {"1": "tin", "2": "gold"})
    home.later()
    home.sent()
    again = home.push()
    assert (again.counts.unchanged, read(home), home.writes()) == (2, [], [])


def test_while_nothing_changes_the_row_is_counted_and_not_asked_for(home: PushHome) -> None:
    """A relation may hold thousands of such rows: an hourly push does not plan each of them each time."""
    refused(home)
    for _ in range(2):
        done = home.push()
        assert (done.counts.rejected, done.counts.unchanged, done.exit_code) == (1, 1, 3), done
        assert (rejected(home), read(home)) == ([("1",)], [])
        assert home.rows("SELECT COUNT(*) FROM syncer.plan_rows WHERE plan = ?", [done.plan]) == [(0,)]
        home.later()


def test_a_choice_that_another_property_got_is_no_end_of_it(home: PushHome) -> None:
    """The row is planned once more, and stands as rejected under the new definitions."""
    refused(home)
    home.site.store.definitions["companies"]["products"].options.append(TIN)
    for _ in range(2):
        done = home.push()
        assert (done.counts.created, done.counts.rejected, done.exit_code) == (0, 1, 3), done
        home.later()
    home.site.store.definitions["companies"]["tier"].options.append(TIN)
    assert (home.push().exit_code, home.values("tier")["1"]) == (0, "tin")


@pytest.mark.parametrize("value", ["gold", "silver"])
def test_the_row_that_was_mended_needs_no_new_definition(home: PushHome, value: str) -> None:
    refused(home)
    home.change("1", tier=value)
    assert (home.push().exit_code, home.values("tier")["1"], rejected(home)) == (0, value, [])
