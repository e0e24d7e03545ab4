"""Findings in: every format of reports by its name; a new one is one file here and one line below."""

from patchmill.reports import rdjson, ruff_json, sarif
from patchmill.reports.report import Reader

READERS: dict[str, Reader] = {
    "sarif": sarif.read,
    "ruff": ruff_json.read,
    "rdjson": rdjson.read,
    "rdjsonl": rdjson.read_lines,
}
