"""Annotate jobs about TypeScript and JavaScript, and about hints that are there, through the doors."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.project import Project
from tests.support.requests import unique
from tests.support.stack import Stack

pytestmark = pytest.mark.timeout(240)

SOURCE = (
    'import { join } from "node:path";\n\n'
    "export function place(name, depth) {\n  return join(name, depth);\n}\n"
)


@pytest.fixture(autouse=True)
def plain_stand_in(service: Stack) -> Iterator[None]:
    service.behave()
    yield
    service.behave()


def scripted(service: Stack, *edits: tuple[str, str]) -> None:
    blocks = (f"```\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n```\n" for old, new in edits)
    content = "A title\n\n" + "\n".join(blocks)
    service.behave(script=[{"match": None, "content": content, "times": 9}])


def annotate(
    path: str, content: str = SOURCE, what: tuple[str, ...] = ("types", "docstrings")
) -> dict[str, Any]:
    return {
        "kind": "annotate",
        "file": {"path": path, "content": f"{content}// {unique()}\n" if path[-3:] != ".py" else content},
        "what": list(what),
        "options": {"escalate": False},
    }


@pytest.mark.parametrize("path", ["src/place.ts", "src/place.tsx"])
def test_types_and_docstrings_of_typescript_are_proven(service: Stack, path: str) -> None:
    scripted(
        service,
        (
            "export function place(name, depth) {",
            "/** Where it is. */\nexport function place(name: string, depth: string): string {",
        ),
    )

    job = service.run(annotate(path))

    assert (job["state"], job["outcome"]) == ("succeeded", "verified")
    [suggestion] = job["suggestions"]
    evidence = {check["check"]: (check["result"], check["detail"]) for check in suggestion["evidence"]}
    assert evidence["parses"] == ("passed", "tree-sitter parses it")
    assert evidence["same_behaviour"] == ("passed", "proven: only hints and docstrings are added (4)")
    assert suggestion["safety"] == "safe"


def test_what_changes_behaviour_is_not_offered(service: Stack) -> None:
    scripted(
        service,
        ("export function place(name, depth) {", "export function place(name: string, depth = '') {"),
        ("  return join(name, depth);", "  return join(name as string, depth);"),
    )

    job = service.run(annotate("src/place.ts"))

    assert (job["state"], job["error"]["code"]) == ("failed", "unverified")
    assert any("tokens_changed" in reason for reason in job["error"]["details"]["refused"])


def test_an_import_comes_with_the_hints_that_need_it(service: Stack) -> None:
    scripted(
        service,
        (
            'import { join } from "node:path";',
            'import { join } from "node:path";\nimport type { Depth } from "./depth";',
        ),
        ("export function place(name, depth) {", "export function place(name: string, depth: Depth) {"),
    )

    job = service.run(annotate("src/place.ts"))

    assert job["outcome"] == "verified"
    first, second = job["suggestions"]
    assert (first["requires"], second["requires"]) == ([second["id"]], [first["id"]])


def test_a_source_that_cannot_be_parsed_costs_nothing(service: Stack) -> None:
    job = service.run(annotate("src/place.ts", content="export function ("))

    assert (job["error"]["code"], job["usage"]["calls"]) == ("invalid_source", 0)
    assert "tree-sitter cannot parse the source: line 1" in job["error"]["message"]


@pytest.mark.parametrize(
    ("path", "what", "pointer", "said"),
    [
        ("a.go", ("types",), "/file/language", "proven for python, typescript, tsx, javascript"),
        ("a.js", ("docstrings", "types"), "/what/1", "of javascript only docstrings can be proven"),
        ("a.ts", ("existing_types",), "/what/0", "name types, too"),
    ],
)
def test_what_cannot_be_proven_is_refused(
    service: Stack, path: str, what: tuple[str, ...], pointer: str, said: str
) -> None:
    with service.http() as http:
        answer = http.post("/v1/jobs", json=annotate(path, what=what))

    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert (error["pointer"], error["code"]) == (pointer, "not_allowed")
    assert said in error["detail"]


@pytest.mark.parametrize(
    ("path", "source", "old", "new"),
    [
        (
            "src/a.py",
            "def half(number: object) -> object:\n    return number / 2\n",
            "number: object",
            "number: float",
        ),
        ("src/a.ts", "export const half = (n: any) => n / 2;\n", "n: any", "n: number"),
    ],
)
def test_existing_hints_change_only_if_that_was_asked_for(
    service: Stack, path: str, source: str, old: str, new: str
) -> None:
    source = f"{source}total_{unique()} = 1\n" if path.endswith(".py") else source
    line = source.splitlines()[0]
    scripted(service, (line, line.replace(old, new)))

    unasked = service.run(annotate(path, content=source, what=("types",)))
    asked = service.run(annotate(path, content=source, what=("types", "existing_types")))

    assert unasked["error"]["code"] == "unverified"
    assert any("existing_hint_changed" in reason for reason in unasked["error"]["details"]["refused"])
    assert asked["outcome"] == "verified"


def test_the_command_annotates_typescript_and_documents_javascript(service: Stack, project: Project) -> None:
    (project.folder / "web").mkdir()
    script, module = project.folder / "web" / "a.js", project.folder / "web" / "b.ts"
    script.write_text(f"function half(n) {{\n  return n / {unique()};\n}}\n")
    module.write_text(f"export function half(n) {{\n  return n / {unique()};\n}}\n")
    before = script.read_text()
    scripted(service, ("export function half(n) {", "export function half(n: number) {"))

    typed = project.run("annotate", "web", "--what", "types", "--apply")

    assert typed.code == 0, typed.talk
    assert "half(n: number)" in module.read_text()
    assert script.read_text() == before
    scripted(service, ("function half(n) {", "/** Half of it. */\nfunction half(n) {"))
    documented = project.run("annotate", "web/a.js", "--what", "docstrings", "--apply")
    assert documented.code == 0, documented.talk
    assert script.read_text() == f"/** Half of it. */\n{before}"
    assert project.run("annotate", "web", "--what", "existing_types").code == 2
