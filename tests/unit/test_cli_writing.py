import hashlib
import shutil
import stat
from pathlib import Path
from typing import Any, cast

import pytest

from patchmill.cli.exits import NotApplied
from patchmill.cli.tree import Tree
from patchmill.cli.writing import changes, write
from patchmill.client.documents import Job

OLD = "one\ntwo\nthree\n"


def job(path: str, source: str, *suggestions: dict[str, Any]) -> Job:
    """The parts of a job's document that applying looks at."""
    sha256 = hashlib.sha256(source.encode()).hexdigest()
    return cast(
        "Job",
        {
            "id": "job_1",
            "file": {"path": path, "sha256": sha256},
            "suggestions": [{"id": "sug_1", **s} for s in suggestions],
        },
    )


def replaced(line: int, original: str, replacement: str) -> dict[str, Any]:
    return {"start_line": line, "end_line": line, "original": original, "replacement": replacement}


TWO = replaced(2, "two\n", "TWO\n")


def apply(folder: Path, *jobs: Job) -> None:
    write(changes(Tree(folder), jobs))


def everything(folder: Path) -> dict[str, bytes]:
    """Each file below a folder and what it holds: nothing else may be left behind."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    }


def test_suggestions_are_written_and_nothing_is_left_beside(tmp_path: Path) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(OLD)

    apply(tmp_path, job("a.py", OLD, TWO, replaced(3, "three\n", "")), job("b.py", OLD, TWO))

    assert everything(tmp_path) == {"a.py": b"one\nTWO\n", "b.py": b"one\nTWO\nthree\n"}


def test_the_mode_of_a_file_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "tool.py"
    file.write_text(OLD)
    file.chmod(0o751)

    apply(tmp_path, job("tool.py", OLD, TWO))

    assert stat.S_IMODE(file.stat().st_mode) == 0o751


def test_insertions_that_repeat_the_same_neighbour_are_both_written(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(OLD)

    apply(
        tmp_path,
        job("a.py", OLD, replaced(1, "one\n", "one\nand\n"), replaced(2, "two\n", "TWO\n")),
    )

    assert (tmp_path / "a.py").read_text() == "one\nand\nTWO\nthree\n"


def test_if_one_file_has_moved_on_none_is_written_and_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(OLD)
    (tmp_path / "b.py").write_text("moved on\n")

    with pytest.raises(NotApplied, match=r"nothing was changed: b\.py is not what was submitted"):
        apply(tmp_path, job("a.py", OLD, TWO), job("b.py", OLD, TWO))

    assert everything(tmp_path) == {"a.py": OLD.encode(), "b.py": b"moved on\n"}


def test_every_file_that_does_not_fit_is_named(tmp_path: Path) -> None:
    (tmp_path / "b.py").write_text("moved on\n")

    with pytest.raises(NotApplied, match=r"a\.py.*b\.py"):
        apply(tmp_path, job("a.py", OLD, TWO), job("b.py", OLD, TWO))


def test_what_is_left_of_an_erased_job_is_no_deletion(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(OLD)
    erased = job("a.py", OLD, {**TWO, "original": "", "replacement": ""})
    erased["erased_at"] = "2026-11-27T09:00:00Z"

    with pytest.raises(NotApplied, match="was erased"):
        apply(tmp_path, erased)

    assert (tmp_path / "a.py").read_text() == OLD


@pytest.mark.parametrize("path", ["../out.py", "/etc/passwd"])
def test_a_server_cannot_name_a_file_outside(tmp_path: Path, path: str) -> None:
    (tmp_path / "out.py").write_text(OLD)
    folder = tmp_path / "project"
    folder.mkdir()

    with pytest.raises(NotApplied, match="outside"):
        apply(folder, job(path, OLD, TWO))

    assert (tmp_path / "out.py").read_text() == OLD


def test_a_link_out_of_the_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out.py").write_text(OLD)
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "a.py").symlink_to(tmp_path / "out.py")

    with pytest.raises(NotApplied, match="leads out"):
        apply(folder, job("a.py", OLD, TWO))

    assert (tmp_path / "out.py").read_text() == OLD


def test_a_link_inside_stays_a_link_to_the_mended_file(tmp_path: Path) -> None:
    (tmp_path / "real.py").write_text(OLD)
    (tmp_path / "a.py").symlink_to("real.py")

    apply(tmp_path, job("a.py", OLD, TWO))

    assert (tmp_path / "a.py").is_symlink()
    assert (tmp_path / "real.py").read_text() == "one\nTWO\nthree\n"


def test_a_file_that_changes_in_the_last_moment_stops_everything(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(OLD)
    (tmp_path / "b.py").write_text(OLD)
    found = changes(Tree(tmp_path), [job("a.py", OLD, TWO), job("b.py", OLD, TWO)])
    (tmp_path / "b.py").write_text("just now\n")

    with pytest.raises(NotApplied, match=r"b\.py was changed by somebody else"):
        write(found)

    assert everything(tmp_path) == {"a.py": OLD.encode(), "b.py": b"just now\n"}


def test_if_one_file_cannot_be_written_none_is(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    for path in ("a.py", "gone/b.py"):
        (tmp_path / path).write_text(OLD)
    found = changes(Tree(tmp_path), [job("a.py", OLD, TWO), job("gone/b.py", OLD, TWO)])
    shutil.rmtree(tmp_path / "gone")

    with pytest.raises(NotApplied, match="nothing was changed"):
        write(found)

    assert everything(tmp_path) == {"a.py": OLD.encode()}


def test_suggestions_that_are_not_the_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(OLD)

    with pytest.raises(NotApplied, match="do not fit"):
        apply(tmp_path, job("a.py", OLD, replaced(2, "zwei\n", "TWO\n")))


def test_two_jobs_about_one_file_are_written_together(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(OLD)

    apply(tmp_path, job("a.py", OLD, TWO), job("a.py", OLD, replaced(1, "one\n", "ONE\n")))

    assert (tmp_path / "a.py").read_text() == "ONE\nTWO\nthree\n"
