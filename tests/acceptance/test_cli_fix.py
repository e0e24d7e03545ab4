import json
from pathlib import Path

import pytest

from patchmill.client import Client
from tests.support.project import FILES, FINDINGS, SELECT, Project
from tests.support.raw_server import RawServer, Reset

MENDED = "def add(item, items=None):"


def test_fix_shows_diffs_with_evidence_and_changes_nothing(project: Project) -> None:
    done = project.run("fix", "src", "--select", SELECT)

    assert done.code == 0, done.talk
    assert "src/app.py  verified" in done.data
    assert f"+{MENDED}" in done.data
    assert "finding_gone: passed (ruff B006)" in done.data
    assert "src/clean.py" not in done.data
    assert "\x1b" not in done.data + done.talk
    assert project.contents() == FILES


def test_fix_apply_mends_every_file_and_a_second_time_nothing_is_left(project: Project) -> None:
    done = project.run("fix", "src", "--select", SELECT, "--apply")

    assert (done.code, done.data) == (0, "")
    assert "written into 2 files" in done.talk
    assert MENDED in project.contents()["src/app.py"]
    assert json.loads(project.lint("json")) == []
    again = project.run("fix", "src", "--select", SELECT)
    assert (again.code, again.data) == (0, "")
    assert "find nothing in 3 files" in again.talk


def test_fix_diff_is_a_patch_that_git_takes(project: Project) -> None:
    done = project.run("fix", "src/app.py", "--select", SELECT, "--diff")

    assert done.code == 0
    assert project.git("apply", "--check", entering=done.data).returncode == 0
    assert "src/näme.py" not in done.data


def test_fix_obeys_nothing_in_the_folder(project: Project) -> None:
    (project.folder / "ruff.toml").write_text("lint.ignore = ['ALL']\nexclude = ['*.py']\n")
    (project.folder / ".gitignore").write_text("*\n")

    done = project.run("fix", "src/app.py", "--select", "B006", "--json")

    document = json.loads(done.data)
    assert [finding["rule"] for job in document["jobs"] for finding in job["findings"]] == ["B006"]


@pytest.mark.parametrize("form", ["sarif", "json", "rdjson"])
def test_fix_takes_a_report_for_the_named_files(project: Project, form: str) -> None:
    done = project.run("fix", "src/app.py", "--report", project.report(form), "--json")

    document = json.loads(done.data)
    assert document["run"]["findings"]["total"] == FINDINGS
    assert [job["file"]["path"] for job in document["jobs"]] == ["src/app.py"]
    assert document["jobs"][0]["outcome"] == "verified"
    # What the report says of the other file is left, and is told by the exit code.
    assert done.code == 1


def test_what_is_left_is_an_exit_code_that_can_be_turned_off(project: Project) -> None:
    words = ("fix", "src/app.py", "--report", project.report())

    assert [project.run(*words).code, project.run(*words, "--exit-zero").code] == [1, 0]
    for form in (["--diff"], ["--format", "json"], ["--apply"]):
        done = project.run(*words, *form)
        assert (done.code, done.talk.splitlines()[-1]) == (1, "3 of 4 findings verified, 1 left")
    assert "left" not in project.run("fix", "src/clean.py", "--diff").talk


def test_fix_by_instruction_offers_what_is_unchecked(project: Project) -> None:
    done = project.run(
        "fix", "src/app.py", "--instruction", "rename add to append_item", "--format", "json", "--exit-zero"
    )

    assert done.code == 0, done.talk
    suggestions = json.loads(done.data)["data"]
    assert {one["status"] for one in suggestions} <= {"unchecked"}
    assert suggestions


def test_typescript_is_checked_by_oxlint(project: Project) -> None:
    (project.folder / "src" / "page.ts").write_text("export function f() {\n  debugger;\n  return 1;\n}\n")

    done = project.run("fix", "src/page.ts", "--json")

    (job,) = json.loads(done.data)["jobs"]
    assert (job["file"]["path"], job["findings"][0]["rule"]) == ("src/page.ts", "eslint(no-debugger)")
    assert job["outcome"] == "verified"


def test_a_file_that_no_checker_reads_is_said_and_left_out(project: Project) -> None:
    (project.folder / "notes.txt").write_text("text")

    done = project.run("fix", "notes.txt", "--format", "json")

    assert (done.code, json.loads(done.data)) == (0, {"data": []})
    assert "left out: 1 file that neither ruff nor oxlint reads" in done.talk


