import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import psutil
import pytest

from patchmill.client import Client
from tests.support.api import User
from tests.support.command import arguments, environment
from tests.support.project import FILES, Project
from tests.support.stack import Stack, until

NO_JOB = "job_0192a0b1c2d3e4f5a6b7c8d9e0f1a2b3"


@pytest.fixture
def client(service: Stack) -> Iterator[Client]:
    """Give a client of the running service."""
    with Client(service.api_url, service.key) as made:
        yield made


@pytest.fixture
def idle(user: User) -> dict[str, str]:
    """Give the settings for an API that no worker stands behind: what is submitted there stays queued."""
    return {"PATCHMILL_SERVER_URL": user.api.url, "PATCHMILL_SERVER_KEY": user.secret.text()}


@pytest.fixture
def run_id(project: Project) -> str:
    """Give the id of a run over the project that has ended."""
    done = project.run("suggest", "--report", project.report(), "--json")
    identity: str = json.loads(done.data)["run"]["id"]
    return identity


def submit_fix(client: Client, **more: Any) -> str:
    """Submit a job about the project's file; give its id."""
    request = {
        "kind": "annotate",
        "file": {"path": "src/app.py", "content": FILES["src/app.py"]},
        "what": ["docstrings"],
    }
    return client.submit({**request, **more})["id"]


def test_a_run_is_shown_with_its_jobs(project: Project, run_id: str) -> None:
    done = project.run("status", run_id)

    assert done.code == 0
    assert f"{run_id}  verified" in done.data
    assert "src/app.py  verified" in done.data
    document = json.loads(project.run("status", run_id, "--json").data)
    assert (document["run"]["id"], len(document["jobs"])) == (run_id, 2)


def test_waiting_for_what_has_ended_tells_by_the_exit_code(project: Project, run_id: str) -> None:
    done = project.run("wait", run_id, "--json")

    assert done.code == 0
    assert json.loads(done.data)["run"]["state"] == "finished"


def test_a_job_is_waited_for(project: Project, client: Client) -> None:
    done = project.run("wait", submit_fix(client), "--timeout", "60")

    assert done.code == 0
    assert "src/app.py  verified" in done.data
    assert done.talk == ""


def test_the_diff_of_a_run_is_the_patch_of_all_its_jobs(project: Project, run_id: str) -> None:
    done = project.run("diff", run_id)

    assert done.code == 0
    assert project.git("apply", "--check", entering=done.data).returncode == 0
    assert "+++ b/src/app.py" in done.data


def test_a_run_is_applied_as_a_whole(project: Project, run_id: str) -> None:
    check = project.run("apply", run_id, "--check")
    assert (check.code, project.contents()) == (0, FILES)
    assert "fit 2 files" in check.talk

    done = project.run("apply", run_id)

    assert done.code == 0
    assert json.loads(project.lint("json")) == []


def test_if_a_file_has_moved_on_nothing_is_applied(project: Project, run_id: str) -> None:
    moved = FILES["src/näme.py"] + "# one more line\n"
    (project.folder / "src" / "näme.py").write_text(moved, encoding="utf-8")

    for words in (["apply", run_id, "--check"], ["apply", run_id]):
        done = project.run(*words)

        assert done.code == 1
        assert "src/näme.py is not what was submitted" in done.talk
        assert project.contents() == {**FILES, "src/näme.py": moved}


def test_applying_twice_is_refused(project: Project, run_id: str) -> None:
    assert [project.run("apply", run_id).code for _ in range(2)] == [0, 1]


def test_a_job_that_offers_nothing_is_told_so(project: Project, client: Client) -> None:
    job = submit_fix(client, file={"path": "src/clean.py", "content": "x = 1\n"}, what=["types"])
    client.wait(job, timeout_s=40)

    assert project.run("apply", job).code == 1
    diff = project.run("diff", job)
    assert (diff.code, diff.data) == (1, "")
    assert "offers nothing" in diff.talk


