"""Whatever a model answers and whatever file is sent: read, located and shown, or refused by a typed error.

`make fuzz MINUTES=30` searches these for longer, guided by what the code does with them.
"""

import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from patchmill.call.fitting import Prompt, Question, TooLong, fitted
from patchmill.edit.apply import LineMap, anchored, apply_hunks, locate
from patchmill.edit.compose import compose
from patchmill.edit.diff import unified_diff
from patchmill.edit.formats import EDIT_FORMATS
from patchmill.edit.prose import EXPLANATION_LIMIT, TITLE_LIMIT
from patchmill.edit.protocol import Edit, RejectionReason
from patchmill.edit.span import line_content, split_lines
from patchmill.job.record import Annotation, ContextFile, Finding, KindName, Scope, Task
from patchmill.kinds import KINDS
from tests.support.edit_answers import EDITS, RENDERERS

PIECES = (
    *("<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE", "<<<<<<<<< SEARCH", "=========", "```", "````python"),
    *(
        "NO CHANGE: ",
        "NO CHANGE",
        "~~~",
        "#",
        "**",
        '{"edits": [',
        '{"title": "',
        '{"search": [',
        '"replace":',
    ),
    *(
        '"search"',
        '"explanation"',
        '"no_change"',
        "null",
        "true",
        "1e9",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        '"',
        "\\",
    ),
    *(
        "\\u0041",
        "\\ud800",
        "\n",
        "\r\n",
        "\r",
        "\t",
        "\f",
        "\v",
        "\0",
        "\ufeff",
        "\u2028",
        "\x85",
        "\u00a0",
        "é",
    ),
    *(
        "x = 1",
        "    y",
        "\ty",
        "def f():",
        "import os",
        "return",
        "@d",
        "class A:",
        "",
        " ",
        "&#64;",
        "www.",
        "@a",
    ),
)
TEXT = st.lists(st.sampled_from(PIECES) | st.text(max_size=6), max_size=60).map("".join)
ENDS = st.sampled_from(["\n", "\n", "\r\n", "\r", ""])
CONTENT = st.sampled_from(
    [
        *(
            "",
            " ",
            "a",
            "b",
            "  a",
            "\ta",
            "    a",
            "a  ",
            "a\t",
            "\fa",
            "\f",
            "def f():",
            "    return 1",
            "}",
        ),
        *(
            "import os",
            "é = 1",
            "x = '\u2028'",
            "y = '\x85'",
            "\u00a0a",
            "e\u0301",
            "}",
            "@d",
            "class A:",
            "))",
        ),
    ]
) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=8)
LINE = st.tuples(CONTENT, ENDS).map("".join)
SOURCE = st.tuples(st.sampled_from(["", "", "\ufeff"]), st.lists(LINE, max_size=24).map("".join)).map("".join)


@st.composite
def edits_of(draw: st.DrawFn, source: str) -> list[Edit]:
    """Edits that mostly quote the source, more or less well."""
    lines = split_lines(source)
    made: list[Edit] = []
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(len(lines) - 1, 0)))
        quoted = "".join(lines[at : at + draw(st.integers(0, 4))])
        way = draw(st.integers(0, 5))
        if way == 1:
            quoted = "".join(f"{line.strip()}\n" for line in split_lines(quoted))
        elif way == 2:
            quoted = "".join(f"  {line}" for line in split_lines(quoted))
        elif way == 3:
            quoted = draw(SOURCE)
        new = draw(st.lists(LINE | st.sampled_from(split_lines(quoted) or [""]), max_size=6).map("".join))
        made.append(Edit(search=quoted, replace=new))
    return made


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    """A task of either kind, with findings, scope and context."""
    source = draw(SOURCE | st.tuples(SOURCE, st.integers(1, 60)).map(lambda pair: pair[0] * pair[1]))
    count = max(len(split_lines(source)), 1)
    line = st.integers(1, count)
    kind = draw(st.sampled_from(KindName))
    pairs = draw(st.lists(st.tuples(line, line).map(sorted), max_size=4))
    findings = [
        Finding(
            index=number,
            tool="ruff",
            rule="B006",
            message=draw(st.text(max_size=20)),
            severity="warning",
            start_line=start,
            end_line=end,
            start_column=draw(st.none() | st.integers(1, 9)),
        )
        for number, (start, end) in enumerate(pairs)
    ]
    scope = draw(st.none() | st.tuples(line, line).map(sorted))
    fixes = kind is KindName.FIX
    return Task(
        kind=kind,
        path=draw(st.sampled_from(["a.py", "b.ts", "näme x.go"])),
        language=draw(st.sampled_from(["python", "typescript", "go"])),
        source=source,
        findings=tuple(findings) if fixes else (),
        what=frozenset() if fixes else frozenset(draw(st.sets(st.sampled_from(Annotation), min_size=1))),
        instruction=draw(st.text(min_size=1, max_size=30)) if fixes and not findings else None,
        scope=None if scope is None else Scope(start_line=scope[0], end_line=scope[1]),
        context=tuple(ContextFile(path="c.py", content=text) for text in draw(st.lists(SOURCE, max_size=2))),
    )


