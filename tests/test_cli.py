"""
The command line: what is printed where, exit codes, JSON, and that every mistake is one readable line.

Over a real shop on 127.0.0.1; in this process where a test only looks at what is printed, in one of its own where it
is about processes, encodings and imports.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from syncer.verbs import listing, worst
from tests.conftest import query_file
from tests.shop import TOKEN, Shop, Syncer, one_line, passed, started

pytest_plugins = ["tests.shop.fixtures"]
OWN = Path(__file__).parent / "shop"
RUN_KEYS = {
    "run", "mapping", "environment", "status", "read", "inserted", "updated", "unchanged", "gone", "rejected",
    "requests", "mark",
}  # fmt: skip


def test_pull_prints_one_line_a_mapping(syncer: Syncer) -> None:
    """A person sees what each mapping did; nothing goes to stderr when all is well."""
    result = syncer("pull", "shop.items", "shop.orders")
    lines = result.out.splitlines()
    assert (result.code, result.err) == (0, "")
    assert lines[0].startswith("pull shop.items: 120 read: 120 inserted")
    assert lines[1].startswith("pull shop.orders: 3 read: 3 inserted")
    assert lines[2].startswith("2 mappings: 123 rows written")


def test_second_pull_of_an_unchanged_source_writes_nothing(syncer: Syncer) -> None:
    """The first promise that a newcomer tries."""
    syncer("pull", "shop.items")
    result = syncer("pull", "shop.items", "--full")
    assert result.code == 0 and one_line(result.out)
    assert "0 inserted, 0 updated, 120 unchanged" in result.out


def test_json_has_the_fixed_names(syncer: Syncer) -> None:
    """Schedulers read them."""
    run = syncer("pull", "shop.items", "--output", "json").json["runs"][0]
    assert set(run) >= RUN_KEYS and run["mode"] == "incremental" and "error" not in run
    assert (run["status"], run["read"], run["inserted"], run["mark"]) == ("done", 120, 120, "000120")


def test_json_is_written_as_it_goes(variables: dict[str, str], shop: Shop) -> None:
    """A run stands on stdout when it ends, not when the last one does."""
    open_gate = threading.Event()
    shop.gate = lambda stream: None if stream == "items" else passed(open_gate)
    process = started("pull", "shop.items", "shop.orders", "--output=json")
    assert process.stdout is not None
    begun = process.stdout.readline() + process.stdout.readline()
    open_gate.set()
    rest, _ = process.communicate(timeout=60)
    assert json.loads(begun + b"]}")["runs"][0]["mapping"] == "shop.items"
    assert len(json.loads(begun + rest)["runs"]) == 2


def test_failed_mapping_does_not_keep_the_others_from_running(syncer: Syncer, shop: Shop) -> None:
    """The exit code is the worst one; the error stands in its own entry."""
    shop.forbidden = {"items"}
    result = syncer("pull", "shop.items", "shop.orders", "--output", "json")
    failed, done = result.json["runs"]
    assert result.code == 1
    assert (failed["status"], done["status"], done["inserted"]) == ("failed", "done", 3)
    assert "403" in failed["error"]


def test_debug_shows_where_the_error_of_a_run_came_from(syncer: Syncer, shop: Shop) -> None:
    """It became an outcome, and its author looks for the line all the same."""
    shop.forbidden = {"items"}
    result = syncer("pull", "shop.items", "--debug")
    assert result.code == 1 and "Traceback" not in syncer("pull", "shop.items").err
    assert "in read" in result.err and "NotAllowed: " in result.err


def test_failure_goes_to_stderr(syncer: Syncer, shop: Shop) -> None:
    """cron mails what comes there."""
    shop.forbidden = {"items"}
    result = syncer("pull", "shop.items")
    assert (result.code, result.out) == (1, "") and one_line(result.err)


def test_rejects_exit_3_and_say_where_to_look(syncer: Syncer, shop: Shop) -> None:
    """Done, but a person must look: also with --quiet."""
    shop.records["items"][4]["price"] = "a lot"
    result = syncer("pull", "shop.items", "--quiet")
    assert result.code == 3 and "1 rejected" in result.out
    assert "`syncer status shop.items --rejects`" in result.out


def test_part_that_may_not_be_read_exits_3(syncer: Syncer, shop: Shop) -> None:
    """One scope fails; the rest is loaded, and nothing ends."""
    shop.locked = {"orders"}
    result = syncer("pull", "shop.orders")
    assert result.code == 3 and "3 inserted" in result.out
    assert "the cellar is locked. Ask for the key." in syncer("status", "--rejects").out


def test_census_says_what_it_walked_and_ended(syncer: Syncer, shop: Shop) -> None:
    """`0 read` alone would look as if nothing had been done."""
    syncer("pull", "shop.*s")
    del shop.records["items"][10:15]
    result = syncer("pull", "shop.items", "shop.orders", "--census")
    assert result.code == 0 and "115 keys" in result.out.splitlines()[0]
    assert result.out.splitlines()[2].startswith("2 mappings: 0 rows written, 5 ended, ")
    run = syncer("pull", "shop.items", "--census", "--output", "json").json["runs"][0]
    assert (run["mode"], run["keys"], run["read"], run["braked"]) == ("census", 115, 0, 0)
    text = syncer("status", run["run"]).out
    assert "mode       census, 115 keys met" in text
    table = syncer("status").out.splitlines()
    assert "keys" in table[0].split() and "115" in table[1].split()


def test_census_that_ended_nothing_names_the_finding(syncer: Syncer, shop: Shop) -> None:
    """Rejects are something else; the finding is shown with them, where a person looks."""
    syncer("pull", "shop.items")
    del shop.records["items"][10:]
    result = syncer("pull", "shop.items", "--census")
    assert result.code == 3 and "max_gone_share" in result.out and "`syncer status shop.items`" in result.out
    assert "`syncer pull shop.items --census --force`" in result.out and "--rejects" not in result.out
    run = syncer("status", "shop.items", "--output", "json").json["runs"][0]
    assert run["braked"] == 110
    assert "110 of 120 live rows would end" in syncer("status", "shop.items", "--rejects").out
    assert "110 would have ended and did not" in syncer("status", run["run"]).out
    assert "10 keys" in syncer("pull", "shop.items", "--census", "--force").out


def test_rejects_are_named_beside_a_brake(syncer: Syncer, shop: Shop) -> None:
    """A value that could not be loaded is not explained by rows that did not end."""
    syncer("pull", "shop.items")
    del shop.records["items"][10:]
    shop.records["items"].append({"id": 500, "name": "new", "price": "a lot"})
    result = syncer("pull", "shop.items", "--census")
    assert result.code == 3 and "--census --force" in result.out and "--rejects" in result.out


def test_quiet_says_nothing_when_all_is_well(syncer: Syncer) -> None:
    """For cron."""
    result = syncer("pull", "shop.*rs", "-q")
    assert (result.code, result.out, result.err) == (0, "", "")


@pytest.mark.parametrize(
    ("codes", "expected"), [([], 0), ([0, 3], 3), ([3, 4], 4), ([4, 2, 3], 2), ([3, 2, 1, 4, 0], 1), ([0, 0], 0)]
)  # fmt: skip
def test_the_worst_exit_code_wins(codes: list[int], expected: int) -> None:
    """In the order 1, 2, 4, 3, 0."""
    assert worst(codes) == expected


def test_mapping_that_another_process_pulls(syncer: Syncer, shop: Shop) -> None:
    """The second one says who holds it and exits 1; with --wait it waits, and then pulls."""
    reached, open_gate = threading.Event(), threading.Event()

    shop.gate = lambda stream: passed(open_gate, reached)
    first = started("pull", "shop.items")
    assert reached.wait(60)
    refused = syncer("pull", "shop.items")
    threading.Timer(0.5, open_gate.set).start()
    waited = syncer("pull", "shop.items", "--wait")
    assert first.wait(60) == 0
    assert refused.code == 1 and str(first.pid) in refused.err
    assert waited.code == 0 and "0 inserted" in waited.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["pull"], "NAME"),
        (["pull", "shop.itms"], "shop.items"),
        (["pull", "shop"], "'shop.*'"),
        (["list", "shop"], "'shop.*'"),
        (["status", "shop"], "'shop.*'"),
        (["pull", "shop.items", "--ful"], "--full"),
        (["pul"], "pull"),
        (["pull", "shop.items", "--full", "--census"], "--census"),
        (["pull", "shop.items", "--force"], "--census"),
        (["pull", "shop.items", "--wait", "soon"], "soon"),
        (["pull", "shop.items", "--output", "xml"], "json"),
        (["pull", "shop.items", "--environment", "No!"], "No!"),
        (["pull", "shop.items", "--warehouse", "oracle:x"], "--warehouse is 'oracle:…'"),
        (["status", "--warehouse", "x.duckdb"], "--warehouse is 'x.duckdb'; duckdb:PATH"),
        (["status", "--warehouse", "duckdb:"], "--warehouse is"),
        (["status", "--warehouse", "duckdb:not/there.duckdb"], "--warehouse names"),
        (["list", "nothing.*"], "nothing.*"),
        (["status", "shop.itms"], "shop.items"),
        (["status", "--max-age", "1y"], "26h"),
        (["check", "shp"], "shop"),
        (["sandbox", "--port", "70000"], "65535"),
        (["sandbox", "--minutes", "0"], "--minutes"),
        (["sandbox", "--minutes=nan"], "--minutes"),
        (["demo", "--folder", "not/there"], "not"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(syncer: Syncer, arguments: list[str], told: str) -> None:
    """The line names what is wrong, and the nearest thing that is right; the same as JSON, with nothing beside it."""
    text = syncer(*arguments)
    assert (text.code, text.out) == (2, "")
    assert one_line(text.err) and text.err.startswith("syncer: ") and told in text.err
    document = syncer(*[each for each in arguments if each not in ("--output", "xml")], "--output=json")
    if "xml" not in arguments:
        assert document.code == 2 and document.err == ""
        assert set(document.json["error"]) == {"type", "message", "hint"}


@pytest.mark.parametrize("url", ["odbc:Driver=x;PWD=a;b", "Driver=x;PWD=a", "oracle:x", "odbc:UID=ada"])
def test_a_wrong_warehouse_is_blamed_on_the_line_that_names_it(
    syncer: Syncer, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """Nobody set the variable; where it is set, it is the one."""
    toml = Path("syncer.toml")
    toml.write_text(f"{toml.read_text()}[warehouse]\nurl = '{url}'\n", encoding="utf-8")
    for verb in (["status"], ["pull", "shop.items"], ["check", "shop"]):
        result = syncer(*verb)
        told = " ".join((result.out + result.err).split())
        assert f"{toml.absolute()}, line 4, url in [warehouse]" in told and "SYNCER_WAREHOUSE:" not in told
        assert "SYNCER_WAREHOUSE is" not in told and result.code in (1, 2)
    assert "--warehouse is 'oracle:…'" in syncer("status", "--warehouse", "oracle:x").err
    monkeypatch.setenv("SYNCER_WAREHOUSE", url)
    monkeypatch.setenv("SYNCER_WAREHOUS", "x")
    assert "SYNCER_WAREHOUSE" in syncer("status").err
    monkeypatch.delenv("SYNCER_WAREHOUSE")
    toml.write_text(toml.read_text().replace(url, "duckdb:a.duckdb"))
    assert "Did you mean SYNCER_WAREHOUSE?" in syncer("check", "shop").out


def test_missing_token_names_the_variable(syncer: Syncer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was tried, so it is usage."""
    monkeypatch.setenv("SYNCER_SHOP_TOKEN", "")
    result = syncer("pull", "shop.items")
    assert result.code == 2 and one_line(result.err)
    assert "SYNCER_SHOP_TOKEN (the one on the wall)" in result.err


