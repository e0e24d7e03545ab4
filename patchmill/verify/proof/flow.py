"""Which functions and classes of a file may get to code that reads hints, docstrings, names or source.

A value flows by assignment, argument, default, return and loop, through collections and attributes; all
attributes of one name are one, whatever they belong to. What flows to a reader is read.
"""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator

from patchmill.verify.proof.additions import Function
from patchmill.verify.proof.assigned import constant, targets
from patchmill.verify.proof.lookups import (
    APPLIERS,
    BLIND_IN_CODE,
    BY_NAME,
    IN_CODE,
    KEEP,
    OWNER_IN,
    READ_ATTRIBUTES,
    RUN_CODE,
    SPELLED,
    attributes_of,
    digests_code,
    hands_module,
    is_command,
    last_word,
    looks_up,
)
from patchmill.verify.proof.names import (
    ATTRIBUTES,
    EVERYTHING,
    FUNCTION,
    LOCAL,
    MODULE,
    MODULE_SCOPE,
    UNKNOWN,
    VALUE,
    WORDS,
    Names,
    Node,
    Place,
)
from patchmill.verify.proof.readers import HINT_FRAMEWORKS, Reads, decorates, is_reader, is_standard, reads
from patchmill.verify.proof.values import Callee, Values

_WRAP = frozenset({"functools.update_wrapper", "functools.wraps()"})
# Methods by which a class is called.
CONSTRUCTORS = frozenset({"__init__", "__new__", "__call__"})


