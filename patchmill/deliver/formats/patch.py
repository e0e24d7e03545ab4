"""The format `patch`: one git patch that applies all suggestions together."""

from collections.abc import Sequence

from patchmill.deliver.suggestion import Format
from patchmill.edit.diff import unified_diff
from patchmill.edit.offered import apply_offered
from patchmill.store.results import SuggestionRow


def render(path: str, source: str, suggestions: Sequence[SuggestionRow]) -> str:
    """Write the patch from the submitted source to the source with every suggestion applied.

    Empty when there is no suggestion. Raises ValueError if the suggestions are not the source's or clash;
    those of one job do neither, since they were verified together.
    """
    return unified_diff(path, source, apply_offered(source, [row.hunk for row in suggestions]))


PATCH = Format(
    name="patch",
    media_type="text/x-patch; charset=utf-8",
    render=lambda offer: "".join(render(file.path, file.source, file.suggestions) for file in offer.files),
)
