"""Types of well-known packages, which nobody imports here, and what of them is only called like a class.

Of a module's types those are believed to exist that are listed or that the file uses; a name that looks like
one may be made up, and would fail when the file is imported.
"""

import re

from patchmill.verify.proof.stand_ins import AnyGeneric, plain_class

CLASS_NAME = re.compile(r"_*[A-Z]\w*[a-z]\w*|_*[A-Z]")

_TYPES = {
    "aiohttp": "ClientError ClientResponse ClientSession ClientTimeout FormData TCPConnector",
    "aiohttp.web": "Application Request Response StreamResponse WebSocketResponse",
    "anyio": "CancelScope Event Lock Path Semaphore",
    "bs4": "BeautifulSoup NavigableString Tag",
    "click": "Argument BadParameter Command Context Group Option ParamType Parameter Path",
    "discord": "Client Embed Emoji Guild Interaction Member Message Role TextChannel User VoiceChannel",
    "django.db.models": "Field ForeignKey Manager Model Q QuerySet",
    "django.forms": "Field Form ModelForm Widget",
    "fastapi": "APIRouter BackgroundTasks FastAPI HTTPException Request Response UploadFile WebSocket",
    "flask": "Blueprint Config Flask Request Response",
    "httpx": "AsyncClient Auth Client Cookies Headers QueryParams Request Response Timeout URL",
    "jinja2": "BaseLoader Environment FileSystemLoader Template Undefined",
    "matplotlib.axes": "Axes",
    "matplotlib.figure": "Figure",
    "networkx": "DiGraph Graph MultiDiGraph MultiGraph",
    "numpy": "dtype floating generic integer ndarray number ufunc bool_ complex128 complex64 float16 float32"
    " float64 int16 int32 int64 int8 uint16 uint32 uint64 uint8 datetime64 timedelta64 str_ bytes_ object_",
    "numpy.random": "Generator RandomState SeedSequence",
    "numpy.typing": "ArrayLike DTypeLike NDArray",
    "pandas": "Categorical DataFrame DatetimeIndex Index MultiIndex Period Series Timedelta Timestamp",
    "PIL.Image": "Image",
    "psycopg2.extensions": "connection cursor",
    "pydantic": "BaseModel ValidationError",
    "pytest": "CallInfo CaptureFixture Config FixtureRequest Function Item LogCaptureFixture Mark MonkeyPatch"
    " Parser Pytester RecordedWarning Session TempPathFactory WarningsRecorder",
    "redis": "ConnectionPool Redis",
    "requests": "ConnectionError HTTPError PreparedRequest Request RequestException Response Session Timeout",
    "rich.console": "Console",
    "sqlalchemy": "Column Connection Engine ForeignKey Index Integer MetaData Row Select String Table",
    "sqlalchemy.orm": "DeclarativeBase Mapped Query Session",
    "starlette.requests": "Request",
    "starlette.responses": "Response",
    "torch": "FloatTensor Generator LongTensor Size Tensor device dtype",
    "torch.nn": "Linear Module ModuleList Parameter Sequential",
    "torch.optim": "Adam Optimizer SGD",
    "torch.utils.data": "DataLoader Dataset Sampler Subset",
    "yaml": "Dumper Loader Node SafeDumper SafeLoader YAMLError",
}
_GENERIC = frozenset({"numpy.typing.NDArray", "pytest.CaptureFixture", "sqlalchemy.orm.Mapped"})
# Packages whose modules are called like classes.
_MODULES = frozenset(
    """
    Bio Crypto.Cipher Crypto.Hash Crypto.PublicKey Cryptodome.Cipher Cryptodome.Hash OpenGL OpenSSL PIL PyQt4
    PyQt5 PyQt6 PySide2 PySide6 Xlib gi.repository
    """.split()  # noqa: SIM905 - it reads better than a dozen strings
)
# Functions that are called like classes.
_FUNCTIONS = {
    "fastapi": "Body Cookie Depends File Form Header Path Query Security",
    "lxml.etree": "Comment Element ElementTree Entity HTML ProcessingInstruction SubElement XML",
    "lxml.objectify": "Element SubElement",
    "pydantic": "Field PrivateAttr",
    "sqlmodel": "Field Relationship",
    "typer": "Argument Option",
}


def types_of(module: str) -> frozenset[str]:
    """Give the names of types that a module has for certain."""
    return frozenset(_TYPES.get(module, "").split())


def known_class(path: str) -> type:
    """Give what stands for a class of another file, by its dotted path."""
    return AnyGeneric if path in _GENERIC else plain_class()


def is_no_class(path: str) -> bool:
    """Whether what an import brings is called like a class and is none."""
    module, _, name = path.rpartition(".")
    return module in _MODULES or name in _FUNCTIONS.get(module, "").split()
