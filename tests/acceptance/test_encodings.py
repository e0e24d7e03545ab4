"""Files that are not UTF-8: read, mended and written back with every other byte as it was."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.project import Project
from tests.support.requests import unique
from tests.support.stack import Stack

pytestmark = pytest.mark.timeout(240)

# A page break, mixed line ends, a next-line sign within a string, tabs, and no final line end.
SOURCE = (
    '# -*- coding: latin-1 -*-\r\n"""Prüfung {number}."""\n\f\ndef collect(item, into=[]):\r\n'
    '\tname = "Müller\x85\xa0"\n    \n\treturn into, name'
)
MENDED = SOURCE.replace("into=[]):\r\n", "into=None):\r\n")


@pytest.fixture(autouse=True)
def plain_stand_in(service: Stack) -> Iterator[None]:
    service.behave()
    yield
    service.behave()


def scripted(service: Stack, search: str, replace: str) -> None:
    content = f"A title\n\n```\n<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n```\n"
    service.behave(script=[{"match": None, "content": content, "times": 9}])


def numbered() -> tuple[str, str]:
    number = str(unique())
    return SOURCE.replace("{number}", number), MENDED.replace("{number}", number)


def job(source: str, encoding: str = "latin-1", **more: Any) -> dict[str, Any]:
    return {
        "kind": "fix",
        "file": {"path": "src/app.py", "content": source, "encoding": encoding},
        "findings": [
            {"tool": "ruff", "rule": "B006", "message": "No.", "start_line": 4, "end_line": 4},
        ],
        "options": {"escalate": False},
        **more,
    }


def bytes_of(service: Stack, job_id: str, form: str) -> bytes:
    place = f"{service.api_url}/v1/jobs/{job_id}/suggestions"
    answer = httpx.get(place, params={"format": form}, headers={"Authorization": f"Bearer {service.key}"})
    assert answer.status_code == 200
    return answer.content


def test_the_hash_the_size_and_the_patch_are_of_the_files_own_bytes(service: Stack, project: Project) -> None:
    source, mended = numbered()
    scripted(service, "def collect(item, into=[]):", "def collect(item, into=None):")

    done = service.run(job(source))

    data = source.encode("latin-1")
    assert done["outcome"] == "verified"
    assert done["file"] | {"path": "", "language": ""} == {
        "path": "",
        "sha256": hashlib.sha256(data).hexdigest(),
        "language": "",
        "bytes": len(data),
        "encoding": "iso8859-1",
    }
    file = project.folder / "src" / "app.py"
    file.write_bytes(data)
    (project.folder / "change.patch").write_bytes(bytes_of(service, done["id"], "patch"))
    assert project.git("apply", "change.patch").returncode == 0
    assert file.read_bytes() == mended.encode("latin-1")


def test_apply_writes_the_files_own_bytes(service: Stack, project: Project) -> None:
    source, mended = numbered()
    scripted(service, "def collect(item, into=[]):", "def collect(item, into=None):")
    done = service.run(job(source))
    file = project.folder / "src" / "app.py"
    file.write_bytes(source.encode("latin-1"))

    assert project.run("apply", done["id"]).code == 0

    assert file.read_bytes() == mended.encode("latin-1")


def test_no_forge_is_asked_to_write_a_file_that_it_would_take_for_utf_8(service: Stack) -> None:
    source, _ = numbered()
    scripted(service, "def collect(item, into=[]):", "def collect(item, into=None):")

    done = service.run(job(source))
    ascii_only = service.run(job(source.encode("ascii", "ignore").decode(), encoding="cp1252"))

    assert [one["committable"] for one in done["suggestions"]] == [False]
    assert [one["committable"] for one in ascii_only["suggestions"]] == [True]
    review = json.loads(bytes_of(service, done["id"], "github"))
    assert review["comments"] == []
    assert "it cannot be committed alone" in review["body"]


def test_an_edit_that_the_encoding_cannot_write_is_refused_by_name(service: Stack) -> None:
    source, _ = numbered()
    scripted(service, "def collect(item, into=[]):", "def collect(item, into=None):  # 5 \u20ac")

    done = service.run(job(source))

    assert done["error"]["code"] == "unverified"
    assert any("iso8859-1, which has no U+20AC" in reason for reason in done["error"]["details"]["refused"])


def test_the_same_bytes_in_two_encodings_are_two_works(service: Stack) -> None:
    source, _ = numbered()
    scripted(service, "def collect(item, into=[]):", "def collect(item, into=None):")
    ours, theirs = service.run(job(source)), service.run(job(source, encoding="iso-8859-15"))

    assert ours["file"]["sha256"] == theirs["file"]["sha256"]
    assert theirs["served_from"] is None
    assert theirs["outcome"] == "verified"


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-16", "no file may have this encoding"),
        ("rot13", "no file may have this encoding"),
        ("x" * 60, "no file may have this encoding"),
        ("ascii", "ascii does not have U+0085, U+00A0, U+00FC"),
        ("cp1252", "cp1252 does not have U+0085"),
    ],
)
def test_an_encoding_that_does_not_fit_is_refused(service: Stack, encoding: str, said: str) -> None:
    with service.http() as http:
        answer = http.post("/v1/jobs", json=job(SOURCE, encoding=encoding))

    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert (error["pointer"], error["code"]) == ("/file/encoding", "not_allowed")
    assert said in error["detail"]


def test_fix_reads_what_a_file_declares_and_writes_it_back(service: Stack, project: Project) -> None:
    source, mended = numbered()
    scripted(service, "def collect(item, into=[]):", "def collect(item, into=None):")
    file = project.folder / "src" / "app.py"
    file.write_bytes(source.encode("latin-1"))

    done = project.run("fix", "src/app.py", "--select", "B006", "--apply")

    assert done.code == 0, done.talk
    assert file.read_bytes() == mended.encode("latin-1")


def test_annotate_and_fix_take_the_encoding_of_files_that_declare_none(
    service: Stack, project: Project
) -> None:
    script = f"// Prüfung {unique()} €\r\nvar name = 1;\nexport {{ name }};\n"
    file = project.folder / "src" / "app.js"
    file.write_bytes(script.encode("cp1252"))
    scripted(service, "var name = 1;", "const name = 1;")

    refused = project.run("fix", "src/app.js", "--instruction", "use const")
    wrong = project.run("fix", "src/app.js", "--instruction", "use const", "--encoding", "utf-7")
    done = project.run("fix", "src/app.js", "--instruction", "use const", "--encoding", "cp1252", "--apply")

    assert (refused.code, wrong.code) == (2, 2)
    assert "src/app.js is not UTF-8 (byte 6) and declares no encoding" in refused.talk
    assert "no file may be 'utf-7'" in wrong.talk
    assert "suggestion written into 1 file" in done.talk
    assert file.read_bytes() == script.replace("var", "const").encode("cp1252")


def test_a_run_takes_files_in_their_encodings(service: Stack, project: Project) -> None:
    source, mended = numbered()
    scripted(service, "def collect(item, into=[]):", "def collect(item, into=None):")
    report = [
        {
            "code": "B006",
            "message": "No.",
            "filename": "src/app.py",
            "location": {"row": 4, "column": 24},
            "end_location": {"row": 4, "column": 26},
            "fix": None,
        }
    ]
    (project.folder / "report.json").write_text(json.dumps(report))
    file = project.folder / "src" / "app.py"
    file.write_bytes(source.encode("latin-1"))

    done = project.run("suggest", "--report", "report.json", "--format", "json")
    run_id = done.talk.split("submitted ")[1].split()[0]

    assert json.loads(done.data)["data"][0]["status"] == "verified"
    assert project.run("apply", run_id).code == 0
    assert file.read_bytes() == mended.encode("latin-1")
