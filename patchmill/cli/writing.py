"""Suggestions written into the files that they are for: all of them or none."""

import hashlib
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from patchmill.cli.exits import NotApplied
from patchmill.cli.tree import Tree
from patchmill.client.documents import Job, Suggestion
from patchmill.edit.encoding import UTF_8
from patchmill.edit.offered import apply_offered
from patchmill.edit.span import Hunk
from patchmill.errors import PatchmillError


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a file becomes: where it really is, the bytes that it holds now, and those that it shall hold."""

    path: str
    place: Path
    before: bytes
    after: bytes


def edited(source: str, suggestions: Sequence[Suggestion]) -> str:
    """Give the source with every suggestion applied.

    Raises ValueError if one is not the source's, or two clash.
    """
    hunks = [
        Hunk(
            start_line=one["start_line"],
            end_line=one["end_line"],
            original=one["original"],
            replacement=one["replacement"],
        )
        for one in suggestions
    ]
    return apply_offered(source, hunks)


def changes(tree: Tree, jobs: Sequence[Job]) -> list[Change]:
    """Give what the suggestions of jobs make of the files; checks each file against what was submitted.

    Raises:
        NotApplied: a file is no longer what was submitted, or is not there; the message names every one.
    """
    suggestions: dict[str, list[Suggestion]] = {}
    submitted: dict[str, str] = {}
    encodings: dict[str, str] = {}
    refused: list[str] = []
    for job in jobs:
        if job["suggestions"] and job.get("erased_at"):
            refused.append(f"the code of {job['id']} was erased")
        elif job["suggestions"]:
            path, sha256 = job["file"]["path"], job["file"]["sha256"]
            encodings[path] = job["file"].get("encoding", UTF_8)  # earlier servers know no other
            suggestions.setdefault(path, []).extend(job["suggestions"])
            if submitted.setdefault(path, sha256) != sha256:
                refused.append(f"{path} was submitted in two versions")
    found: list[Change] = []
    for path, offered in suggestions.items():
        try:
            found.append(_change(tree, path, submitted[path], encodings[path], offered))
        except PatchmillError as error:
            refused.append(str(error))
    if refused:
        raise NotApplied(f"nothing was changed: {'; '.join(refused)}")
    return found


def write(found: Sequence[Change]) -> None:
    """Replace the files, each at once and with its mode kept; when one cannot be, put back the others.

    Raises:
        NotApplied: a file cannot be written, or has changed since it was read.
    """
    drafts: dict[Path, Path] = {}
    replaced: list[Change] = []
    try:
        for change in found:
            drafts[change.place] = _draft(change.place, change.after)
        for change in found:
            _check_unchanged(change)
            replaced.append(change)
            drafts[change.place].replace(change.place)
    except BaseException as error:
        for change in replaced:
            if change.place.read_bytes() != change.before:
                _draft(change.place, change.before).replace(change.place)
        if isinstance(error, OSError):
            what = error.strerror or str(error)
            raise NotApplied(f"nothing was changed: {error.filename}: {what}") from error
        raise
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)


def _change(tree: Tree, path: str, sha256: str, encoding: str, offered: Sequence[Suggestion]) -> Change:
    inside = tree.relative(path)
    if inside is None:
        raise NotApplied(f"{path} lies outside of {tree.folder}")
    place = tree.place(inside)
    try:
        before = place.read_bytes()
    except OSError as error:
        raise NotApplied(f"{path}: {error.strerror}") from None
    if hashlib.sha256(before).hexdigest() != sha256:
        raise NotApplied(f"{path} is not what was submitted: it has moved on, or is another file")
    try:
        after = edited(before.decode(encoding), offered).encode(encoding)
    except ValueError as error:
        raise NotApplied(f"{path}: the suggestions do not fit: {error}") from None
    return Change(path=path, place=place, before=before, after=after)


def _check_unchanged(change: Change) -> None:
    if change.place.read_bytes() != change.before:
        raise NotApplied(f"nothing was changed: {change.path} was changed by somebody else just now")


def _draft(place: Path, content: bytes) -> Path:
    """Write a file beside its place, complete and with the same mode and owner, ready to take it."""
    number, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name[:100]}.")
    draft = Path(name)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            was = place.stat()
            os.fchmod(number, was.st_mode & 0o7777)
            with suppress(PermissionError):  # only root may give files away
                os.fchown(number, was.st_uid, was.st_gid)
            os.fsync(number)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return draft