@settings(max_examples=50)
@given(TEXT)
def test_any_answer_is_read_in_every_edit_format(text: str) -> None:
    for edit_format in EDIT_FORMATS.values():
        proposal = edit_format.parse(text)

        assert "\n" not in proposal.title
        assert len(proposal.title) <= TITLE_LIMIT
        assert len(proposal.explanation) <= EXPLANATION_LIMIT
        assert not {unicodedata.category(char) for char in proposal.explanation if char != "\n"} & {
            "Cc",
            "Cf",
        }
        assert all(isinstance(rejection.reason, RejectionReason) for rejection in proposal.rejections)
        assert not (proposal.edits and proposal.declined)


@settings(max_examples=50)
@given(st.data())
def test_edits_of_any_file_are_located_or_refused_by_name(data: st.DataObject) -> None:
    source = data.draw(SOURCE)
    count = len(split_lines(source))
    edits = data.draw(edits_of(source))
    pair = data.draw(st.none() | st.tuples(st.integers(1, max(count, 1)), st.integers(1, max(count, 1))))
    scope = None if pair is None else (min(pair), max(pair))

    located = locate(source, edits, scope=scope)
    text = apply_hunks(source, located.hunks)

    assert {*located.edits} | {rejection.edit for rejection in located.rejections} == {*range(len(edits))}
    first, last = scope or (1, count)
    for hunk in located.hunks:
        marked = hunk.original.startswith("\ufeff")  # the mark may hold on to the line below
        assert first <= hunk.start_line
        assert hunk.end_line <= max(last, first) + marked
    at, old, new = 0, source.encode(), text.encode()
    for hunk in located.hunks:
        before = "".join(split_lines(source)[: hunk.start_line - 1]).encode()
        assert old[at : len(before)] == new[: len(before) - at]
        new = new[len(before) - at + len(hunk.replacement.encode()) :]
        at = len(before) + len(hunk.original.encode())
    assert old[at:] == new
    LineMap.of(located.hunks)
    unified_diff("a.py", source, text)
    for hunk in located.hunks:
        assert apply_hunks(source, [anchored(source, hunk)]) == apply_hunks(source, [hunk])
    second = locate(text, data.draw(edits_of(text)))
    parts = compose(source, located.hunks, second.hunks)
    left = [one for one in located.hunks if not any(one in part.first for part in parts)]
    whole = [part.hunk for part in parts if part.hunk is not None]
    assert apply_hunks(source, [*left, *whole]) == apply_hunks(text, second.hunks)


@settings(max_examples=50)
@given(st.data())
def test_edits_written_in_any_format_are_read_and_located(data: st.DataObject) -> None:
    source = data.draw(SOURCE)
    contents = [line_content(line) for line in split_lines(source)]
    places = st.integers(0, max(len(contents) - 1, 0))
    meant = data.draw(
        st.lists(st.tuples(places, places, st.lists(LINE, max_size=4).map("".join)), max_size=3)
    )
    for name, edit_format in EDIT_FORMATS.items():
        edits = [
            EDITS[name](contents, min(one, other), max(one, other) + 1, replace)
            for one, other, replace in meant
            if contents
        ]
        proposal = edit_format.parse(RENDERERS[name]("A title", edits))
        located = locate(source, proposal.edits)
        apply_hunks(source, located.hunks)


@settings(max_examples=50)
@given(st.data())
def test_any_task_has_a_prompt_that_fits_or_is_too_long(data: st.DataObject) -> None:
    task = data.draw(tasks())
    failed = data.draw(st.lists(st.tuples(TEXT, TEXT), max_size=2))
    room = data.draw(st.none() | st.integers(0, 20_000))
    for edit_format in EDIT_FORMATS.values():
        question = Question(task=task, kind=KINDS[task.kind], edit_format=edit_format, failed=tuple(failed))
        prompt = fitted(question, context_tokens=room, max_tokens=256, count=len)

        if isinstance(prompt, Prompt):
            assert [message["role"] for message in prompt.messages] == [
                "system",
                *["user", "assistant"] * len(failed),
                "user",
            ]
            assert prompt.max_tokens <= 256
        else:
            assert isinstance(prompt, TooLong)
            assert prompt.fail().code
