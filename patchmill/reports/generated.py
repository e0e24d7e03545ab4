"""Which files nobody mends by hand: they are written by a tool, and the next run of it undoes any fix.

- files in a folder named `node_modules`, `vendor` or `dist`
- lock files: `*.lock`, `*-lock.json`, `*-lock.yaml`, `go.sum`, `npm-shrinkwrap.json`
- minified files: `*.min.js`, `*.min.css` and their kin
- files that say so: a comment among the first lines with `generated` and `do not edit`, or with `@generated`
"""

_FOLDERS = frozenset({"node_modules", "vendor", "dist"})
_NAMES = frozenset({"go.sum", "npm-shrinkwrap.json"})
_ENDINGS = (".lock", "-lock.json", "-lock.yaml", ".min.js", ".min.mjs", ".min.cjs", ".min.css")
_COMMENTS = ("#", "//", "/*", "*", "--", "<!--", ";", '"""')
_HEAD = 4_000  # characters in which a file says that it is generated
_HEAD_LINES = 40


def is_generated(path: str, text: str) -> bool:
    """Tell by a file's path and its first lines whether a tool writes it."""
    *folders, name = path.split("/")
    if not _FOLDERS.isdisjoint(folders) or name in _NAMES or name.endswith(_ENDINGS):
        return True
    return any(map(_says_so, text[:_HEAD].splitlines()[:_HEAD_LINES]))


def _says_so(line: str) -> bool:
    words = line.strip().lower()
    if not words.startswith(_COMMENTS):
        return False
    return "@generated" in words or ("generated" in words and "do not edit" in words)
