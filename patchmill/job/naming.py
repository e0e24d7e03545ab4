"""What a submitted file may be called: its path names one file below a root, on every system alike.

A path is only a label here, and nothing is opened by it; but whoever applies a suggestion opens it.
"""

import re
import unicodedata

_DRIVE = re.compile(r"[A-Za-z]:")
_UNPRINTED = frozenset({"Cc", "Zl", "Zp"})
_GIT_FOLDERS = frozenset({".git", "git~1"})  # the second is what Windows calls the first
# What Windows keeps for devices, in every folder, in any case, and before any ending.
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{port}{number}" for port in ("com", "lpt") for number in "123456789\xb9\xb2\xb3"}
)


def wrong_with(path: str) -> str | None:
    """Say in words that follow the path why no file may be called so; None if one may."""
    segments = path.split("/")
    if path.startswith("/") or _DRIVE.match(path):
        return "must be relative to the repository's root"
    if "\\" in path:
        return "has a backslash; separate folders with /"
    if any(unicodedata.category(character) in _UNPRINTED for character in path):
        return "has a control character"
    if not all(segments):
        return "has an empty segment; it must name a file, as in src/app.py"
    return _wrong_with_names([_as_seen(segment) for segment in segments])


def _wrong_with_names(names: list[str]) -> str | None:
    if not {"", ".", ".."}.isdisjoint(names):
        return "has a segment `.` or `..`, or one that stands for such a one"
    if any(":" in name or name[-1] in ". " for name in names):
        return "has a colon, or a point or blank at a segment's end; Windows reads another"
    if not _GIT_FOLDERS.isdisjoint(names):
        return "leads into a repository's .git folder"
    device = next((name for name in names if name.partition(".")[0].rstrip() in _DEVICES), None)
    return None if device is None else f"has the segment {device}, which is a device on Windows"


def _as_seen(segment: str) -> str:
    """A segment in small letters, without what cannot be seen: Apple's file system leaves that out."""
    return "".join(character for character in segment if unicodedata.category(character) != "Cf").casefold()
