"""Comments that silence a checker: an edit may not add one, nor widen one."""

import re
from collections import Counter
from collections.abc import Sequence

from patchmill.edit.span import Hunk
from patchmill.verify.evidence import Check, CheckName, Result

_WORDS = re.compile(
    r"""(?ix)
    \b(?:
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
      | eslint-disable (?:-next-line|-line)? | biome-ignore | ts-(?:ignore|nocheck|expect-error)
    )\b
    (?: [ \t]* [:=\[(] [ \t]* (?P<codes> [\w-]+ (?: [ \t]* , [ \t]* [\w-]+)* ) )?
    """
)
_BLANKS = re.compile(r"[ \t]+")


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
            found[f"{word} {code.strip()}"] += 1
    return found


def no_suppression(hunks: Sequence[Hunk]) -> Check:
    """Check that hunks silence nothing more than the lines that they replace did."""
    before = suppressions("".join(hunk.original for hunk in hunks))
    added = suppressions("".join(hunk.replacement for hunk in hunks)) - before
    if not added:
        return Check(check=CheckName.NO_SUPPRESSION, result=Result.PASSED, detail="no suppression added")
    words = ", ".join(sorted(added))
    return Check(check=CheckName.NO_SUPPRESSION, result=Result.FAILED, detail=f"adds {words}")
