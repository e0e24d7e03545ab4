"""The shapes of requests: every field, its type and bounds; what fields mean together is in `api.rules`."""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from api.fields import (
    MAX_INT,
    Column,
    EditFormat,
    Encoding,
    FilePath,
    Instant,
    Line,
    Short,
    SourceLines,
    Usd,
    existing_line,
    fault,
)
from api.problems import MAX_ERRORS, nearest
from patchmill.kinds.languages import LANGUAGES, language_of

What = Literal["types", "docstrings", "existing_types"]
MAX_FINDINGS = 5_000


class Body(BaseModel):
    """The base of every request: unknown fields and lenient types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class ToolEditBody(Body):
    """One replacement of a tool's own fix; the end column is exclusive."""

    start_line: Line
    start_column: Column
    end_line: Line
    end_column: Column = Field(description="1-based, in Unicode code points, not included")
    text: str = Field(description="what comes in the place of the stretch; empty deletes it")

    @field_validator("start_line", "end_line")
    @classmethod
    def _line_exists(cls, line: int, info: ValidationInfo) -> int:
        return existing_line(line, info)

    @field_validator("start_column", "end_column")
    @classmethod
    def _column_exists(cls, column: int, info: ValidationInfo) -> int:
        side = "start" if info.field_name == "start_column" else "end"
        line = info.data.get(f"{side}_line")
        if isinstance(info.context, SourceLines) and line is not None:
            end = len(info.context.contents[line - 1]) + 1
            if column > end:
                raise fault("out_of_range", f"line {line} ends at column {end}")
        start = (info.data.get("start_line"), info.data.get("start_column"))
        if side == "end" and None not in (*start, line) and (line, column) < start:
            raise fault("out_of_range", "the edit ends before it starts")
        return column


class ToolFixBody(Body):
    """A tool's own fix of its finding."""

    safe: bool = Field(description="whether the tool calls it safe; only such fixes are tried")
    edits: Annotated[
        list[ToolEditBody],
        Field(min_length=1, max_length=1_000, description="what it replaces, all of it or nothing"),
        FailFast(),
    ]


class FindingBody(Body):
    """A problem that a tool reported. Columns may be counted in the tool's own way: they only inform."""

    tool: Short = Field(description="who reported it, such as ruff")
    rule: Short = Field(description="the tool's name of the rule, such as B006")
    message: Annotated[str, Field(max_length=4_000, description="the tool's own words")]
    severity: Annotated[str, Field(min_length=1, max_length=50, description="the tool's own word")] = (
        "warning"
    )
    start_line: Line
    start_column: Column | None = Field(None, description="1-based; it only informs")
    end_line: Line = Field(description="1-based, included")
    end_column: Column | None = Field(None, description="1-based; it only informs")
    fixes: Annotated[
        list[ToolFixBody],
        Field(max_length=20, description="the tool's own fixes, which are tried before a model is asked"),
        FailFast(),
    ] = []

    @field_validator("start_line", "end_line")
    @classmethod
    def _line_exists(cls, line: int, info: ValidationInfo) -> int:
        return existing_line(line, info)

    @field_validator("end_column")
    @classmethod
    def _ends_after_it_starts(cls, column: int | None, info: ValidationInfo) -> int | None:
        start = info.data.get("start_column")
        if column is None:
            return None
        if start is None:
            raise fault("not_allowed", "an end column needs a start column")
        if info.data.get("start_line") == info.data.get("end_line") and column < start:
            raise fault("out_of_range", "the finding ends before it starts")
        return column


