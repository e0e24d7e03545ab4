"""Gates on size and manner: files and functions stay short, modules say what they are for.

Run as a program; prints one line for each breach and exits 1 when there is any.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ("patchmill", "api", "worker", "benchmarks")
FILE_LINES = {"source": 400, "test": 800}
FUNCTION_LINES = 60
BANNED_NAMES = {"utils", "helpers", "common", "misc", "kit"}
GENERATED = "migrations/versions/"


def tracked() -> list[Path]:
    """Give the Python files of the project, committed or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.py"],  # noqa: S607 - git is a stated need
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [Path(line) for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def breaches(path: Path) -> Iterator[str]:
    """Give what is wrong with one file."""
    name = path.as_posix()
    if name.startswith(GENERATED):
        return
    text = (ROOT / path).read_text(encoding="utf-8")
    kind = "test" if path.parts[0] == "tests" else "source"
    lines = len(text.splitlines())
    if lines > FILE_LINES[kind]:
        yield f"{name}: {lines} lines, {FILE_LINES[kind]} allowed"
    banned = BANNED_NAMES & {part.removesuffix(".py") for part in path.parts}
    if banned:
        yield f"{name}: {banned.pop()} says nothing; name the idea"
    tree = ast.parse(text)
    if path.parts[0] in SOURCE and not ast.get_docstring(tree):
        yield f"{name}: the module does not say what it is for"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                yield f"{name}:{node.lineno}: {node.name} has {length} lines, {FUNCTION_LINES} allowed"


def main() -> int:
    """Check every file."""
    found = [breach for path in tracked() for breach in breaches(path)]
    sys.stdout.write("".join(f"{breach}\n" for breach in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
