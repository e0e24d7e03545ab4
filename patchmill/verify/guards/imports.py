"""New dependencies: an edit may import what the file has, what belongs to it, and the standard library.

Models make up packages that sound right, and others register these names; that a package exists proves
nothing, so no registry is asked. A module belongs to the file if a folder of its path or another submitted
file has that name; and a finding or an instruction may ask for one by naming it.
"""

import re
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import PurePosixPath

from patchmill.edit.span import Hunk
from patchmill.verify.evidence import Check, CheckName, Result
from patchmill.verify.outline.read import Edited, Outline

_AT_RUN_TIME = "*"
_WORD = re.compile(r"[\w@./-]+")
_STATEMENT = re.compile(r"^[ \t]*(?:from[ \t]+(\.*[\w.]*)[ \t]+import\b|import[ \t]+([\w.]+))", re.MULTILINE)
_CALL = re.compile(r"\b(?:__import__|import_module)\b")
_SHOWN = 5

# Python's of this version and of others that code may be for.
_PYTHON = sys.stdlib_module_names | {
    *("annotationlib", "compression", "tomllib", "zoneinfo", "graphlib"),
    *("asynchat", "asyncore", "cgi", "cgitb", "distutils", "imp", "pipes", "smtpd", "telnetlib"),
}
_NODE = frozenset({
    "assert", "async_hooks", "buffer", "child_process", "cluster", "console", "constants",
    "crypto", "dgram", "diagnostics_channel", "dns", "domain", "events", "fs", "http", "http2",
    "https", "inspector", "module", "net", "os", "path", "perf_hooks", "process", "punycode",
    "querystring", "readline", "repl", "stream", "string_decoder", "sys", "test", "timers",
    "tls", "trace_events", "tty", "url", "util", "v8", "vm", "wasi", "worker_threads", "zlib",
})  # fmt: skip
_RUBY = frozenset({
    "abbrev", "base64", "benchmark", "bigdecimal", "cgi", "csv", "date", "delegate", "digest",
    "erb", "etc", "fileutils", "find", "forwardable", "io", "ipaddr", "json", "logger",
    "matrix", "monitor", "net", "objspace", "observer", "open3", "open-uri", "openssl",
    "optparse", "ostruct", "pathname", "pp", "prime", "psych", "rbconfig", "ripper",
    "securerandom", "set", "shellwords", "singleton", "socket", "stringio", "strscan",
    "tempfile", "time", "timeout", "tmpdir", "tsort", "uri", "weakref", "yaml", "zlib",
})  # fmt: skip
_JVM = frozenset({"java", "javax", "jdk", "kotlin"})
_SWIFT = frozenset({"Swift", "Foundation", "Dispatch", "os", "Darwin", "Glibc", "XCTest"})


def _first(separator: str, count: int = 1) -> Callable[[str], str]:
    return lambda module: separator.join(module.split(separator)[:count])


def _package(module: str) -> str:
    """The package of a JavaScript module: of one in a scope the first two parts."""
    return "/".join(module.removeprefix("node:").split("/")[: 2 if module.startswith("@") else 1])


# By language: what of a module's name is the package, and which packages come with the language.
_ROOTS: dict[str, tuple[Callable[[str], str], Callable[[str], bool]]] = {
    "python": (_first("."), _PYTHON.__contains__),
    **dict.fromkeys(("javascript", "typescript", "tsx"), (_package, _NODE.__contains__)),
    "go": (_first("/", 3), lambda package: "." not in package.split("/")[0]),
    "rust": (_first("::"), {"std", "core", "alloc", "crate", "self", "super"}.__contains__),
    **dict.fromkeys(("java", "kotlin"), (_first(".", 2), lambda package: package.split(".")[0] in _JVM)),
    "csharp": (_first("."), {"System"}.__contains__),
    "php": (_first("\\"), {""}.__contains__),
    "ruby": (_first("/"), _RUBY.__contains__),
    "swift": (_first("."), _SWIFT.__contains__),
}


def no_new_import(
    edited: Edited | None,
    outline: Outline | None,
    hunks: Sequence[Hunk],
    *,
    source: str,
    language: str,
    own: Collection[str],
    asked: Iterable[str],
) -> Check:
    """Check that hunks import nothing that the project does not have already.

    `own` are the names of the project's folders and files, and `asked` the words of findings and instruction.
    Of Python that cannot be parsed the lines that look like imports are compared.
    """
    if language not in _ROOTS:
        detail = "imports of this language name no packages" if outline else "nothing here reads its imports"
        return Check(check=CheckName.NO_NEW_IMPORT, result=Result.SKIPPED, detail=detail)
    if edited is not None and outline is not None and outline.read and not edited.unparsed:
        known, brought = set(outline.imports), set(edited.imports)
    else:
        known = _by_lines(source)
        brought = _by_lines("".join(hunk.replacement for hunk in hunks))
    root, comes_along = _ROOTS[language]
    words = {root(word.strip("./")) for text in asked for word in _WORD.findall(text)}
    packages = words.union(own, map(root, known))
    relative = any(map(_is_relative, known))

    def belongs(module: str) -> bool:
        if module == _AT_RUN_TIME:
            return False
        if _is_relative(module):
            return relative or _last(module) in own
        return root(module) in packages or comes_along(root(module))

    new = [module for module in sorted(brought - known) if not belongs(module)]
    if not new:
        detail = "imports nothing that is new to the project"
        return Check(check=CheckName.NO_NEW_IMPORT, result=Result.PASSED, detail=detail)
    names = ", ".join("a module by a name made at run time" if one == "*" else one for one in new[:_SHOWN])
    detail = f"imports {names}: use the standard library or what the file imports already"
    return Check(check=CheckName.NO_NEW_IMPORT, result=Result.FAILED, detail=detail)


def names_of(paths: Iterable[str]) -> frozenset[str]:
    """The names under which files at these paths can be imported: of their folders, and of themselves."""
    parts = (PurePosixPath(path.replace("\\", "/")) for path in paths)
    return frozenset(name for path in parts for name in (*path.parent.parts, path.stem))


def _is_relative(module: str) -> bool:
    return module.startswith(".")


def _last(module: str) -> str:
    """The last part of a relative module, without the ending of its file."""
    return PurePosixPath(module.replace(".", "/") if "/" not in module else module).stem


def _by_lines(text: str) -> set[str]:
    found = {match[1] or match[2] for match in _STATEMENT.finditer(text)}
    return found | {_AT_RUN_TIME} if _CALL.search(text) else found
