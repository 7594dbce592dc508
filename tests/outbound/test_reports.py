"""A plan as text, Markdown and JSON: all of it is there, odd values do nothing, and what is personal is hidden."""

from __future__ import annotations

import html
import io
import json
import re
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from markdown_it import MarkdownIt

from syncer import plan
from syncer.errors import WarehouseError
from syncer.plan import Change, Edge, Edit
from syncer.plans import PlanRow, Problem
from syncer.reports import plan_json, plan_markdown, plan_shown, plan_text
from syncer.reports.plan_shown import Shown
from syncer.settings import Settings
from syncer.tally import Counts, Pushed
from syncer.warehouses import Warehouse, find
from tests.backends import BACKENDS
from tests.conftest import MovableClock
from tests.outbound.reported import LONG, ODD, change, header, one_of_each, problem, stored

TRIP = "max_updates: 7 updates, and at most 3 are let through"


class Terminal(io.StringIO):
    """What a person sees as it is written."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def warehouse(tmp_path: Path, backend: str) -> Iterator[Warehouse]:
    """An empty warehouse of each backend."""
    database = BACKENDS[backend](tmp_path)
    found = find(Settings(base=tmp_path, warehouse=database.setting), clock=MovableClock())
    yield found
    found.close()
    database.close()


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Warehouse]:
    """A DuckDB file, where the warehouse's kind makes no difference."""
    found = find(Settings(base=tmp_path, warehouse="duckdb:w.duckdb"), clock=MovableClock())
    yield found
    found.close()


def text(shown: Shown, stream: Any = None, **how: Any) -> str:
    return "\n".join(plan_text.lines(shown, stream or io.StringIO(), **how))


def document(shown: Shown) -> dict[str, Any]:
    found: dict[str, Any] = json.loads("".join(plan_json.parts(shown)))
    return found


def rendered(shown: Shown, **how: Any) -> str:
    """Turn Markdown into HTML as GitHub's dialect does, HTML inside of it included."""
    return MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(plan_markdown.text(shown, **how))


def cells(markup: str) -> list[list[str]]:
    """The cells of all rows of all tables, as a person reads them."""
    rows = re.findall(r"<tr>(.*?)</tr>", markup, re.DOTALL)
    found = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in rows]
    return [[html.unescape(re.sub(r"<[^>]*>", "", cell)) for cell in row] for row in found]


def test_text_shows_each_change_field_by_field(warehouse: Warehouse) -> None:
    """Property, before, after, and the setting that decided: what is not shown is not written."""
    changes, rows = one_of_each()
    found = text(stored(warehouse, changes, rows))
    for line in (
        "  + create client-1",
        "      name: blank → 'Acme'",
        "  ~ update client-2 (5002)",
        "      phone: '010-1' → '010-2'  (policy = \"ours\")",
        "      industry: 'x' → blank",
        "  > associate client-3 (5003) → companies client-1, which change 1 makes, label Parent  after #1, #2",
        "  - archive client-5 (5005)",
        "  & merge client-6 (5006) into 5001",
        "  ~ update client-7 (5007)  [failed]: HubSpot refused it.",
    ):
        assert line in found.splitlines()


def test_text_shows_rejects_and_conflicts_with_both_values(warehouse: Warehouse) -> None:
    """A person decides by the values, not by the count."""
    changes, rows = one_of_each()
    found = text(stored(warehouse, changes, rows)).splitlines()
    for line in (
        "3 fields or rows in conflict: left alone",
        "  ! client-8 (5008)  phone: Both sides changed it.",
        "      here '1', there '2', last agreed '0'",
        '  ! client-8 (5008)  name: They differ and never agreed.  (adopt = "skip")',
        "      here 'A', there blank, never agreed",
        "  ! client-11 (5011): Its record 5011 was archived on their side.",
        "2 fields or rows rejected: not written",
        "  x (no key): client_id is blank: nothing tells which record it is.",
        "  x client-9  tier: It is none of the choices: gold.",
        "      here 'tin'",
        "1 field or row both sides moved, settled by a setting",
    ):
        assert line in found


