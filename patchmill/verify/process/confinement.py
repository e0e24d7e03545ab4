"""What this machine can do to hold a child beside its limits: no network, and few processes.

Both are found out by trying, once, since they depend on the user, the kernel and the container. The number of
processes is a limit of the user, not of the child, so that it can hold only a child that is counted apart: in
a user namespace of its own, or, where that exempts root, under a real user id that nobody else has. Root
keeps its effective id then, and of its capabilities at most the one to open any file.
"""

import functools
import secrets
import shutil
import subprocess
from dataclasses import dataclass

PATH = "/usr/local/bin:/usr/bin:/bin"

# Sets the limits in the child before it becomes the tool; what cannot be set ends it with 125. The number of
# processes is `-u` for some shells, and `-p` for others; where it holds nothing it is not set. The hard limit
# of processor time is a second more, so that the signal of one that used up its own is told from other ends.
LAUNCH = """\
ulimit -c 0 && ulimit -S -t "$1" || exit 125
if [ "$1" != "$(ulimit -H -t)" ]; then ulimit -H -t "$(($1 + 1))" || exit 125; fi
ulimit -v "$2" && ulimit -f "$3" && ulimit -n "$4" || exit 125
if [ "$5" != - ]; then { ulimit -u "$5" || ulimit -p "$5"; } 2>/dev/null || exit 125; fi
shift 5
exec "$@"
"""
_PROBE_S = 20  # a busy machine must not be taken for one that cannot
_ANY = ("10", "unlimited", "unlimited", "64")  # limits for a probe
# Ids that no distribution gives to a user, a service or a container.
_FIRST_ID, _IDS = 1_900_000_000, 200_000_000
_OWN_ID = "--ruid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """A way to start a child, and what it keeps the child from: the network, and too many processes."""

    way: tuple[str, ...]
    network: bool
    processes: bool

    def launch(self, limits: list[str], processes: int, argv: list[str]) -> list[str]:
        """The whole command for a child: these limits, in the order of the script, and then `argv`."""
        most = str(processes) if self.processes else "-"
        return _launch(self.way, [*limits, most], argv)


@functools.cache
def confinement() -> Confinement:
    """The best way that works here, found out once."""
    best = Confinement(way=(), network=False, processes=False)
    for way in _ways():
        if not _works(way, processes="64", command="(:) && :"):
            continue
        # What can start no process at all where one is allowed is held.
        found = Confinement(
            way=way, network="--net" in way, processes=not _works(way, processes="1", command="(:) && :")
        )
        if found.network + found.processes > best.network + best.processes:
            best = found
        if best.network and best.processes:
            break
    return best


def _ways() -> list[tuple[str, ...]]:
    """All ways to start a child, the strictest first."""
    unshare, setpriv = (shutil.which(name, path=PATH) for name in ("unshare", "setpriv"))
    apart = (
        []
        if setpriv is None
        else [
            (setpriv, _OWN_ID, "0", "--inh-caps=-all", f"--bounding-set=-all{kept}", "--")
            for kept in (",+dac_override", "")
        ]
    )
    if unshare is None:
        return [*apart]
    without, own = (unshare, "--net", "--"), (unshare, "--map-root-user", "--net", "--")
    return [*((*without, *each) for each in apart), own, without, *apart, (unshare, "--map-root-user", "--")]


def _works(way: tuple[str, ...], *, processes: str, command: str) -> bool:
    try:
        probe = subprocess.run(
            _launch(way, [*_ANY, processes], ["/bin/sh", "-c", command]),
            env={"PATH": PATH},
            capture_output=True,
            timeout=_PROBE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return probe.returncode == 0


def _launch(way: tuple[str, ...], limits: list[str], argv: list[str]) -> list[str]:
    started = list(way)
    shell = ["/bin/sh"]
    if _OWN_ID in started:
        started[started.index(_OWN_ID) + 1] = str(_FIRST_ID + secrets.randbelow(_IDS))
        shell.append("-p")  # or it would take the real user for the effective one
    return [*started, *shell, "-c", LAUNCH, "sh", *limits, *argv]
