"""The spool keeps answers for the streams that share them."""

from __future__ import annotations

import threading
import time

import psutil
import pytest
from requests.structures import CaseInsensitiveDict

from syncer.errors import Unavailable
from syncer.spool import Spool
from syncer.transport import Answer


def answer(body: bytes = b"[1]") -> Answer:
    headers: CaseInsensitiveDict[str] = CaseInsensitiveDict({"Link": '<http://x/2>; rel="next"'})
    return Answer(status=200, headers=headers, body=body, url="http://x/1", where="GET /1")


def test_an_answer_comes_back_whole_and_is_asked_once() -> None:
    """The second stream must see what the first saw, its headers in any spelling included."""
    asked: list[int] = []
    with Spool() as spool:
        first = spool.once("a", lambda: asked.append(1) or answer())  # type: ignore[func-returns-value]
        second = spool.once("a", lambda: asked.append(1) or answer())  # type: ignore[func-returns-value]
        assert (first.data, second.data, second.headers["link"]) == ([1], [1], first.headers["Link"])
        assert (second.status, second.url, second.where) == (200, "http://x/1", "GET /1")
        assert (len(asked), spool.kept, spool.saved) == (1, 1, 1)


def test_keys_do_not_meet() -> None:
    """Two questions have two answers."""
    with Spool() as spool:
        spool.once("a", lambda: answer(b"[1]"))
        assert spool.once("b", lambda: answer(b"[2]")).data == [2]


def test_an_error_is_not_kept() -> None:
    """A time-out of one stream must not fail the next one."""

    def fails() -> Answer:
        raise Unavailable("no answer")

    with Spool() as spool:
        with pytest.raises(Unavailable):
            spool.once("a", fails)
        assert spool.once("a", answer).data == [1]


def test_what_two_threads_want_at_once_is_asked_once() -> None:
    """The look-ahead of two walks may want the same page; the second one waits for the first."""
    asked: list[int] = []

    def slow() -> Answer:
        asked.append(1)
        time.sleep(0.05)
        return answer()

    with Spool() as spool:
        threads = [threading.Thread(target=spool.once, args=("a", slow)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(asked), spool.saved) == (1, 7)


def test_memory_does_not_grow_with_the_answers() -> None:
    """Promise 15: 200 MB of answers stand in the file."""
    body = bytes(2_000_000)
    with Spool() as spool:
        before = psutil.Process().memory_info().rss
        for number in range(100):
            spool.once(str(number), lambda: answer(body))
        assert psutil.Process().memory_info().rss - before < 50_000_000
        assert len(spool.once("0", answer).body) == 2_000_000
