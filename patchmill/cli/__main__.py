"""`python -m patchmill.cli`: the same as the command `patchmill`."""

import sys

from patchmill.cli.main import run

sys.exit(run())
