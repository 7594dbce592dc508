"""A plan as HTML, in a real browser: thousands of changes open, are searched and filtered, and none does harm."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncer import plan
from syncer.errors import UsageError
from syncer.plan import Edge, Edit
from syncer.plans import PlanRow
from syncer.reports import plan_html
from syncer.reports.plan_html import Report
from syncer.reports.plan_shown import Shown
from syncer.settings import Settings
from syncer.tally import Counts
from syncer.warehouses import Warehouse, find
from tests.conftest import MovableClock
from tests.outbound.chromium import Browser
from tests.outbound.reported import LONG, ODD, change, header, one_of_each, problem, stored
from tests.outbound.test_reports import PERSONAL, SECRETS, TRIP, with_people

MANY = 10_000
OPENS_S = 10.0  # on a machine that does other things as well; measured: 0.2 s, and 0.5 s for 100,000 changes
ANSWERS_MS = 1_500  # a search in all of them; measured: below 20


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """A DuckDB file for all tests here: the page is the same whatever it was read from."""
    folder = tmp_path_factory.mktemp("warehouse")
    found = find(Settings(base=folder, warehouse="duckdb:w.duckdb"), clock=MovableClock())
    yield found
    found.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests here."""
    with Browser(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Any]:
    """Opens reports of plans in the browser; at the end nothing was complained of, and nothing was asked for."""
    browser.errors.clear()
    browser.requests.clear()

    def opened(*plans: Shown) -> Browser:
        path = tmp_path / "plan.html"
        with Report(path) as report:
            for each in plans:
                report.add(each)
        browser.open(path)
        return browser

    yield opened
    assert browser.errors == []
    assert {url.partition(":")[0] for url in browser.requests} <= {"file"}
    assert len(browser.requests) == 1


def search(page: Browser, text: str) -> None:
    """Type into the search field, as a person does, and wait for the answer."""
    page.run("document.getElementById('search').focus(); document.getElementById('search').select()")
    before = page.run("window.drawn || 0")
    page.run(
        "window.drawn = window.drawn || 0; window.watch = window.watch || new MutationObserver(() => window.drawn++);"
        "window.watch.observe(document.getElementById('list'), {childList: true}); 0"
    )
    page.type(text)
    page.until(f"window.drawn > {before}")


def choose(page: Browser, name: str, value: str) -> None:
    """Choose in a filter."""
    page.run(
        f"(() => {{ const it = document.getElementById({json.dumps(name)}); it.value = {json.dumps(value)};"
        "it.dispatchEvent(new Event('change')); return it.value })()"
    )


def entries(page: Browser) -> list[str]:
    """The text of each entry that stands in the page."""
    found: list[str] = page.run("[...document.querySelectorAll('#list > li')].map(each => each.innerText)")
    return found


def where(page: Browser) -> str:
    return str(page.run("document.getElementById('where').textContent"))


def many(count: int) -> Iterator[plan.Change]:
    for number in range(1, count + 1):
        if number % 10 == 0:
            yield change(number, plan.CREATE, fields={"name": Edit(None, f"Company {number}")})
        elif number % 10 == 1:
            edge = Edge(kind="contacts", id=str(number), category="HUBSPOT_DEFINED", type_id=1)
            yield change(number, plan.ASSOCIATE, edge=edge)
        else:
            fields = {"phone": Edit(f"+31 20 {number:06}", f"+31 10 {number:06}"), "size": Edit("1", str(number))}
            yield change(number, fields=fields)


def test_ten_thousand_changes_open_and_are_searched_and_filtered(warehouse: Warehouse, page: Any) -> None:
    """A page that freezes is not reviewed: only some changes stand in it at once."""
    rows = [
        PlanRow(
            key=f"bad-{n}", outcome=plan.REJECTED, problems=[problem(plan.REJECTED, "tier", reason="No.", ours="x")]
        )
        for n in range(300)
    ]
    shown = page(stored(warehouse, many(MANY), rows))
    assert shown.seconds < OPENS_S
    assert where(shown) == "1–50 of 10,300"
    assert len(entries(shown)) == 50
    assert shown.run("document.querySelectorAll('*').length") < 5_000

    took = shown.run(
        "(() => { const began = performance.now(); const it = document.getElementById('action'); it.value = 'create';"
        "it.dispatchEvent(new Event('change')); return performance.now() - began })()"
    )
    assert took < ANSWERS_MS
    assert where(shown) == "1–50 of 1,000 (of 10,300 in all)"
    search(shown, "company 9990")
    assert where(shown) == "1–1 of 1 (of 10,300 in all)"
    assert "Company 9990" in entries(shown)[0]
    marked = shown.run("[...document.querySelectorAll('#list mark')].map(it => it.textContent)")
    assert marked == ["9990", "Company", "9990"], "in the key, too"
    shown.run("document.getElementById('clear').click()")
    choose(shown, "outcome", "rejected")
    assert where(shown) == "1–50 of 300 (of 10,300 in all)"
    choose(shown, "outcome", "")
    choose(shown, "property", "size")
    assert where(shown) == "1–50 of 8,000 (of 10,300 in all)"
    search(shown, "+31 10 000042")
    assert where(shown) == "1–1 of 1 (of 10,300 in all)"
    search(shown, "nobody has this")
    assert (where(shown), entries(shown)) == ("none of 10,300", [])
    assert shown.run("document.getElementById('none').offsetHeight > 0")


