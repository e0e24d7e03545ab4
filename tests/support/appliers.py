"""Readers of rendered suggestions that share no code with the writers: each gives the edited file back."""

import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from markdown_it import MarkdownIt
from unidiff.patch import PatchSet

BOM = "\ufeff"
SUGGESTION = "suggestion"
GITLAB_MOST = 100  # lines above and below


@dataclass(frozen=True, slots=True)
class Change:
    """A stretch of a text, `end` excluded, and what comes in its place."""

    start: int
    end: int
    text: str


def changed(text: str, changes: Iterable[Change]) -> str:
    """Apply changes that do not overlap; those at one point follow each other as they are given."""
    parts, done = [], 0
    for change in sorted(changes, key=lambda change: (change.start, change.end)):
        assert done <= change.start <= change.end <= len(text), f"{change} overlaps, or is outside"
        parts += [text[done : change.start], change.text]
        done = change.end
    return "".join([*parts, text[done:]])


def by_sarif(source: str, log: dict[str, Any], path: str) -> str:
    """Apply each fix once: regions as SARIF 2.1.0 defines them, with the run's own line ends."""
    (run,) = log["runs"]
    assert run["columnKind"] == "unicodeCodePoints"
    mark, text = (BOM, source[1:]) if source.startswith(BOM) else ("", source)
    ends = "|".join(map(re.escape, run["newlineSequences"]))
    starts = [0, *(match.end() for match in re.finditer(ends, text))]
    fixes = {
        tuple(fix["properties"]["suggestions"]): fix
        for result in run["results"]
        for fix in result.get("fixes", ())
    }
    changes = [
        Change(
            starts[region["startLine"] - 1] + region["startColumn"] - 1,
            starts[region["endLine"] - 1] + region["endColumn"] - 1,
            replacement["insertedContent"]["text"],
        )
        for fix in fixes.values()
        for change in fix["artifactChanges"]
        if unquote(change["artifactLocation"]["uri"]) == path
        for replacement in change["replacements"]
        for region in [replacement["deletedRegion"]]
    ]
    return mark + changed(text, changes)


def by_rdjson(source: str, result: dict[str, Any], path: str) -> str:
    """Apply each suggestion: lines end with LF, columns are bytes, ends are excluded."""
    data = source.encode()
    starts = [0, *(match.end() for match in re.finditer(b"\n", data))]

    def offset(position: dict[str, int]) -> int:
        found = starts[position["line"] - 1] + position["column"] - 1
        stop = starts[position["line"]] if position["line"] < len(starts) else len(data)
        assert starts[position["line"] - 1] <= found <= stop
        return found

    # Latin-1 gives each byte one character, so that offsets are those of bytes.
    changes = [
        Change(
            offset(suggestion["range"]["start"]),
            offset(suggestion["range"]["end"]),
            suggestion["text"].encode().decode("latin-1"),
        )
        for diagnostic in result["diagnostics"]
        if diagnostic["location"]["path"] == path
        for suggestion in diagnostic.get("suggestions", ())
    ]
    return changed(data.decode("latin-1"), changes).encode("latin-1").decode()


