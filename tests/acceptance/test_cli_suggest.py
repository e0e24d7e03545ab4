import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.command import arguments, environment, run_process
from tests.support.processes import running_for
from tests.support.project import FILES, FINDINGS, Project
from tests.support.stack import until


@pytest.mark.slow
def test_a_report_goes_in_and_a_patch_comes_out_in_one_pipe_without_a_server(
    project: Project, service_folder: Path
) -> None:
    done = run_process(
        "suggest",
        "--report",
        "-",
        "--local",
        "--format",
        "patch",
        settings={"TMPDIR": str(service_folder), "PATCHMILL_DATABASE_URL": "postgresql://no/x"},
        folder=project.folder,
        entering=project.lint("sarif"),
    )

    assert done.code == 0, done.talk
    assert "NOT a language model" in done.talk
    assert project.git("apply", "--check", entering=done.data).returncode == 0
    assert project.git("apply", entering=done.data).returncode == 0
    assert json.loads(project.lint("json")) == []
    assert list(service_folder.iterdir()) == []
    assert running_for(service_folder) == []


@pytest.mark.slow
def test_a_local_service_that_is_broken_off_says_so_and_leaves_nothing(
    project: Project, service_folder: Path
) -> None:
    with subprocess.Popen(
        arguments("annotate", "src", "--local"),
        cwd=project.folder,
        env=environment({"TMPDIR": str(service_folder)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    ) as process:
        until(lambda: any(service_folder.glob("patchmill-local-*/data/lock")), "the service starting")
        process.send_signal(signal.SIGINT)
        data, talk = process.communicate(timeout=60)

    assert (process.returncode, data) == (130, "")
    assert "the work ends with the service" in talk
    assert list(service_folder.iterdir()) == []
    assert running_for(service_folder) == []


@pytest.mark.parametrize("form", ["sarif", "json", "rdjson"])
def test_each_report_of_ruff_is_mended(project: Project, form: str) -> None:
    done = project.run("suggest", "--report", project.report(form), "--json")

    assert done.code == 0, done.talk
    run = json.loads(done.data)["run"]
    assert (run["outcome"], run["findings"]["verified"]) == ("verified", FINDINGS)


def test_a_report_may_come_from_outside_of_its_folder_with_absolute_paths(project: Project) -> None:
    report = [
        {
            **each,
            "filename": str(project.folder / Path(each["filename"]).resolve().relative_to(project.folder)),
        }
        for each in json.loads(project.lint("json"))
    ]
    file = project.folder.parent / "absolute.json"
    file.write_text(json.dumps(report))

    done = project.run("suggest", "--report", str(file), "--json")

    assert {job["file"]["path"] for job in json.loads(done.data)["jobs"]} == {"src/app.py", "src/näme.py"}


def test_a_file_outside_of_the_folder_is_never_sent(project: Project) -> None:
    (project.folder.parent / "secret.py").write_text("import os\n")
    report = json.loads(project.lint("json"))
    (project.folder / "link.py").symlink_to(project.folder.parent / "secret.py")
    report += [
        {**report[0], "filename": name} for name in (str(project.folder.parent / "secret.py"), "link.py")
    ]
    file = project.folder.parent / "report.json"
    file.write_text(json.dumps(report))

    done = project.run("suggest", "--report", str(file), "--json")

    document = json.loads(done.data)
    assert {job["file"]["path"] for job in document["jobs"]} == {"src/app.py", "src/näme.py"}
    assert [each["reason"] for each in document["run"]["skipped"]] == ["no_file", "no_file"]
    assert "leads out" in done.talk
    assert done.code == 1


def test_only_findings_on_lines_that_the_branch_adds_are_mended(project: Project) -> None:
    for words in (["add", "."], ["commit", "--quiet", "-m", "before"], ["branch", "before"]):
        assert project.git(*words).returncode == 0
    source = FILES["src/app.py"].replace(
        "def same", "def other(value):\n    return value == None\n\n\ndef same"
    )
    (project.folder / "src" / "app.py").write_text(source)

    done = project.run(
        "suggest", "--report", project.report(), "--since", "before", "--filter", "added", "--json"
    )

    document = json.loads(done.data)
    assert [f["rule"] for job in document["jobs"] for f in job["findings"]] == ["E711"]
    assert {each["reason"] for each in document["run"]["skipped"]} == {"outside_diff"}
    assert done.code == 0


def test_the_diff_may_be_a_file_and_the_review_is_anchored_in_it(project: Project) -> None:
    for words in (["add", "."], ["commit", "--quiet", "-m", "before"]):
        project.git(*words)
    (project.folder / "src" / "app.py").write_text(FILES["src/app.py"].replace("same", "equal"))
    diff = project.folder.parent / "pr.diff"
    diff.write_text(project.git("diff").stdout)

    done = project.run(
        "suggest",
        "--report",
        project.report(),
        "--diff",
        str(diff),
        "--filter",
        "added",
        "--format",
        "github",
    )

    # The line that the branch changes has no finding; the next one has it, and is not the branch's.
    assert done.code == 0, done.talk
    assert json.loads(done.data)["event"] == "COMMENT"


def test_where_the_change_is_from_is_kept(project: Project) -> None:
    done = project.run(
        "suggest",
        *("--report", project.report(), "--forge", "github", "--repository", "acme/app"),
        *("--pull-request", "12", "--head", "abc", "--base", "def", "--max-cost-usd", "0.50", "--json"),
    )

    run = json.loads(done.data)["run"]
    assert run["origin"] == {
        "forge": "github",
        "repository": "acme/app",
        "pull_request": 12,
        "head": "abc",
        "base": "def",
    }
    listed = project.run("runs", "--repository", "acme/app", "--json")
    assert run["id"] in [each["id"] for each in json.loads(listed.data)]


def test_a_report_without_findings_needs_no_server(project: Project) -> None:
    file = project.folder.parent / "empty.json"
    file.write_text("[]")

    done = project.run(
        "suggest",
        "--report",
        str(file),
        "--format",
        "patch",
        settings={"PATCHMILL_SERVER_URL": "http://no.invalid"},
    )

    assert (done.code, done.data) == (0, "")
    assert "no findings" in done.talk


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--report", "-", "--diff", "-"], "standard input can be read once"),
        (["--report", "REPORT", "--diff", "x", "--since", "y"], "--diff and --since"),
        (["--report", "REPORT", "--filter", "added"], "needs the diff"),
        (["--report", "REPORT", "--since", "no-such-revision"], "Fetch that revision first"),
        (["--report", "REPORT", "--since", "--output=x"], "is no revision"),
        (["--report", "REPORT", "--max-cost-usd", "much"], "--max-cost-usd: must"),
        (["--report", "README.md"], "README.md"),
        ([], "--report"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(project: Project, words: list[str], sentence: str) -> None:
    report = project.report()

    done = project.run("suggest", *(report if word == "REPORT" else word for word in words))

    assert (done.code, done.data) == (2, "")
    assert sentence in done.talk
    assert done.talk.count("\n") == 1


def test_a_report_of_another_folder_is_told_apart_from_one_without_findings(project: Project) -> None:
    report = project.report("json")
    (project.folder / "elsewhere").mkdir()
    text = Path(report).read_text().replace(str(project.folder), "/somewhere/else")
    Path(report).write_text(text)

    done = project.run("suggest", "--report", report)

    assert done.code == 2
    assert "run the command in the folder that the checker ran in" in done.talk


def test_a_report_wholly_outside_of_the_diff_is_told(project: Project) -> None:
    diff = project.folder.parent / "pr.diff"
    diff.write_text("--- a/other.py\n+++ b/other.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n")
    empty = project.folder.parent / "empty.json"
    empty.write_text("[]")

    words = ("suggest", "--report", project.report("json"), "--diff", str(diff), "--json")
    done, several = project.run(*words), project.run(*words, "--report", str(empty))

    run = json.loads(done.data)["run"]
    assert (done.code, run["outcome"], run["coverage"]) == (0, "no_change", "outside_diff")
    assert "nothing to mend of the report: all its 4 findings are outside of the diff" in done.talk
    assert "nothing to mend of report 1: all its 4 findings" in several.talk
