"""
A warehouse over ODBC: one connection, its transactions, and the leases that live on it.

A lease is a lock of the session that commits: no connection, no lease, and no commit either. When the connection is
lost, whoever holds a lease is told so once, by the next transaction; then a new connection is a new beginning.

A commit whose answer is lost is settled by asking the server what became of it, never guessed.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from syncer.clock import Clock
from syncer.errors import LeaseHeld, SyncerError, WarehouseBusy, WarehouseError, WarehouseLost
from syncer.leases import Holder, held_by
from syncer.odbc import connecting, faults
from syncer.odbc.connecting import Link
from syncer.odbc.transaction import Transaction
from syncer.rewriting import Rewritten

if TYPE_CHECKING:
    import pyodbc

POLL_S = 0.2
NAMED_TRIES = 5  # POLL_S apart
ANOTHER, ANOTHER_S = "another connection", 10.0  # its thread, and how long it may take
WROTE_NOTHING = object()  # in place of a token: whatever became of the commit, nothing is lost
AGAIN = "Run it again: it goes on from what was committed."


class Lease:
    """A held lease: a lock of a session."""

    def __init__(self, warehouse: Warehouse, name: str, connection: pyodbc.Connection) -> None:
        self._warehouse, self.name, self._connection = warehouse, name, connection

    def check(self) -> None:
        """Make sure, within a transaction, that its session is the one that commits. Raises WarehouseLost."""
        if not self._warehouse.holds(self):
            raise self._warehouse.lost(self.name)

    def release(self) -> None:
        """Give the lease back; one whose connection is lost is free already."""
        self._warehouse.released(self, self._connection)


class Warehouse:
    """A server, or whatever is behind an ODBC driver. A backend fills in what its server does in a way of its own."""

    dialect: ClassVar[str]
    transactions: ClassVar[type[Transaction]]
    defaults: ClassVar[Mapping[str, str]] = {}  # of the connection string
    takes_nul = False  # drivers cut a text there, and say nothing
    longest_name: ClassVar[int | None] = None
    tells_losses: ClassVar[bool] = False  # its driver never connects again by itself: an answer is of the same session

    def __init__(self, link: Link, *, wait_s: float, clock: Clock) -> None:
        self.link, self.name = link, link.name
        self.wait_s, self.clock = wait_s, clock
        self._connection: pyodbc.Connection | None = None
        self._was_connected = False
        self._held: dict[str, Lease] = {}
        self._lost: dict[str, Lease] = {}  # whose connection is gone, and whose holder does not know it yet

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Open a transaction: commits at the end of the block, rolls back on an exception."""
        self._tell_lost()
        connection = self.opened()
        pyodbc = connecting.manager()
        try:
            transaction = self.transactions(connection.cursor())
            yield transaction
            transaction.finish()
            token = self.sealed(transaction)
        except pyodbc.Error as error:
            raise self.given_up(error) from error
        except BaseException:
            self._roll_back()
            raise
        try:
            connection.commit()
        except pyodbc.Error as error:
            self._settle(error, token)

    def rest(self, *, waiting: bool) -> None:
        """Nothing is held between transactions but the connection."""

    def grow(self) -> bool:
        """The server's memory is its own."""
        return False

    def exists(self) -> bool:
        """Tell whether there is anything of ours."""
        with self.transaction() as t:
            return self.has_state(t)

    def close(self) -> None:
        """Close the connection, and with it what it holds."""
        connection, self._connection = self._connection, None
        self._held.clear()
        self._lost.clear()
        if connection is not None:
            with contextlib.suppress(connecting.manager().Error):
                connection.close()

    # Leases.

    def lease(self, name: str, *, run: str, wait_s: float) -> Lease:
        """Take a lock of the session. Raises LeaseHeld, which says who holds it, and since when."""
        self._tell_lost()
        began = self.clock.monotonic()
        with self.transaction() as t:
            self.prepare_leases(t)
        self.recognise_pooler()
        unnamed = 0  # looks that found no holder: one that has just taken it, or is giving it back
        while name in self._held or not self._took_at_last(name, run, is_patient=wait_s > 0):
            if self.clock.monotonic() - began >= wait_s:
                holder = self._holder(name)
                if holder is not None or unnamed >= NAMED_TRIES:
                    raise self._held_by_other(holder, name, wait_s)
                unnamed += 1
            self.clock.sleep(POLL_S)
        lease = Lease(self, name, self.opened())
        self._held[name] = lease
        return lease

    def leases(self) -> dict[str, Holder]:
        """Return who holds which lease now."""
        with self.transaction() as t:
            return self.holders(t) if self.has_state(t) else {}

    def released(self, lease: Lease, connection: pyodbc.Connection) -> None:
        """Unlock, where the connection is still the one that the lease was taken on."""
        self._lost.pop(lease.name, None)
        if not self.holds(lease):
            return
        del self._held[lease.name]
        self._unlock(lease.name, connection)

    def holds(self, lease: Lease) -> bool:
        """Tell whether a lease is held on the connection that there is now."""
        return self._held.get(lease.name) is lease

    def lost(self, names: str) -> WarehouseLost:
        """Say that leases went with their connection."""
        return WarehouseLost(f"{self.name}: the connection was lost, and with it the lease of {names}.", hint=AGAIN)

    @property
    def is_leased(self) -> bool:
        """Tell whether a lease is held on the connection."""
        return bool(self._held)

    def _took_at_last(self, name: str, run: str, *, is_patient: bool) -> bool:
        """Try to take it; a connection that is lost while we wait, and hold nothing, is made anew."""
        try:
            return self._took(name, run)
        except WarehouseLost:
            if not is_patient or self._held:
                raise
            return False

    def _took(self, name: str, run: str) -> bool:
        """Take the lock, and write down who has it. Raises WarehouseLost where the connection that has it went."""
        connection, is_locked = self.opened(), False
        try:
            with self.transaction() as t:
                is_locked = self.lock(t, name)
                if not is_locked:
                    return False
                self.note_holder(t, name, Holder(pid=os.getpid(), host=socket.gethostname(), since="", run=run))
        except BaseException:
            if is_locked:  # rolling back does not give it back
                self._unlock(name, connection)
            raise
        if connection is not self._connection:  # the note was kept, the session that has the lock was not
            raise self.lost(name)
        return True

    def _unlock(self, name: str, connection: pyodbc.Connection) -> None:
        """Give a lock back, where its connection is still ours; whoever holds another lease on a lost one is told."""
        if connection is not self._connection:
            return
        others = dict(self._held)
        try:
            with self.transaction() as t:
                self.unlock(t, name)
        except WarehouseError:  # what cannot be unlocked goes with its connection
            self._drop()
            self._lost.update(others)

    def _holder(self, name: str) -> Holder | None:
        """Return who holds a lease; None: whoever does has not written down yet who it is."""
        if name in self._held:
            return Holder(pid=os.getpid(), host=socket.gethostname(), since="this run")
        return self.leases().get(name)

    def _held_by_other(self, holder: Holder | None, name: str, wait_s: float) -> LeaseHeld:
        return held_by(holder, name, wait_s)

    # The connection.

    def opened(self) -> pyodbc.Connection:
        """Return the connection; made where there is none."""
        if self._connection is None:
            self._connection = self._connect()
            self._was_connected = True
        return self._connection

    def another(self) -> pyodbc.Connection:
        """
        Make a connection beside ours; the caller closes it. Raises WarehouseError, also where it takes too long: a
        pooler with no session left lets one wait, and no time-out of a driver reaches that far.
        """
        error_of_driver = connecting.manager().Error
        made: queue.SimpleQueue[pyodbc.Connection | Exception] = queue.SimpleQueue()
        is_wanted = threading.Lock()  # whoever takes it first decides what becomes of the connection

        def connect() -> None:
            try:
                connection = connecting.connect(self.link, self.defaults)
            except (SyncerError, error_of_driver) as error:
                made.put(error)
                return
            if is_wanted.acquire(blocking=False):
                made.put(connection)
            else:
                connection.close()

        threading.Thread(target=connect, daemon=True, name=ANOTHER).start()
        try:
            found = made.get(timeout=ANOTHER_S)
        except queue.Empty:
            if is_wanted.acquire(blocking=False):
                raise WarehouseError(
                    f"{self.name}: no second connection within {ANOTHER_S:.0f} s.",
                    hint="Is it a pooler with one session for this database? Give it two (default_pool_size).",
                ) from None
            found = made.get()
        if isinstance(found, error_of_driver):
            raise connecting.refused(self.link, found) from found
        if isinstance(found, Exception):
            raise found
        return found

    def given_up(self, error: BaseException) -> WarehouseError:
        """Roll back, and tell what the server refused, or that it is gone."""
        if self._survived(error):
            return self.refused(error)
        self._drop()
        self._lost.clear()  # this is the telling
        return WarehouseLost(
            f"{self.name}: the connection was lost ({faults.shown(error)}); nothing of the open transaction was kept.",
            hint=AGAIN,
        )

    def refused(self, error: BaseException) -> WarehouseError:
        """Tell what the server refused; the connection is alive."""
        kept = "Nothing of the open transaction was kept."
        if faults.state_of(error).startswith("23"):
            kept += " Is there a constraint or a unique index of your own on the table? Then drop it."
        return WarehouseError(f"{self.name}: {faults.shown(error)}.", hint=kept)

    def busy(self, what: str) -> WarehouseBusy:
        """Tell that somebody else holds what we waited for."""
        return WarehouseBusy(
            f"{self.name}: {what}; waited {self.wait_s:.0f} s.",
            hint="End that, or set wait_s in [warehouse] of syncer.toml higher.",
        )

    def _connect(self) -> pyodbc.Connection:
        pyodbc = connecting.manager()
        began = self.clock.monotonic()
        while True:
            try:
                connection = connecting.connect(self.link, self.defaults)
                try:
                    self.begin_session(connection)
                    connection.commit()
                except BaseException:
                    connection.close()
                    raise
                return connection
            except pyodbc.Error as error:
                is_coming = faults.is_starting(error) or faults.is_lost(error)
                is_up = not faults.is_nobody(error)
                waited = self.clock.monotonic() - began
                if not is_coming or waited >= self.wait_s or not (is_up or self._was_connected):
                    raise connecting.refused(self.link, error) from error
            self.clock.sleep(POLL_S)

    def _survived(self, error: BaseException) -> bool:
        """
        Roll back, and tell whether the connection is still there. What an error says of that is asked for: a trigger
        of a person's own that reaches another server may raise what a lost connection raises.
        """
        if not self._roll_back() or self._connection is None:
            return False
        if not faults.is_lost(error):
            return True
        if not self.tells_losses:
            return False
        try:
            self._connection.cursor().execute("SELECT 1").fetchone()
        except connecting.manager().Error:
            return False
        return self._roll_back()

    def _roll_back(self) -> bool:
        """Roll back; False where the connection is gone, or dropped because even that failed."""
        connection = self._connection
        if connection is None:
            return False
        try:
            connection.rollback()
        except connecting.manager().Error:
            self._drop()
            return False
        return True

    def _drop(self) -> None:
        """Let go of a connection that is gone; its leases are gone with it."""
        connection, self._connection = self._connection, None
        self._lost.update(self._held)
        self._held.clear()
        if connection is not None:
            with contextlib.suppress(connecting.manager().Error):
                connection.close()

    def _tell_lost(self) -> None:
        """Tell, once, that leases are lost."""
        if self._lost:
            names = ", ".join(sorted(self._lost))
            self._lost.clear()
            raise self.lost(names)

    def _settle(self, error: BaseException, token: Any) -> None:
        """Find out what became of a commit that failed. Returns where it was kept. Raises WarehouseError."""
        if self._survived(error):
            raise self.refused(error) from error
        self._drop()
        if token is WROTE_NOTHING:
            return
        began = self.clock.monotonic()
        while True:
            try:
                with contextlib.closing(self._connect()) as connection:
                    asked = self.transactions(connection.cursor())
                    found = None if token is None else self.outcome(asked, token)
            except (WarehouseError, connecting.manager().Error):
                found = None
            if found is True:
                return
            if found is False:
                self._lost.clear()
                raise WarehouseLost(
                    f"{self.name}: the connection was lost in the middle of a commit; that group was not kept.",
                    hint=AGAIN,
                ) from error
            if self.clock.monotonic() - began >= self.wait_s:
                self._lost.clear()
                raise WarehouseLost(
                    f"{self.name}: the connection was lost in the middle of a commit, and for {self.wait_s:.0f} s the "
                    "server did not tell whether that group was kept.",
                    hint="Run it again: it goes on from what stands there, whichever it is.",
                ) from error
            self.clock.sleep(POLL_S)

    # What a backend does in its own way.

    def begin_session(self, connection: pyodbc.Connection) -> None:
        """Set what a session needs; the caller commits."""

    def sealed(self, t: Transaction) -> Any:
        """
        Return, as a transaction's last statement, by what its outcome can be asked for; `WROTE_NOTHING` where that is
        sure, and None where nothing can be asked.
        """
        raise NotImplementedError

    def outcome(self, t: Transaction, token: Any) -> bool | None:
        """Tell whether a transaction was committed; None: it is still under way."""
        raise NotImplementedError

    def has_state(self, t: Transaction) -> bool:
        """Tell whether the schema `syncer` is there."""
        raise NotImplementedError

    def prepare_leases(self, t: Transaction) -> None:
        """Make what leases need."""

    def recognise_pooler(self) -> None:
        """Refuse a connection whose sessions are shared. Raises WarehouseError."""

    def lock(self, t: Transaction, name: str) -> bool:
        """Take a lock of the session, without waiting."""
        raise NotImplementedError

    def unlock(self, t: Transaction, name: str) -> None:
        """Give it back."""
        raise NotImplementedError

    def note_holder(self, t: Transaction, name: str, holder: Holder) -> None:
        """Write down who holds a lease; since when is the server's own time."""
        raise NotImplementedError

    def holders(self, t: Transaction) -> dict[str, Holder]:
        """Return who holds which lease."""
        raise NotImplementedError

    def rewrite(self) -> Rewritten:
        """Leave no byte of what was deleted or changed before, as far as that is ours to do."""
        raise NotImplementedError
