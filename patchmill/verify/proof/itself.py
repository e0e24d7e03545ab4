"""What a file looks at of itself: the text in its own file, and the names of its own module."""

import ast

from patchmill.verify.proof.assigned import constant
from patchmill.verify.proof.names import Names, Place

# What makes another path of a path, and what only says something about one.
_SAME_PATH = frozenset(
    """
    Path PosixPath PurePath absolute abspath expanduser fspath normcase normpath realpath resolve str
    """.split()  # noqa: SIM905 - it reads better than a dozen strings
)
_ONLY_PATH = frozenset(
    """
    anchor basename bool commonpath dirname endswith exists is_dir is_file isfile isinstance joinpath len name
    parent parents parts print relative_to relpath removesuffix replace repr split splitext startswith stem
    suffix with_name with_suffix
    """.split()  # noqa: SIM905 - as above
)
_LOADERS = frozenset({"__loader__", "__spec__"})
_LOADER_READS = frozenset({"get_source", "get_data"})
_HANDS_ON = (
    *(ast.Call, ast.Assign, ast.keyword, ast.withitem, ast.Return, ast.Starred, ast.NamedExpr, ast.IfExp),
    ast.BoolOp,
)
# The names of a frame are those of the module, or of the class whose body it runs.
_OF_FRAMES = frozenset({"f_globals", "f_locals"})
_GLOBALS = "globals()"
_OPENS = frozenset({"Path", "getmtime", "getsize", "open", "read_text", "run_path", "stat"})
_DEEPEST = 4
_LOOKS_ELSEWHERE = frozenset({"get", "update", "setdefault", "pop"})


class Itself:
    """`text`, `hook` and `listed` say in words what looks at the text, at single names, and at all names.

    They are None if nothing does. `listed_in` says by what the names of a class are listed in its body.
    """

    def __init__(self, names: Names, words: set[str]) -> None:
        self._all = names.all
        self._names = names
        self._parents: dict[int, ast.AST] = {}
        loads = _LOADERS & words if _LOADER_READS & words else set()
        self.text = min(loads | ({"code_context"} & words), default=None)
        if {"argv", "co_filename"} & words and self.text is None:
            self.text = next((words_of for node, _ in names.all if (words_of := _opens_itself(node))), None)
        self.hook = _module_hook(names)
        self.listed = min(_OF_FRAMES & words, default=None)
        self.listed_in: dict[ast.AST, str] = {}
        if self.listed is not None:
            self.listed_in = {node: self.listed for node, _ in names.all if isinstance(node, ast.ClassDef)}
        if "__file__" in words:
            self._link()
            if not self._is_only_path("__file__", 0):
                self.text = "__file__"
        if words & {"globals", "locals", "vars", "dir"}:
            self._link()
            for node, place in names.all:
                found = self._listed(node, place)
                if found is not None and place.is_class and place.node is not None and found != _GLOBALS:
                    self.listed_in.setdefault(place.node, found)
                elif found is not None:
                    self.listed = self.listed or found

    def _link(self) -> None:
        if not self._parents:
            for node, _ in self._all:
                self._parents.update((id(child), node) for child in ast.iter_child_nodes(node))

    def _is_only_path(self, name: str, depth: int) -> bool:
        """Whether all uses of a name that holds the file's own path go to other files, or nowhere."""
        return depth < _DEEPEST and all(
            self._goes_elsewhere(node, depth)
            for node, _ in self._all
            if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
        )

    def _goes_elsewhere(self, node: ast.AST, depth: int) -> bool:
        above = self._parents[id(node)]
        match above:
            case ast.Attribute(attr=attr):
                after = self._parents[id(above)]
                return attr in _ONLY_PATH or (attr in _SAME_PATH and self._goes_elsewhere(after, depth))
            case ast.Call(func=function, args=arguments) if node is not function:
                called = _last(function)
                same = called in _SAME_PATH and self._goes_elsewhere(above, depth)
                return same or called in _ONLY_PATH or (called == "join" and len(arguments) > 1)
            case ast.Assign(targets=[ast.Name(id=name)]):
                return self._is_only_path(name, depth + 1)
            case _:
                return not isinstance(above, _HANDS_ON)

    def _listed(self, node: ast.AST, place: Place) -> str | None:
        """`globals()` and the like, unless a name that is known is looked up there."""
        if not isinstance(node, ast.Call) or node.args or not isinstance(node.func, ast.Name):
            return None
        own = {"globals"} if place.number and not place.is_class else {"globals", "locals", "vars", "dir"}
        if node.func.id not in own or self._names.resolve(node.func.id, place) is not None:
            return None
        above = self._parents[id(node)]
        match above:
            case ast.Subscript(value=value, slice=key) if value is node:
                known = constant(key) is not None or not isinstance(above.ctx, ast.Load)
            case ast.Attribute(attr=attr) if attr in _LOOKS_ELSEWHERE:
                call = self._parents[id(above)]
                arguments = call.args if isinstance(call, ast.Call) else []
                known = attr == "update" or bool(arguments and constant(arguments[0]) is not None)
            case ast.Compare(left=left):
                known = constant(left) is not None
            case _:
                known = False
        return None if known else f"{node.func.id}()"


def _opens_itself(node: ast.AST) -> str | None:
    """`open(sys.argv[0])` and the like, by whatever name of the file."""
    if not isinstance(node, ast.Call) or _last(node.func) not in _OPENS:
        return None
    for value in node.args:
        match value:
            case ast.Attribute(attr="co_filename"):
                return "co_filename"
            case ast.Subscript(
                value=ast.Attribute(attr="argv") | ast.Name(id="argv"), slice=ast.Constant(value=0)
            ):
                return "argv[0]"
    return None


def _module_hook(names: Names) -> str | None:
    tree = names.module.node
    assert isinstance(tree, ast.Module)  # noqa: S101 - the outermost scope
    hooks = (
        part.name
        for part in tree.body
        if isinstance(part, ast.FunctionDef) and part.name in {"__getattr__", "__dir__"}
    )
    return next(hooks, None)


def _last(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""
