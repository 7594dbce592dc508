"""A name that is nowhere: of a property in a setting, or in a company's own file. Wrong usage, told with the place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from syncer.errors import UsageError
from syncer.sandbox.faults import Fault
from tests.operations import MERGE, OperationHome, operation_home
from tests.operations.company_home import CompanyHome, company_home

OWN = "hubspot.mine"
FILE = '''"""Look at tickets."""
from syncer.operations import updated

NAME, SUMMARY, KIND = "hubspot.mine", "look at tickets", "tickets"


def looked(context):
    for page in {asked}:
        for ticket in page.values() if isinstance(page, dict) else page:
            ticket.properties["content"]
            yield updated(context, KIND, ticket, {{"content": "new"}})
'''


@pytest.fixture
def backend() -> str:
    """Nothing here is the warehouse's business."""
    return "duckdb"


@pytest.fixture
def home(tmp_path: Path, backend: str) -> Iterator[OperationHome]:
    """A portal with a ticket, and a site with a folder of its own."""
    with operation_home(tmp_path / "home", backend) as found:
        found.ticket("7", content="old")
        (tmp_path / "own" / "operations").mkdir(parents=True)
        found.home.settings = attrs.evolve(found.home.settings, folders=(tmp_path / "own",))
        yield found


@pytest.fixture
def companies(tmp_path: Path, backend: str) -> Iterator[CompanyHome]:
    """A portal with a stand-in."""
    with company_home(tmp_path / "companies", backend) as found:
        yield found


def own(home: OperationHome, asked: str) -> Path:
    file = home.home.settings.folders[0] / "operations" / "mine.py"
    file.write_text(FILE.format(asked=asked))
    return file


def test_a_misspelt_property_of_a_setting_is_wrong_usage(home: OperationHome) -> None:
    """Asking again does not help: whoever reads the exit code is to look at syncer.toml. The run stands as failed."""
    done = home.words(property="nerds_ticket_ids").run()
    assert (done.status, done.exit_code, done.counts.read) == ("failed", 2, 0)
    assert f'property in ["{MERGE}"]' in str(done.error) and "Did you mean nerds_ticket_id" in str(done.error)
    assert home.rows("SELECT status FROM syncer.runs WHERE run = ?", [done.run]) == [("failed",)]
    assert home.run(is_rehearsal=True).exit_code == 2


@pytest.mark.parametrize(
    "words",
    [{"ticket_property": "nerds_customer_idd"}, {"company_property": "client_idd"}],
    ids=lambda words: next(iter(words)),
)
def test_a_setting_that_is_wrong_is_wrong_usage(companies: CompanyHome, words: dict[str, str]) -> None:
    """In each operation alike."""
    done = companies.words(**words).run()
    assert (done.status, done.exit_code) == ("failed", 2) and next(iter(words)) in str(done.error)


def test_a_setting_that_is_blank_is_wrong_usage_before_anything_is_asked(companies: CompanyHome) -> None:
    """As whatever cannot be read of syncer.toml."""
    with pytest.raises(UsageError, match="stand_in_domain in .* is a blank text"):
        companies.words(stand_in_domain="").run()


def test_what_fails_otherwise_is_a_failure(home: OperationHome) -> None:
    """It is safe to run again, and may then be well."""
    home.home.sandbox.faults.add(Fault(kind="status", status=418, match="/objects/tickets"))
    done = home.run()
    assert (done.status, done.exit_code) == ("failed", 1), done


@pytest.mark.parametrize(
    "asked",
    [
        'context.api.matching(KIND, "contnt", ["old"], ["content"])',
        'context.api.matching(KIND, "content", ["old"], ["contnt"])',
        'context.api.walked(KIND, ["contnt"])',
        '[context.api.find(KIND, ["1"], by=None, properties=["contnt"])]',
        '[context.api.find(KIND, ["1"], by="contnt", properties=["content"])]',
    ],
)
def test_an_own_operation_is_told_which_property_is_not_there(home: OperationHome, asked: str) -> None:
    """HubSpot says only that a search is wrong, or leaves the property out of what it reads."""
    file = own(home, asked)
    home.home.sent()
    done = home.run(OWN)
    assert (done.status, done.exit_code, home.home.writes()) == ("failed", 2, [])
    assert f"{file}: the operation {OWN} asks for the property contnt of tickets" in str(done.error)
    assert f'Did you mean content? Correct it in that file, or in the setting of ["{OWN}"]' in str(done.error)


def test_what_is_there_is_asked_for(home: OperationHome) -> None:
    """The id, too, which is a property as any."""
    own(home, 'context.api.walked(KIND, ["content", "hs_object_id"])')
    done = home.run(OWN)
    assert (done.error, done.counts.updated) == (None, 1)
