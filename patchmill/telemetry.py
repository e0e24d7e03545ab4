"""Logs: one JSON object a line on standard error, and nothing secret or submitted in it.

Every line has `timestamp`, `level`, `event` and whatever is bound to the context, such as `request_id`
and `job_id`. An exception is logged as its types and the places that it went through, never with its
message: a message may quote source text or SQL parameters.
"""

import logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog

OWN_PACKAGES = ("api", "patchmill", "worker")
LIBRARY_LEVEL = "WARNING"  # below it libraries log every request that they make
REDACTED = "[redacted]"
SECRET_NAMES = frozenset(
    {
        "api_key",
        "authorization",
        "content",
        "cookie",
        "key",
        "messages",
        "original",
        "password",
        "pepper",
        "prompt",
        "replacement",
        "reply",
        "secret",
        "source",
        "token",
    }
)

_URL_PASSWORD = re.compile(r"(://[^\s:/@]*):[^\s/@]*@")
_KEY = re.compile(r"\bpm_([0-9A-Za-z]{8})[0-9A-Za-z]{38}\b")
_FRAMES = 30  # of each exception, the innermost


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what is standard error when a line comes, not when logging was set up."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, _: TextIO) -> None:
        """Stay with standard error."""


def configure_logging(level: str = "INFO") -> None:
    """Send this process's logs to standard error as JSON lines: ours from `level` on, others' warnings."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        describe_exception,
        redact,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = _StandardError()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [kept for kept in root.handlers if not isinstance(kept, _StandardError)] + [handler]
    root.setLevel(LIBRARY_LEVEL)
    for package in OWN_PACKAGES:
        logging.getLogger(package).setLevel(level)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Give the logger of a module; `event` is a short name, everything else goes in as fields."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def describe_exception(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace `exc_info` by `exception`: the chain of types, and the frames from outermost to innermost."""
    exception = _exception_of(event.pop("exc_info", None))
    chain: list[dict[str, Any]] = []
    while exception is not None and len(chain) < _FRAMES:
        frames = traceback.extract_tb(exception.__traceback__)[-_FRAMES:]
        chain.append(
            {
                "type": f"{type(exception).__module__}.{type(exception).__qualname__}",
                "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
            }
        )
        suppressed = exception.__suppress_context__
        exception = exception.__cause__ or (None if suppressed else exception.__context__)
    if chain:
        event["exception"] = chain
    return event


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take out the values of fields that may be secret or submitted, and secrets inside of texts."""
    for name, value in event.items():
        event[name] = _clean(name, value)
    return event


def _clean(name: str, value: Any) -> Any:
    if name.lower() in SECRET_NAMES:
        return REDACTED
    if isinstance(value, str):
        return _KEY.sub(r"pm_\1…", _URL_PASSWORD.sub(rf"\1:{REDACTED}@", value))
    if isinstance(value, Mapping):
        return {inner: _clean(str(inner), item) for inner, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean("", item) for item in value]
    return value


def _exception_of(given: Any) -> BaseException | None:
    if isinstance(given, BaseException):
        return given
    if isinstance(given, tuple):
        exception: BaseException | None = given[1]
        return exception
    return sys.exc_info()[1] if given else None
