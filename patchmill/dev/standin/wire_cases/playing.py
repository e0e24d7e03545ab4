"""Playing a wire case to one connection: its steps as raw bytes, then its ending."""

import asyncio
from collections.abc import Callable

from patchmill.dev.standin.connection import Connection
from patchmill.dev.standin.wire_cases.case import Ending, WireCase
from patchmill.dev.standin.wire_cases.reply import Pause, Reply


async def play(
    case: WireCase,
    reply: Reply,
    connection: Connection,
    *,
    told: Callable[[str], None],
    ended: Callable[[], None],
) -> None:
    """Play the case; ends with ClientLeft in any case, once the connection is no more.

    `told` gets the output that the client has been given, after the bytes that carried it; `ended` is called
    after the last step, before the connection ends, and not when the case stalls or the client leaves.
    """
    raw = connection.raw
    for step in case.steps(reply):
        if isinstance(step, Pause):
            await connection.pause(step.ms)
            continue
        # A client that left is noticed between two writes only if the loop gets its turn.
        await asyncio.sleep(0)
        connection.check()
        connection.started = connection.started or bool(step.data)
        await raw.write(step.data)
        told(step.text)
    if case.ending is not Ending.STALL:
        ended()
        (raw.reset if case.ending is Ending.RESET else raw.close)()
    await connection.until_left()
