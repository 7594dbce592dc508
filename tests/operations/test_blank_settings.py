"""Settings of operations that are texts of nothing but blanks: they would count as not set, and are refused."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from syncer import declared, operations, settings
from syncer.errors import UsageError
from syncer.operations import check_current_flags, fix_company_associations, merge_tickets
from syncer.settings import Settings
from tests.operations.company_home import FIX, CompanyHome

BLANKS = pytest.mark.parametrize("blank", ["", " ", "\u00a0", "\t\n", "\u200b"], ids=ascii)


def site(folder: Path, name: str, line: str) -> Settings:
    """A site whose file says something of an operation."""
    (folder / "syncer.toml").write_text(f'["{name}"]\n{line}\n', encoding="utf-8")
    return settings.load(variables={"SYNCER_WAREHOUSE": "duckdb:x.duckdb"}, folder=folder)


def toml(text: str) -> str:
    """Write a text as TOML does."""
    return '"' + "".join(f"\\u{ord(each):04x}" for each in text) + '"'


@BLANKS
@pytest.mark.parametrize("backend", ["duckdb"], indirect=True)
@pytest.mark.parametrize("key", ["customer_email", "stand_in_city", "ticket_property"])
def test_blank_text_does_not_switch_a_filter_off(fix: CompanyHome, key: str, blank: str) -> None:
    """Tickets of everybody would be moved: nothing is tried."""
    ticket = fix.ticket("4711", nerds_customer_email="somebody@else.nl")
    company = fix.company("4711")
    fix.words(**{key: blank})
    with pytest.raises(UsageError, match=f'{key} in .*"{FIX}".* is a.* text'):
        fix.run()
    assert company.id not in fix.companies(ticket)


@BLANKS
@pytest.mark.parametrize("name", ["stand_in_domain", "stand_in_city", "customer_email", "email_property"])
def test_blank_text_is_told_with_its_line(tmp_path: Path, name: str, blank: str) -> None:
    """And not shown: it may be anything."""
    found = site(tmp_path, FIX, f"{name} = {toml(blank)}")
    with pytest.raises(UsageError) as told:
        declared.check(found, FIX, fix_company_associations.SETTINGS)
    what = "a blank text" if blank else "an empty text"
    assert f'line 2: {name} in ["{FIX}"] is {what}' in str(told.value)


@BLANKS
def test_blank_text_of_one_environment_is_told_as_well(tmp_path: Path, blank: str) -> None:
    line = f'property = "x"\n["{merge_tickets.NAME}".environments.test]\nproperty = {toml(blank)}'
    found = site(tmp_path, merge_tickets.NAME, line)
    with pytest.raises(UsageError, match="line 4: property in"):
        declared.check(found, merge_tickets.NAME, merge_tickets.SETTINGS)


@BLANKS
def test_list_with_a_blank_text_is_refused(tmp_path: Path, blank: str) -> None:
    """It names nothing, and an empty list means something else."""
    found = site(tmp_path, "warehouse.check_sizes", f'tables = ["dw.f", {toml(blank)}]')
    with pytest.raises(UsageError, match="line 2: tables in"):
        declared.check(found, "warehouse.check_sizes", {"tables": declared.texts()})


def test_no_other_setting_takes_a_blank_text() -> None:
    """A flag of a current row may be a blank one; that is the only one."""
    taking = []
    for name, operation in operations.known().items():
        own = operations.declared_of(operation)
        taking += [f"{name}.{key}" for key, each in own.items() if each.is_good(" ") or each.is_good([" "])]
    assert taking == ["warehouse.check_current_flags.current"]


def test_blank_flag_is_the_flag_of_a_current_row(tmp_path: Path) -> None:
    """Where rows that ended have an N."""
    name = check_current_flags.NAME
    found = site(tmp_path, name, 'current = " "')
    assert declared.read(found, name, check_current_flags.SETTINGS)["current"] == " "
    declared.check(attrs.evolve(found, file=None), name, check_current_flags.SETTINGS)
