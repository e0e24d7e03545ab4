"""The format `json`: the suggestions of job documents, alone."""

import json

from patchmill.deliver.suggestion import Format, Offered, document


def render(offer: Offered) -> str:
    """Write `{"data": [suggestion, …]}`, file by file in the order of each."""
    data = [document(row, file.evidence.get(row.id, ())) for file in offer.files for row in file.suggestions]
    return json.dumps({"data": data}, ensure_ascii=False, separators=(",", ":"))


JSON = Format(name="json", media_type="application/json", render=render)
