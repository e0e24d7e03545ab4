"""Hundreds of edits whose place is known by how each file is built: nothing is searched for here."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle, product

from patchmill.edit.apply import apply_hunks, locate
from patchmill.edit.protocol import Edit, RejectionReason

BLOCKS = 5
ENDS = {
    "lf": ("\n",),
    "crlf": ("\r\n",),
    "cr": ("\r",),
    "mixed": ("\n", "\r\n", "\n", "\r\n", "\r\n", "\n", "\n"),
}
TRAITS = ("plain", "tabs", "non-ascii", "form feed", "mark", "open end", "separators", "trailing blanks")
WAYS = ("exact", "with LF", "blanks after", "indented", "dedented")


@dataclass(frozen=True)
class Case:
    """A file, edits, and by the number of each edit the lines that it is for, or why it must be refused."""

    name: str
    source: str
    expected: str
    edits: tuple[Edit, ...]
    places: dict[int, tuple[int, int]]
    refused: dict[int, RejectionReason] = field(default_factory=dict)


class File:
    """Five functions whose bodies are alike but for one line, so that most lines are there five times."""

    def __init__(self, ends: str, trait: str) -> None:
        self.trait = trait
        self.indent = "\t" if trait == "tabs" else "    "
        self.mark = "\ufeff" if trait == "mark" else ""
        contents = [line for number in range(BLOCKS) for line in self.block(number)]
        kinds = cycle(ENDS[ends])
        self.lines = [(content, next(kinds)) for content in contents]
        if trait == "open end":
            self.lines[-1] = (self.lines[-1][0], "")

    def block(self, number: int, name: str = "x", said: str = "") -> list[str]:
        """The lines of a function; `name` and `said` make them others."""
        letter = {"non-ascii": "é\u4e2d\U0001f600", "separators": "a\u2028b\x85c"}.get(self.trait, "a")
        after = "  " if self.trait == "trailing blanks" and not said else ""
        before = "\f" if self.trait == "form feed" else ""
        return [
            f"{before}def f{number}{said}(a):{after}",
            f"{self.indent}if a:{after}" if not said else f"{self.indent}if not a:",
            f"{self.indent * 2}{name} = '{letter}'",
            f"{self.indent}return {name}{after}",
        ]

    def text(self, new: dict[int, str] | None = None) -> str:
        """The file, with the contents of some lines replaced."""
        made = (f"{(new or {}).get(at, content)}{end}" for at, (content, end) in enumerate(self.lines))
        return self.mark + "".join(made)

    def quoted(self, first: int, count: int, way: str) -> str:
        """Lines as a model may write them down."""
        lines = self.lines[first : first + count]
        if way == "exact":
            return "".join(content + end for content, end in lines)
        return self.written([content for content, _ in lines], way)

    def written(self, contents: list[str], way: str) -> str:
        """New lines, in the same manner."""
        if way == "blanks after":
            contents = [f"{content.rstrip()} \t" for content in contents]
        if way == "indented":
            contents = [f"{self.indent}{content.lstrip(chr(12)).rstrip()}" for content in contents]
        if way == "dedented":
            contents = [content.removeprefix(self.indent) for content in contents]
        return "".join(f"{content}\n" for content in contents)


def one_edit(ends: str, trait: str, way: str, number: int) -> Case:
    file = File(ends, trait)
    first, new = number * 4, file.block(number, "y", "_new")
    shown = new
    if way == "indented":
        # A page break that the answer leaves out stays in the file.
        shown = [line.lstrip("\f") for line in new]
    if way == "dedented":
        # What is quoted begins inside, with a line that is there once.
        file.lines[first + 1] = (f"{file.indent}if a == {number}:", file.lines[first + 1][1])
        first, new = first + 1, new[1:]
        shown = new
    edit = Edit(search=file.quoted(first, len(new), way), replace=file.written(shown, way))
    after = " \t" if way == "blanks after" else ""
    kept = {first + at: f"{line}{after}" for at, line in enumerate(new)}
    return Case(
        name=f"{ends}, {trait}, {way}, function {number}",
        source=file.text(),
        expected=file.text(kept),
        edits=(edit,),
        places={0: (first + 1, first + len(new))},
    )


def several(ends: str, trait: str) -> Iterator[Case]:
    file = File(ends, trait)
    name = f"{ends}, {trait}"
    head = [Edit(search=file.quoted(4 * n, 1, "with LF"), replace=f"def g{n}():\n") for n in range(BLOCKS)]
    body = Edit(search=file.quoted(4, 4, "with LF"), replace=file.quoted(4, 1, "with LF") + "    pass\n" * 3)
    page = "\f" if trait == "form feed" else ""
    heads = {4 * n: f"def g{n}():" for n in range(BLOCKS)}
    yield Case(
        name=f"{name}, five edits, the last first",
        source=file.text(),
        expected=file.text(heads),
        edits=tuple(reversed(head)),
        places={BLOCKS - 1 - n: (4 * n + 1, 4 * n + 1) for n in range(BLOCKS)},
    )
    yield Case(
        name=f"{name}, adjacent",
        source=file.text(),
        expected=file.text({4: heads[4], **dict.fromkeys((5, 6, 7), "    pass")}),
        edits=(body, head[1]),
        places={0: (6, 8), 1: (5, 5)},
    )
    whole = Edit(search=file.quoted(4, 4, "with LF"), replace=f"{page}a\nb\nc\nd\n")
    yield Case(
        name=f"{name}, overlapping",
        source=file.text(),
        expected=file.text({4: f"{page}a", 5: "b", 6: "c", 7: "d"}),
        edits=(whole, body, head[1]),
        places={0: (5, 8)},
        refused={1: RejectionReason.OVERLAP, 2: RejectionReason.OVERLAP},
    )
    again = Edit(search=file.quoted(7, 1, "with LF"), replace="pass\n")
    absent = Edit(search="def nowhere():\n", replace="pass\n")
    apart = Edit(search=file.quoted(4, 1, "with LF") + file.quoted(7, 1, "with LF"), replace="pass\n")
    yield Case(
        name=f"{name}, there five times, nowhere, and with a line left out",
        source=file.text(),
        expected=file.text(),
        edits=(again, absent, apart),
        places={},
        refused={
            0: RejectionReason.AMBIGUOUS,
            1: RejectionReason.NOT_FOUND,
            2: RejectionReason.NOT_FOUND,
        },
    )


CASES = [
    *(one_edit(*chosen) for chosen in product(ENDS, TRAITS, WAYS, (0, 2, BLOCKS - 1))),
    *(case for chosen in product(ENDS, TRAITS) for case in several(*chosen)),
]


def wrong(case: Case) -> str | None:
    """What is wrong about a place or the text, None if nothing is."""
    found = locate(case.source, case.edits)
    refused = {rejection.edit: rejection.reason for rejection in found.rejections}
    places = {
        number: (hunk.start_line, hunk.end_line)
        for hunk, number in zip(found.hunks, found.edits, strict=True)
    }
    if refused != case.refused or places != case.places:
        return f"{case.name}: {places} {refused}, and not {case.places} {case.refused}"
    made = apply_hunks(case.source, found.hunks)
    return None if made == case.expected else f"{case.name}: {made!r}, and not {case.expected!r}"


def test_of_more_than_two_hundred_edits_each_is_located_where_it_belongs_or_refused_by_name() -> None:
    edits = sum(len(case.edits) for case in CASES)
    assert len(CASES) >= 200
    assert len({case.name for case in CASES}) == len(CASES)
    assert Counter(reason for case in CASES for reason in case.refused.values()).total() < edits / 4

    assert [said for case in CASES if (said := wrong(case)) is not None] == []
