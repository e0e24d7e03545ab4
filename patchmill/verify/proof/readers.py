"""Who reads hints, docstrings, names or source at run time: in the standard library, and elsewhere.

Of the standard library this is known, so what is not listed here is blind. Of any other package it is not:
what is handed to it may be read, unless the package is listed as blind.
"""

import sys
from enum import Flag, auto


class Reads(Flag):
    """What is read of a function or class that is handed on."""

    NOTHING = 0
    HINTS = auto()  # its own annotations or signature
    DOCS = auto()  # its own docstring
    NAMES = auto()  # the names in it, `__annotations__` of a class among them
    SOURCE = auto()  # its text, or the numbers of its lines
    DEEP = auto()  # the functions in it are read, too
    VALUES = auto()  # the values of these names, the docstring of a class among them
    HANDED = auto()  # nobody knows: it is handed to code that is not here


ALL = Reads.HINTS | Reads.DOCS | Reads.NAMES | Reads.SOURCE | Reads.DEEP
FRAMEWORK = Reads.HINTS | Reads.DOCS | Reads.NAMES | Reads.DEEP

# Of these modules whatever is not said to be blind reads everything.
_READING_MODULES = frozenset({"annotationlib", "dis", "inspect", "linecache", "pydoc", "pyclbr", "trace"})
_BLIND_IN_INSPECT = frozenset(
    """
    BoundArguments Parameter Signature Traceback FrameInfo Attribute cleandoc currentframe getattr_static
    getcallargs getcoroutinelocals getcoroutinestate getfile getframeinfo getgeneratorlocals
    getgeneratorstate getinnerframes getmodule getmodulename getmro getouterframes getsourcefile
    markcoroutinefunction stack trace unwrap
    """.split()  # noqa: SIM905 - it reads better than thirty strings
)
_KNOWN = {
    "builtins.dir": Reads.NAMES,
    "builtins.help": ALL,
    "builtins.vars": Reads.NAMES | Reads.VALUES,
    "dataclasses.dataclass": Reads.NAMES,
    "dataclasses.dataclass()": Reads.NAMES,
    "dataclasses.make_dataclass": Reads.NAMES,
    "flask.cli": Reads.DOCS,
    "functools.singledispatch().register": Reads.HINTS,
    "functools.singledispatchmethod().register": Reads.HINTS,
    "rich.inspect": ALL,
    "inspect.Signature.from_callable": Reads.HINTS,
    "inspect.get_annotations": Reads.HINTS | Reads.NAMES,
    "inspect.getdoc": Reads.DOCS,
    "inspect.getfullargspec": Reads.HINTS,
    "inspect.signature": Reads.HINTS,
    "torch.jit": FRAMEWORK | Reads.SOURCE,
    "typing.get_overloads": Reads.HINTS,
    "typing.get_type_hints": Reads.HINTS | Reads.NAMES,
    "typing_extensions.get_annotations": Reads.HINTS | Reads.NAMES,
    "typing_extensions.get_overloads": Reads.HINTS,
    "typing_extensions.get_type_hints": Reads.HINTS | Reads.NAMES,
    "unittest.mock.create_autospec": Reads.HINTS,
    "xmlrpc.server": Reads.DOCS | Reads.DEEP,
}
# Frameworks that look at the hints and docstrings of functions and classes that they are handed.
HINT_FRAMEWORKS = frozenset(
    """
    aiogram beartype blacksheep cattrs cyclopts dishka discord fast_depends fastapi fastmcp faststream fire
    injector jaxtyping lagom litestar magicgui marshmallow_dataclass mcp msgspec ninja nextcord plum pydantic
    pydantic_ai punq starlite strawberry taskiq typeguard typer
    """.split()  # noqa: SIM905 - as above
)
# Those of them that call functions of any other file by their hints, wherever these are handed on.
INJECTORS = frozenset(
    """
    aiogram blacksheep dishka fast_depends fastapi faststream injector lagom litestar ninja punq starlite
    taskiq
    """.split()  # noqa: SIM905 - as above
)
# Those whose fields a class may have without being derived from theirs or decorated: a mixin of such classes.
_FIELDS_OF = HINT_FRAMEWORKS | {"attr", "attrs", "dataclasses", "sqlalchemy", "sqlmodel"}
# Modules that have the hints of the whole file checked when it is imported.
IMPORT_HOOKS = frozenset(
    {
        "beartype.claw",
        "cython",
        "jaxtyping.install_import_hook",
        "typeguard.install_import_hook",
        "typeguard.importhook",
    }
)
# Frameworks that show or obey the docstrings of what is registered with them, or derived from their classes.
DOC_FRAMEWORKS = HINT_FRAMEWORKS | frozenset(
    """
    agents agno aiohttp_swagger airflow apiflask apispec argh asyncclick autogen autogen_agentchat
    autogen_core behave cement chainlit cleo click click_extra cliff clize cloup connexion crescent crewai
    dagster defopt disnake django_typer docopt doit drf_spectacular drf_yasg dspy duty ell errbot fabric
    flasgger flask_openapi3 flask_restful flask_restx flask_smorest google.adk google.genai
    google.generativeai gradio graphene guidance haystack interactions invoke
    IPython.core.magic IPython.core.magic_arguments kfp langchain
    langchain_core lightbulb livekit llama_index luigi magentic marvin metaflow mirascope ninja nose nox
    ollama plac ply prefect promptflow pyparsing quart_schema redbot rest_framework rich_click robot rply
    semantic_kernel sly smolagents sopel spectree spyne strands traitlets transformers
    """.split()  # noqa: SIM905 - as above
)
# Those of them that find the functions of a file, however these are registered, and show their docstrings.
LISTING = frozenset(
    """
    aiohttp_swagger apiflask apispec doit drf_spectacular drf_yasg fabric flasgger flask_apispec
    flask_openapi3 flask_restful flask_restx flask_smorest quart_schema spectree starlette.schemas
    """.split()  # noqa: SIM905 - as above
)
# Words of what reads files by their names.
READ_FILES = frozenset({"get_data", "getline", "open", "open_text", "read_binary", "read_bytes", "read_text"})
# Files whose functions, called so, are found by a tool that shows their docstrings.
LISTED_FILES = {"dodo.py": "task_", "fabfile.py": "", "noxfile.py": ""}
# Frameworks that find methods by how their names begin, and read the docstrings of these.
NAMED_BY = {
    "AccessControl": "",
    "OFS": "",
    "Products": "",
    "cmd": "do_",
    "cmd2": "do_",
    "flask_restful": "",
    "flask_restx": "",
    "graphene": "",
    "ply": "",
    "rest_framework": "",
    "robot": "",
    "spyne": "",
    "unittest": "test",
}
# Packages that look at no hint of what they are handed, or that they decorate.
BLIND_PACKAGES = frozenset(
    """
    aiohttp anyio bottle click flask gevent greenlet h11 httpcore httpx jinja2 markupsafe mock multipart numpy
    pandas pluggy psutil pytest python_multipart requests rich simplejson six
    sniffio starlette structlog tornado
    tqdm trio urllib3 uvicorn wcwidth werkzeug wrapt yaml
    """.split()  # noqa: SIM905 - as above
)
# Decorators that projects write for themselves, or hand through, under the names of well-known blind ones.
_BLIND_NAMES = frozenset(
    """
    abstractmethod asynccontextmanager cached_property contextmanager deprecated final lru_cache overload
    override reify pass_context pass_environment pass_eval_context wraps
    """.split()  # noqa: SIM905 - as above
)


