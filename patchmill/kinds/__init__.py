"""The kinds of jobs, one file each: payload, rules for the model, and the size of an answer."""

from patchmill.job.record import KindName
from patchmill.kinds.annotate import ANNOTATE
from patchmill.kinds.fix import FIX
from patchmill.kinds.kind import Kind

__all__ = ["ANNOTATE", "FIX", "KINDS", "Kind"]

KINDS: dict[KindName, Kind] = {kind.name: kind for kind in (FIX, ANNOTATE)}
