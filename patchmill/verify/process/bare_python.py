"""Run a module of ours in a limited Python process, without waiting for what Python loads when it starts.

It is forked from a template that has everything loaded (`forks`). Where none answers, a process is started:
without `site`, with modules from their compiled files where a script would be compiled each time, and without
tidying up what ends anyhow.
"""

import atexit
import sys
import tempfile
from pathlib import Path

from patchmill.verify.process import sandbox
from patchmill.verify.process.forks import Forks

_HOME = str(Path(__file__).parents[3])
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

_FORKS = Forks()
atexit.register(_FORKS.close)


def run(module: str, *, stdin: bytes, limits: sandbox.Limits) -> sandbox.Completed:
    """Call `main` of a module, which reads a request from standard input and writes its answer.

    Hostile text may be parsed in there; nothing may be executed. Raises OSError if no process can be started.
    """
    answer = _FORKS.ask(module, stdin, limits)
    if answer is not None:
        return sandbox.Completed(returncode=0, stdout=answer, stderr=b"")
    return sandbox.run(
        [sys.executable, "-I", "-S", "-c", _START.format(module=module), _HOME],
        stdin=stdin,
        cwd=Path(tempfile.gettempdir()),
        limits=limits,
    )
