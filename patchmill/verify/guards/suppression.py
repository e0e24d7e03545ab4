"""Comments and attributes that silence a checker: an edit may not add one, nor widen one.

One table serves all languages: a word that silences a checker of one language has no business in an edit of
another, and what language a file is in is only what the submitter says.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from patchmill.edit.span import Hunk
from patchmill.verify.evidence import Check, CheckName, Result

# Words that are as common outside of comments count only behind the sign of one (`remark`).
# What follows a word that silences: `: codes`, `= codes`, `(codes)` or `[codes]`, in quotes or without.
_WORDS = re.compile(
    r"""(?ix)
    (?: \b (?:
        nosec | nosemgrep | nosonar | nopmd | cpd-off | (?<=!) oclint | swift-format-ignore (?:-file)?
      | codecoverageignore (?:start)? | infection-ignore-all | tflint-ignore (?:-file)?
      | phan-(?:file-)? suppress | clazy : exclude [\w-]* | nullable [ \t]+ disable
      | noinspection | no_type_check | skipcq
      | (?:trunk|cx|lint)-(?:ignore|fixme) (?:-all|-begin|-end)? | pyre-unsafe | ggignore | nohorus
      | deepcode [ \t]+ ignore | kics-scan [ \t]+ (?:ignore|disable) (?:-line|-block)?
      | lizard [ \t]+ forgives
      | qodana \. ignore | coverage [ \t]* : [ \t]* (?:exclude|ignore) | doctest [ \t]* : [ \t]* \+SKIP
      | (?:ruff|flake8) [ \t]* : [ \t]* (?:noqa|ignore|disable|file-ignore)
      | (?:type|ty|pyrefly|zuban|bandit) [ \t]* : [ \t]* (?:ignore|skip)
      | pyright [ \t]* : [ \t]* (?:ignore|basic|standard|strict|off|report\w+)
      | pyre-(?:ignore-all-errors|ignore|fixme)
      | (?:pylint|pytype|yapf|vulture) [ \t]* : [ \t]* (?: disable (?:-next|-msg)? | skip-file | ignore
            | off )
      | mypy [ \t]* : [ \t]* [a-z]+ [-_][a-z_-]+
      | (?:autopep8|autoflake) [ \t]* : [ \t]* (?:off|skip|skip_file)
      | pragma [ \t]* : [ \t]* (?: no [ \t]* (?:cover|branch|qa) | exclude
            | (?:allow|white)list [ \t]+ (?:nextline [ \t]+)? secret )
      | (?:periphery|steep|exhaustive|gosec|staticcheck|detekt) [ \t]* : [ \t]* (?:ignore|disable)
      | (?:codespell|deptry|bandit|typed|trivy|tfsec|hadolint|zizmor|actionlint|basedpyright|dodgy
            |interrogate|megalinter|pyflakes|typos|wps|wss|devskim) [ \t]* : [ \t]* ignore
      | (?:hadolint|actionlint) [ \t]+ (?:global [ \t]+)? ignore | hadolint [ \t]+ shell (?= [ \t]* =)
      | checkov [ \t]* : [ \t]* skip
      | gitleaks [ \t]* : [ \t]* allow | sourcery [ \t]+ skip
      | c?spell [ \t]* -? (?:checker)? [ \t]* : [ \t]* (?:disable (?:-next-line|-line)? | ignore)
      | (?:pyupgrade|refurb|pydocstyle|sqlfluff) [ \t]* : [ \t]* (?:skip|ignore|noqa)
      | ts-(?:ignore|nocheck|expect-error) | (?:istanbul|c8|v8|node:coverage) [ \t]+ (?:ignore|disable)
      | (?:prettier|dprint|oxfmt) -ignore (?:-file|-start)?
      | revive [ \t]* : [ \t]* disable (?:-next-line|-line)?
      | resharper [ \t]+ disable (?:[ \t]+ once)? | jshint [ \t]+ ignore
      | (?:jshint|jscs|jslint) [ \t]* : [ \t]* (?:ignore|disable) | noflow
      | nolint (?:nextline|begin)? | clang-format [ \t]+ off | checkstyle [ \t]* : [ \t]* off
      | shellcheck [ \t]+ (?: (?:shell|source|source-path|enable) = \S{1,80} [ \t]+ ){0,4}
            (?: disable | shell | source (?= =/dev/null) )
      | coverity [ \t]* \[ [^\]\r\n]{0,80} \]
      | cppcheck-suppress (?:-begin|-file|-macro)?
    ) (?<= [\w\]] ) (?! \w )
      | \b (?P<remark> noqa | nopep8 | lgtm | noformat | codingstandardsignore (?:line|file|start)
          | (?:fmt|isort|black) [ \t]* : [ \t]* (?:off|skip|skip_file|split)
          | (?:formatter|spotless) [ \t]* : [ \t]* off
        ) \b
      | \b codeql (?= [ \t]* \[ ) | @phpcssuppress \b
      | \b (?:filterwarnings|simplefilter) [ \t]* \( [ \t]* ["']ignore
      | @ (?:file [ \t]* :)? suppress (?:warnings|lint|fbwarnings)? \b | \$ flow (?:fixme|issue|ignore) \b
      | \# [ \t]* (?: check [ \t]* = [ \t]* (?:skip|experimental) | escape | syntax ) (?= [ \t]* = )
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
      | /\* [ \t]* (?:eslint|eslint-env|jshint|jslint) [ \t] | /\* [ \t]* (?:globals?|exported) [ \t]
    )
    (?P<rest> [^\r\n*]{0,400} )
    """
)
# What begins a comment, of one line or more; `*` goes on with one.
_SIGN = re.compile(r"#|//|/\*|<!--|--|^[ \t]*\*", re.MULTILINE)
_BLANKS = re.compile(r"[ \t]+")
_QUOTES = " \t\"'"
_CODE = re.compile(r"[^\s,:=()\"']+")


def suppressions(text: str) -> Counter[str]:
    """Count what the comments of a text silence: one entry for each word and code, `*` where it names none.

    So `# noqa: E501` that turns into `# noqa` or `# noqa: E501, B006` counts as a rise.
    """
    found: Counter[str] = Counter()
    remarks = _Remarks(text)
    for match in _WORDS.finditer(text):
        if match["remark"] is not None and not remarks.holds(match.start()):
            continue
        codes = match["codes"]
        word = match[0] if codes is None else match[0][: match.start("codes") - match.start()]
        word = _BLANKS.sub("", word).rstrip(":=[(").lower()
        for code in codes.split(",") if codes else ["*"]:
            found[f"{word} {code.strip(_QUOTES)}"] += 1
    for match in _SPACED.finditer(text):
        word = _BLANKS.sub("", match[0][: match.start("rest") - match.start()]).lower()
        found.update(f"{word} {code}" for code in _codes(match["rest"]))
    return found


class _Remarks:
    """Where the comments of a text's lines may begin; asked from its start to its end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._end = -1  # of the line that was asked about last
        self._sign = 0  # where the first sign of a comment in it stands, or its end

    def holds(self, position: int) -> bool:
        """Whether a sign of a comment stands before a position in its line."""
        if position > self._end:
            first = self._text.rfind("\n", max(0, self._end), position) + 1 or max(0, self._end)
            last = self._text.find("\n", position)
            self._end = len(self._text) if last < 0 else last
            sign = _SIGN.search(self._text, first, self._end)
            self._sign = self._end if sign is None else sign.start()
        return self._sign < position


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
