"""A process with this folder on its PYTHONPATH has a wrong clock, by the seconds in the file CLOCK_FILE.

The file holds one double of this machine, and may be changed at any time: then the clock jumps. What does not
go by the clock of the machine, such as the monotonic one, stays right.
"""

import datetime as dt
import mmap
import os
import struct
import time
from typing import Any

with open(os.environ["CLOCK_FILE"], "rb") as _file:  # noqa: PTH123 - as little as can be is imported here
    _AHEAD = mmap.mmap(_file.fileno(), 8, access=mmap.ACCESS_READ)

_RIGHT_NS = time.time_ns
_RIGHT = dt.datetime
_GMTIME, _LOCALTIME = time.gmtime, time.localtime


def _time_ns() -> int:
    return _RIGHT_NS() + int(struct.unpack("d", _AHEAD[:8])[0] * 1e9)


def _time() -> float:
    return _time_ns() / 1e9


class _Known(type):
    """What the C library makes are moments too."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _RIGHT)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, _RIGHT)


class _Wrong(_RIGHT, metaclass=_Known):
    def __new__(cls, *given: Any, **named: Any) -> Any:
        return _RIGHT(*given, **named)

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> Any:
        return _RIGHT.fromtimestamp(_time(), tz)


time.time = _time
time.time_ns = _time_ns
time.gmtime = lambda at=None: _GMTIME(_time() if at is None else at)
time.localtime = lambda at=None: _LOCALTIME(_time() if at is None else at)
dt.datetime = _Wrong  # type: ignore[misc]