def test_text_tells_what_is_not_pushed_and_which_limit_refuses_it(warehouse: Warehouse) -> None:
    """With the number, and the two ways on: look, or apply that very plan."""
    left = {"dss_load_date": "the warehouse's own", "owner": "read-only"}
    shown = stored(warehouse, [change(1)], head=header(left_columns=left), pushed={"trips": (TRIP,)})
    found = text(shown)
    assert re.search(r"^  dss_load_date  the warehouse's own$", found, re.MULTILINE)
    assert f"  {TRIP}" in found.splitlines()
    assert re.search(rf"push hubspot.companies --plan {shown.header.plan} --dry-run --report plan.html", found)
    assert re.search(rf"push hubspot.companies --plan {shown.header.plan} --force", found)
    name = TRIP.partition(":")[0]
    assert f'  Let more through, always: {name} in ["hubspot.companies"] of syncer.toml' in found.splitlines()


def test_text_shows_the_first_fifty_and_says_how_many_more(embedded: Warehouse) -> None:
    """A terminal is read from the end: more would push the head out of sight."""
    found = text(stored(embedded, [change(number) for number in range(1, 61)])).splitlines()
    assert sum(line.startswith("  ~ update") for line in found) == 50
    assert any("and 10 more changes: --report" in line for line in found)


def test_a_plan_of_nothing_says_so(embedded: Warehouse) -> None:
    found = text(stored(embedded, [], pushed={"counts": Counts(unchanged=5)}))
    assert "5 unchanged of 5 read. Nothing written." in found
    assert "--plan" not in found, "there is nothing to apply"


def test_the_account_is_named_in_the_command_of_another_environment(embedded: Warehouse) -> None:
    """Without it the command would look for the plan in the wrong account."""
    shown = stored(embedded, [change(1)], head=header(environment="voys"))
    assert plan_shown.apply_command(shown.header, program="syncer").endswith(
        f"--plan {shown.header.plan} --environment voys"
    )


def test_odd_values_stay_on_their_line(embedded: Warehouse) -> None:
    """A line feed would forge a line of the plan, an escape would obey whoever typed it into the CRM."""
    shown = stored(embedded, [change(n, fields={"name": Edit(odd, "x")}) for n, odd in enumerate(ODD, 1)])
    found = text(shown)
    assert not [letter for letter in found if letter != "\n" and not letter.isprintable() and letter != "\u200d"]
    assert len([line for line in found.splitlines() if "→ 'x'" in line]) == len(ODD)
    assert "'two\\nlines\\r\\nand\\ta tab'" in found
    assert "'O'Neil'" in found
    assert "{braces} {{twice}} {0} %s" in found


