"""C9, and C6 where tools are called: fragments of calls, with and without the fields that join them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from patchmill.dev.standin.wire_cases.case import WireCase
from patchmill.dev.standin.wire_cases.reply import DONE, Reply, Step, Write, event, streamed

_NAME = "read_file"
_ARGUMENTS = '{"path": "app.py", "first_line": 1}'
_PARTS = ('{"path": "app', '.py", "first_', 'line": 1}')
_MISSING = object()


def _case(name: str, summary: str, steps: Callable[[Reply], Iterable[Step]]) -> WireCase:
    return WireCase(name=name, summary=summary, steps=steps, says=_ARGUMENTS)


def _fragment(
    arguments: Any, *, index: Any = 0, call_id: Any = _MISSING, name: Any = _MISSING
) -> dict[str, Any]:
    """One entry of `tool_calls`; what is missing is left out."""
    function = {"name": name, "arguments": arguments}
    entry = {"index": index, "id": call_id, "type": "function" if call_id is not _MISSING else _MISSING}
    kept = {key: value for key, value in entry.items() if value is not _MISSING}
    return {**kept, "function": {key: value for key, value in function.items() if value is not _MISSING}}


def _called(reply: Reply, *chunks: list[dict[str, Any]], finish: str = "tool_calls") -> Iterator[Step]:
    """A stream of chunks, each with these entries of `tool_calls`; the text counts with the last one."""
    writes = [event(reply.chunk({"tool_calls": entries})) for entries in chunks]
    writes[-1] = Write(writes[-1].data, reply.content)
    return streamed(reply, reply.opening(), *writes, reply.finished(finish), reply.used(), DONE)


def _usual(reply: Reply, finish: str = "tool_calls") -> Iterator[Step]:
    first = _fragment("", call_id="call_1", name=_NAME)
    return _called(reply, [first], *([_fragment(part)] for part in _PARTS), finish=finish)


def _indexed(index: Any) -> Callable[[Reply], Iterator[Step]]:
    def steps(reply: Reply) -> Iterator[Step]:
        first = _fragment("", index=index, call_id="call_1", name=_NAME)
        return _called(reply, [first], *([_fragment(part, index=index)] for part in _PARTS))

    return steps


def _two(second_index: Any, *, ids_again: bool = False) -> Callable[[Reply], Iterator[Step]]:
    """Two calls, one after the other."""

    def steps(reply: Reply) -> Iterator[Step]:
        chunks: list[list[dict[str, Any]]] = []
        for index, call_id in ((0, "call_1"), (second_index, "call_2")):
            chunks.append([_fragment("", index=index, call_id=call_id, name=_NAME)])
            again = call_id if ids_again else _MISSING
            chunks += [[_fragment(part, index=index, call_id=again)] for part in _PARTS]
        return _called(reply, *chunks)

    return steps


def _interleaved(reply: Reply) -> Iterator[Step]:
    opened = [_fragment("", index=n, call_id=f"call_{n}", name=_NAME) for n in range(2)]
    parts = [[_fragment(part, index=n) for n in range(2)] for part in _PARTS]
    return _called(reply, opened, *parts)


def _same_index_in_chunk(reply: Reply) -> Iterator[Step]:
    both = [_fragment(_ARGUMENTS, call_id=f"call_{n}", name=_NAME) for n in range(2)]
    return _called(reply, both)


def _ids(*ids: Any) -> Callable[[Reply], Iterator[Step]]:
    """One call in fragments with these ids."""

    def steps(reply: Reply) -> Iterator[Step]:
        first = _fragment("", call_id=ids[0], name=_NAME)
        rest = [[_fragment(part, call_id=one)] for part, one in zip(_PARTS, ids[1:], strict=True)]
        return _called(reply, [first], *rest)

    return steps


def _name_split(reply: Reply) -> Iterator[Step]:
    first = _fragment("", call_id="call_1", name="read_")
    return _called(reply, [first], [_fragment("", name="file")], [_fragment(_ARGUMENTS)])


def _name_again(reply: Reply) -> Iterator[Step]:
    first = _fragment("", call_id="call_1", name=_NAME)
    return _called(reply, [first], *([_fragment(part, name=_NAME)] for part in _PARTS))


def _arguments(arguments: Any) -> Callable[[Reply], Iterator[Step]]:
    return lambda reply: _called(reply, [_fragment(arguments, call_id="call_1", name=_NAME)])


def _beside_content(reply: Reply) -> Iterator[Step]:
    call = _fragment(_ARGUMENTS, call_id="call_1", name=_NAME)
    return streamed(
        reply,
        reply.opening(),
        event(reply.chunk({"content": "I read the file."})),
        event(reply.chunk({"content": None, "tool_calls": [call]}), reply.content),
        reply.finished("tool_calls"),
        reply.used(),
        DONE,
    )


def _old_call(reply: Reply) -> Iterator[Step]:
    chunks = [event(reply.chunk({"function_call": {"name": _NAME, "arguments": ""}}))]
    chunks += [event(reply.chunk({"function_call": {"arguments": part}}), part) for part in _PARTS]
    return streamed(reply, reply.opening(), *chunks, reply.finished("function_call"), reply.used(), DONE)


CHUNK_TOOLS = (
    _case(
        "C6_stop_with_tool_calls",
        "Calls a tool and finishes with `stop`.",
        lambda reply: _usual(reply, "stop"),
    ),
    _case("C9_usual", "Calls a tool: id and name first, then the arguments in fragments.", _usual),
    _case("C9_two_calls", "Calls two tools, one after the other.", _two(1)),
    _case("C9_calls_interleaved", "Calls two tools, with fragments of both in each chunk.", _interleaved),
    _case("C9_index_absent", "Leaves `index` out.", _indexed(_MISSING)),
    _case("C9_index_null", "Has `index` null.", _indexed(None)),
    _case("C9_index_from_one", "Counts `index` from one.", _indexed(1)),
    _case("C9_index_always_zero", "Gives the second call the index 0 too; its id comes first only.", _two(0)),
    _case(
        "C9_index_always_zero_ids",
        "Gives the second call the index 0 too; each fragment has the id.",
        _two(0, ids_again=True),
    ),
    _case("C9_same_index_in_chunk", "Has two whole calls of index 0 in one chunk.", _same_index_in_chunk),
    _case("C9_id_in_each", "Gives the id in each fragment.", _ids(*["call_1"] * 4)),
    _case(
        "C9_id_changes",
        "Gives each fragment of one call another id.",
        _ids("call_1", "call_2", "call_3", "call_4"),
    ),
    _case("C9_id_empty_later", "Gives later fragments an empty id.", _ids("call_1", "", "", "")),
    _case("C9_id_absent", "Gives no id at all.", _ids(*[_MISSING] * 4)),
    _case("C9_name_split", "Splits the name over two fragments.", _name_split),
    _case("C9_name_in_each", "Gives the whole name in each fragment.", _name_again),
    _case("C9_arguments_empty", "Calls with arguments that are an empty string.", _arguments("")),
    _case("C9_arguments_null", "Calls with arguments that are null.", _arguments(None)),
    _case("C9_arguments_object", "Calls with arguments that are an object.", _arguments({"path": "app.py"})),
    _case(
        "C9_arguments_cut",
        "Calls with arguments that are cut, and finishes with `tool_calls`.",
        _arguments(_PARTS[0]),
    ),
    _case("C9_beside_content", "Says something, then calls a tool.", _beside_content),
    _case("C9_function_call", "Calls in the protocol's old way, with `function_call`.", _old_call),
)
