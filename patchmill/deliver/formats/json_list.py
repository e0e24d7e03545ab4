"""The format `json`: the suggestions of a job document, alone."""

import json

from patchmill.deliver.suggestion import Format, Offered, document


def render(offer: Offered) -> str:
    """Write `{"data": [suggestion, …]}`, in the order of the file."""
    data = [document(row, offer.evidence.get(row.id, ())) for row in offer.suggestions]
    return json.dumps({"data": data}, ensure_ascii=False, separators=(",", ":"))


JSON = Format(name="json", media_type="application/json", render=render)
