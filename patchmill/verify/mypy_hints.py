"""mypy on hints, where a request asks for it: an edited file may have no more errors than its source.

It reads the source and all candidates in one limited child process: alone, with our own configuration and no
plugin, without what is installed, and without a cache. What a file says to mypy in its comments
(`# mypy: ignore-errors`) is not obeyed.
"""

import importlib.util
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from patchmill.verify.evidence import Check, CheckName, Result
from patchmill.verify.process import sandbox
from patchmill.verify.process.workspace import workspace
from patchmill.verify.proof.prove import DEFAULT_TARGET

NAME = "mypy"
_LIMITS = sandbox.Limits(wall_s=60.0, cpu_s=60, open_files=256)
_FIXED = (
    *("--config-file=", "--no-incremental", "--cache-dir=/dev/null", "--no-site-packages"),
    *("--follow-imports=skip", "--ignore-missing-imports", "--explicit-package-bases"),
    *("--check-untyped-defs", "--show-error-codes", "--no-error-summary", "--output=json"),
)
# The oldest Python that mypy still reads code for.
_OLDEST = (3, 10)
# What asks for a hint: an edit that gives one would make room for an error.
_WISHES = frozenset({"var-annotated", "no-untyped-def", "no-untyped-call"})
_INLINE = re.compile(r"(?m)#([ \t]*)mypy:")
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class _Error:
    line: int
    code: str
    message: str


def check_hints(source: str, edited: Sequence[str], settings: Mapping[str, Any]) -> list[Check]:
    """Compare edited files with their source; one check for each.

    `settings` is the request's `checkers` object, already validated, with an entry for mypy.
    """
    if not edited:
        return []
    if importlib.util.find_spec(NAME) is None:
        return [_skipped("mypy is not installed here: the extra patchmill[mypy] brings it")] * len(edited)
    answer = _errors([source, *edited], settings)
    if isinstance(answer, str):
        return [_skipped(answer)] * len(edited)
    return [_compare(answer[0], errors) for errors in answer[1:]]


def _compare(before: Sequence[_Error], after: Sequence[_Error]) -> Check:
    if len(after) <= len(before):
        detail = f"mypy: {len(after)} errors, {len(before)} in the source"
        return Check(check=CheckName.HINTS_AGREE, result=Result.PASSED, detail=detail)
    known = Counter((error.code, error.message) for error in before)
    new = []
    for error in after:
        if known[error.code, error.message]:
            known[error.code, error.message] -= 1
        else:
            new.append(error)
    words = "; ".join(f"line {error.line}: {error.message} [{error.code}]" for error in new[:_SHOWN])
    detail = f"mypy: {len(after)} errors, {len(before)} in the source: {words}"
    return Check(check=CheckName.HINTS_AGREE, result=Result.FAILED, detail=detail)


def _errors(texts: Sequence[str], settings: Mapping[str, Any]) -> list[list[_Error]] | str:
    """The errors in each text, or in words why there is no answer."""
    with workspace(sum(map(len, texts))) as folder:
        paths = []
        for number, text in enumerate(texts):
            # Deep enough that a relative import stays inside.
            path = Path(f"v{number}", "a", "b", "c", "module.py")
            (folder / path).parent.mkdir(parents=True)
            (folder / path).write_text(_INLINE.sub(r"#\1    :", text), encoding="utf-8", newline="")
            paths.append(str(path))
        completed = sandbox.run(
            [sys.executable, "-I", "-m", NAME, *_FIXED, *_options(settings), *paths],
            stdin=b"",
            cwd=folder,
            limits=_LIMITS,
        )
    # 1 says that there are errors.
    if completed.failure is not None and (
        completed.returncode != 1 or completed.timed_out or completed.overflow
    ):
        return f"mypy gave no answer: {completed.failure}"
    found: defaultdict[str, list[_Error]] = defaultdict(list)
    for line in completed.stdout.splitlines():
        entry = json.loads(line)
        if entry["severity"] == "error" and entry["code"] not in _WISHES:
            found[entry["file"]].append(_Error(entry["line"], entry["code"] or "misc", entry["message"]))
    return [found[path] for path in paths]


def _options(settings: Mapping[str, Any]) -> list[str]:
    own = settings[NAME]
    target = settings.get("ruff", {}).get("target-version")
    version = max(_OLDEST, (3, int(target.removeprefix("py3"))) if target is not None else DEFAULT_TARGET)
    options = [f"--python-version={version[0]}.{version[1]}"]
    flags = [name for name in ("strict-optional", "implicit-optional") if name in own]
    options += [f"--{'' if own[name] else 'no-'}{name}" for name in flags]
    for name in ("disable-error-code", "enable-error-code"):
        options += [f"--{name}={code}" for code in own.get(name, [])]
    return options


def _skipped(detail: str) -> Check:
    return Check(check=CheckName.HINTS_AGREE, result=Result.SKIPPED, detail=detail)