@pytest.mark.parametrize(
    ("text", "is_found"),
    [("client-2", True), ("5002", True), ("INDUSTRY", True), ("010-1", True), ("policy ours", True), ("zzz", False)],
)
def test_search_looks_at_key_id_property_and_values(
    warehouse: Warehouse, page: Any, text: str, is_found: bool
) -> None:
    """In letters of any size, and for all words wherever they stand."""
    shown = page(stored(warehouse, one_of_each()[0]))
    search(shown, text)
    assert any("client-2" in entry for entry in entries(shown)) is is_found


def test_pages_are_turned_to_the_end_and_back(warehouse: Warehouse, page: Any) -> None:
    """Every change can be reached, with the keyboard alone."""
    shown = page(stored(warehouse, many(120)))
    seen = []
    for _ in range(3):
        seen += [re.findall(r"client-\d+", entry)[0] for entry in entries(shown)]
        shown.run("document.querySelector('[data-turn=\"1\"]').focus()")
        shown.press("Enter", 13)
    assert seen == [f"client-{number}" for number in range(1, 121)]
    assert where(shown) == "101–120 of 120"
    assert shown.run("document.querySelector('[data-turn=\"1\"]').disabled")
    shown.run("document.querySelector('[data-turn=\"-1\"]').click()")
    assert where(shown) == "51–100 of 120"
    assert shown.run("document.activeElement.id") == "changes-head", "who hears the page is told where it begins"


def test_odd_values_are_text(warehouse: Warehouse, page: Any) -> None:
    """What anybody typed into the CRM runs nothing, ends no block and turns no letters around."""
    changes = [change(n, key=odd, fields={odd or "x": Edit(odd, f"{odd}!")}) for n, odd in enumerate(ODD, 1)]
    rows = [
        PlanRow(
            key=odd, outcome=plan.CONFLICT, problems=[problem(plan.CONFLICT, odd, reason=odd, ours=odd, theirs=odd)]
        )
        for odd in ODD
    ]
    head = header(notes=ODD, left_columns={odd: odd for odd in ODD}, mapping="hubspot.<b>x</b>")
    shown = page(stored(warehouse, changes, rows, head=head, pushed={"trips": ODD, "error": ODD[4]}))
    assert shown.run("window.broken === undefined")
    assert shown.run("document.querySelectorAll('main img, main a, main b b, main script').length") == 0
    assert shown.run("document.title").endswith("hubspot.<b>x</b>")
    assert len(entries(shown)) == 2 * len(ODD)
    cell = "document.querySelectorAll('#list > li')[{}].querySelector('tbody td').textContent"
    for number, odd in enumerate(ODD):
        found = shown.run(cell.format(number))
        if not odd:
            assert found == "empty"
        elif "\u202e" in odd:
            assert found == "\\u202etxt.exe\\u202c and \\u200bnothing \\u001b[31mred\\u001b[0m \\u0007"
        elif odd.startswith(" "):
            assert found == "··blanks around··"
        else:
            shown_as = odd.replace("\r", "\\r").replace("\t", "\\t")
            assert found == shown_as.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    heads = shown.run("document.querySelector('.plan').innerText")
    assert "</script><script>window.broken = true</script><!--" in heads
    assert "\u202e" not in heads


def test_a_long_value_is_cut_where_it_differs_and_shown_whole_on_request(warehouse: Warehouse, page: Any) -> None:
    """Ten thousand letters would hide the nine others of the page."""
    shown = page(stored(warehouse, [change(1, fields={"note": Edit(LONG + "old", LONG + "new")})]))
    assert shown.run("document.querySelector('#list del').textContent") == "old"
    assert shown.run("document.querySelector('#list ins').textContent") == "new"
    assert len(entries(shown)[0]) < 1_000
    shown.run("document.querySelector('#list .more').click()")
    assert shown.run("document.querySelector('#list .value:not(h3 *)').textContent") == LONG + "old"


def test_a_change_of_many_properties_shows_some_until_the_rest_is_asked_for(warehouse: Warehouse, page: Any) -> None:
    """Fifty creates of two hundred properties each would be ten thousand rows."""
    shown = page(stored(warehouse, [change(1, fields={f"p{n:03}": Edit(None, f"value {n}") for n in range(200)})]))
    rows = "document.querySelectorAll('#list tbody tr').length"
    assert shown.run(rows) == 12
    search(shown, "p150")
    assert "p150" in entries(shown)[0], "what was searched for is among them"
    shown.run("document.querySelector('#list .more').click()")
    assert shown.run(rows) == 200


