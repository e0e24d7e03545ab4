"""Comments and attributes that silence a checker: an edit may not add one, nor widen one.

One table serves all languages: a word that silences a checker of one language has no business in an edit of
another, and what language a file is in is only what the submitter says.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from patchmill.edit.span import Hunk
from patchmill.verify.evidence import Check, CheckName, Result

# What follows a word that silences: `: codes`, `= codes`, `(codes)` or `[codes]`, in quotes or without.
_WORDS = re.compile(
    r"""(?ix)
    (?: \b (?:
        noqa | nosec | nosemgrep | nosonar | noinspection | no_type_check | lgtm
      | (?:ruff|flake8) [ \t]* : [ \t]* (?:noqa|ignore|disable|file-ignore)
      | (?:type|ty|pyrefly|zuban|bandit) [ \t]* : [ \t]* (?:ignore|skip)
      | pyright [ \t]* : [ \t]* [a-z]+
      | pyre-(?:ignore-all-errors|ignore|fixme)
      | (?:pylint|pytype|yapf|vulture) [ \t]* : [ \t]* (?:disable-next|disable|skip-file|ignore)
      | mypy [ \t]* : [ \t]* [a-z-]+
      | (?:fmt|autopep8|isort|black) [ \t]* : [ \t]* (?:off|skip|skip_file|split)
      | pragma [ \t]* : [ \t]* no [ \t]* (?:cover|branch|qa)
      | codespell [ \t]* : [ \t]* ignore
      | ts-(?:ignore|nocheck|expect-error) | (?:istanbul|c8|v8|node:coverage) [ \t]+ (?:ignore|disable)
      | prettier-ignore | (?:jshint|jscs|jslint) [ \t]* : [ \t]* (?:ignore|disable) | noflow
      | nolint (?:nextline|begin)? | clang-format [ \t]+ off | checkstyle [ \t]* : [ \t]* off
      | shellcheck [ \t]+ disable | coverity | noformat | cppcheck-suppress (?:-begin|-file|-macro)?
    ) \b
      | @ (?:file [ \t]* :)? suppress (?:warnings|lint|fbwarnings)? \b | \$ flow (?:fixme|issue|ignore) \b
      | \# [ \t]* !? \[ (?: cfg_attr \( [^\]\r\n]{0,200} , )? [ \t]* (?:allow|expect) \b
      | \[ [ \t]* (?:assembly [ \t]* : [ \t]*)? suppressmessage \b | \b rustfmt::skip \b
    )
    (?: [ \t]* [:=\[(] [ \t]* (?P<codes> ["'\w][\w:./"'-]* (?: [ \t]* , [ \t]* ["'\w][\w:./"'-]*)* ) )?
    """
)
# The same where the codes are the words that follow, to the end of the line or of the comment.
_SPACED = re.compile(
    r"""(?ix)
    (?: \b (?:
        (?:eslint|oxlint)-disable (?:-next-line|-line)? | biome-ignore (?:-all|-start)? | rome-ignore
      | deno-lint-ignore (?:-file)? | stylelint-disable (?:-next-line|-line)? | htmlhint-disable
      | tslint:disable (?:-next-line|-line)? | markdownlint-disable (?:-next-line|-line|-file)?
      | (?:rubocop|standard) [ \t]* : [ \t]* (?:disable|todo)
      | swiftlint:disable (?::next|:this|:previous)? | swiftformat:disable (?::next)? | ktlint-disable
      | lint:(?:file-)?ignore | yamllint [ \t]+ disable (?:-line|-file)?
      | phpcs:(?:ignore|disable|ignorefile) | phpstan-ignore (?:-line|-next-line)? | psalm-suppress
      | pragma [ \t]+ warning [ \t]+ disable | (?:gcc|clang) [ \t]+ diagnostic [ \t]+ ignored
      | pragma [ \t]+ warning [ \t]* \( [ \t]* disable
    ) \b
      | /\* [ \t]* eslint [ \t] | /\* [ \t]* (?:globals?|exported) [ \t]
    )
    (?P<rest> [^\r\n*]{0,400} )
    """
)
_BLANKS = re.compile(r"[ \t]+")
_QUOTES = " \t\"'"
_CODE = re.compile(r"[^\s,:=()\"']+")


def suppressions(text: str) -> Counter[str]:
    """Count what the comments of a text silence: one entry for each word and code, `*` where it names none.

    So `# noqa: E501` that turns into `# noqa` or `# noqa: E501, B006` counts as a rise.
    """
    found: Counter[str] = Counter()
    for match in _WORDS.finditer(text):
        codes = match["codes"]
        word = match[0] if codes is None else match[0][: match.start("codes") - match.start()]
        word = _BLANKS.sub("", word).rstrip(":=[(").lower()
        for code in codes.split(",") if codes else ["*"]:
            found[f"{word} {code.strip(_QUOTES)}"] += 1
    for match in _SPACED.finditer(text):
        word = _BLANKS.sub("", match[0][: match.start("rest") - match.start()]).lower()
        found.update(f"{word} {code}" for code in _codes(match["rest"]))
    return found


def _codes(rest: str) -> Iterator[str]:
    """The words up to a reason, which `--` begins; `*` if there are none."""
    yield from _CODE.findall(rest.split(" --", 1)[0]) or ["*"]


def no_suppression(hunks: Sequence[Hunk]) -> Check:
    """Check that hunks silence nothing more than the lines that they replace did."""
    before = suppressions("".join(hunk.original for hunk in hunks))
    added = suppressions("".join(hunk.replacement for hunk in hunks)) - before
    if not added:
        return Check(check=CheckName.NO_SUPPRESSION, result=Result.PASSED, detail="no suppression added")
    words = ", ".join(sorted(added))
    return Check(check=CheckName.NO_SUPPRESSION, result=Result.FAILED, detail=f"adds {words}")