def reads(path: str) -> Reads:
    """What a function reads of its arguments, by its dotted path; a leading dot is a relative import."""
    root = path.partition(".")[0]
    if root in HINT_FRAMEWORKS:
        return FRAMEWORK
    if root in {"attr", "attrs"}:
        return Reads.NAMES
    known = next((_KNOWN[start] for start in _starts(path) if start in _KNOWN), None)
    if root in _READING_MODULES:
        return _KNOWN.get(path, Reads.NOTHING if _is_blind(path) else ALL)
    docs = Reads.DOCS if of_any(path, DOC_FRAMEWORKS) is not None else Reads.NOTHING
    if known is not None:
        return known
    return docs if is_standard(path) or root in BLIND_PACKAGES else docs | Reads.HANDED


def of_any(path: str, packages: frozenset[str]) -> str | None:
    """Give the one of some packages that a path is of, if it is of any."""
    return next((start for start in _starts(path) if start in packages), None)


def decorates(path: str) -> Reads:
    """What a decorator reads of what it decorates, by its dotted path."""
    same = path.startswith(".") and path.rpartition(".")[2].removesuffix("()") in _BLIND_NAMES
    return Reads.NOTHING if same else reads(path)


def reads_fields(path: str) -> bool:
    """Whether what a call gives, by its dotted path, is a field that its framework reads with its hint."""
    return path.partition(".")[0] in _FIELDS_OF and path.endswith("()")


def is_standard(path: str) -> bool:
    """Whether a path is one of the standard library, or of its twin for older versions."""
    root = path.partition(".")[0]
    return root in {"builtins", "typing_extensions"} or root in sys.stdlib_module_names


def is_reader(path: str) -> bool:
    """Whether a path names a function of the standard library that reads."""
    reading = path.partition(".")[0] in _READING_MODULES and "." in path
    return bool(reads(path)) if reading else path in _KNOWN and not path.startswith("xmlrpc.")


def _is_blind(path: str) -> bool:
    """What a reader gives is no reader itself."""
    module, _, rest = path.partition(".")
    name = rest.partition(".")[0]
    blind = name in _BLIND_IN_INSPECT or name.startswith(("is", "_", "CO_", "CORO_", "GEN_"))
    return "()" in path or (module == "inspect" and blind) or path.startswith("annotationlib.Fo")


def _starts(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
