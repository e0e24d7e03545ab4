"""Why the database cannot be used: told once in a while, and waited for before a worker begins."""

import threading
import time

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from patchmill.store import schema
from patchmill.store.engine import misses_schema, passes, trouble
from patchmill.telemetry import get_logger

TELL_EVERY_S = 30.0
LOOK_EVERY_S = 1.0

log = get_logger(__name__)


class Outage:
    """Tells of trouble with Postgres, each kind of it once in `TELL_EVERY_S`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._told_at: dict[str, float] = {}

    def tell(self, error: SQLAlchemyError) -> None:
        """Write a line to the log for what went wrong, unless one was written lately."""
        if misses_schema(error):
            self.tell_schema()
        elif passes(error):
            if self._is_due("away"):
                log.warning("postgres is away; it is tried again", **trouble(self._engine, error))
        else:
            log.error("a statement failed; it is tried again", exc_info=error)

    def tell_schema(self) -> None:
        """Write that the schema is not that of this version, unless that was written lately."""
        if self._is_due("schema"):
            log.error(schema.WRONG, consequence="this worker waits for it, and claims nothing")

    def _is_due(self, kind: str) -> bool:
        now = time.monotonic()
        due = now - self._told_at.get(kind, float("-inf")) >= TELL_EVERY_S
        if due:
            self._told_at[kind] = now
        return due


def wait_for_schema(engine: Engine) -> None:
    """Wait until the database answers and its schema is not older than this version's.

    An exception ends the wait. A newer one is worked with: that is how a newer version is rolled out.
    """
    outage = Outage(engine)
    never = threading.Event()
    while True:
        try:
            standing = schema.standing(engine)
            if standing is schema.Standing.NEWER:
                log.warning("the schema is a newer version's; this worker works beside that one's")
            if standing is not schema.Standing.OLDER:
                return
            outage.tell_schema()
        except SQLAlchemyError as error:
            outage.tell(error)
        never.wait(LOOK_EVERY_S)
