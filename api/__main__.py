"""`python -m api`: one process of the HTTP door.

Loading leaves nothing behind, and looking for what it left takes a fifth of the start: so the collector
rests meanwhile, and what was loaded is not looked at again.
"""

import gc
import sys

gc.disable()

from api.main import main  # noqa: E402 - loaded while the collector rests

gc.freeze()
gc.enable()

if __name__ == "__main__":
    sys.exit(main())