def test_wrong_token_fails_the_run_without_showing_it(syncer: Syncer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that expired last night."""
    monkeypatch.setenv("SYNCER_SHOP_TOKEN", "yesterday's")
    result = syncer("pull", "shop.items")
    assert result.code == 1 and "401" in result.err and "yesterday" not in result.err
    assert query_file(Path("warehouse.duckdb"), "SELECT status FROM syncer.runs") == [("failed",)]


def test_token_of_another_account_is_refused(syncer: Syncer, shop: Shop) -> None:
    """Records of two accounts must never be mixed."""
    syncer("pull", "shop.items")
    shop.account = "the supermarket"
    result = syncer("pull", "shop.items")
    assert result.code == 1 and one_line(result.err)
    assert "the supermarket" in result.err and "--environment" in result.err


def test_warehouse_that_is_none(syncer: Syncer) -> None:
    """The file is left alone; no run can be written down, so the whole answer is an error."""
    Path("warehouse.duckdb").write_text("a letter", encoding="utf-8")
    text, document = syncer("pull", "shop.items"), syncer("pull", "shop.items", "--output", "json")
    assert text.code == 1 and one_line(text.err) and "is not a DuckDB file" in text.err
    assert document.json["error"]["type"] == "WarehouseError"
    assert Path("warehouse.duckdb").read_text(encoding="utf-8") == "a letter"


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the faulty source up."""
    monkeypatch.setenv("SYNCER_FAULTY_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("SYNCER_FAULTY_TOKEN", TOKEN)


def test_fault_of_a_persons_own_file_names_the_file_and_no_value(syncer: Syncer, faulty: None) -> None:
    """Whoever wrote the source finds the line; what a library raised may hold a record's values."""
    result = syncer("pull", "faulty.values")
    file = OWN / "sources" / "faulty.py"
    line = 1 + file.read_text(encoding="utf-8").splitlines().index('            raise KeyError("a record\'s value")')
    assert result.code == 1 and one_line(result.err)
    assert f"KeyError in {file}, line {line}: the error is in that file" in result.err
    assert "fault of syncer" not in result.err and "a record's value" not in result.err


def test_fault_that_a_persons_own_file_causes_in_a_library_is_its_own(syncer: Syncer, faulty: None) -> None:
    """The line of theirs that called the library."""
    result = syncer("pull", "faulty.dates")
    assert result.code == 1 and f"ValueError in {OWN / 'sources' / 'faulty.py'}, line" in result.err


def test_fault_of_a_persons_own_file_while_it_is_loaded(syncer: Syncer, tmp_path: Path) -> None:
    """Whatever it raises, file and line are told."""
    folder = tmp_path / "own" / "mappings"
    folder.mkdir(parents=True)
    Path("syncer.toml").write_text(f"[syncer]\nfolders = ['{folder.parent.as_posix()}']\n", encoding="utf-8")
    for wrong in ("1 / 0", "nothing", "(", "import nothing"):
        (folder / "wrong.py").write_text(f"X = 1\n{wrong}\n", encoding="utf-8")
        result = syncer("list")
        assert result.code in (1, 2) and one_line(result.err)
        assert f"{folder / 'wrong.py'}, line 2" in result.err and "fault of syncer" not in result.err


def test_fault_of_syncer_is_called_one(syncer: Syncer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks for it in a file of their own."""

    def broken(*given: object) -> None:
        raise KeyError("a record's value")

    monkeypatch.setattr(listing, "_entry", broken)
    result = syncer("list")
    assert result.code == 1 and "KeyError in listing.py, line" in result.err and "fault of syncer" in result.err


def test_fault_after_a_run_leaves_the_document_whole(syncer: Syncer, faulty: None) -> None:
    """The runs that ended stand there; the error comes behind them."""
    result = syncer("pull", "shop.orders", "faulty.values", "--output", "json")
    assert result.code == 1
    assert [run["status"] for run in result.json["runs"]] == ["done"]
    assert "KeyError" in result.json["error"]["message"]


def test_debug_shows_the_traceback_and_no_secret(syncer: Syncer, faulty: None) -> None:
    """Neither the token nor the text of an error that is not ours."""
    fault = syncer("pull", "faulty.values", "--debug")
    leak = syncer("pull", "faulty.secrets", "--debug")
    assert "in read" in fault.err and "KeyError (text not shown)" in fault.err
    assert TOKEN not in fault.err + leak.err and "must not be shown: ***" in leak.err


def test_list_shows_directions_tables_and_keys(syncer: Syncer) -> None:
    """What a person looks for before the first pull."""
    text = syncer("list", "shop.i*", "--environment", "north")
    assert text.out.splitlines()[1].split() == ["shop.items", "in", "load.shop_items_north", "id"]
    entry = syncer("list", "shop.items", "--output", "json").json["mappings"][0]
    assert entry["directions"] == ["in"] and entry["key"] == ["id"] and entry["table"] == "load.shop_items"


@pytest.mark.parametrize("arguments", [["list"], ["--help"], ["pull", "--help"]])
def test_what_starts_quickly_imports_no_engine(variables: dict[str, str], arguments: list[str]) -> None:
    """Each of these costs a third or more of the third of a second that they may take."""
    code = (
        "import sys; from syncer.cli import main; main(sys.argv[1:]);"
        "slow = 'duckdb pyarrow sqlglot requests rich loguru pydantic diskcache'.split();"
        "sys.exit(', '.join(name for name in slow if name in sys.modules) or 0)"
    )
    found = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")


def test_status_without_a_warehouse_says_so_and_makes_none(syncer: Syncer) -> None:
    """The first thing that a careful person types."""
    result = syncer("status")
    assert result.code == 0 and "not there yet" in result.out
    assert syncer("status", "--max-age", "26h").code == 1
    assert not Path("warehouse.duckdb").exists()


def test_status_answers_while_a_pull_runs(syncer: Syncer, shop: Shop) -> None:
    """The pull lets go of the file while it waits; its progress and its lease are shown."""
    reached, open_gate = threading.Event(), threading.Event()

    shop.gate = lambda stream: None if stream == "items" else passed(open_gate, reached)
    process = started("pull", "shop.items", "shop.orders")
    assert reached.wait(60)
    began = time.monotonic()
    found = syncer("status", "--output", "json").json
    took = time.monotonic() - began
    open_gate.set()
    process.communicate(timeout=60)
    assert took < 5
    assert {run["mapping"]: run["status"] for run in found["runs"]} == {"shop.items": "done", "shop.orders": "running"}
    assert [(lease["mapping"], lease["pid"]) for lease in found["leases"]] == [("shop.orders", process.pid)]
    assert found["budget"][0]["used"] >= 3


def test_run_whose_process_was_killed_is_broken(syncer: Syncer, shop: Shop) -> None:
    """Its row says running for ever; nobody holds its lease."""
    reached, open_gate = threading.Event(), threading.Event()
    shop.gate = lambda stream: passed(open_gate, reached)
    process = started("pull", "shop.items")
    assert reached.wait(60)
    process.kill()
    process.communicate()
    open_gate.set()
    result = syncer("status")
    assert "broken" in result.out and "the next pull goes on" in result.out


def test_status_shows_rejects_as_they_can_be_printed(syncer: Syncer, shop: Shop) -> None:
    """What an API sent may hold what a terminal obeys."""
    shop.records["items"][0] = {"id": "x\x1b[2J", "name": "no key"}
    shop.records["items"][1]["price"] = "много"
    shop.forbidden = set()
    syncer("pull", "shop.orders")
    shop.records["items"] = [record for record in shop.records["items"] if isinstance(record["id"], int)]
    syncer("pull", "shop.items")
    result = syncer("status", "--rejects", "shop.*")
    assert "shop.items" in result.out and "price" in result.out and "\x1b" not in result.out


def test_status_of_one_run(syncer: Syncer) -> None:
    """By its id, or a clear beginning of it."""
    run = syncer("pull", "shop.items", "--output", "json").json["runs"][0]["run"]
    result = syncer("status", run[:8])
    assert result.code == 0 and f"run {run}: pull shop.items" in result.out and "120 inserted" in result.out
    assert syncer("status", "00000000").code == 2


def test_max_age_tells_what_has_not_finished(syncer: Syncer, shop: Shop) -> None:
    """The sync that silently never ran: exit 1, and which one."""
    syncer("pull", "shop.items")
    assert syncer("status", "--max-age", "1h").code == 0
    never = syncer("status", "--max-age", "1h", "shop.orders")
    assert never.code == 1 and "shop.orders never finished a run" in never.err
    late = syncer("status", "--max-age", "0s", "--output", "json")
    assert late.code == 1 and [each["mapping"] for each in late.json["stale"]] == ["shop.items"]


@pytest.mark.parametrize("more", [["--max-age", "2h"], ["abcd"]])
def test_last_goes_with_names_only(syncer: Syncer, more: list[str]) -> None:
    """A run has one row, and the newest alone tells whether it is late."""
    assert syncer("status", "--last", "2", *more).code == 2
    assert syncer("status", "--last", "0").code == 2


def test_last_lists_several_runs(syncer: Syncer) -> None:
    """The newest first."""
    for _ in range(3):
        syncer("pull", "shop.items")
    found = syncer("status", "shop.items", "--last", "2", "--output", "json").json["runs"]
    assert len(found) == 2 and found[0]["started_at"] > found[1]["started_at"] and found[1]["inserted"] == 0
