"""Breaks the connection of an engine in the middle of a transaction, where a test says so."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Engine, event

from tests.support.ledger_look import Onlooker


class Breaker:
    """Breaks the connection before the n-th statement of a transaction, or before its commit."""

    def __init__(self, engine: Engine, onlooker: Onlooker, restart: Callable[[], None]) -> None:
        self._onlooker = onlooker
        self._restart = restart
        self._left: int | None = None
        self._wholly = False
        self.broken = 0
        event.listen(engine, "before_cursor_execute", lambda connection, *_: self._pass(connection))
        event.listen(engine, "commit", self._commit)

    def arm(self, statements: int | None, *, wholly: bool) -> None:
        """Break what comes after so many statements; `wholly` kills all of Postgres."""
        self._left, self._wholly = statements, wholly

    def _commit(self, connection: Connection) -> None:
        if self._left is not None:
            self._break(connection)

    def _pass(self, connection: Connection) -> None:
        if self._left is None:
            return
        self._left -= 1
        if self._left < 0:
            self._break(connection)

    def _break(self, connection: Connection) -> None:
        self._left = None
        self.broken += 1
        if self._wholly:
            self._restart()
            return
        driver: Any = connection.connection.driver_connection
        self._onlooker.execute("SELECT pg_terminate_backend(%s, 5000)", driver.info.backend_pid)
