"""`patchmill fix`: files mended by what checkers report in them, or by an instruction."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from patchmill.cli.checkers_at_hand import CHECKED_LANGUAGES, reports
from patchmill.cli.exits import ends
from patchmill.cli.offering import Apply, AsJson, Diff, DryRun, ExitZero, FormatOption, Wish
from patchmill.cli.report_input import Report, names_in, read_named, read_report
from patchmill.cli.serving import Local
from patchmill.cli.submitting import Submission, Timeout, job_request, run_request, submit_and_give
from patchmill.cli.talk import say, some
from patchmill.cli.tree import EVERY_LANGUAGE, NO_FILES, Encoding, Paths, SourceFile, Tree
from patchmill.edit.encoding import UTF_8
from patchmill.errors import ConfigurationError
from patchmill.kinds.languages import language_of

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=ends(
        "patchmill fix src/app.py",
        "patchmill fix src --select B,UP --apply",
        "patchmill fix src --dry-run",
        "ruff check --output-format sarif src | patchmill fix src --report - --diff",
        'patchmill fix src/app.py --instruction "rename total to sum_of_items"',
        "patchmill fix src --local --format patch | git apply --check",
    )
)
def fix(
    paths: Paths,
    *,
    report: Annotated[
        str | None, typer.Option(help="Mend what this report says about the files; `-` is standard input.")
    ] = None,
    report_format: Annotated[
        str | None, typer.Option(help="The report's format; without it, told by its content.")
    ] = None,
    instruction: Annotated[
        str | None, typer.Option(help="Do this to each file, in words; what comes is never verified.")
    ] = None,
    select: Annotated[
        str | None, typer.Option(help="Rules of ruff to check for, separated by commas.")
    ] = None,
    ignore: Annotated[
        str | None, typer.Option(help="Rules of ruff to leave out, separated by commas.")
    ] = None,
    apply: Apply = False,
    diff: Diff = False,
    form: FormatOption = None,
    as_json: AsJson = False,
    exit_zero: ExitZero = False,
    dry_run: DryRun = False,
    encoding: Encoding = None,
    local: Local = False,
    timeout: Timeout = None,
) -> int:
    """Mend files: what a report says of them, or else what ruff and oxlint find.

    Without a report, ruff checks the Python files, and oxlint those of JavaScript and TypeScript. Both obey
    their own defaults, --select and --ignore, and no configuration or plug-in in the folder: nothing in it is
    trusted. To use your own settings, run your checker and give its report.

    Prints each file's diff with the evidence. With --apply the files are written: all of them or none, and
    only if each still is what was submitted. Needs a server (PATCHMILL_SERVER_URL and PATCHMILL_SERVER_KEY,
    or `patchmill up` on this machine), or --local.
    """
    wish = Wish(apply=apply, diff=diff, form=form, as_json=as_json, exit_zero=exit_zero, dry_run=dry_run)
    wish.check()
    if report is not None and instruction is not None:
        raise ConfigurationError("--report and --instruction exclude each other; name one")
    tree = Tree(Path.cwd(), otherwise=encoding)
    given = {"select": select, "ignore": ignore}
    settings = {name: _rules(name, text) for name, text in given.items() if text is not None}
    if report is not None:
        submission = _reported(tree, paths, read_report(report, report_format))
    elif instruction is not None:
        submission = _instructed(tree, paths, instruction)
    else:
        submission = _checked(tree, paths, settings)
    if settings and (report is not None or instruction is not None):
        raise ConfigurationError(
            "--select and --ignore are for ruff; they go with no report and no instruction"
        )
    return submit_and_give(submission, tree=tree, wish=wish, local=local, timeout_s=timeout)


def _reported(tree: Tree, paths: Sequence[str], report: Report) -> Submission:
    """What a report says about these files."""
    files = read_named(tree, report.names, within=frozenset(tree.find(paths, EVERY_LANGUAGE)))
    if not files:
        say(f"the report has {some(report.findings, 'finding')}, none of them in these files")
    request = run_request([(report.form, report.content)], files)
    return Submission(requests=[request] if files else [], files=files)


def _instructed(tree: Tree, paths: Sequence[str], instruction: str) -> Submission:
    """A job for each file, with the same instruction."""
    files = [tree.read(path) for path in tree.find(paths, EVERY_LANGUAGE)]
    if not files:
        say(NO_FILES)
    requests = [job_request(file, "fix", instruction=instruction) for file in files]
    return Submission(requests=requests, files=files)


def _checked(tree: Tree, paths: Sequence[str], settings: Mapping[str, Sequence[str]]) -> Submission:
    """What the checkers at hand find in these files."""
    names = tree.find(paths, CHECKED_LANGUAGES)
    checked = [name for name in names if language_of(name) in CHECKED_LANGUAGES]
    if len(checked) < len(names):
        say(f"left out: {some(len(names) - len(checked), 'file')} that neither ruff nor oxlint reads")
    if not checked:
        say("nothing to mend: there are no files that ruff or oxlint reads")
        return Submission(requests=[], files=[])
    files = {path: tree.read(path) for path in checked}
    found = _reports(tree, files, settings)
    if not found:
        say(f"nothing to mend: the checkers find nothing in {some(len(checked), 'file')}")
        return Submission(requests=[], files=[])
    named = {tree.relative(name) for form, content in found for name in names_in(form, content)}
    sent = [files[path] for path in checked if path in named]
    checkers = {"ruff": settings} if settings else None
    return Submission(requests=[run_request(found, sent, checkers=checkers)], files=sent)


def _reports(
    tree: Tree, files: Mapping[str, SourceFile], settings: Mapping[str, Sequence[str]]
) -> list[tuple[str, str]]:
    """Run the checkers on the files; those that are not UTF-8, on copies that are, for they read no other."""
    foreign = [file for file in files.values() if file.encoding != UTF_8]
    found = reports(tree, [path for path in files if files[path] not in foreign], settings)
    if foreign:
        with tempfile.TemporaryDirectory(prefix="patchmill-copies-") as folder:
            for file in foreign:
                place = Path(folder, file.path)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(file.content.encode(UTF_8))
            found += reports(Tree(Path(folder)), [file.path for file in foreign], settings)
    return found


def _rules(option: str, text: str) -> list[str]:
    rules = [rule.strip() for rule in text.split(",") if rule.strip()]
    if not rules:
        raise ConfigurationError(f"--{option} names no rule; rules are separated by commas, as in B,UP")
    return rules
