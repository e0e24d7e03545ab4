"""The format `patch`: one git patch that applies all suggestions together."""

from collections.abc import Sequence

from patchmill.deliver.suggestion import Format
from patchmill.edit.diff import unified_diff
from patchmill.edit.encoding import UTF_8
from patchmill.edit.offered import apply_offered
from patchmill.store.results import SuggestionRow


def render(path: str, source: str, suggestions: Sequence[SuggestionRow], encoding: str = UTF_8) -> str:
    """Write the patch from the submitted source to the source with every suggestion applied.

    A patch is bytes, and those of a file that is not UTF-8 are its own: what UTF-8 cannot read of them stands
    as surrogates here, for `surrogateescape`. Empty when there is no suggestion. Raises ValueError if the
    suggestions are not the source's or clash; those of one job do neither, since they were verified together.
    """
    patch = unified_diff(path, source, apply_offered(source, [row.hunk for row in suggestions]))
    return patch if encoding == UTF_8 else patch.encode(encoding).decode("utf-8", "surrogateescape")


PATCH = Format(
    name="patch",
    media_type="text/x-patch; charset=utf-8",
    render=lambda offer: "".join(
        render(file.path, file.source, file.suggestions, file.encoding) for file in offer.files
    ),
)