def test_what_cannot_be_seen_is_told(warehouse: Warehouse, page: Any) -> None:
    """Every control has a name for a screen reader, and how many were found is announced."""
    shown = page(stored(warehouse, *one_of_each()))
    names = shown.run(
        "[...document.querySelectorAll('input, select, button')].map(it => (it.labels && it.labels[0] ? "
        "it.labels[0].innerText : it.innerText).trim())"
    )
    assert all(names)
    assert shown.run("document.getElementById('where').getAttribute('role')") == "status"
    assert shown.run("document.querySelectorAll('table:not(:has(th[scope=col]))').length") == 0
    assert shown.run("document.documentElement.lang") == "en"
    levels = shown.run("[...document.querySelectorAll('h1, h2, h3')].map(it => Number(it.tagName[1]))")
    assert levels[0] == 1
    assert all(after - before < 2 for before, after in zip(levels, levels[1:], strict=False))


def test_the_head_has_counts_checksum_limits_conflicts_and_rejects(warehouse: Warehouse, page: Any) -> None:
    """It is what is printed and put into the file; it is there without JavaScript, too."""
    changes, rows = one_of_each()
    pushed = {"trips": (TRIP,), "counts": Counts(created=1_234, conflicts=2), "associated": 5}
    shown = page(stored(warehouse, changes, rows, head=header(left_columns={"owner": "read-only"}), pushed=pushed))
    shown.ask("Emulation.setEmulatedMedia", media="print")
    head = shown.run("document.querySelector('.plan').innerText")
    for text in (
        "1,234 to create",
        "c" * 32,
        TRIP,
        "--force",
        "Both sides changed it.",
        "client_id is blank: nothing tells which record it is.",
        "5 edges",
    ):
        assert re.sub(r"\s+", " ", text) in re.sub(r"\s+", " ", head)
    assert shown.run("document.querySelector('.bar').offsetHeight") == 0, "nobody can type on paper"
    pages = shown.ask("Page.printToPDF")["data"]
    assert len(pages) > 10_000
    shown.ask("Emulation.setEmulatedMedia", media="")


def test_several_plans_stand_in_one_page(warehouse: Warehouse, page: Any) -> None:
    """A pattern pushes several mappings: the mapping is a filter then, and none where there is but one."""
    two = header(mapping="hubspot.contacts")
    shown = page(stored(warehouse, many(30)), stored(warehouse, many(7), head=two))
    assert where(shown) == "1–37 of 37"
    choose(shown, "mapping", "1")
    assert where(shown) == "1–7 of 7 (of 37 in all)"
    assert "hubspot.contacts" in entries(shown)[0]
    assert shown.run("document.querySelectorAll('.plan h1').length") == 2
    alone = page(stored(warehouse, many(30)))
    assert alone.run("document.getElementById('mapping').offsetHeight") == 0
    alone.requests.pop()


def test_a_plan_of_nothing_has_no_list(warehouse: Warehouse, page: Any) -> None:
    """Filters of nothing would only be in the way."""
    shown = page(stored(warehouse, [], pushed={"counts": Counts(unchanged=5)}))
    assert shown.run("document.getElementById('changes').offsetHeight") == 0


def test_personal_values_are_not_in_the_file(warehouse: Warehouse, tmp_path: Path) -> None:
    """Hidden is not there at all: a page's source is read as easily as the page."""
    path = tmp_path / "plan.html"
    for shows in (False, True):
        with Report(path) as report:
            report.add(with_people(warehouse, personal=PERSONAL, shows_personal=shows))
        written = path.read_text(encoding="utf-8")
        assert [secret for secret in SECRETS if secret in written] == (list(SECRETS) if shows else [])
        assert ("--show-personal" in written) is not shows


def test_a_report_that_fails_leaves_what_was_there(warehouse: Warehouse, tmp_path: Path) -> None:
    """Half a plan must not be taken for a whole one."""
    path = tmp_path / "plan.html"
    path.write_text("before")
    with pytest.raises(ZeroDivisionError), Report(path) as report:
        report.add(stored(warehouse, many(5)))
        _ = 1 / 0
    assert path.read_text() == "before"
    with Report(path):
        pass
    assert [each.name for each in tmp_path.iterdir()] == ["plan.html"]
    assert path.read_text() == "before", "without a plan there is no report"


@pytest.mark.parametrize("name", ["plan.pdf", "plan", "no/such/folder/plan.html", "folder.html"])
def test_a_report_that_cannot_be_written_is_wrong_usage_beforehand(tmp_path: Path, name: str) -> None:
    """Nobody wants to hear of it behind a push of an hour."""
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(UsageError, match="--report"):
        plan_html.check(tmp_path / name)
    plan_html.check(tmp_path / "plan.html")


def test_the_page_runs_its_own_script_only(warehouse: Warehouse, page: Any) -> None:
    """Its policy names the script by digest: what got in by a fault of ours would not run either."""
    shown = page(stored(warehouse, many(3)))
    shown.run(
        "(() => { const it = document.createElement('script'); it.textContent = 'window.broken = 1';"
        "document.body.append(it) })()"
    )
    assert shown.run("window.broken") is None
    assert any("Content Security Policy" in error for error in shown.errors), shown.errors
    shown.errors.clear()
