"""The format `sarif`: SARIF 2.1.0 (OASIS), of which the first physical location of each result is read."""

import re
from collections.abc import Iterator
from itertools import count, islice

from patchmill.reports.json_text import Node, read_json
from patchmill.reports.report import (
    MAX_EDITS,
    MAX_FIXES,
    MAX_MESSAGE,
    MAX_NAME,
    MAX_SEVERITY,
    MIX_IN_UNSAFE,
    UNKNOWN,
    Lines,
    Offsets,
    Reported,
    ReportedEdit,
    ReportedFix,
    Unit,
)
from patchmill.reports.sarif_names import Names

VERSION = "2.1.0"

# A result of one of these kinds tells that all is well, or nothing at all.
_NO_PROBLEM = frozenset({"pass", "notApplicable", "informational"})
# Known before, or gone by now: the project has decided about it.
_IN_THE_BASELINE = frozenset({"unchanged", "absent"})
_SUPPRESSION_NOT_YET = frozenset({"underReview", "rejected"})
# Code points by the standard where nothing is said, and ruff, which says nothing, counts so.
_UNITS = {None: Unit.CODE_POINTS, "unicodeCodePoints": Unit.CODE_POINTS, "utf16CodeUnits": Unit.UTF16}
# These write columns in bytes of UTF-8, whatever they declare: the standard has no word for it.
_COUNT_BYTES = frozenset({"oxlint", "zizmor"})
_MAX_FILLED = 20  # places in a message; what is more stays as it is
_PLACEHOLDER = re.compile(r"\{(\d{1,3})\}|\{\{|\}\}")


def read(content: str) -> Iterator[Reported]:
    """Give the findings of all runs; raises UnreadableReport where it cannot go on."""
    log = read_json(content)
    version = log.need("version")
    if version.text() != VERSION:
        raise version.wrong(f"must be {VERSION}")
    numbers = count()
    for run in log.need("runs").items():
        reading = _Run(run)
        for result in run.items_of("results"):
            number = next(numbers)
            found = reading.reported(number, result)
            if found is not None:
                yield found


class _Run:
    """One run of a tool: what its results refer to."""

    def __init__(self, run: Node) -> None:
        tool = run.need("tool")
        driver = tool.need("driver")
        self._tool = driver.short_of("name", MAX_NAME) or UNKNOWN
        self._rules = driver.get("rules")
        self._extensions = tool.get("extensions")
        self._by_id = {
            identity: rule
            for rule in driver.items_of("rules")
            if (identity := rule.text_of("id")) is not None
        }
        self._names = Names(run)
        kind = run.get("columnKind")
        unit = _UNITS.get(None if kind is None else kind.text())
        if kind is not None and unit is None:
            raise kind.wrong("must be utf16CodeUnits or unicodeCodePoints")
        self._unit = Unit.UTF8 if self._tool in _COUNT_BYTES else unit or Unit.CODE_POINTS

    def reported(self, number: int, result: Node) -> Reported | None:
        """Read a result; None when it tells of no problem."""
        if result.text_of("kind") in _NO_PROBLEM:
            return None
        rule = self._rule(result)
        rule_id = result.short_of("ruleId", MAX_NAME)
        if rule_id is None and rule is not None:
            rule_id = rule.short_of("id", MAX_NAME)
        physical = _physical_location(result)
        artifact = None if physical is None else physical.get("artifactLocation")
        region = None if physical is None else physical.get("region")
        name = "" if artifact is None else self._names.of(artifact)
        return Reported(
            number=number,
            name=name,
            tool=self._tool,
            rule=rule_id or UNKNOWN,
            message=_message(result, rule)[:MAX_MESSAGE],
            severity=_level(result, rule),
            place=None if region is None else _place(region),
            unit=self._unit,
            fixes=tuple(islice(self._fixes(result, name), MAX_FIXES)),
            suppressed=_suppressed(result),
        )

    def _rule(self, result: Node) -> Node | None:
        """The rule that a result breaks: by index where it gives one, else by its id."""
        reference = result.get("rule")
        component = None if reference is None else reference.get("toolComponent")
        extension = None if component is None else component.number_of("index", low=-1)
        rules = self._rules
        if extension is not None and extension >= 0:
            owner = None if self._extensions is None else self._extensions.at(extension)
            rules = None if owner is None else owner.get("rules")
        index = result.number_of("ruleIndex", low=-1)
        if index is None and reference is not None:
            index = reference.number_of("index", low=-1)
        if index is not None and index >= 0:
            return None if rules is None else rules.at(index)
        identity = result.text_of("ruleId")
        if identity is None and reference is not None:
            identity = reference.text_of("id")
        return None if identity is None else self._by_id.get(identity)

    def _fixes(self, result: Node, name: str) -> Iterator[ReportedFix]:
        """The fixes that change this file alone, and text alone."""
        safe = self._tool not in MIX_IN_UNSAFE
        for fix in result.items_of("fixes"):
            edits = list(islice(self._edits(fix, name), MAX_EDITS + 1))
            known = [edit for edit in edits if edit is not None]
            if known and len(known) == len(edits) <= MAX_EDITS:
                yield ReportedFix(safe=safe, edits=tuple(known))

    def _edits(self, fix: Node, name: str) -> Iterator[ReportedEdit | None]:
        for change in fix.items_of("artifactChanges"):
            here = self._names.of(change.need("artifactLocation")) == name
            for replacement in change.items_of("replacements"):
                yield _edit(replacement) if here else None


