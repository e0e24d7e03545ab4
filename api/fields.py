"""The types of single fields of requests: what they accept, and how they say what is wrong."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from api.problems import nearest
from patchmill.budget.prices import from_usd
from patchmill.budget.windows import time_zones
from patchmill.edit.encoding import canonical, lacking
from patchmill.edit.formats import EDIT_FORMATS
from patchmill.edit.span import line_content, split_lines
from patchmill.job.naming import wrong_with

MAX_INT = 2**31 - 1
MAX_TOKENS = 2**63 - 1
MAX_PATH = 1_024
MAX_COMPONENT_BYTES = 255
MAX_ZONE = 64

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class SourceLines:
    """The lines of the submitted file, against which places are checked; given as validation context.

    After a final line end tools count one more, empty line: where a file ends is reported there.
    """

    contents: list[str]
    last: int

    @classmethod
    def of(cls, text: str) -> Self:
        """Count as tools do."""
        lines = split_lines(text)
        closed = not lines or lines[-1].endswith(("\n", "\r"))
        contents = [line_content(line) for line in lines] + [""] * closed
        return cls(contents, len(contents))


def fault(
    code: Literal["wrong_type", "not_allowed", "out_of_range", "too_long", "missing"], text: str
) -> Exception:
    """Make the error of one field: a code of the API, and the sentence that helps."""
    return PydanticCustomError(code, "{text}", {"text": text})


def _path(text: str) -> str:
    wrong = wrong_with(text)
    if wrong is not None:
        raise fault("not_allowed", wrong)
    if any(
        len(segment.encode("utf-8", "surrogatepass")) > MAX_COMPONENT_BYTES for segment in text.split("/")
    ):
        raise fault("too_long", f"has a segment of more than {MAX_COMPONENT_BYTES} bytes")
    return text


def _encoding(name: str, info: ValidationInfo) -> str:
    """The encoding by Python's name; it must have every character of the file."""
    known = canonical(name)
    if known is None:
        raise fault(
            "not_allowed", "no file may have this encoding; utf-8, latin-1, cp1252 and their like may"
        )
    missing = lacking(info.data.get("content") or "", known)
    if missing:
        raise fault("not_allowed", f"{known} does not have {', '.join(missing)}, which the content has")
    return known


def _usd(text: str) -> str:
    try:
        from_usd(text)
    except ValueError as error:
        raise fault(
            "out_of_range", f"must be US dollars as a decimal string, such as 0.05: {error}"
        ) from None
    return text


def instant(value: Any) -> Any:
    """Accept RFC 3339 with an offset, and nothing else that pydantic would take for a time."""
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise fault("wrong_type", "must be a time with an offset, such as 2026-11-22T12:00:00Z")
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise fault("out_of_range", "is no time that exists") from None


def time_zone(name: str) -> str:
    """Accept the name of a time zone."""
    known = time_zones()
    if name not in known:
        meant = _zone_meant(name, known)
        hint = f"; did you mean `{meant}`?" if meant else ", such as UTC or Europe/Berlin"
        raise fault("not_allowed", f"must be the name of a time zone{hint}")
    return name


def _zone_meant(name: str, known: Iterable[str]) -> str | None:
    """Give the zone that was probably meant, also by its city alone; an abbreviation is never guessed at."""
    zones = {each.casefold(): each for each in sorted(known)}
    asked = name.casefold().replace(" ", "_")
    if asked in zones:
        return zones[asked]
    cities = {zone.rpartition("/")[2]: zone for zone in zones if "/" in zone and zone[:4] != "etc/"}
    if "/" in asked:
        close = difflib.get_close_matches(asked, zones, n=1)
    else:
        close = [cities[city] for city in difflib.get_close_matches(asked, cities, n=1, cutoff=0.85)]
    return zones[close[0]] if close else None


def _edit_format(name: str) -> str:
    if name not in EDIT_FORMATS:
        raise fault("not_allowed", f"there is no such edit format{nearest(name, EDIT_FORMATS)}")
    return name


FilePath = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_PATH,
        description="relative to the repository's root, folders separated by `/`; a name that means another "
        "file or a device on some system, such as `a.py:b`, `a.py.` or `aux.py`, is refused",
    ),
    AfterValidator(_path),
]
Short = Annotated[str, Field(min_length=1, max_length=200)]
Line = Annotated[int, Field(ge=1, le=MAX_INT, description="1-based")]
Column = Annotated[int, Field(ge=1, le=MAX_INT, description="1-based, in Unicode code points")]
Usd = Annotated[str, Field(max_length=32, description="US dollars as a decimal string"), AfterValidator(_usd)]
TimeZone = Annotated[str, Field(max_length=MAX_ZONE), AfterValidator(time_zone)]
Encoding = Annotated[
    str,
    AfterValidator(_encoding),
    Field(
        description="the encoding of the file's bytes, such as latin-1; `content` is its text all the same"
    ),
]
EditFormat = Annotated[str, AfterValidator(_edit_format)]
Instant = Annotated[datetime, BeforeValidator(instant, json_schema_input_type=str)]


def existing_line(line: int, info: ValidationInfo) -> int:
    """Check that the submitted file has a line, and that an `end_line` is not before its `start_line`."""
    if isinstance(info.context, SourceLines) and line > info.context.last:
        raise fault("out_of_range", f"the file ends at line {info.context.last}")
    start = info.data.get("start_line") if info.field_name == "end_line" else None
    if start is not None and line < start:
        raise fault("out_of_range", f"is before the start, line {start}")
    return line
