"""Play every wire case to our client and to the `openai` SDK, and print what each makes of it.

`python -m benchmarks.wire` prints the cases that any of them gets wrong, then the totals; with `--all` it
prints every case. Exits 1 when ours gets one wrong.
"""

import importlib.metadata
import sys
import warnings
from collections import Counter

from rich.console import Console
from rich.table import Table

from benchmarks.wire import ours, peer
from benchmarks.wire.expectations import expected_of
from benchmarks.wire.peer import Verdict
from benchmarks.wire.stand_in import PLAYS, Play, StandIn
from patchmill.dev.standin.server import running

OURS = "Patchmill"


def judge(stand_in: StandIn, play: Play) -> dict[str, tuple[Verdict, str]]:
    """Play one case to each client; give what came of it, and why, by client."""
    expected = expected_of(play.case.name, stream=play.stream)
    stand_in.prepare(play)
    try:
        wrong = list(ours.complaints(expected, ours.ask(stand_in.url, play), stand_in.bill()))
        judged = {OURS: (Verdict.WRONG if wrong else Verdict.RIGHT, "; ".join(wrong))}
    except Exception as error:  # noqa: BLE001 - which one it is, is what is measured
        judged = {OURS: (Verdict.UNTYPED, repr(error))}
    for name, (streamed, plain) in peer.WAYS.items():
        stand_in.prepare(play)
        got = peer.ask(stand_in.url, streamed if play.stream else plain)
        judged[name] = peer.verdict(expected, got, stand_in.bill())
    return judged


def main() -> int:
    """Play everything and print one report."""
    # The SDK's models complain where a server sends what they do not know, which is what many cases do.
    warnings.filterwarnings("ignore", category=UserWarning, module="pydantic")
    names = [OURS, *peer.WAYS]
    totals: dict[str, Counter[Verdict]] = {name: Counter() for name in names}
    table = Table("case", *names, "why")
    with running() as root, StandIn(root) as stand_in:
        for play in PLAYS:
            judged = judge(stand_in, play)
            for name, (verdict, _) in judged.items():
                totals[name][verdict] += 1
            if "--all" in sys.argv or any(verdict is not Verdict.RIGHT for verdict, _ in judged.values()):
                reasons = dict.fromkeys(reason for _, reason in judged.values() if reason)
                table.add_row(str(play), *(verdict for verdict, _ in judged.values()), "; ".join(reasons))
    console = Console(soft_wrap=True, width=160)
    console.print(table)
    summary = Table(f"of {len(PLAYS)} plays", *Verdict)
    for name, counts in totals.items():
        summary.add_row(name, *(str(counts[verdict]) for verdict in Verdict))
    console.print(summary)
    console.print(f"openai {importlib.metadata.version('openai')}, without retries", highlight=False)
    return 0 if totals[OURS][Verdict.RIGHT] == len(PLAYS) else 1


if __name__ == "__main__":
    sys.exit(main())