def _physical_location(result: Node) -> Node | None:
    location = next(result.items_of("locations"), None)
    return None if location is None else location.get("physicalLocation")


def _place(region: Node) -> Lines | Offsets | None:
    """A region of text; zeros, which some tools write for what they do not know, count as absent."""
    start_line = region.number_of("startLine")
    if start_line:
        return Lines(
            start_line=start_line,
            start_column=region.number_of("startColumn") or None,
            end_line=region.number_of("endLine") or start_line,
            end_column=region.number_of("endColumn") or None,
        )
    offset = region.number_of("charOffset", low=-1)
    if start_line is None and offset is not None and offset >= 0:
        return Offsets(start=offset, length=region.number_of("charLength") or 0)
    return None


def _edit(replacement: Node) -> ReportedEdit | None:
    """A replacement, or None for one that is not of text."""
    place = _place(replacement.need("deletedRegion"))
    inserted = replacement.get("insertedContent")
    text = "" if inserted is None else inserted.text_of("text")
    return None if place is None or text is None else ReportedEdit(place=place, text=text)


def _level(result: Node, rule: Node | None) -> str:
    level = result.short_of("level", MAX_SEVERITY)
    if level is None and rule is not None:
        defaults = rule.get("defaultConfiguration")
        level = None if defaults is None else defaults.short_of("level", MAX_SEVERITY)
    return level or "warning"


def _message(result: Node, rule: Node | None) -> str:
    """The message: its own text, or that of its rule which it names."""
    message = result.get("message")
    if message is None:
        return ""
    text = message.text_of("text")
    identity = message.text_of("id")
    if text is None and identity is not None and rule is not None:
        strings = rule.get("messageStrings")
        string = None if strings is None else strings.get(identity)
        text = None if string is None else string.text_of("text")
    if text is None:
        return identity or ""
    given = [argument.text()[:MAX_MESSAGE] for argument in islice(message.items_of("arguments"), _MAX_FILLED)]

    def fill(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0][0]
        return given[int(found[1])] if int(found[1]) < len(given) else found[0]

    return _PLACEHOLDER.sub(fill, text[:MAX_MESSAGE], count=_MAX_FILLED) if given else text


def _suppressed(result: Node) -> bool:
    """Whether the project has accepted it, in the code, by a suppression elsewhere, or in its baseline."""
    given = [suppression.text_of("status") for suppression in result.items_of("suppressions")]
    accepted = bool(given) and not any(status in _SUPPRESSION_NOT_YET for status in given)
    return accepted or result.text_of("baselineState") in _IN_THE_BASELINE