@pytest.mark.parametrize("command", ["status", "wait", "diff", "apply"])
def test_an_id_of_nothing_is_a_usage_error(project: Project, command: str) -> None:
    unknown = project.run(command, NO_JOB)
    strange = project.run(command, "../v1/keys")

    assert (unknown.code, strange.code) == (2, 2)
    assert f"there is no job {NO_JOB}" in unknown.talk
    assert "is no id" in strange.talk


def test_jobs_are_listed_narrowed_and_cut(project: Project, run_id: str) -> None:
    lines = project.run("jobs", "--run", run_id).data.splitlines()
    assert len(lines) == 2
    assert all("verified" in line and "src/" in line for line in lines)

    cut = project.run("jobs", "--run", run_id, "--limit", "1", "--json")
    assert (len(json.loads(cut.data)), cut.talk) == (1, "there are more; --limit shows more than 1\n")
    assert project.run("jobs", "--run", run_id, "--limit", "2").talk == ""
    assert project.run("jobs", "--run", run_id, "--state", "failed").data == ""
    by_rule = json.loads(project.run("jobs", "--run", run_id, "--rule", "B006", "--json").data)
    assert [job["file"]["path"] for job in by_rule] == ["src/app.py"]


def test_runs_are_listed(project: Project, run_id: str) -> None:
    lines = project.run("runs", "--limit", "1").data.splitlines()

    assert [line.split()[0] for line in lines] == [run_id]
    assert "4/4 verified" in lines[0]


def test_a_job_is_found_by_its_label(project: Project, client: Client) -> None:
    job = submit_fix(client, labels={"team": "core-7"})

    listed = json.loads(project.run("jobs", "--label", "team=core-7", "--json").data)

    assert [each["id"] for each in listed] == [job]
    assert project.run("jobs", "--label", "team").code == 2


def test_a_job_is_cancelled_and_started_anew(project: Project, idle: Mapping[str, str]) -> None:
    with Client(idle["PATCHMILL_SERVER_URL"], idle["PATCHMILL_SERVER_KEY"]) as client:
        job = submit_fix(client)

    cancelled = project.run("jobs", "cancel", job, settings=idle)
    assert (cancelled.code, cancelled.talk) == (0, f"{job}: cancelled\n")
    assert project.run("wait", job, settings=idle).code == 1
    late = project.run("jobs", "cancel", job, settings=idle)
    assert (late.code, late.talk) == (0, f"{job} has ended already: cancelled\n")

    again = project.run("jobs", "retry", job, settings=idle)
    assert (again.code, again.talk) == (0, f"{job}: queued; `patchmill wait {job}` waits for it\n")
    refused = project.run("jobs", "retry", job, settings=idle)
    assert refused.code == 2
    assert refused.talk.count("\n") == 1


def test_a_run_is_cancelled(project: Project, idle: Mapping[str, str]) -> None:
    late = project.run("suggest", "--report", project.report(), "--timeout", "0", settings=idle)
    run = late.talk.split()[1]

    done = project.run("runs", "cancel", run, settings=idle)
    again = project.run("runs", "cancel", run, settings=idle)

    assert (late.code, done.code, again.code) == (3, 0, 0)
    assert done.talk.startswith(f"{run}: cancelled")
    assert again.talk.startswith(f"{run} has ended already: cancelled")
    assert json.loads(project.run("status", run, "--json", settings=idle).data)["run"]["state"] == "cancelled"


def test_a_filter_that_the_server_does_not_know_names_the_option(project: Project) -> None:
    done = project.run("jobs", "--state", "sleeping")

    assert done.code == 2
    assert done.talk.startswith("patchmill: --state: ")


