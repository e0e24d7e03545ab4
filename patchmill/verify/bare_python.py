"""Run a module of ours in a limited Python process that loads, before and after, as little as Python can.

A verification waits for such a process, so its start counts: no `site`, modules from their compiled files
where a script would be compiled each time, and no tidying up of what ends anyhow.
"""

import sys
import tempfile
from pathlib import Path

from patchmill.verify import sandbox

_HOME = str(Path(__file__).parents[2])
# The folder comes last, so that nothing installed can stand in for the standard library.
_START = """\
import sys
from posix import _exit
sys.path.append(sys.argv.pop())
from {module} import main
main()
sys.stdout.flush()
_exit(0)
"""


def run(module: str, *, stdin: bytes, limits: sandbox.Limits) -> sandbox.Completed:
    """Call `main` of a module, which reads a request from standard input and writes its answer.

    Hostile text may be parsed in there; nothing may be executed. Raises OSError if no process can be started.
    """
    return sandbox.run(
        [sys.executable, "-I", "-S", "-c", _START.format(module=module), _HOME],
        stdin=stdin,
        cwd=Path(tempfile.gettempdir()),
        limits=limits,
    )