def test_colour_is_for_terminals_only(embedded: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log with codes of colours cannot be searched."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    changes, rows = one_of_each()
    shown = stored(embedded, changes, rows)
    assert "\x1b[" not in text(shown)
    assert "\x1b[32m+ create client-1" in text(shown, Terminal())


def test_a_terminal_is_shown_the_part_of_a_long_value_that_differs(
    embedded: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Piped it is whole: there nobody counts columns, and somebody may search."""
    monkeypatch.setenv("TERM", "xterm")
    shown = stored(embedded, [change(1, fields={"note": Edit(LONG + "old", LONG + "new")})])
    [line] = [line for line in text(shown, Terminal()).splitlines() if "note" in line]
    assert (len(line) < 400, "old" in line, "new" in line, "10,003 letters" in line) == (True, True, True, True)
    assert f"'{LONG}old' → '{LONG}new'" in text(shown)


def test_a_report_reads_a_plan_in_parts(embedded: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a part ends, nothing is lost and nothing comes twice."""
    monkeypatch.setattr(plan_shown, "AT_ONCE", 3)
    rows = [
        PlanRow(key=key, outcome=plan.REJECTED, problems=[problem(plan.REJECTED, reason="No.")])
        for key in ("", "a", "B", "b", "c", "ä", "z")
    ]
    shown = stored(embedded, [change(number) for number in range(1, 11)], rows)
    assert [each.number for each in shown.changes()] == list(range(1, 11))
    assert [each.number for each in shown.changes(most=5)] == [1, 2, 3, 4, 5]
    assert sorted(each.key for each in shown.troubles()) == sorted(row.key for row in rows)
    first, total = shown.first_troubles(2)[plan.REJECTED]
    assert (len(first), total) == (2, 7)


def test_json_has_the_names_that_others_build_on(warehouse: Warehouse) -> None:
    """They are fixed from the first version: DESIGN.md, Names that others build on."""
    changes, rows = one_of_each()
    counts = Counts(created=1, updated=3, archived=1, merged=1, conflicts=2, rejected=2)
    shown = stored(warehouse, changes, rows, pushed={"counts": counts, "associated": 1, "disassociated": 1})
    found = document(shown)
    counted = set(attrs.asdict(counts)) | {"read", "associated", "disassociated", "requests"}
    assert {"run", "plan", "checksum", "mapping", "environment", "status", "changes", *counted} <= set(found)
    assert (found["run"], found["plan"], found["read"]) == (None, shown.header.plan, 10)
    assert (found["created"], found["conflicts"], found["rejected"], found["merged"]) == (1, 2, 2, 1)
    create, update, associate, _, _, merge, failed = found["changes"]
    assert create == {
        "action": "create",
        "key": "client-1",
        "id": None,
        "fields": {"name": {"before": None, "after": "Acme"}},
        "state": "planned",
        "reason": "",
    }
    assert update["fields"]["industry"] == {"before": "x", "after": None}
    edge = {name: associate[name] for name in ("to_type", "to_id", "category", "type_id")}
    assert edge == {"to_type": "companies", "to_id": None, "category": "USER_DEFINED", "type_id": 7}
    assert (merge["into"], failed["state"], failed["reason"]) == ("5001", "failed", "HubSpot refused it.")


def test_json_tells_rejects_and_conflicts(warehouse: Warehouse) -> None:
    """A dashboard must not have to ask the warehouse what was left for a person."""
    changes, rows = one_of_each()
    found = {(each["key"], each["field"]): each for each in document(stored(warehouse, changes, rows))["problems"]}
    assert len(found) == 6
    settled = found["client-10", "phone"]
    assert (settled["kind"], settled["agreed"], settled["ours"], settled["theirs"]) == ("settled", "0", "3", "4")
    assert "agreed" not in found["client-8", "name"], "never agreed is not agreed on blank"
    assert found[None, ""]["reason"] == "client_id is blank: nothing tells which record it is."


def test_json_keeps_odd_values_as_they_are(warehouse: Warehouse) -> None:
    """A program gets the value; ASCII only, whatever the console takes it for."""
    shown = stored(warehouse, [change(n, fields={"name": Edit(odd, LONG)}) for n, odd in enumerate(ODD, 1)])
    written = "".join(plan_json.parts(shown))
    assert written.isascii()
    assert [each["fields"]["name"] for each in json.loads(written)["changes"]] == [
        {"before": odd, "after": LONG} for odd in ODD
    ]


def test_json_that_breaks_off_is_json_still(embedded: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads along must be able to read why it ended."""
    shown = stored(embedded, [change(number) for number in range(1, 4)])

    def broken(self: Shown, most: int | None = None) -> Iterator[Change]:
        yield change(1)
        raise WarehouseError("it is gone")

    monkeypatch.setattr(Shown, "changes", broken)
    written = ""
    with pytest.raises(WarehouseError):
        for part in plan_json.parts(shown):
            written += part
    found = json.loads(written)
    assert (len(found["changes"]), "it is gone" in found["error"]) == (1, True)


def test_a_run_without_a_plan_has_an_entry(embedded: Warehouse) -> None:
    """One that failed before there was a plan is told like any other."""
    found = plan_json.entry(Pushed(run="r1", plan="", checksum="", mapping="m.n", environment="e", error="no way"))
    assert (found["plan"], found["run"], found["error"], found["read"]) == (None, "r1", "no way", 0)


def test_memory_does_not_grow_with_the_plan(embedded: Warehouse) -> None:
    """JSON of 20,000 changes takes what that of 4,000 takes: they are never in memory at once."""

    def most(count: int) -> int:
        fields = {f"property_{n}": Edit("before", "after" * 5) for n in range(6)}
        shown = stored(embedded, (change(number, fields=fields) for number in range(1, count + 1)))
        tracemalloc.start()
        size = sum(map(len, plan_json.parts(shown)))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert size > count * 300
        return peak

    assert most(20_000) < 1.2 * most(4_000)


def test_markdown_shows_changes_problems_and_limits(warehouse: Warehouse) -> None:
    """A pull request is where a plan is reviewed by those who do not run it."""
    changes, rows = one_of_each()
    found = cells(rendered(stored(warehouse, changes, rows, pushed={"trips": (TRIP,)})))
    assert ["create", "client-1", "name", "blank", "Acme"] in found
    assert ["update", "client-2 5002", "industry", "x", "blank"] in found
    assert ["", "", "phone", "010-1", '010-2 (policy = "ours")'] in found
    assert ["client-8 5008", "phone", "Both sides changed it.", "1", "2", "0"] in found
    assert ["client-8 5008", "name", 'They differ and never agreed. (adopt = "skip")', "A", "blank", "never"] in found
    assert ["client-9", "tier", "It is none of the choices: gold.", "tin", "", ""] in found
    assert TRIP in html.unescape(rendered(stored(warehouse, [], pushed={"trips": (TRIP,)})))


@pytest.mark.parametrize("odd", [*ODD, LONG, "|" * 10_000], ids=range(len(ODD) + 2))
def test_an_odd_value_is_shown_in_markdown_as_it_is(embedded: Warehouse, odd: str) -> None:
    """It breaks no table, begins no tag, link or formula, and calls nobody."""
    shown = stored(embedded, [change(1, key=odd, fields={odd or "name": Edit(odd, "x"), "other": Edit("a", "b")})])
    markup = rendered(shown)
    rows = [row for row in cells(markup) if len(row) == 5]
    assert [row[0] for row in rows] == ["change", "update", ""]
    value = plan_shown.excerpt([odd, "x"], plan_markdown.LONGEST)[0] or "empty"
    lines = (plan_text.clean(line) for line in value.replace("\r\n", "\n").split("\n"))
    assert [row[3].replace("\xa0", " ") for row in rows if row[4] == "x"] == ["↵".join(lines)]
    assert set(re.findall(r"<(\w+)", markup)) <= {"h3", "code", "p", "table", "thead", "tr", "th", "tbody", "td", "em"}
    source = re.sub(r"<!-- -->", "\0", plan_markdown.text(shown))
    assert not re.search(r"(?<!&)[@#]\w|(&#64;|&#35;)\w", source), (
        "no mention, no issue, also where the page looks again"
    )
    assert "www." not in source


def test_markdown_fits_into_a_comment(embedded: Warehouse) -> None:
    """GitHub takes 65,536 letters; what does not fit is counted."""
    changes = [change(n, fields={"a": Edit("<" * 300, "|" * 300)}) for n in range(1, 200)]
    rows = [
        PlanRow(
            key=f"k{n}", outcome=plan.CONFLICT, problems=[problem(plan.CONFLICT, ours="|" * 300, theirs="<" * 300)]
        )
        for n in range(200)
    ]
    found = plan_markdown.text(stored(embedded, changes, rows))
    assert len(found) < 65_536
    told = [int(number) for number in re.findall(r"… and (\d+) more", found)]
    shown = found.count("| update |"), len(re.findall(r"^\| <code>k\d", found, re.MULTILINE))
    assert (shown[0] + told[0], shown[1] + told[1]) == (199, 200)


PERSONAL = frozenset({"client_id", "phone", "email"})
SECRETS = ("ada@example.org", "+31 20 123", "+31 20 456", "bob@example.org", "eve@example.org", "12 34")


def with_people(warehouse: Warehouse, **how: Any) -> Shown:
    """A plan with personal values wherever one can stand."""
    edge = Edge(kind="contacts", id="77", category="HUBSPOT_DEFINED", type_id=1, key="bob@example.org")
    fields = {"phone": Edit("+31 20 123", "+31 20 456"), "name": Edit("Acme", "Acme 2"), "email": Edit(None, "12 34")}
    reason = "The e-mail ada@example.org is taken, and so is 12 34."
    key = "ada@example.org"
    odd = Problem(
        kind=plan.REJECTED,
        field="phone",
        ours="+31 20 123",
        reason="HubSpot wants the value '+31 20 456'; not this: +31 20 123",
    )
    of_edge = Problem(kind=plan.REJECTED, field="contact", ours="eve@example.org", reason="No eve@example.org there.")
    of_row = Problem(kind=plan.CONFLICT, reason="The record of ada@example.org is gone.")
    settings = {**header().settings, "edges": [{"column": "contact", "to": "contacts"}]}
    return stored(
        warehouse,
        [
            change(1, key=key, fields=fields, state=plan.FAILED, reason=reason, agreed={"phone": "+31 20 456"}),
            change(2, plan.ASSOCIATE, key=key, edge=edge),
        ],
        [PlanRow(key=key, id="5", outcome=plan.CONFLICT, problems=[odd, of_edge, of_row])],
        head=header(settings=settings),
        **how,
    )


@pytest.mark.parametrize("ends", [None, frozenset({"contacts"})])
def test_personal_values_are_hidden_wherever_they_stand(embedded: Warehouse, ends: frozenset[str] | None) -> None:
    """In keys, fields, the other end of an edge, and the reasons that name them."""
    shown = with_people(embedded, personal=PERSONAL, personal_ends=ends)
    for written in (text(shown), plan_markdown.text(shown), json.dumps(document(shown), ensure_ascii=False)):
        plain = html.unescape(written)
        assert [secret for secret in SECRETS if secret in plain] == []
        assert "•••" in plain
        assert "Acme 2" in plain, "what is not personal stays"
    assert document(shown)["changes"][0]["fields"]["email"] == {"before": None, "after": "•••"}


def test_personal_values_are_shown_on_request(embedded: Warehouse) -> None:
    """`--show-personal`: whoever may run a plan may look at it."""
    shown = with_people(embedded, personal=PERSONAL, shows_personal=True)
    found = text(shown)
    assert all(secret in found for secret in SECRETS)
    assert "•••" not in found


def test_a_key_that_is_no_person_is_shown(embedded: Warehouse) -> None:
    """Else nobody could tell which rows a plan is about."""
    shown = with_people(embedded, personal=frozenset({"phone"}), personal_ends=frozenset())
    assert "ada@example.org" in text(shown)
    assert "bob@example.org" in text(shown)
    assert "+31 20 456" not in text(shown).replace("12 34", "")


def test_the_summary_tells_counts_limits_and_errors() -> None:
    """One run in a few lines, where several mappings are pushed."""
    run = Pushed(run="r1", plan="p1", checksum="c", mapping="a.b", environment="default", requests=1)
    counts = Counts(created=2, unchanged=3)
    assert plan_text.summary(attrs.evolve(run, counts=counts, associated=1)) == (
        "push a.b: 2 created, 3 unchanged of 5 read; 1 edge made; 1 request; run r1"
    )
    assert plan_text.summary(attrs.evolve(run, run=None, counts=counts)).startswith("plan a.b: 2 to create, 3")
    assert plan_text.summary(attrs.evolve(run, trips=(TRIP,), status="refused")).endswith(f"\n  refused: {TRIP}")
    assert plan_text.summary(attrs.evolve(run, error="it\nbroke", status="failed")).endswith("failed: it\\nbroke")
