"""The request of a run: reports, files and a diff; what they mean together, and what the reports say."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any, Literal

from pydantic import FailFast, Field, field_validator

from api.bodies import read_json, text_errors, validated
from api.fields import Encoding, FilePath, Usd, fault
from api.requests import CHECKERS_MEAN, MAX_FINDINGS, Body, Checkers, Labels, OptionsBody, OriginBody
from api.rules import refuse_large, text_at
from patchmill.edit.changes import ChangedFile, UnreadableDiff, read_diff
from patchmill.errors import FieldError, InvalidFields
from patchmill.kinds.checker_settings import settings_errors
from patchmill.reports import READERS
from patchmill.reports.report import Reported, UnreadableReport
from patchmill.reports.selection import Filter, Selection, select

MAX_REPORTS = 20
MAX_FILES = 2_000
MAX_REPORTED = 10_000  # findings of all reports of a run


class ReportBody(Body):
    """What a tool found, in the tool's own words."""

    format: Annotated[str, Field(description=", ".join(READERS))]
    content: str = Field(description="the report as the tool wrote it")

    @field_validator("format")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in READERS:
            raise fault("not_allowed", f"there is no such format; known: {', '.join(READERS)}")
        return name


class RunFileBody(Body):
    """A file that findings may be in; its path tells its language."""

    path: FilePath = Field(description="from the root of the repository, with /")
    content: str = Field(description="the whole file")
    encoding: Encoding = "utf-8"


class RunRequest(Body):
    """One run: reports, and the files that they are about.

    Each file with findings becomes a job. `filter` chooses by the diff: `added` is the default with one,
    `nofilter` without. `options` are those of every job, `max_cost_usd` beside them is for all jobs together.
    """

    kind: Literal["fix", "annotate"] = Field(description="fix; annotate is for single jobs")
    reports: Annotated[
        list[ReportBody],
        Field(min_length=1, max_length=MAX_REPORTS, description="what tools found"),
        FailFast(),
    ]
    files: Annotated[
        list[RunFileBody],
        Field(min_length=1, max_length=MAX_FILES, description="the files that the findings are in"),
        FailFast(),
    ]
    archive: Annotated[Any, Field(description="null: files are sent inline")] = None
    diff: Annotated[str | None, Field(description="a unified diff from the base to these files")] = None
    filter: Literal["added", "diff_context", "file", "nofilter"] | None = Field(
        None, description="which findings count, by the diff; null: added with one, nofilter without"
    )
    checkers: Checkers = Field(default_factory=dict, description=CHECKERS_MEAN)
    origin: OriginBody = Field(OriginBody(), description="where the files come from; it is kept and shown")
    labels: Labels = Field(default_factory=dict, description="names and values of your own; kept and shown")
    max_cost_usd: Usd | None = Field(
        None, description="what all jobs together may cost, in US dollars as a decimal string"
    )
    options: OptionsBody = Field(OptionsBody(), description="those of every job; all have defaults")

    @field_validator("kind")
    @classmethod
    def _fix_alone(cls, kind: str) -> str:
        if kind == "annotate":
            detail = "a run mends the findings of reports; send a job of kind annotate for each file"
            raise fault("not_allowed", detail)
        return kind

    @field_validator("archive")
    @classmethod
    def _no_archive(cls, archive: Any) -> None:
        if archive is not None:
            raise fault("not_allowed", "archives are not read by this version; send the files in `files`")


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedRun:
    """A request for a run, understood."""

    request: RunRequest
    selection: Selection
    contents: dict[str, str]  # of the submitted files, by path
    encodings: dict[str, str]  # likewise


def read_run_request(body: bytes, *, max_file_bytes: int) -> AskedRun:
    """Read the body of a run's submission, with its reports and its diff.

    Raises:
        InvalidJson: it is not JSON.
        TooLarge: a file exceeds the limit, or the body has more values than any request needs.
        InvalidFields: lists every mistake in it.
    """
    value = read_json(body)
    earlier = text_errors(value)
    files = value.get("files") if isinstance(value, dict) else None
    for index, file in enumerate(files if isinstance(files, list) else ()):
        refuse_large(f"/files/{index}/content", [text_at(file, "content")], max_file_bytes)
    request = validated(value, RunRequest, earlier=earlier, more=_more_errors)
    contents = {file.path: file.content for file in request.files}
    encodings = {file.path: file.encoding for file in request.files}
    errors: list[FieldError] = []
    diff = _diff(request, errors)
    reports = _reports(request, errors)
    if errors:
        raise InvalidFields(errors)
    selection = select(reports, contents, diff, _filter(request))
    _refuse_crowded(selection)
    return AskedRun(request=request, selection=selection, contents=contents, encodings=encodings)


def _more_errors(request: RunRequest) -> Iterator[FieldError]:
    seen: set[str] = set()
    for index, file in enumerate(request.files):
        if file.path in seen:
            yield FieldError(f"/files/{index}/path", "not_allowed", "another file has the same path")
        seen.add(file.path)
    if request.diff is None and request.filter not in {None, Filter.NOFILTER}:
        detail = f"the filter `{request.filter}` needs a diff"
        yield FieldError(pointer="/diff", code="missing", detail=detail)
    for pointer, detail in settings_errors(request.checkers):
        yield FieldError(pointer=f"/checkers{pointer}", code="not_allowed", detail=detail)


def _filter(request: RunRequest) -> Filter:
    if request.filter is not None:
        return Filter(request.filter)
    return Filter.NOFILTER if request.diff is None else Filter.ADDED


def _diff(request: RunRequest, errors: list[FieldError]) -> dict[str, ChangedFile] | None:
    if request.diff is None:
        return None
    try:
        return read_diff(request.diff)
    except UnreadableDiff as error:
        errors.append(FieldError(pointer="/diff", code="not_allowed", detail=str(error)))
        return None


def _reports(request: RunRequest, errors: list[FieldError]) -> list[list[Reported]]:
    """What all reports say; those that cannot be read are errors."""
    reports: list[list[Reported]] = []
    room = MAX_REPORTED
    for index, report in enumerate(request.reports):
        pointer = f"/reports/{index}/content"
        try:
            found = list(islice(READERS[report.format](report.content), room + 1))
        except UnreadableReport as error:
            detail = f"is no {report.format} report that can be read: {error}"
            errors.append(FieldError(pointer=pointer, code="not_allowed", detail=detail))
            continue
        if len(found) > room:
            detail = f"the reports have more than {MAX_REPORTED:,} findings; make several runs of them"
            errors.append(FieldError(pointer=pointer, code="too_long", detail=detail))
            break
        room -= len(found)
        reports.append(found)
    return reports


def _refuse_crowded(selection: Selection) -> None:
    """A file is one job, so that its suggestions are verified together."""
    for path, findings in selection.files.items():
        if len(findings) > MAX_FINDINGS:
            detail = f"{path} has {len(findings):,} findings, and a file's job takes {MAX_FINDINGS:,} at most"
            raise InvalidFields([FieldError(pointer="/reports", code="too_long", detail=detail)])
