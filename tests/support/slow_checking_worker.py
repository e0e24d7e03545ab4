"""`python -m tests.support.slow_checking_worker`: a worker whose ruff takes its time before it begins."""

import sys

from patchmill.verify.process import confinement
from worker.main import main

WAIT = 'case "$*" in *ruff*check*) sleep 300 ;; esac\nexec '

if __name__ == "__main__":
    confinement.LAUNCH = confinement.LAUNCH.replace("exec ", WAIT)
    sys.exit(main())
