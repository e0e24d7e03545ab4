"""What servers do on the wire, case by case, with the truth about what each bills.

`CASES` holds them by name. The letter and number before the first underline are the row: H for HTTP, S for
the event stream, C for its chunks. A case says what the server does, never what a client should make of it.
"""

from collections.abc import Mapping
from types import MappingProxyType

from patchmill.dev.standin.wire_cases.case import Billed, Ending, Mode, WireCase
from patchmill.dev.standin.wire_cases.chunk_choices import CHUNK_CHOICES
from patchmill.dev.standin.wire_cases.chunk_tools import CHUNK_TOOLS
from patchmill.dev.standin.wire_cases.chunk_usage import CHUNK_USAGE
from patchmill.dev.standin.wire_cases.http_bodies import HTTP_BODIES
from patchmill.dev.standin.wire_cases.http_statuses import HTTP_STATUSES
from patchmill.dev.standin.wire_cases.http_transport import HTTP_TRANSPORT
from patchmill.dev.standin.wire_cases.reply import Pause, Reply, Write
from patchmill.dev.standin.wire_cases.sse_endings import SSE_ENDINGS
from patchmill.dev.standin.wire_cases.sse_events import SSE_EVENTS

__all__ = ["CASES", "Billed", "Ending", "Mode", "Pause", "Reply", "WireCase", "Write"]

_ALL = (
    *HTTP_STATUSES,
    *HTTP_BODIES,
    *HTTP_TRANSPORT,
    *SSE_EVENTS,
    *SSE_ENDINGS,
    *CHUNK_USAGE,
    *CHUNK_CHOICES,
    *CHUNK_TOOLS,
)


def _place(case: WireCase) -> tuple[int, int]:
    return "HSC".index(case.row[0]), int(case.row[1:])


CASES: Mapping[str, WireCase] = MappingProxyType({case.name: case for case in sorted(_ALL, key=_place)})
