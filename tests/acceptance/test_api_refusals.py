import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.api import MAX_FILE_BYTES, User, finding, fix_request

Body = dict[str, Any]
JSON = {"Content-Type": "application/json"}


def as_ascii(body: Body) -> bytes:
    """Write half characters and NUL as escapes, as a client in any language can."""
    return json.dumps(body).encode()


def changed(**changes: Any) -> Body:
    return fix_request(**changes)


def with_file(**changes: Any) -> Body:
    return fix_request(
        file={"path": "src/app.py", "content": "x = 1\ny = 2\n", **changes}, findings=[plain()]
    )


def with_finding(**changes: Any) -> Body:
    return fix_request(findings=[finding(), finding(**changes)])


def with_edit(**changes: Any) -> Body:
    edit = {"start_line": 4, "start_column": 1, "end_line": 4, "end_column": 4, "text": "", **changes}
    return with_finding(fixes=[{"safe": True, "edits": [edit]}])


def with_option(**options: Any) -> Body:
    return fix_request(options=options)


def plain() -> Body:
    return finding(start_line=1, end_line=1, start_column=None, end_column=None)


def without(name: str) -> Body:
    body = fix_request()
    del body[name]
    return body


def annotate(**changes: Any) -> Body:
    return {"kind": "annotate", "file": {"path": "a.py", "content": "x = 1\n"}, "what": ["types"], **changes}


