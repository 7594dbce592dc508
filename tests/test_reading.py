"""Reading ahead: groups are closed in time, large pages are parted, and little is read ahead of the loader."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from syncer import reading
from syncer.clock import SystemClock
from syncer.errors import WarehouseError
from syncer.inbound import Inbound
from syncer.rows import Typing
from syncer.sources import DELETED, Page, State, Whole
from syncer.warehouses import duckdb
from tests.conftest import Site, only, own_module
from tests.test_inbound import say, thing


def wide(number: int, size: int) -> dict[str, Any]:
    return thing(number, name=f"{number} " * (size // len(f"{number} ")))


def test_a_page_that_is_too_large_is_parted() -> None:
    """Place, states and the end of a whole come with the last part only: a kill between two loses none of them."""
    whole = Whole(columns=("thing_id",), values=[(1,)], absent=DELETED)
    page = Page(
        scope="s",
        place={"n": 1},
        records=[wide(n, 100_000) for n in range(100)],
        whole=whole,
        states=[State(key=(1,), state=DELETED)],
    )
    parts = list(reading.parts_of(page))
    assert 2 <= len(parts) <= 5
    assert [record for part in parts for record in part.records] == page.records
    assert [part.place for part in parts] == [None] * (len(parts) - 1) + [{"n": 1}]
    assert [len(part.states) for part in parts] == [0] * (len(parts) - 1) + [1]
    ends = [(part.whole.first, part.whole.last) for part in parts if part.whole is not None]
    assert ends[0] == (True, False) and ends[-1] == (False, True) and set(ends[1:-1]) <= {(False, False)}
    assert list(reading.parts_of(parts[-1])) == [parts[-1]]


def test_a_slice_of_several_parts_ends_what_is_in_none_of_them(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys of a slice's first parts are in an earlier group than its end."""
    monkeypatch.setattr(reading, "GROUP_BYTES", 2_000)
    monkeypatch.setattr(reading, "CHUNK_BYTES", 1_000)
    monkeypatch.setattr(reading, "GROUP_ROWS", 10)

    def notes(*numbers: int) -> Page:
        whole = Whole(columns=("thing_id",), values=[(1,)], within=("thing_id",), absent=DELETED)
        return Page(scope="1", records=[{"thing_id": 1, "name": f"{n:099}"} for n in numbers], whole=whole)

    say(site, notes(*range(100)))
    assert site.pull("scripted.notes").inserted == 100
    say(site, notes(*range(5, 100)))
    done = site.pull("scripted.notes")
    assert (done.gone, done.unchanged) == (5, 95)


@only("duckdb", "a server's memory is its own")
@pytest.mark.parametrize(("larger", "status"), [((), "failed"), (("256MB",), "done")])
def test_large_records_get_the_memory_that_they_need(
    site: Site, monkeypatch: pytest.MonkeyPatch, larger: tuple[str, ...], status: str
) -> None:
    """150 MB of texts in 1,500 rows: groups go by bytes, and DuckDB may use more where a row group needs it."""
    monkeypatch.setattr(duckdb, "MEMORY_LIMIT", "24MB")
    monkeypatch.setattr(duckdb, "LARGER", larger)
    site.settings = attrs.evolve(site.settings, memory_limit="24MB")

    def read(stream: str, places: Any) -> Iterator[Page]:
        yield Page(records=[thing(n) for n in range(2_000)], place={"n": 0})
        for page in range(15):
            first = 5_000 + page * 100
            yield Page(records=[wide(n, 100_000) for n in range(first, first + 100)], place={"n": page})

    site.script.read = read
    done = site.pull()
    assert (done.status, done.inserted == 3_500) == (status, status == "done"), done


def test_what_was_not_committed_is_not_counted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk was full at the second group: the run says what stands, and no more."""
    monkeypatch.setattr(reading, "GROUP_ROWS", 2)
    write, times = Inbound._write, iter((True, False))

    def failing(self: Inbound, *args: Any, **options: Any) -> None:
        write(self, *args, **options) if next(times, False) else self._count(args[0], 2, 2, 0, 0)
        if self.pulled.inserted > 2:
            raise WarehouseError("the disk is full")

    monkeypatch.setattr(Inbound, "_write", failing)
    say(site, *(Page(records=[thing(n), thing(n + 1)], place={"n": n}) for n in (1, 3)))
    done = site.pull()
    assert (done.status, done.inserted) == ("failed", 2)
    assert site.rows("SELECT COUNT(*) FROM load.scripted_things") == [(2,)]
    assert site.rows("SELECT inserted FROM syncer.runs") == [(2,)]


def reader_of(pages: Iterator[Page], on_page: Any = lambda page: None) -> reading.Reader:
    mapping = own_module("mappings", "scripted").THINGS
    return reading.Reader(pages, Typing(mapping), clock=SystemClock(), on_page=on_page)


def test_while_a_group_is_loaded_a_few_pages_are_read_ahead() -> None:
    """Enough to hide the network, and no more: memory stays as it is however slow the warehouse."""
    given: list[int] = []
    go = threading.Event()

    def pages() -> Iterator[Page]:
        go.wait(30)
        for n in range(1, 40):
            given.append(n)
            yield Page(records=[thing(n)], place={"n": n})

    reader = reader_of(pages())
    reader.take()  # the first group, empty; it is being loaded now
    go.set()
    time.sleep(0.3)
    assert len(given) == reading.PAGES_AHEAD + 1
    while not reader.wait(5):
        pass
    group, is_last = reader.take()
    assert is_last and group.places[""][0] == {"n": 39}
    reader.stop()


def test_a_reader_that_is_stopped_asks_for_nothing_more() -> None:
    """Also one that waits for room, or for an answer that does not come."""
    hold = threading.Event()

    def pages() -> Iterator[Page]:
        yield Page(records=[thing(1)])
        hold.wait(30)
        yield Page(records=[thing(2)])

    seen: list[Page] = []
    reader = reader_of(pages(), on_page=seen.append)
    began = time.monotonic()
    threading.Timer(0.2, hold.set).start()
    reader.stop()
    assert len(seen) == 1 and time.monotonic() - began < 5


def test_what_is_raised_in_progress_comes_out_behind_the_groups_before_it() -> None:
    """As what the source raises does."""

    class Stop(Exception):
        pass

    def stop(page: Page) -> None:
        if page.place == {"n": 3}:
            raise Stop

    reader = reader_of((Page(records=[thing(n)], place={"n": n}) for n in range(1, 9)), on_page=stop)
    while not reader.wait(5):
        pass
    assert reader.take()[1]
    with pytest.raises(Stop):
        reader.check()
    reader.stop()
