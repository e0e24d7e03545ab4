"""Types that the standard library has not always had, and classes that could not always be subscripted.

The oldest Python whose library is told apart is 3.9; what older ones lack in it, few hints name.
"""

import builtins

# Those that `site` adds as well, which is not loaded where hostile text is read.
BUILTINS = frozenset({*dir(builtins), "copyright", "credits", "exit", "help", "license", "quit"})
_SINCE = {
    (3, 9): "graphlib.TopologicalSorter types.GenericAlias zoneinfo.ZoneInfo",
    (3, 10): """
        ast.Match ast.MatchAs ast.MatchClass ast.MatchMapping ast.MatchOr ast.MatchSequence ast.MatchSingleton
        ast.MatchStar ast.MatchValue ast.match_case ast.pattern builtins.EncodingWarning
        contextlib.AsyncContextDecorator contextlib.aclosing dataclasses.KW_ONLY
        email.errors.InvalidDateDefect importlib.metadata.EntryPoints importlib.metadata.PackageMetadata
        importlib.metadata.SimplePath itertools.pairwise types.EllipsisType types.NoneType
        types.NotImplementedType types.UnionType unittest.mock.InvalidSpecError xml.sax.handler.LexicalHandler
    """,
    (3, 11): """
        ast.TryStar asyncio.Barrier asyncio.BrokenBarrierError asyncio.Runner asyncio.TaskGroup
        asyncio.Timeout builtins.BaseExceptionGroup builtins.ExceptionGroup contextlib.chdir
        ctypes.BigEndianUnion ctypes.LittleEndianUnion datetime.UTC dis.Positions
        enum.EnumCheck enum.EnumType enum.FlagBoundary enum.ReprEnum enum.StrEnum enum.member enum.nonmember
        enum.property enum.verify http.HTTPMethod importlib.machinery.NamespaceLoader sqlite3.Blob
    """,
    (3, 12): """
        ast.ParamSpec ast.TypeAlias ast.TypeVar ast.TypeVarTuple ast.type_param calendar.Day calendar.Month
        importlib.metadata.DeprecatedNonAbstract importlib.resources.Anchor
        importlib.resources.abc.TraversalError inspect.BufferFlags itertools.batched
        socketserver.ForkingUnixDatagramServer socketserver.ForkingUnixStreamServer
    """,
    (3, 13): """
        asyncio.EventLoop asyncio.QueueShutDown builtins.PythonFinalizationError
        configparser.MultilineContinuationError email.errors.HeaderWriteError
        email.headerregistry.ReferencesHeader enum.EnumDict pathlib.UnsupportedOperation platform.AndroidVer
        platform.IOSVersionInfo queue.ShutDown re.PatternError symtable.SymbolTableType types.CapsuleType
        unittest.mock.ThreadingMixin unittest.mock.ThreadingMock warnings.deprecated
    """,
    (3, 14): """
        ast.Interpolation ast.TemplateStr asyncio.FrameCallGraphEntry asyncio.FutureCallGraph
        concurrent.futures.InterpreterPoolExecutor concurrent.futures.interpreter.BrokenInterpreterPool
        concurrent.futures.interpreter.InterpreterPoolExecutor concurrent.futures.interpreter.WorkerContext
        concurrent.futures.thread.WorkerContext configparser.InvalidWriteError
        configparser.UnnamedSectionDisabledError ctypes.CField ctypes.c_double_complex ctypes.c_float_complex
        ctypes.c_longdouble_complex http.server.HTTPSServer
        http.server.ThreadingHTTPSServer imaplib.Idler importlib.machinery.AppleFrameworkLoader io.Reader
        io.Writer multiprocessing.managers.SetProxy
    """,
}
_GONE = {
    (3, 11): "inspect.ArgSpec",
    (3, 12): """
        configparser.SafeConfigParser importlib.abc.Finder importlib.metadata.Deprecated
        importlib.metadata.DeprecatedList importlib.metadata.SelectableGroups pkgutil.ImpImporter
        pkgutil.ImpLoader
    """,
    (3, 13): "configparser.LegacyInterpolation importlib.metadata.DeprecatedTuple tokenize.StopTokenizing",
    (3, 14): """
        ast.Bytes ast.Ellipsis ast.NameConstant ast.Num ast.Str asyncio.AbstractChildWatcher
        asyncio.FastChildWatcher asyncio.MultiLoopChildWatcher asyncio.PidfdChildWatcher
        asyncio.SafeChildWatcher asyncio.ThreadedChildWatcher importlib.abc.ResourceReader
        importlib.abc.Traversable importlib.abc.TraversableResources urllib.request.FancyURLopener
        urllib.request.URLopener
    """,
}
# The class that says what a subscript does; those that inherit from it have it from there.
_GENERIC_SINCE = {
    (3, 11): "logging.LoggerAdapter logging.StreamHandler",
    (3, 12): "array.array csv.DictReader csv.DictWriter multiprocessing.queues.Queue",
    (3, 13): """
        builtins.coroutine builtins.generator multiprocessing.managers.DictProxy
        multiprocessing.managers.ListProxy
    """,
    (3, 14): "builtins.classmethod builtins.memoryview builtins.staticmethod",
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


def has(target: tuple[int, int], module: str, name: str) -> bool:
    """Whether a Python has a type that older ones lack, perhaps this one too."""
    path = f"{module}.{name}"
    return any(target >= version and path in paths.split() for version, paths in _SINCE.items())


def plain_in(target: tuple[int, int], value: object) -> str | None:
    """Say in words why a class of the library takes no subscript in a Python; None if it does."""
    if not isinstance(value, type):
        return None
    owner = next((base for base in value.__mro__ if "__class_getitem__" in vars(base)), value)
    path = f"{owner.__module__}.{owner.__qualname__}"
    for version, paths in _GENERIC_SINCE.items():
        if target < version and path in paths.split():
            return f"{value.__module__}.{value.__qualname__}[...] needs Python {_dotted(version)}"
    return None


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