REFUSED: dict[str, tuple[Callable[[], Body], str, str]] = {
    # the whole
    "no kind": (lambda: without("kind"), "/kind", "missing"),
    "no file": (lambda: without("file"), "/file", "missing"),
    "another kind": (lambda: changed(kind="polish"), "/kind", "not_allowed"),
    "an unknown field": (lambda: changed(finding=[]), "/finding", "unknown_field"),
    "a file that is text": (lambda: changed(file="x = 1"), "/file", "wrong_type"),
    "an instruction that says nothing": (lambda: changed(instruction=" \n"), "/instruction", "missing"),
    "an empty instruction": (lambda: changed(instruction=""), "/instruction", "missing"),
    "a long instruction": (lambda: changed(instruction="x" * 4_001), "/instruction", "too_long"),
    "no finding and no instruction": (lambda: changed(findings=None), "/findings", "missing"),
    "an instruction to annotate": (
        lambda: changed(kind="annotate", findings=None, what=["types"], instruction="all"),
        "/instruction",
        "not_allowed",
    ),
    "annotations of another language": (
        lambda: changed(
            kind="annotate", findings=None, what=["types"], file={"path": "a.go", "content": "package a\n"}
        ),
        "/file/language",
        "not_allowed",
    ),
    # what each kind needs
    "fix without findings": (lambda: without("findings"), "/findings", "missing"),
    "fix with no finding": (lambda: changed(findings=[]), "/findings", "missing"),
    "fix with what": (lambda: changed(what=["types"]), "/what", "not_allowed"),
    "annotate without what": (lambda: annotate(what=None), "/what", "missing"),
    "annotate with nothing": (lambda: annotate(what=[]), "/what", "missing"),
    "annotate with something else": (lambda: annotate(what=["types", "tests"]), "/what/1", "not_allowed"),
    "annotate with findings": (lambda: annotate(findings=[plain()]), "/findings", "not_allowed"),
    # the path
    "an empty path": (lambda: with_file(path=""), "/file/path", "too_short"),
    "an absolute path": (lambda: with_file(path="/etc/passwd.py"), "/file/path", "not_allowed"),
    "a path upwards": (lambda: with_file(path="a/../../b.py"), "/file/path", "not_allowed"),
    "a path with a dot": (lambda: with_file(path="./a.py"), "/file/path", "not_allowed"),
    "a path with a backslash": (lambda: with_file(path="a\\b.py"), "/file/path", "not_allowed"),
    "a path with a drive": (lambda: with_file(path="C:a.py"), "/file/path", "not_allowed"),
    "a path on another machine": (lambda: with_file(path="//host/a.py"), "/file/path", "not_allowed"),
    "a path to a folder": (lambda: with_file(path="src/"), "/file/path", "not_allowed"),
    "a path into git on Apple's": (
        lambda: with_file(path="a/.g\u200cit/x.py"),
        "/file/path",
        "not_allowed",
    ),
    "a path into git on Windows": (lambda: with_file(path=".git. /x.py"), "/file/path", "not_allowed"),
    "a path into git by a stream": (lambda: with_file(path=".git::$X/x.py"), "/file/path", "not_allowed"),
    "a stream of a file": (lambda: with_file(path="src/a.py:b.py"), "/file/path", "not_allowed"),
    "a point at a folder's end": (lambda: with_file(path="src./a.py"), "/file/path", "not_allowed"),
    "a blank at the end": (lambda: with_file(path="src/a.py "), "/file/path", "not_allowed"),
    "a device": (lambda: with_file(path="src/CON.py"), "/file/path", "not_allowed"),
    "a device alone": (lambda: with_file(path="aux", language="python"), "/file/path", "not_allowed"),
    "a device with endings": (lambda: with_file(path="nul.tar.py"), "/file/path", "not_allowed"),
    "a device and a blank": (lambda: with_file(path="Prn .py"), "/file/path", "not_allowed"),
    "a device's folder": (lambda: with_file(path="LPT1/a.py"), "/file/path", "not_allowed"),
    "a device's raised number": (lambda: with_file(path="com\u00b2.py"), "/file/path", "not_allowed"),
    "a device with a hidden letter": (lambda: with_file(path="au\u200bx.py"), "/file/path", "not_allowed"),
    "a path upwards on Windows": (lambda: with_file(path="a/.. /x.py"), "/file/path", "not_allowed"),
    "a path of blanks": (lambda: with_file(path="a/ "), "/file/path", "not_allowed"),
    "a path into git": (lambda: with_file(path="a/.GIT/hooks.py"), "/file/path", "not_allowed"),
    "a path into git as on Windows": (lambda: with_file(path="GIT~1/a.py"), "/file/path", "not_allowed"),
    "a path with a line end": (lambda: with_file(path="a\n.py"), "/file/path", "not_allowed"),
    "a path with NUL": (lambda: with_file(path="a\0.py"), "/file/path", "not_allowed"),
    "a path with half a character": (lambda: with_file(path="\ud800.py"), "/file/path", "not_allowed"),
    "a long path": (lambda: with_file(path="a/" * 511 + "ab.py"), "/file/path", "too_long"),
    "a long path segment": (lambda: with_file(path="\u00e4" * 127 + ".py"), "/file/path", "too_long"),
    "a path that is a number": (lambda: with_file(path=1), "/file/path", "wrong_type"),
    # the content
    "no content": (lambda: with_file(content=None), "/file/content", "wrong_type"),
    "content with NUL": (lambda: with_file(content="x = 1\n\0"), "/file/content", "not_allowed"),
    "content with half a character": (lambda: with_file(content="'\udfff'"), "/file/content", "not_allowed"),
    "another encoding": (lambda: with_file(encoding="utf-16"), "/file/encoding", "not_allowed"),
    "another language": (lambda: with_file(language="pyhton"), "/file/language", "not_allowed"),
    "an ending that tells nothing": (lambda: with_file(path="Makefile"), "/file/language", "missing"),
    # findings
    "a line zero": (lambda: with_finding(start_line=0), "/findings/1/start_line", "out_of_range"),
    "a line below zero": (lambda: with_finding(start_line=-1), "/findings/1/start_line", "out_of_range"),
    "a line after the file": (lambda: with_finding(end_line=8), "/findings/1/end_line", "out_of_range"),
    "an end before the start": (lambda: with_finding(end_line=3), "/findings/1/end_line", "out_of_range"),
    "a huge line": (lambda: with_finding(end_line=10**30), "/findings/1/end_line", "out_of_range"),
    "a line as text": (lambda: with_finding(start_line="4"), "/findings/1/start_line", "wrong_type"),
    "a line as a fraction": (lambda: with_finding(start_line=4.0), "/findings/1/start_line", "wrong_type"),
    "a line as a truth": (lambda: with_finding(start_line=True), "/findings/1/start_line", "wrong_type"),
    "a column zero": (lambda: with_finding(start_column=0), "/findings/1/start_column", "out_of_range"),
    "columns backwards": (lambda: with_finding(end_column=20), "/findings/1/end_column", "out_of_range"),
    "an end column alone": (lambda: with_finding(start_column=None), "/findings/1/end_column", "not_allowed"),
    "no rule": (lambda: with_finding(rule=""), "/findings/1/rule", "too_short"),
    "a long rule": (lambda: with_finding(rule="r" * 201), "/findings/1/rule", "too_long"),
    "no tool": (lambda: with_finding(tool=None), "/findings/1/tool", "wrong_type"),
    "a long message": (lambda: with_finding(message="m" * 4_001), "/findings/1/message", "too_long"),
    "a message with NUL": (lambda: with_finding(message="\0"), "/findings/1/message", "not_allowed"),
    "a misspelt field": (lambda: with_finding(startline=4), "/findings/1/startline", "unknown_field"),
    "a finding that is a list": (lambda: changed(findings=[[]]), "/findings/0", "wrong_type"),
    "too many findings": (lambda: changed(findings=[[]] * 5_001), "/findings", "too_long"),
    # a tool's own fixes
    "an edit after the file": (
        lambda: with_edit(end_line=8),
        "/findings/1/fixes/0/edits/0/end_line",
        "out_of_range",
    ),
    "an edit after the line": (
        lambda: with_edit(end_column=26),
        "/findings/1/fixes/0/edits/0/end_column",
        "out_of_range",
    ),
    "an edit backwards": (
        lambda: with_edit(start_column=9),
        "/findings/1/fixes/0/edits/0/end_column",
        "out_of_range",
    ),
    "a fix without edits": (
        lambda: with_finding(fixes=[{"safe": True, "edits": []}]),
        "/findings/1/fixes/0/edits",
        "too_short",
    ),
    # scope and context
    "a scope after the file": (
        lambda: changed(scope={"start_line": 1, "end_line": 80}),
        "/scope/end_line",
        "out_of_range",
    ),
    "a scope of nothing": (
        lambda: changed(scope={"start_line": 1, "end_line": 0}),
        "/scope/end_line",
        "out_of_range",
    ),
    "a context path upwards": (
        lambda: changed(context=[{"path": "../a.py", "content": ""}]),
        "/context/0/path",
        "not_allowed",
    ),
    "too much context": (
        lambda: changed(context=[{"path": "a.py", "content": ""}] * 21),
        "/context",
        "too_long",
    ),
    # checkers
    "another checker": (lambda: changed(checkers={"rufff": {}}), "/checkers/rufff", "not_allowed"),
    "a checker's path": (
        lambda: changed(checkers={"ruff": {"extend": "/etc/passwd"}}),
        "/checkers/ruff/extend",
        "not_allowed",
    ),
    "a setting that is no object": (lambda: changed(checkers={"ruff": []}), "/checkers/ruff", "wrong_type"),
    # origin and labels
    "an unknown origin": (lambda: changed(origin={"branch": "main"}), "/origin/branch", "unknown_field"),
    "pull request zero": (
        lambda: changed(origin={"pull_request": 0}),
        "/origin/pull_request",
        "out_of_range",
    ),
    "a label that is a number": (lambda: changed(labels={"a/b~c": 1}), "/labels/a~1b~0c", "wrong_type"),
    "a long label": (lambda: changed(labels={"a": "v" * 201}), "/labels/a", "too_long"),
    "a label without a name": (lambda: changed(labels={"": "v"}), "/labels/", "too_short"),
    "a label's name with NUL": (lambda: changed(labels={"\0": "v"}), "/labels/\0", "not_allowed"),
    "too many labels": (lambda: changed(labels={str(n): "" for n in range(33)}), "/labels", "too_long"),
    # options
    "no calls": (lambda: with_option(max_calls=0), "/options/max_calls", "out_of_range"),
    "too many calls": (lambda: with_option(max_calls=9), "/options/max_calls", "out_of_range"),
    "money as a number": (lambda: with_option(max_cost_usd=0.05), "/options/max_cost_usd", "wrong_type"),
    "money below zero": (lambda: with_option(max_cost_usd="-1"), "/options/max_cost_usd", "out_of_range"),
    "money as a word": (lambda: with_option(max_cost_usd="much"), "/options/max_cost_usd", "out_of_range"),
    "money without end": (
        lambda: with_option(max_cost_usd="Infinity"),
        "/options/max_cost_usd",
        "out_of_range",
    ),
    "more money than there is": (
        lambda: with_option(max_cost_usd="9" * 30),
        "/options/max_cost_usd",
        "out_of_range",
    ),
    "no time": (lambda: with_option(deadline_s=0), "/options/deadline_s", "out_of_range"),
    "a long time": (lambda: with_option(deadline_s=86_401), "/options/deadline_s", "out_of_range"),
    "another edit format": (lambda: with_option(edit_format="diff"), "/options/edit_format", "not_allowed"),
    "a long model": (lambda: with_option(model="m" * 101), "/options/model", "too_long"),
    "another priority": (lambda: with_option(priority="urgent"), "/options/priority", "not_allowed"),
    "a truth as text": (lambda: with_option(reuse="yes"), "/options/reuse", "wrong_type"),
    # the shape of the JSON
    "deep nesting": (
        lambda: changed(checkers={"ruff": {"select": nested(40)}}),
        "/checkers/ruff/select" + "/0" * 29,
        "not_allowed",
    ),
}


