"""`ahead`: results in order, bounded, errors in their place, no thread left."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator

import pytest

from syncer.ahead import ahead


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("syncer-ahead")]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_results_come_in_the_order_of_the_items(workers: int) -> None:
    """A place is stored behind each result; out of order, a kill would skip those in between."""

    def slow_first(number: int) -> int:
        time.sleep(0.02 if number % 4 == 0 else 0)
        return number * 2

    assert list(ahead(slow_first, range(20), workers=workers)) == [number * 2 for number in range(20)]


def test_workers_run_side_by_side_and_no_more_than_asked() -> None:
    """The API bounds how many requests may be in flight."""
    together = threading.Barrier(3)
    running, most, lock = 0, 0, threading.Lock()

    def meet(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(timeout=5)
        with lock:
            running -= 1
        return number

    assert list(ahead(meet, range(9), workers=3)) == list(range(9))
    assert most == 3


def test_items_are_drawn_only_a_bounded_way_ahead() -> None:
    """Millions of ids must not pile up before a slow loader."""
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1_000):
            drawn.append(number)
            yield number

    results = ahead(lambda number: number, items(), workers=2)
    assert next(results) == 0
    assert len(drawn) <= 4
    results.close()  # type: ignore[attr-defined]  # a generator, told as an iterator


def test_one_worker_is_a_plain_map_in_the_callers_thread() -> None:
    """A seed that is run twice must give the same requests in the same order."""
    here = threading.get_ident()
    assert list(ahead(lambda _: threading.get_ident(), range(3), workers=1)) == [here] * 3


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_comes_after_the_results_before_it(workers: int) -> None:
    """What was read before a failure is committed, so it must come out first."""

    def third_fails(number: int) -> int:
        if number == 2:
            raise ValueError("third")
        time.sleep(0.01)
        return number

    seen: list[int] = []
    with pytest.raises(ValueError, match="third"):
        seen.extend(ahead(third_fails, range(50), workers=workers))
    assert seen == [0, 1]
    assert threads() == []


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_of_the_items_comes_in_its_place_too(workers: int) -> None:
    """The walk that finds ids fails while the records of earlier ids are under way: those are not thrown away."""

    def items() -> Iterator[int]:
        yield from range(3)
        raise ValueError("the walk broke")

    seen: list[int] = []
    with pytest.raises(ValueError, match="the walk broke"):
        seen.extend(ahead(lambda number: number, items(), workers=workers))
    assert seen == [0, 1, 2]


def test_closing_starts_nothing_more_and_ends_the_threads() -> None:
    """A pull that is stopped must not go on asking an API."""
    calls: list[int] = []

    def noted(number: int) -> int:
        calls.append(number)
        time.sleep(0.01)
        return number

    results = ahead(noted, range(1_000), workers=2)
    next(results)
    results.close()  # type: ignore[attr-defined]  # a generator, told as an iterator
    begun = len(calls)
    time.sleep(0.05)
    assert len(calls) == begun <= 4
    assert threads() == []


def test_closing_does_not_wait_for_a_call_that_takes_its_time() -> None:
    """A server that lets us wait must not hold up the next mapping, or Ctrl+C."""
    answered = threading.Event()
    results = ahead(lambda number: number or answered.wait(30), [1, 0, 1, 0, 1], workers=2)
    assert next(results) == 1
    began = time.monotonic()
    results.close()  # type: ignore[attr-defined]  # a generator, told as an iterator
    assert time.monotonic() - began < 5
    answered.set()
    while threads():
        time.sleep(0.01)


HANGER = """
import threading
from syncer.ahead import ahead
def read():
    for result in ahead(lambda number: number or threading.Event().wait(), [1, 0, 1], workers=2):
        print(result, flush=True)
threading.Thread(target=read, daemon=True).start()
threading.Event().wait()
"""


def test_no_thread_keeps_the_process_alive() -> None:
    """Ctrl+C ends it, and once is enough."""
    hanger = subprocess.Popen(
        [sys.executable, "-c", HANGER], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert hanger.stdout is not None and hanger.stdout.readline() == "1\n"
    time.sleep(0.2)
    hanger.send_signal(signal.SIGINT)
    _, told = hanger.communicate(timeout=20)
    assert told.count("Traceback") == 1 and told.strip().endswith("KeyboardInterrupt")


@pytest.mark.parametrize("items", [0, 1, 2])
def test_no_more_threads_than_items(items: int) -> None:
    """Most windows of an incremental pull hold a request or none."""
    most = 0

    def count(_: int) -> None:
        nonlocal most
        most = max(most, len(threads()))

    list(ahead(count, range(items), workers=4))
    assert most <= items


def test_results_are_not_kept_by_idle_threads() -> None:
    """An answer has megabytes."""

    class Large:
        pass

    def make(_: int) -> Large:
        return Large()

    results = ahead(make, range(3), workers=2)
    kept = [weakref.ref(next(results)) for _ in range(3)]
    time.sleep(0.1)
    gc.collect()
    assert [reference() for reference in kept] == [None, None, None]
    results.close()  # type: ignore[attr-defined]  # a generator, told as an iterator
