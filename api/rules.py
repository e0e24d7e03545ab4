"""What the fields of a job request mean together: what each kind needs, and how large files may be."""

from collections.abc import Iterator, Sequence
from typing import Any

from api.bodies import read_json, text_errors, validated
from api.fields import SourceLines
from api.requests import JobRequest
from patchmill.errors import FieldError, TooLarge
from patchmill.kinds.annotate import PROVEN
from patchmill.kinds.checker_settings import settings_errors


class FileTooLarge(TooLarge):
    """A file of the request is larger than the service accepts."""

    def __init__(self, pointer: str, size: int, limit: int) -> None:
        detail = f"holds {size:,} bytes; the limit is {limit:,} (PATCHMILL_MAX_FILE_BYTES)"
        super().__init__(f"{pointer}: {detail}")
        self.errors = [FieldError(pointer=pointer, code="too_large", detail=detail)]


def read_job_request(body: bytes, *, max_file_bytes: int) -> JobRequest:
    """Read the body of a submission.

    Raises:
        InvalidJson: it is not JSON.
        FileTooLarge: the file, or all context files together, exceed the limit.
        InvalidFields: lists every mistake in it.
    """
    value = read_json(body)
    earlier = text_errors(value)
    source = text_at(value, "file", "content")
    refuse_large("/file/content", [source], max_file_bytes)
    context = value.get("context") if isinstance(value, dict) else None
    if isinstance(context, list):
        refuse_large("/context", [text_at(item, "content") for item in context], max_file_bytes)
    return validated(
        value,
        JobRequest,
        earlier=[*earlier, *_kind_errors(value)],
        more=_later_errors,
        context=None if source is None else SourceLines.of(source),
    )


def _kind_errors(value: Any) -> Iterator[FieldError]:
    """What the kind needs or has no use for; looks at the raw body, so that all mistakes come at once."""
    if not isinstance(value, dict):
        return
    kind, findings, what = value.get("kind"), value.get("findings"), value.get("what")
    instruction = value.get("instruction")
    if kind == "fix":
        if (findings is None or findings == []) and instruction is None:
            detail = "a job of kind fix needs at least one finding, or an instruction"
            yield FieldError(pointer="/findings", code="missing", detail=detail)
        if what is not None:
            yield FieldError(pointer="/what", code="not_allowed", detail="belongs to jobs of kind annotate")
    if kind == "annotate":
        if what is None or what == []:
            detail = "a job of kind annotate needs types, docstrings, or both"
            yield FieldError(pointer="/what", code="missing", detail=detail)
        if findings is not None and findings != []:
            yield FieldError(pointer="/findings", code="not_allowed", detail="belong to jobs of kind fix")
        if instruction is not None:
            yield FieldError(pointer="/instruction", code="not_allowed", detail="belongs to jobs of kind fix")
    if isinstance(instruction, str) and not instruction.strip():
        yield FieldError(pointer="/instruction", code="missing", detail="says nothing")


def _later_errors(request: JobRequest) -> Iterator[FieldError]:
    """What only a request of the right shape can be asked: its language's kinds, and checker settings."""
    if request.kind == "annotate":
        yield from _what_errors(request.what or [], request.file.language or "")
    for pointer, detail in settings_errors(request.checkers):
        yield FieldError(pointer=f"/checkers{pointer}", code="not_allowed", detail=detail)


def _what_errors(what: Sequence[str], language: str) -> Iterator[FieldError]:
    """What can be proven of a language."""
    if language not in PROVEN:
        detail = f"jobs of kind annotate are proven for {', '.join(PROVEN)}; this file is {language}"
        yield FieldError(pointer="/file/language", code="not_allowed", detail=detail)
        return
    for index, name in enumerate(what):
        if name not in PROVEN[language]:
            detail = f"of {language} only {', '.join(sorted(PROVEN[language]))} can be proven"
            yield FieldError(pointer=f"/what/{index}", code="not_allowed", detail=detail)
        elif name == "existing_types" and "types" not in what:
            detail = "lets hints change beside new ones: name types, too"
            yield FieldError(pointer=f"/what/{index}", code="not_allowed", detail=detail)


def text_at(value: Any, *names: str) -> str | None:
    """Give the text at a place in a raw body; None where there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None


def refuse_large(pointer: str, texts: list[str | None], limit: int) -> None:
    """Refuse texts of a raw body that are too large together; nothing else of the body matters then.

    Raises:
        FileTooLarge: they have more than `limit` bytes in UTF-8.
    """
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts if text is not None)
    if size > limit:
        raise FileTooLarge(pointer, size, limit)
