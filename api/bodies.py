"""From bytes to JSON: what may be sent, and what is wrong with it, before any field is looked at."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError

from api.problems import MAX_ERRORS, field_error, pointer
from patchmill.errors import FieldError, InvalidFields, InvalidJson, TooLarge, UnsupportedMediaType

MAX_DEPTH = 32
MAX_VALUES = 200_000  # in one body, containers and what they contain
JSON_TYPE = "application/json"

MAX_FIELDS = 150  # of one object

_Body = TypeVar("_Body", bound=BaseModel)
_SURROGATE = re.compile("[\ud800-\udfff]")


async def _bytes_of(request: Request) -> bytes:
    content_type, _, parameters = request.headers.get("content-type", "").partition(";")
    if content_type.strip().lower() != JSON_TYPE:
        raise UnsupportedMediaType(f"send the body as {JSON_TYPE}")
    charset = parameters.strip().lower()
    if charset.startswith("charset=") and charset[8:].strip('"') not in {"utf-8", "utf8"}:
        raise UnsupportedMediaType("send the body in UTF-8")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("send the body without Content-Encoding")
    return await request.body()


JsonBytes = Annotated[bytes, Depends(_bytes_of)]


def read_json(body: bytes) -> Any:
    """Read a body as strict JSON: no NaN, no repeated keys.

    Raises:
        InvalidJson: says where.
    """
    if not body.strip():
        raise InvalidJson("the body is empty")
    try:
        return json.loads(body.decode(), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise InvalidJson(f"the body is not UTF-8 from byte {error.start} on") from None
    except json.JSONDecodeError as error:
        raise InvalidJson(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise InvalidJson("the body is nested too deeply") from None
    except ValueError:  # only Python's own limit on the digits of an integer is left
        raise InvalidJson("a number in the body has too many digits") from None


def read_model(body: bytes, model: type[_Body]) -> _Body:
    """Read a body as one of the API's objects.

    Raises:
        InvalidJson: it is not JSON.
        InvalidFields: lists every mistake in it.
    """
    value = read_json(body)
    return validated(value, model, earlier=text_errors(value))


def validated(
    value: Any,
    model: type[_Body],
    *,
    earlier: Sequence[FieldError] = (),
    more: Callable[[_Body], Iterable[FieldError]] | None = None,
    context: object = None,
) -> _Body:
    """Validate a JSON value; `earlier` mistakes count too, and `more` looks at what has the right shape.

    Raises:
        InvalidFields: lists every mistake; of several at one place the first.
    """
    try:
        read = model.model_validate(value, context=context)
    except ValidationError as error:
        raise InvalidFields(_merged(earlier, model_errors(error, model))) from None
    errors = _merged(earlier, more(read) if more else ())
    if errors:
        raise InvalidFields(errors)
    return read


def model_errors(error: ValidationError, model: type[BaseModel]) -> list[FieldError]:
    """List pydantic's errors as ours."""
    details = error.errors(include_url=False, include_input=False, include_context=False)
    return [field_error(detail, model) for detail in details[:MAX_ERRORS]]


def _merged(*lists: Iterable[FieldError]) -> list[FieldError]:
    """Join lists of errors; of several at one place the first one stays."""
    found: dict[str, FieldError] = {}
    for error in chain(*lists):
        found.setdefault(error.pointer, error)
    return list(found.values())


def text_errors(value: Any) -> list[FieldError]:
    """List what no field may hold: NUL characters, lone surrogates, and nesting beyond `MAX_DEPTH`.

    Raises:
        TooLarge: it has more values, or an object has more fields, than any request needs.
    """
    errors: list[FieldError] = []
    place: list[int | str] = []
    waiting: list[Iterator[tuple[int | str, Any]]] = [iter([("", value)])]
    values = 0
    while waiting and len(errors) < MAX_ERRORS:
        entry = next(waiting[-1], None)
        if entry is None:
            waiting.pop()
            del place[-1:]
            continue
        values += 1
        if values > MAX_VALUES:
            raise TooLarge(f"the body has more than {MAX_VALUES:,} values")
        step, item = entry
        if isinstance(item, dict) and len(item) > MAX_FIELDS:
            raise TooLarge(f"an object in the body has more than {MAX_FIELDS} fields")
        fault = _fault(step) or _fault(item)
        if isinstance(item, dict | list) and len(waiting) > MAX_DEPTH:
            fault = f"nested deeper than {MAX_DEPTH} levels"
        if fault is not None:
            here = [*place, step][1:]
            errors.append(FieldError(pointer=pointer(here), code="not_allowed", detail=fault))
        elif isinstance(item, dict | list):
            waiting.append(iter(item.items()) if isinstance(item, dict) else iter(enumerate(item)))
            place.append(step)
    return errors


def _fault(text: Any) -> str | None:
    if not isinstance(text, str):
        return None
    if "\0" in text:
        return "holds a NUL character, which no text does"
    if _SURROGATE.search(text):
        return "holds half of a surrogate pair, which is no character"
    return None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise InvalidJson(f"the key {twice[:100]!r} occurs twice in one object")
    return found


def _refuse_constant(name: str) -> Any:
    raise InvalidJson(f"{name} is not JSON")