@pytest.mark.parametrize("form", ["json", "patch", "github", "gitlab", "sarif", "rdjson"])
def test_nothing_to_mend_gives_an_empty_document_of_the_format(project: Project, form: str) -> None:
    done = project.run(
        "fix", "src/clean.py", "--format", form, settings={"PATCHMILL_SERVER_URL": "http://no.invalid"}
    )

    assert done.code == 0
    assert done.data == "" if form == "patch" else json.loads(done.data)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["missing.py"], "missing.py"),
        (["/etc"], "lies outside"),
        (["src", "--apply", "--diff"], "exclude each other"),
        (["src", "--report", "missing.sarif"], "missing.sarif"),
        (["src", "--instruction", "x", "--select", "B"], "--select and --ignore"),
        (["src", "--select", "NOPE999"], "patchmill: --select: ruff knows no rule 'nope999'"),
        (["src", "--ignore", "F,NOPE999"], "patchmill: --ignore: ruff knows no rule 'nope999'"),
        (["src", "--select", ","], "--select names no rule"),
        (["src", "--report", "x", "--instruction", "y"], "--report and --instruction exclude each other"),
        (["src", "--format", "html"], "invalid value for '--format': 'html' is not one of"),
        (["src", "--timeout", "-1"], "invalid value for '--timeout': should be greater than or equal to 0"),
        ([], "missing argument 'path'"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(project: Project, words: list[str], sentence: str) -> None:
    done = project.run("fix", *words)

    assert (done.code, done.data) == (2, "")
    assert sentence in done.talk.lower()
    assert done.talk.count("\n") == 1


def test_a_file_that_is_not_utf8_is_named(project: Project) -> None:
    (project.folder / "src" / "latin.py").write_bytes(b"x = '\xe9'\n")

    done = project.run("fix", "src/latin.py")

    assert done.code == 2
    assert "src/latin.py is not UTF-8 (byte 6)" in done.talk


def test_what_the_server_refuses_names_the_option(project: Project) -> None:
    done = project.run("fix", "src/app.py", "--instruction", "x" * 5_000)

    assert done.code == 2
    assert done.talk.startswith("patchmill: --instruction: ")


def test_what_the_server_refuses_names_the_file(project: Project) -> None:
    (project.folder / "src" / "app.py").write_bytes(b"import os\nx = '\0'\n")

    done = project.run("fix", "src", "--report", project.report("json"))

    assert done.code == 2
    assert done.talk.startswith("patchmill: src/app.py: holds a NUL character")


def test_an_answer_that_changes_nothing_says_what_was_asked_and_why(project: Project) -> None:
    words = ("fix", "src/app.py", "--instruction", "write\na poem")

    done = project.run(*words)

    assert done.code == 0
    assert "src/app.py  no_change" in done.data
    assert "  instruction: write a poem\n" in done.data
    assert "  nothing is changed: this is the stand-in gateway" in done.data
    (job,) = json.loads(project.run(*words, "--json").data)["jobs"]
    assert job["instruction"] == "write\na poem"
    assert "  nothing is changed: this is the stand-in gateway" in project.run("status", job["id"]).data


def test_what_is_left_is_told_with_its_place_rule_message_and_reason(project: Project) -> None:
    diagnostic = {
        "message": "Missing type annotation for `item`",
        "location": {"path": "src/app.py", "range": {"start": {"line": 4, "column": 9}}},
        "code": {"value": "ANN001"},
    }
    report = project.folder.parent / "left.json"
    report.write_text(json.dumps({"source": {"name": "ruff"}, "diagnostics": [diagnostic]}))

    done = project.run("fix", "src/app.py", "--report", str(report))

    assert done.code == 1
    expected = "  left: src/app.py:4: ANN001: Missing type annotation for `item`: unresolved ("
    assert expected in done.data
    assert not [line for line in done.data.splitlines() if line.endswith(" ")]


def test_annotate_adds_hints_and_docstrings(project: Project) -> None:
    done = project.run("annotate", "src/app.py", "--what", "docstrings", "--apply")

    assert done.code == 0, done.talk
    assert '    """' in project.contents()["src/app.py"]


def test_annotate_has_mypy_look_at_what_is_added_where_that_is_wished(project: Project) -> None:
    done = project.run("annotate", "src/app.py", "--what", "docstrings", "--mypy", "--exit-zero")

    assert done.code == 0
    assert "hints_agree: passed (mypy: 0 errors, 0 in the source)" in done.data


def test_annotate_takes_only_what_there_is(project: Project) -> None:
    done = project.run("annotate", "src", "--what", "types,magic")

    assert done.code == 2
    assert "types and docstrings" in done.talk


@pytest.mark.parametrize("form", ["json", "patch", "sarif", "rdjson"])
def test_annotating_several_files_gives_one_document(project: Project, form: str) -> None:
    done = project.run("annotate", "src/app.py", "src/näme.py", "--format", form)

    assert done.code == 0, done.talk
    if form == "patch":
        assert project.git("apply", "--check", entering=done.data).returncode == 0
    else:
        assert "src/app.py" in str(json.loads(done.data))


def test_no_server_is_told_with_both_ways_out(project: Project, tmp_path: Path) -> None:
    project.settings = {"PATCHMILL_DATA_DIR": str(tmp_path / "empty")}

    done = project.run("fix", "src")

    assert done.code == 3
    assert "--local" in done.talk
    assert "`patchmill up`" in done.talk


def test_a_server_without_a_key_is_an_authentication_error(project: Project) -> None:
    done = project.run(
        "fix", "src", settings={"PATCHMILL_SERVER_URL": "https://mill.example", "PATCHMILL_SERVER_KEY": ""}
    )

    assert done.code == 5
    assert "set PATCHMILL_SERVER_KEY" in done.talk


def test_a_wrong_key_is_an_authentication_error(project: Project) -> None:
    done = project.run("fix", "src", settings={"PATCHMILL_SERVER_KEY": "pm_wrong"})

    assert done.code == 5
    assert "does not accept the key" in done.talk


def test_a_server_that_does_not_answer_is_a_service_error(project: Project) -> None:
    with RawServer([Reset()]) as silent:
        done = project.run(
            "status", "job_1", settings={"PATCHMILL_SERVER_URL": silent.url.removesuffix("/v1")}
        )

    assert done.code == 3
    assert "is PATCHMILL_SERVER_URL right?" in done.talk


@pytest.mark.parametrize("url", ["http://xn--a/", "mill.example", "ftp://mill.example", "http://"])
def test_an_address_that_can_be_none_is_a_usage_error(project: Project, url: str) -> None:
    done = project.run("jobs", settings={"PATCHMILL_SERVER_URL": url})

    assert done.code == 2
    assert done.talk.startswith(f"patchmill: PATCHMILL_SERVER_URL: {url!r} is no address of a server")
    assert done.talk.count("\n") == 1


@pytest.mark.parametrize("key", ["pm_ü", "pm_a\nb", "pm_a b"])
def test_what_can_be_no_key_is_an_authentication_error(project: Project, key: str) -> None:
    commands = [project.run(word, settings={"PATCHMILL_SERVER_KEY": key}) for word in ("jobs", "doctor")]

    assert [done.code for done in commands] == [5, 5]
    for done in commands:
        assert "the key holds characters that no key has" in done.data + done.talk
        assert "pm_" not in done.data + done.talk


@pytest.mark.parametrize("words", [["fix"], ["annotate"], ["fix", "--instruction", "x"]])
def test_a_folder_without_files_is_told_and_needs_no_server(project: Project, words: list[str]) -> None:
    (project.folder / "empty").mkdir()

    done = project.run(*words, "empty", settings={"PATCHMILL_SERVER_URL": "http://no.invalid"})

    assert (done.code, done.data) == (0, "")
    assert "there are no files" in done.talk


def test_the_local_key_is_not_sent_to_another_machine(project: Project, tmp_path: Path) -> None:
    (tmp_path / "local-key").write_text("pm_local\n")
    project.settings = {"PATCHMILL_DATA_DIR": str(tmp_path)}

    done = project.run("status", "job_1", settings={"PATCHMILL_SERVER_URL": "http://mill.example"})

    assert done.code == 5


def test_a_service_on_this_machine_is_found_by_what_it_left(project: Project, tmp_path: Path) -> None:
    (tmp_path / "local-key").write_text(f"{project.settings['PATCHMILL_SERVER_KEY']}\n")
    (tmp_path / "local-url").write_text(f"{project.settings['PATCHMILL_SERVER_URL']}\n")
    with Client(project.settings["PATCHMILL_SERVER_URL"], project.settings["PATCHMILL_SERVER_KEY"]) as client:
        job = client.submit(
            {"kind": "annotate", "file": {"path": "a.py", "content": "a = 1\n"}, "what": ["types"]}
        )
    project.settings = {"PATCHMILL_DATA_DIR": str(tmp_path)}

    done = project.run("status", job["id"])

    assert (done.code, job["id"] in done.data) == (0, True)


def test_fixes_of_the_linter_itself_go_together_and_cost_no_call(project: Project) -> None:
    source = "import sys\nimport os\nimport json\nimport abc\n\nprint(json, abc)\n"
    (project.folder / "src" / "app.py").write_text(source)

    done = project.run("fix", "src/app.py", "--select", "I,F", "--json")

    (job,) = json.loads(done.data)["jobs"]
    assert (job["outcome"], job["usage"]["calls"]) == ("verified", 0)
    assert {finding["rule"] for finding in job["findings"]} == {"I001", "F401"}
    assert project.run("fix", "src/app.py", "--select", "I,F", "--apply").code == 0
    assert project.contents()["src/app.py"] == "import abc\nimport json\n\nprint(json, abc)\n"