def _one_by_one(value: Any, check: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """Check findings until there are mistakes enough: to list those of thousands takes too much memory."""
    if not isinstance(value, list):
        return check(value)
    if len(value) > MAX_FINDINGS:
        raise fault("too_long", f"has more than {MAX_FINDINGS:,} findings; make several jobs of them")
    found: list[FindingBody] = []
    mistakes: list[InitErrorDetails] = []
    for index, item in enumerate(value):
        try:
            found.append(FindingBody.model_validate(item, context=info.context))
        except ValidationError as error:
            for detail in error.errors(include_url=False, include_context=False, include_input=False):
                told = PydanticCustomError(detail["type"], "{text}", {"text": detail["msg"]})
                mistakes.append({"type": told, "loc": (index, *detail["loc"]), "input": None})
        if len(mistakes) >= MAX_ERRORS:
            break
    if mistakes:
        raise ValidationError.from_exception_data("findings", mistakes)
    return found


class FileBody(Body):
    """The file that a job is about."""

    path: FilePath = Field(description="from the root of the repository, with /")
    content: str = Field(description="the whole file")
    encoding: Encoding = "utf-8"
    language: str | None = Field(None, validate_default=True, description="by the path's ending if omitted")

    @field_validator("language")
    @classmethod
    def _known_language(cls, name: str | None, info: ValidationInfo) -> str | None:
        known = ", ".join(LANGUAGES)
        if name is not None:
            if name not in LANGUAGES:
                raise fault("not_allowed", f"there is no such language{nearest(name, LANGUAGES)}")
            return name
        path = info.data.get("path")
        told = None if path is None else language_of(path)
        if path is not None and told is None:
            raise fault("missing", f"the path's ending does not tell the language; known: {known}")
        return told


class ScopeBody(Body):
    """The lines that edits may touch; in an empty file from 1 to 0."""

    start_line: Line
    end_line: Annotated[int, Field(ge=0, le=MAX_INT, description="1-based, included")]

    @field_validator("start_line", "end_line")
    @classmethod
    def _line_exists(cls, line: int, info: ValidationInfo) -> int:
        empty = isinstance(info.context, SourceLines) and info.context.contents == [""]
        return line if line == 0 and empty else existing_line(line, info)


class ContextBody(Body):
    """Another file that helps to understand the job's."""

    path: FilePath = Field(description="from the root of the repository, with /")
    content: str = Field(description="the file, or the part of it that helps")


class OriginBody(Body):
    """Where the file comes from."""

    forge: Literal["github", "gitlab"] | None = Field(None, description="where the repository is")
    repository: Short | None = Field(None, description="its name there, such as acme/app")
    pull_request: Annotated[int, Field(ge=1, le=MAX_INT)] | None = Field(
        None, description="the number of the pull or merge request"
    )
    head: Short | None = Field(None, description="the revision of the files")
    base: Short | None = Field(None, description="the revision that they are compared with")


class OptionsBody(Body):
    """What a submitter may choose."""

    model: Annotated[str, Field(min_length=1, max_length=100)] | None = Field(
        None, description="the model that is asked first; null: the project's"
    )
    escalate: bool = Field(
        default=True, description="whether the stronger model may be asked for what is left"
    )
    tool_fixes: bool = Field(default=True, description="whether tools' own safe fixes are tried first")
    reuse: bool = Field(
        default=True,
        description="whether a job of the same work may serve its result, and this one others with its own",
    )
    edit_format: EditFormat | None = Field(
        None,
        description="how the model writes edits: search_replace (null), json, anchored_lines or tool",
    )
    max_cost_usd: Usd | None = Field(
        None, description="what a job may cost, in US dollars as a decimal string; null: no cap of its own"
    )
    max_calls: Annotated[int, Field(ge=1, le=8)] | None = Field(
        None, description="how many calls may be made; null: as many as any job may"
    )
    deadline_s: Annotated[float, Field(ge=1, le=86_400)] | None = Field(
        None, description="seconds from submission until the job is given up; null: none"
    )
    priority: Literal["interactive", "bulk"] = Field(
        "interactive", description="interactive goes first when slots are scarce"
    )


CHECKERS_MEAN = "settings of checkers by their names, such as ruff's target-version; those of your project"
Checkers = Annotated[dict[str, Annotated[dict[str, Any], Field(max_length=100)]], Field(max_length=5)]
Labels = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=100)], Annotated[str, Field(max_length=200)]],
    Field(max_length=32),
]


class JobRequest(Body):
    """One job: a file, and what is wanted of it."""

    kind: Literal["fix", "annotate"] = Field(description="fix mends, annotate adds types and docstrings")
    file: FileBody = Field(description="the file to change")
    findings: Annotated[list[FindingBody] | None, WrapValidator(_one_by_one)] = Field(
        None, description="what a tool reported in the file; fix needs some, or an instruction"
    )
    what: Annotated[list[What], Field(max_length=10)] | None = Field(
        None,
        description="what annotate adds: types, docstrings, or both; existing_types beside types lets hints "
        "that are there change, too",
    )
    instruction: Annotated[str, Field(min_length=1, max_length=4_000)] | None = Field(
        None, description="what to change, in words; what comes of it is not verified; for fix"
    )
    scope: ScopeBody | None = Field(None, description="the lines that edits may touch; null: all")
    context: Annotated[list[ContextBody], Field(max_length=20)] = Field(
        [], description="other files that the model is shown; they are not changed"
    )
    checkers: Checkers = Field({}, description=CHECKERS_MEAN)
    origin: OriginBody = Field(OriginBody(), description="where the file comes from; it is kept and shown")
    labels: Labels = Field({}, description="names and values of your own; kept and shown")
    options: OptionsBody = Field(OptionsBody(), description="what may be chosen; all have defaults")


class KeyRequest(Body):
    """A new key of the caller's project."""

    name: Short
    scopes: Annotated[
        list[Literal["jobs:read", "jobs:write", "admin"]], Field(min_length=1, max_length=10)
    ] = [
        "jobs:read",
        "jobs:write",
    ]
    expires_at: Instant | None = None