def by_git(folder: Path, source: str, patch: str, path: str) -> str:
    """Let git check and apply a patch to a file in a folder that is no repository."""
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.encode())
    settings = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    settings |= {"GIT_CEILING_DIRECTORIES": str(folder.parent), "GIT_CONFIG_GLOBAL": os.devnull}
    for options in (["--check"], []):
        done = subprocess.run(
            ["git", "apply", *options, "-"],  # noqa: S607 - git is a stated need
            cwd=folder,
            env=settings,
            input=patch.encode(),
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
    return target.read_bytes().decode()


def by_github(source: str, review: dict[str, Any], path: str) -> str:
    """Press the button of each comment: its fence's lines come in the place of the lines it stands at.

    New lines take the line end of the first line that they replace; the last line's end stays.
    """
    lines = re.findall(r"[^\n]*\n|[^\n]+", source)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    changes = []
    for comment in review["comments"]:
        if comment["path"] != path:
            continue
        first, last = comment.get("start_line", comment["line"]), comment["line"]
        old = lines[first - 1 : last]
        written = suggested(comment["body"]).split("\n")[:-1]
        end, last_end = (re.sub(r"^.*?(\r?\n?)$", r"\1", line, flags=re.DOTALL) for line in (old[0], old[-1]))
        text = (end or "\n").join(written) + last_end if written else ""
        changes.append(Change(starts[first - 1], starts[last], text))
    return changed(source, changes)


def suggested(body: str) -> str:
    """Give the content of a comment's only suggestion, as Markdown defines it."""
    (content,) = [
        token.content
        for token in MarkdownIt().parse(body)
        if token.type == "fence" and token.info == SUGGESTION
    ]
    return content


def by_gitlab(source: str, bodies: dict[str, Any], path: str) -> str:
    """Press the button of each discussion: the lines that its fence asks for go, and the fence's come.

    Characters that HTML lacks are lost, new lines end with LF, and the last one as the last old one did.
    Blank lines alone are nothing.
    """
    lines = re.findall(r"[^\n]*\n|[^\n]+", source)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    changes = []
    for discussion in bodies["discussions"]:
        position = discussion["position"]
        if position["new_path"] != path:
            continue
        above, below, content = gitlab_suggested(discussion["body"])
        first = max(position["new_line"] - min(above, GITLAB_MOST), 1)
        last = position["new_line"] + min(below, GITLAB_MOST)
        written = re.sub(r"[\x00-\x08\x0b-\x1f\ufffe\uffff]", "", content).removesuffix("\n")
        end = re.search(r"\r\n|\r|\n", lines[last - 1])
        text = written + (end[0] if end else "") if written.strip() else ""
        changes.append(Change(starts[first - 1], starts[last], text))
    return changed(source, changes)


def gitlab_suggested(body: str) -> tuple[int, int, str]:
    """Give how many lines above and below a discussion's only suggestion replaces, and its content."""
    ((asked, content),) = [
        (asked, token.content)
        for token in MarkdownIt().parse(body)
        if token.type == "fence" and (asked := re.fullmatch(r"suggestion:-(\d+)\+(\d+)", token.info))
    ]
    return int(asked[1]), int(asked[2]), content


def gitlab_accepts(bodies: dict[str, Any], diff: str) -> bool:
    """Whether GitLab takes each body once the revisions are filled in, and obeys no line of it.

    A line is known by both its numbers, an added one by the new one alone; a new file's old path is its path.
    """
    known: set[tuple[str, str, int | None, int | None]] = set()
    for file in PatchSet(diff):
        old = file.path if file.is_added_file else file.source_file.removeprefix("a/")
        new = file.target_file.removeprefix("b/")
        lines = [line for hunk in file for line in hunk if line.target_line_no is not None]
        known |= {(old, new, line.source_line_no, line.target_line_no) for line in lines}
    for discussion in bodies["discussions"]:
        position = dict(discussion["position"])
        old_line = position.pop("old_line", None)
        place = (position.pop("old_path"), position.pop("new_path"), old_line, position.pop("new_line"))
        if (
            place not in known
            or position != {"position_type": "text"}
            or set(discussion) != {"body", "position"}
        ):
            return False
    texts = [bodies["note"]["body"], *(discussion["body"] for discussion in bodies["discussions"])]
    commands = [line for text in texts for line in text.splitlines() if re.match(r"/\w", line)]
    return (
        set(bodies) == {"note", "discussions"}
        and set(bodies["note"]) == {"body"}
        and all(0 < len(text) <= 1_000_000 for text in texts)
        and not commands
    )


def github_accepts(review: dict[str, Any], diff: str) -> bool:
    """Whether every comment stands at lines of the new side of one hunk; else GitHub refuses the review."""
    hunks = {
        file.path: [{line.target_line_no for line in hunk.target_lines()} for hunk in file]
        for file in PatchSet(diff)
    }
    for comment in review["comments"]:
        first = comment.get("start_line", comment["line"])
        asked = set(range(first, comment["line"] + 1))
        alone = "start_line" not in comment and "start_side" not in comment
        ordered = alone or (first < comment["line"] and comment["start_side"] == "RIGHT")
        if comment["side"] != "RIGHT" or not ordered or len(comment["body"]) > 65_536:
            return False
        if not any(asked <= shown for shown in hunks.get(comment["path"], [])):
            return False
    return 0 < len(review["body"]) <= 65_536
