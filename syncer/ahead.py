"""
Work done ahead by a few threads, its results in order: how a source asks for the next answers while this one is used.

Not here: what a request costs (`budget.py`), and what is read ahead of the loader (`reading.py`).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

WAITING_A_WORKER = 1  # finished results that may wait for each worker: memory stays bounded however slow the reader is


def ahead(function: Callable[[T], R], items: Iterable[T], *, workers: int = 4) -> Iterator[R]:
    """
    Yield `function(item)` of each item, in the order of *items*; at most *workers* run, and as many results wait.

    *items* is drawn by the thread that reads the results, and only as far ahead as that. One worker is a plain map:
    the same requests in the same order each time. What a call (or *items*) raises comes out where its result would
    have stood, after the results before it. Closing the generator, or an error, starts nothing more and waits for
    what runs.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    yield from _pooled(function, iter(items), workers)


def _pooled(function: Callable[[T], R], items: Iterator[T], workers: int) -> Iterator[R]:
    stopped = threading.Event()

    def run(item: T) -> R:
        if stopped.is_set():
            raise RuntimeError("stopped before it began")  # nobody waits for this result any more
        return function(item)

    pool = ThreadPoolExecutor(workers, thread_name_prefix="syncer-ahead")
    under_way: deque[Future[R]] = deque()
    most = workers * (1 + WAITING_A_WORKER)
    trouble: Exception | None = None
    is_more = True
    try:
        while is_more or under_way:
            while is_more and len(under_way) < most:
                try:
                    item = next(items)
                except StopIteration:
                    is_more = False
                except Exception as error:  # noqa: BLE001  # kept until the results before it are out, then raised as it is
                    is_more, trouble = False, error
                else:
                    under_way.append(pool.submit(run, item))
            if under_way:
                yield under_way.popleft().result()
        if trouble is not None:
            raise trouble
    finally:
        stopped.set()
        pool.shutdown(wait=True, cancel_futures=True)
