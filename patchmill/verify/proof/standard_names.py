"""Types that the standard library has not always had, and classes that could not always be subscripted.

The oldest Python whose library is told apart is 3.9; what older ones lack in it, few hints name.
"""

_SINCE = {
    (3, 9): "graphlib.TopologicalSorter types.GenericAlias zoneinfo.ZoneInfo",
    (3, 10): """
        ast.Match ast.MatchAs ast.MatchClass ast.MatchMapping ast.MatchOr ast.MatchSequence ast.MatchSingleton
        ast.MatchStar ast.MatchValue ast.match_case ast.pattern builtins.EncodingWarning contextlib.aclosing
        dataclasses.KW_ONLY types.EllipsisType types.NoneType types.NotImplementedType types.UnionType
        xml.sax.handler.LexicalHandler
    """,
    (3, 11): """
        ast.TryStar asyncio.Barrier asyncio.BrokenBarrierError asyncio.Runner asyncio.TaskGroup
        asyncio.Timeout builtins.BaseExceptionGroup builtins.ExceptionGroup contextlib.chdir datetime.UTC
        enum.EnumCheck enum.EnumType enum.FlagBoundary enum.ReprEnum enum.StrEnum enum.member enum.nonmember
        enum.property http.HTTPMethod sqlite3.Blob
    """,
}
_GONE = {
    (3, 12): "configparser.SafeConfigParser importlib.abc.Finder pkgutil.ImpImporter",
    (3, 14): """
        ast.Bytes ast.Ellipsis ast.NameConstant ast.Num ast.Str asyncio.AbstractChildWatcher
        asyncio.FastChildWatcher asyncio.MultiLoopChildWatcher asyncio.SafeChildWatcher
        asyncio.ThreadedChildWatcher importlib.abc.ResourceReader importlib.abc.Traversable
        importlib.abc.TraversableResources
    """,
}
_GENERIC_SINCE = {
    (3, 11): "logging.LoggerAdapter logging.StreamHandler",
    (3, 12): "array.array",
}


def missing_in(target: tuple[int, int], module: str, name: str) -> str | None:
    """Say in words why the standard library of a Python has no such name; None if it has, as far as known."""
    path = f"{module}.{name}"
    for version, paths in _SINCE.items():
        if target < version and path in paths.split():
            return f"{path.removeprefix('builtins.')} needs Python {_dotted(version)}"
    for version, paths in _GONE.items():
        if target >= version and path in paths.split():
            return f"{path} is gone from Python {_dotted(version)} on"
    return None


def plain_in(target: tuple[int, int], value: object) -> str | None:
    """Say in words why a class of the library takes no subscript in a Python; None if it does."""
    path = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"
    for version, paths in _GENERIC_SINCE.items():
        if target < version and path in paths.split():
            return f"{path}[...] needs Python {_dotted(version)}"
    return None


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