class Flow:
    """What flows where in one file; `read` tells what of it is read, and by what."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._into: defaultdict[Node, set[Node]] = defaultdict(set)
        self._above: defaultdict[Node, set[Node]] = defaultdict(set)
        self._below: defaultdict[Node, set[Node]] = defaultdict(set)
        self._values = Values(names)
        self._insides: dict[Node, set[Node]] = {}
        self._sinks: list[tuple[Node, Reads, str]] = []
        self._looks_up = any(looks_up(node) for node, _ in names.all)
        self._asks = bool(names.roots & HINT_FRAMEWORKS)
        # Mentions that are accounted for by what they stand in: what is called, decorates or gets a name.
        self._seen: set[int] = set()
        for node, place in names.all:
            self._watch(node, place)
            for target, value in targets(node):
                if isinstance(target, ast.Name):
                    self._seen.add(id(value))
                self._assign(target, self._values.refs(value, place), place)

    def _watch(self, node: ast.AST, place: Place) -> None:  # noqa: C901 - one case for each form
        match node:
            case ast.Call():
                self._call(node, place)
            case ast.Attribute(ctx=ast.Load()):
                self._look(node, place)
            case ast.Name(ctx=ast.Load()):
                self._mention(node, place)
            case ast.Constant(value=str()) | ast.BinOp(op=ast.Add()) | ast.JoinedStr():
                self._spelled(node)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                self._definition(node, place)
            case ast.AugAssign(target=ast.Attribute() as target):
                self._look(target, place)
            case ast.MatchClass(kwd_attrs=attributes):
                for attr in READ_ATTRIBUTES.keys() & set(attributes):
                    self._sink([EVERYTHING], READ_ATTRIBUTES[attr], f"a pattern with {attr}")
            case ast.Return(value=ast.expr() as value) | ast.Yield(value=ast.expr() as value):
                if isinstance(place.node, Function):
                    self._give(self._names.nodes[place.node].result, self._values.refs(value, place))

    def read(self, what: Reads) -> dict[Node, str]:
        """All nodes that get to a reader of one kind, each with the words for that reader."""
        return self._reached([(node, words) for node, kind, words in self._sinks if what in kind], what)

    def _reached(self, waiting: list[tuple[Node, str]], what: Reads) -> dict[Node, str]:
        found: dict[Node, str] = {}
        while waiting:
            node, words = waiting.pop()
            if node in found or (node == EVERYTHING and what is Reads.HANDED):
                continue
            found[node] = words
            waiting += [(other, words) for other in self._into[node]]
            waiting += [(other, words) for other in self._inside(node)]
            if what not in {Reads.NAMES, Reads.VALUES}:
                waiting += [(other, words) for other in self._above[node]]
            owner = self._names.firsts.get(node)
            instance = node.name == "self" or node.name.endswith(")")
            if owner is not None and not (instance and what in {Reads.NAMES, Reads.VALUES, Reads.HANDED}):
                waiting += [(other, words) for other in self._family(self._names.nodes[owner])]
        return found

    def _inside(self, node: Node) -> set[Node]:
        """The functions of the file that some part of other things may be."""
        if node not in self._values.parts:
            return set()
        if node not in self._insides:
            self._insides[node] = set()
            # What is within an instance are no methods, but what they give it.
            kind = Reads.NAMES if node in self._values.spaces else Reads.DEEP
            whole = self._reached([(base, "") for base in self._values.parts[node]], kind)
            found = {EVERYTHING} & set(whole)
            for each in whole:
                given = self._names.given.get(each)
                for owner in given.classes if given is not None else ():
                    found |= {
                        Node(ATTRIBUTES, part.name) for part in owner.body if isinstance(part, Function)
                    }
                first = self._names.firsts.get(each)
                found |= {Node(ATTRIBUTES, name) for name in attributes_of(first)}
            self._insides[node] = found
        return self._insides[node]

    def _family(self, node: Node) -> set[Node]:
        """A class and all that are derived from it."""
        found: set[Node] = set()
        waiting = [node]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting += self._below[one]
        return found

    def _call(  # noqa: C901 - one case for each callee
        self, call: ast.Call, place: Place
    ) -> None:
        given = self._values.given(call, place)
        words = ast.unparse(call.func)[:80]
        self._seen.add(id(call.func))
        origins = self._names.origins(call.func, place)
        if origins & BY_NAME and len(call.args) > 1:
            self._seen.add(id(call.args[1]))
        for origin in origins:
            kept = isinstance(call.func, ast.Attribute) and call.func.attr in KEEP
            if origin in {FUNCTION, LOCAL}:
                self._pass(call, place)
            elif origin == VALUE or (origin == UNKNOWN and kept):
                self._keep(call.func, self._values.held(call, origin, place, 0), place)
            elif origin == UNKNOWN:
                if self._asks or not self._is_own_name(call.func, place):
                    self._sink(given, Reads.HANDED, words)
            elif origin in {"builtins.getattr", "builtins.hasattr"}:
                self._looked_up(call, given, place, words)
            elif digests_code(origin, call):
                self._sink(given, Reads.SOURCE, words)
            elif reads(origin):
                takes_all = origin == "fire.Fire" and not call.args
                self._sink([*given, EVERYTHING] if takes_all else given, reads(origin), words)
            elif origin in _WRAP:
                self._wrap(call, place)
            else:
                self._keep(call.func, self._values.held(call, origin, place, 0), place)
            foreign = origin == UNKNOWN or not (origin in WORDS or is_standard(origin))
            if foreign and hands_module(call, inside=place.number != MODULE_SCOPE):
                self._sink([EVERYTHING], Reads.HINTS | Reads.NAMES, words)
        self._evaluated(call, place)
        self._apply(call, given, place)

    def _apply(self, call: ast.Call, given: set[Node], place: Place) -> None:
        """A function that is applied to the other arguments, as by `map` and `sorted`, gets them."""
        values = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "key")]
        applied = [value for value in values if isinstance(value, ast.Lambda | ast.Name)]
        if not APPLIERS & {last_word(call.func)} or not applied:
            return
        whole = given | self._values.receiver(call.func, place)
        for value in applied:
            for target in self._values.called(value, place):
                for function in _constructors(target):
                    self._fill(function, [whole], {}, spread=True)

    def _is_own_name(self, function: ast.expr, place: Place) -> bool:
        """Whether a thing that somebody gave is itself called, as in `app(...)`, and no method of it."""
        if isinstance(function, ast.Name):
            return self._names.resolve(function.id, place) is not None
        if not isinstance(function, ast.Attribute):
            return False
        owner = self._names.class_of(function.value, place)
        kept = self._names.given[Node(ATTRIBUTES, function.attr)].values
        return owner is not None and (bool(kept) or function.attr in self._names.places[owner].bound)

    def _wrap(self, call: ast.Call, place: Place) -> None:
        """`update_wrapper(one, other)`, `wraps(other)(one)`: one gets hints and docstring of the other."""
        outer = call.func.args if isinstance(call.func, ast.Call) else []
        for one, other in zip(call.args, outer or call.args[1:], strict=False):
            for node in self._values.refs(one, place):
                self._give(node, self._values.refs(other, place))

    def _looked_up(self, call: ast.Call, given: set[Node], place: Place, words: str) -> None:
        """`getattr`: of a name that is known it is an attribute; of any other it may be any."""
        name = constant(call.args[1]) if len(call.args) > 1 else None
        if name is not None and name in READ_ATTRIBUTES:
            self._sink(given, READ_ATTRIBUTES[name], f"{words}(..., {name!r})")
        elif name is None and call.args and isinstance(call.args[0], ast.Name):
            node = self._names.resolve(call.args[0].id, place)
            own = self._names.given.get(node) if node is not None else None
            if node is not None and own is not None and (own.functions or own.classes):
                self._sink([node], Reads.HINTS | Reads.DOCS | Reads.NAMES, words)

    def _evaluated(self, call: ast.Call, place: Place) -> None:
        """Code in a string reads what it names."""
        text = constant(call.args[0]) if call.args else None
        if text is not None and self._names.origins(call.func, place) & RUN_CODE:
            for word, kind in IN_CODE.items():
                if word in text:
                    self._sink([EVERYTHING], kind, ast.unparse(call)[:80])

    def _keep(self, function: ast.expr, given: set[Node], place: Place) -> None:
        for node in self._values.receiver(function, place):
            self._give(node, given)

    def _pass(self, call: ast.Call, place: Place) -> None:
        """Give the parameters of what is called here their arguments."""
        positional = [self._values.refs(value, place) for value in call.args]
        named = {keyword.arg: self._values.refs(keyword.value, place) for keyword in call.keywords}
        spread = None in named or any(isinstance(value, ast.Starred) for value in call.args)
        for target in self._values.called(call.func, place):
            for function in _constructors(target):
                self._fill(function, positional, named, spread=spread)
            if isinstance(target, ast.ClassDef):
                fields = [
                    part.target.id
                    for part in target.body
                    if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
                ]
                for name in fields:
                    self._give(Node(ATTRIBUTES, name), set().union(*positional, *named.values()))

    def _fill(
        self,
        function: Function | ast.Lambda,
        positional: list[set[Node]],
        named: dict[str | None, set[Node]],
        *,
        spread: bool,
    ) -> None:
        parameters = list(self._named(function))
        places = [node for node in parameters if not _is_keyword_only(function, node.name)]
        for node in parameters:
            self._give(node, named.get(node.name, ()))
        for number, given in enumerate(positional):
            exact = number < len(places) and not spread
            for node in [places[number]] if exact else parameters:
                self._give(node, given)
        if function.args.kwarg is not None or spread:
            for node in parameters if spread else parameters[-1:]:
                self._give(node, set().union(*named.values()))

    def _named(self, function: Function | ast.Lambda) -> Iterator[Node]:
        number = self._names.places[function].number
        given = function.args
        extra = [part for part in (given.vararg, given.kwarg) if part is not None]
        for part in (*given.posonlyargs, *given.args, *given.kwonlyargs, *extra):
            node = Node(number, part.arg)
            if node not in self._names.firsts:
                yield node

    def _definition(self, node: Function | ast.ClassDef, place: Place) -> None:
        own = self._names.nodes[node]
        if isinstance(node, ast.ClassDef):
            for keyword in node.keywords:
                if keyword.arg == "metaclass":
                    self._made_by(keyword.value, own, place)
            for base in node.bases:
                for above in self._values.refs(base, place):
                    # Whoever looks at a class finds in it what it inherits.
                    self._above[own].add(above)
                    self._below[above].add(own)
        else:
            for default in (
                *node.args.defaults,
                *(each for each in node.args.kw_defaults if each is not None),
            ):
                for parameter in self._named(node):
                    self._give(parameter, self._values.refs(default, place))
            owner = OWNER_IN.get(node.name)
            if owner is not None and place.is_class and owner < len(node.args.args):
                # Python itself hands it the class that it stands in, whichever that is.
                parameter = Node(self._names.places[node].number, node.args.args[owner].arg)
                self._give(parameter, {EVERYTHING})
        for decorator in node.decorator_list:
            self._seen.add(id(decorator))
            self._decorated(decorator, own, place)

    def _made_by(self, metaclass: ast.expr, own: Node, place: Place) -> None:
        """A metaclass of the file gets the class, and all that is in it."""
        for target in self._values.called(metaclass, place):
            for function in _constructors(target):
                for parameter in self._named(function):
                    self._give(parameter, [own, self._values.part({own})])

    def _decorated(self, decorator: ast.expr, own: Node, place: Place) -> None:
        for origin in self._names.origins(decorator, place):
            if origin == FUNCTION:
                for target in self._values.called(decorator, place):
                    for function in _constructors(target):
                        self._fill(function, [{own}], {}, spread=False)
            elif origin == "functools.wraps()" and isinstance(decorator, ast.Call):
                self._give(own, self._values.given(decorator, place))
            elif origin not in {VALUE, LOCAL} and not (origin == UNKNOWN and _is_accessor(decorator)):
                kind = Reads.HANDED if origin == UNKNOWN else decorates(origin)
                kind |= Reads.DOCS if is_command(decorator) else Reads.NOTHING
                self._sink([own], kind, f"@{ast.unparse(decorator)[:80]}")

    def _look(self, node: ast.Attribute, place: Place) -> None:
        kind = READ_ATTRIBUTES.get(node.attr)
        if kind is None and node.attr.startswith("co_") and node.attr not in BLIND_IN_CODE:
            kind = Reads.SOURCE | Reads.HINTS | Reads.DOCS
        if kind is not None:
            self._sink(self._values.refs(node.value, place), kind, ast.unparse(node)[:80])
        else:
            self._mention(node, place)

    def _mention(self, node: ast.Name | ast.Attribute, place: Place) -> None:
        """A reader that is no called function may be called anywhere."""
        if (
            isinstance(node, ast.Name)
            and node.id in READ_ATTRIBUTES
            and self._names.resolve(node.id, place) is None
        ):
            inner = self._names.nodes.get(place.node) if place.is_class and place.node is not None else None
            whole = MODULE if node.id == "__doc__" else EVERYTHING
            self._sink([inner or whole], READ_ATTRIBUTES[node.id], node.id)
        if id(node) not in self._seen:
            for origin in self._names.origins(node, place):
                if is_reader(origin):
                    self._sink([EVERYTHING], reads(origin), ast.unparse(node)[:80])

    def _spelled(self, node: ast.expr) -> None:
        """The name of such an attribute in a string may be looked up of anything, if names are looked up."""
        text = constant(node) if id(node) not in self._seen else None
        if text is not None and text in SPELLED and self._looks_up:
            self._sink([EVERYTHING], READ_ATTRIBUTES[text], repr(text))

    def _assign(self, target: ast.expr, given: set[Node], place: Place) -> None:
        if isinstance(target, ast.Attribute | ast.Subscript):
            # Of another package: `lib.handler = f` hands it on as a call does.
            for origin in self._names.origins(target.value, place) - WORDS:
                if not origin.startswith("."):
                    self._sink(given, reads(origin), ast.unparse(target)[:80])
        match target:
            case ast.Name(id=name):
                self._give(self._names.resolve(name, place) or Node(MODULE_SCOPE, name), given)
            case ast.Attribute(attr=attr):
                self._give(Node(ATTRIBUTES, attr), given)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                for part in parts:
                    self._assign(part, given, place)
            case ast.Starred(value=value) | ast.Subscript(value=value):
                self._assign(value, given, place)

    def _give(self, node: Node, given: Iterable[Node]) -> None:
        self._into[node].update(given)

    def _sink(self, nodes: Iterable[Node], kind: Reads, words: str) -> None:
        if kind:
            self._sinks += [(node, kind, words) for node in nodes]


def _constructors(target: Callee) -> list[Function | ast.Lambda]:
    """The function that takes the arguments of a call."""
    if not isinstance(target, ast.ClassDef):
        return [target]
    return [part for part in target.body if isinstance(part, Function) and part.name in CONSTRUCTORS]


def _is_keyword_only(function: Function | ast.Lambda, name: str) -> bool:
    kwarg = function.args.kwarg
    return name in {part.arg for part in function.args.kwonlyargs} or (
        kwarg is not None and kwarg.arg == name
    )


def _is_accessor(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Attribute) and decorator.attr in {"setter", "getter", "deleter"}