@pytest.mark.parametrize(
    ("line", "code", "talk"),
    [
        ("jobs --limit 999 >&-", 0, ""),
        ("jobs <&- >/dev/null 2>&-", 0, ""),
        ("suggest --report - <&-", 2, "patchmill: the report is empty; did the checker fail?\n"),
        ("jobs --limit 999 > /dev/full", 3, "patchmill: No space left on device\n"),
    ],
)
def test_closed_and_full_streams_end_a_command_in_order(
    project: Project, run_id: str, line: str, code: int, talk: str
) -> None:
    assert run_id
    done = subprocess.run(
        ["bash", "-c", f'"$0" -m patchmill.cli {line}', sys.executable],  # noqa: S607 - a shell closes streams
        env=environment(project.settings),
        cwd=project.folder,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )

    assert (done.returncode, done.stderr) == (code, talk)


def test_a_folder_that_is_gone_is_told(project: Project) -> None:
    gone = project.folder / "gone"
    gone.mkdir()
    script = 'cd "$1" && rmdir "$1" && exec "$0" -m patchmill.cli fix app.py'
    done = subprocess.run(
        ["bash", "-c", script, sys.executable, str(gone)],  # noqa: S607 - a shell stands in the folder
        env=environment(project.settings),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )

    assert (done.returncode, done.stderr) == (2, "patchmill: the current folder is not there any more\n")


def test_ctrl_c_before_anything_is_submitted_is_told_in_one_line(project: Project) -> None:
    report = project.folder.parent / "report"
    os.mkfifo(report)
    with (
        subprocess.Popen(
            arguments("suggest", "--report", str(report)),
            env=environment(project.settings),
            cwd=project.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        ) as process,
        report.open("wb"),
    ):  # opens once the command reads
        process.send_signal(signal.SIGINT)
        data, talk = process.communicate(timeout=20)

    assert (process.returncode, data, talk) == (130, "", "patchmill: interrupted\n")


def test_ctrl_c_ends_the_waiting_and_says_how_to_go_on(project: Project, idle: Mapping[str, str]) -> None:
    with Client(idle["PATCHMILL_SERVER_URL"], idle["PATCHMILL_SERVER_KEY"]) as client:
        job = submit_fix(client)
        with subprocess.Popen(
            arguments("wait", job),
            env=environment(idle),
            cwd=project.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        ) as process:
            until(lambda: _connected(process.pid), "the command waiting")
            process.send_signal(signal.SIGINT)
            data, talk = process.communicate(timeout=20)
        assert client.job(job)["state"] == "queued"

    assert (process.returncode, data) == (130, "")
    assert talk == (
        f"{job} goes on; `patchmill wait {job}` waits again, `patchmill jobs cancel {job}` stops it\n"
    )


def test_a_wait_that_takes_too_long_is_given_up(project: Project, idle: Mapping[str, str]) -> None:
    with Client(idle["PATCHMILL_SERVER_URL"], idle["PATCHMILL_SERVER_KEY"]) as client:
        job = submit_fix(client)

    done = project.run("wait", job, "--timeout", "1", settings=idle)

    assert done.code == 3
    assert done.talk == (
        f"patchmill: {job} has not ended after 1 s; "
        f"`patchmill wait {job}` waits again, `patchmill jobs cancel {job}` stops it\n"
    )


def test_untrusted_text_cannot_act_on_the_terminal(project: Project, client: Client) -> None:
    path = "src/\u202etxt.py"
    job = submit_fix(
        client, file={"path": path, "content": 'a = "\x1b[31m\u202e"\n\n\ndef f():\n    return a\n'}
    )
    client.wait(job, timeout_s=40)

    for words in (["status", job], ["wait", job], ["jobs", "--q", "txt.py"], ["status", job, "--json"]):
        done = project.run(*words)

        assert "txt.py" in done.data
        assert not {"\x1b", "\u202e"} & set(done.data + done.talk)


def _connected(pid: int) -> bool:
    """Whether a process has a connection to somebody."""
    return any(each.status == "ESTABLISHED" for each in psutil.Process(pid).net_connections("tcp"))
