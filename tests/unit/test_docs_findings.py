import re
from pathlib import Path

from patchmill.edit.protocol import RejectionReason
from patchmill.job.state import State
from patchmill.verify.checker import FailureReason
from patchmill.verify.evidence import CheckName, UnresolvedReason
from patchmill.verify.panel import NO_CHECKER, UNKNOWN_RULE
from patchmill.verify.targets import NOT_REPRODUCED

PAGE = Path(__file__).resolve().parents[2] / "docs" / "findings.md"


def test_the_page_lists_every_reason_once() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)

    # A finding that is not reproduced is unchecked, and no proof is about findings.
    checks = {*CheckName} - {CheckName.REPRODUCED, CheckName.SAME_BEHAVIOUR, CheckName.HINTS_AGREE}
    reasons = {*checks, *UnresolvedReason, *FailureReason, *RejectionReason, State.CANCELLED}
    assert sorted(listed) == sorted({*reasons, NO_CHECKER, UNKNOWN_RULE, NOT_REPRODUCED})
