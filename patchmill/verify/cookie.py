"""The encoding that a Python file declares for itself: an edit must fit it, and may not take it away."""

from patchmill.edit.encoding import UTF_8, declared, lacking


def unwritable(source: str, edited: str, encoding: str = UTF_8) -> str | None:
    """Say why an edited text cannot be stored as the file is, or as it says, or would be read otherwise.

    `encoding` is that of the file's bytes.
    """
    missing = lacking(edited, encoding)
    if missing:
        return f"the file is {encoding}, which has no {', '.join(missing)}: do without, or use an escape"
    before, now = declared(source) or UTF_8, declared(edited) or UTF_8
    if source.isascii() and edited.isascii():
        return None
    if now != before:
        return f"the file declares that it is {before}, the edited one {now}: leave that line as it is"
    if before == UTF_8:
        return None
    absent = lacking("".join({*edited} - {*source}), before)
    if not absent:
        return None
    said = ", ".join(absent)
    return f"the file declares that it is {before}, which has no {said}: do without, or use an escape"