def nested(levels: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(levels):
        inner = [inner]
    return inner


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_request_names_the_place_and_stores_nothing(user: User, case: str) -> None:
    build, pointer, code = REFUSED[case]

    response = user.http.post("/v1/jobs", content=as_ascii(build()), headers=JSON)

    assert response.status_code == 422, response.text
    problem = response.json()
    assert problem["code"] == "invalid_field"
    assert (pointer, code) in [(error["pointer"], error["code"]) for error in problem["errors"]], problem
    assert user.stored() == (0, 0)


def test_all_mistakes_are_named_at_once(user: User) -> None:
    body = fix_request(
        kind="fix",
        file={"path": "/a.py", "content": "x = 1\n"},
        findings=[finding(start_line=9, rule=""), {"tool": "ruff"}],
        lables={},
        options={"max_calls": 99},
    )

    errors = user.http.post("/v1/jobs", json=body).json()["errors"]

    assert {error["pointer"] for error in errors} >= {
        "/file/path",
        "/findings/0/start_line",
        "/findings/0/rule",
        "/findings/1/rule",
        "/findings/1/start_line",
        "/lables",
        "/options/max_calls",
    }


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (fix_request(lables={}), "did you mean `labels`?"),
        (fix_request(findings=[finding(start_collumn=1)]), "did you mean `start_column`?"),
        (fix_request(options={"max_cost": "1"}), "did you mean `max_cost_usd`?"),
        (fix_request(file={"path": "a.py", "content": "", "lang": "python"}), "did you mean `language`?"),
        (fix_request(file={"path": "a.cob", "content": ""}), "known: python"),
        (fix_request(checkers={"ruff": {"line_length": 100}}), "did you mean `line-length`?"),
        (fix_request(options={"edit_format": "search-replace"}), "did you mean `search_replace`?"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_known_one(user: User, body: Body, hint: str) -> None:
    errors = user.http.post("/v1/jobs", json=body).json()["errors"]

    assert any(hint in error["detail"] for error in errors), errors


def test_a_problem_lists_at_most_a_hundred_mistakes(user: User) -> None:
    problem = user.http.post("/v1/jobs", json=fix_request(findings=[{}] * 100)).json()

    assert len(problem["errors"]) == 100


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (fix_request(file={"path": "a.py", "content": "#" * (MAX_FILE_BYTES + 1)}), "/file/content"),
        (
            fix_request(file={"path": "a.py", "content": "\u00e4" * (MAX_FILE_BYTES // 2 + 1)}),
            "/file/content",
        ),
        (
            fix_request(context=[{"path": "a.py", "content": "#" * (MAX_FILE_BYTES // 2 + 1)}] * 2),
            "/context",
        ),
    ],
)
def test_a_file_over_the_limit_is_refused_with_its_name_and_the_limit(
    user: User, body: Body, pointer: str
) -> None:
    response = user.http.post("/v1/jobs", json=body)

    problem = response.json()
    assert (response.status_code, problem["code"]) == (413, "too_large")
    assert "20,000" in problem["detail"]
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert user.stored() == (0, 0)


def test_a_file_of_exactly_the_limit_is_accepted(user: User) -> None:
    body = fix_request(file={"path": "a.py", "content": "#" * MAX_FILE_BYTES}, findings=[plain()])

    assert user.submit(body)["file"]["bytes"] == MAX_FILE_BYTES


@pytest.mark.parametrize(
    "path",
    [
        *("src/auxiliary.py", "console.py", "com10.py", "com0.py", "src/a.con.py", "null/a.py"),
        *("pages/[...slug].py", ".github/a.py", "a b/\u00e9 \u65e5.py", "...a/..b.py", "git~10/a.py"),
    ],
)
def test_what_only_looks_like_a_path_that_is_refused_is_accepted(user: User, path: str) -> None:
    assert user.submit(with_file(path=path))["file"]["path"] == path
