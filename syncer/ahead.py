"""
Work done ahead by a few threads, its results in order: how a source asks for the next answers while this one is used.

Not here: what a request costs (`budget.py`), and what is read ahead of the loader (`reading.py`).
"""

from __future__ import annotations

import concurrent.futures
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

WAITING_A_WORKER = 1  # finished results that may wait for each worker: memory stays bounded however slow the reader is
STOP_S = 1.0


def ahead(function: Callable[[T], R], items: Iterable[T], *, workers: int = 4) -> Iterator[R]:
    """
    Yield `function(item)` of each item, in the order of *items*; at most *workers* run, and as many results wait.

    *items* is drawn by the thread that reads the results, and only as far ahead as that. One worker is a plain map:
    the same requests in the same order each time. What a call (or *items*) raises comes out where its result would
    have stood, after the results before it. Closing the generator, or an error, starts nothing more and waits a moment
    for what runs; the result of what runs longer is nobody's.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    yield from _pooled(function, iter(items), workers)


class _Pool(Generic[T, R]):
    """
    Threads that call a function, one item after the other.

    Not a ThreadPoolExecutor: Python waits at its end for the threads of one, so that a server that says "in five
    minutes" would keep a process alive that was told to end.
    """

    def __init__(self, function: Callable[[T], R], workers: int) -> None:
        self._function = function
        self._workers = workers
        self._jobs: queue.SimpleQueue[tuple[Future[R], T] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def submit(self, item: T) -> Future[R]:
        """Have *item* done, by a new thread where there are not enough yet."""
        future: Future[R] = Future()
        self._jobs.put((future, item))
        if len(self._threads) < self._workers:
            name = f"syncer-ahead_{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def stop(self, under_way: Iterable[Future[R]]) -> None:
        """Begin nothing more, and wait a moment for what runs."""
        running = [future for future in under_way if not future.cancel()]
        for _ in self._threads:
            self._jobs.put(None)
        if concurrent.futures.wait(running, timeout=STOP_S).not_done:
            return
        for thread in self._threads:
            if thread is not threading.current_thread():  # a generator may be collected by any thread
                thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, item = job
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(self._function(item))
                except BaseException as error:  # noqa: BLE001  # carried to the thread that waits, whatever it is
                    future.set_exception(error)
            del job, future, item  # a thread that waits for the next job keeps no answer in memory


def _pooled(function: Callable[[T], R], items: Iterator[T], workers: int) -> Iterator[R]:
    pool = _Pool(function, workers)
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
                    under_way.append(pool.submit(item))
            if under_way:
                under_way[0].exception()  # waits for it where `stop` finds it
                yield under_way.popleft().result()
        if trouble is not None:
            raise trouble
    finally:
        pool.stop(under_way)
