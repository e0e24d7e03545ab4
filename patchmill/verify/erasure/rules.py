"""What an added annotation, import or comment may be, and where it may stand; raises `Broken` for others."""

import re
from collections.abc import Collection, Sequence
from typing import Any

from patchmill.verify.erasure.tokens import Item, bare_parameter, leaves
from patchmill.verify.proof.refusal import Broken, Rule

_PLAIN = frozenset(
    {
        *(
            "type_annotation",
            "type_predicate_annotation",
            "type_predicate",
            "predefined_type",
            "type_identifier",
        ),
        *("identifier", "nested_type_identifier", "nested_identifier", "generic_type", "type_arguments"),
        *(
            "array_type",
            "union_type",
            "intersection_type",
            "literal_type",
            "parenthesized_type",
            "tuple_type",
        ),
        *("readonly_type", "function_type", "formal_parameters", "required_parameter", "optional_parameter"),
        *(
            "rest_pattern",
            "rest_type",
            "optional_type",
            "object_type",
            "property_signature",
            "index_signature",
        ),
        *("property_identifier", "index_type_query", "lookup_type", "this_type", "this", "string", "number"),
        *("true", "false", "null", "undefined", "unary_expression"),
    }
)
# Around which a type cannot run on into what comes after it.
_CLOSED = frozenset({"type_arguments", "object_type", "tuple_type", "formal_parameters"})
_FUNCTIONS = frozenset(
    {
        *(
            "function_declaration",
            "generator_function_declaration",
            "function_expression",
            "generator_function",
        ),
        *("arrow_function", "method_definition", "function_signature", "method_signature"),
        *("abstract_method_signature", "call_signature"),
    }
)
_PARAMETERS = frozenset({"required_parameter", "optional_parameter"})
_VALUES = frozenset({"variable_declarator", "public_field_definition", "property_signature"})
# What a type may go on with on the next line, in one reader's eyes or another's.
_GOES_ON = re.compile(r"[\[(<|&.=?!`]|(?:extends|is|as|satisfies|in|of|keyof)\b")
_DECLARATIONS = frozenset(
    {
        *("function_declaration", "generator_function_declaration", "class_declaration", "export_statement"),
        *("abstract_class_declaration", "method_definition", "public_field_definition", "field_definition"),
        *("lexical_declaration", "variable_declaration", "interface_declaration", "type_alias_declaration"),
        *("enum_declaration", "function_signature", "method_signature", "property_signature"),
        *("abstract_method_signature",),
    }
)
_BODIES = frozenset(
    {"program", "class_body", "interface_body", "object_type", "statement_block", "object", "enum_body"}
)
# Words that, as the name of a field without more, take what follows on the next line for their own.
_MODIFIERS = frozenset(
    """
    abstract accessor async declare get override private protected public readonly set static
    """.split()  # noqa: SIM905 - it reads better than a dozen strings
)
_DOCSTRING = re.compile(r"/\*\*[^*/].*\*/", re.DOTALL)
_TAGS = frozenset(
    {
        "param",
        "returns",
        "return",
        "throws",
        "remarks",
        "see",
        "link",
        "example",
        "typeParam",
        "template",
        "yields",
        *("arg", "argument", "async", "author", "default", "defaultValue", "desc", "description"),
        *("exception", "func", "function", "generator", "method", "since", "summary", "todo", "version"),
        *("yield",),
    }
)
_TAG = re.compile(r"(?<![\w.+-])@(\w*)")
# What tools obey in a comment, whatever stands around it.
_OBEYED = re.compile(
    r"(?i)\b(?:eslint|tslint|oxlint|biome|prettier|dprint|istanbul|jshint|jslint|deno-lint|cspell|spellchecker"
    r"|codeql|nosemgrep|nosec|nosonar|noinspection|stryker|webpack\w+|sourceMappingURL|sourceURL)\b"
    r"|\b(?:c8|v8|node:coverage)\s+\w|__\w+__|<(?:reference|amd)|-\*-|\bvim?:|#(?:end)?region"
)
# A comment about the next line.
_ABOUT_NEXT = re.compile(r"(?i)@ts-expect|next-line|\bignore\b|\bwebpack")
# What every program has, or most have; a type that nothing binds would say nothing.
_GLOBALS = frozenset(
    re.findall(
        r"\w+",
        """
        AbortController AbortSignal Array ArrayBuffer ArrayLike AsyncGenerator AsyncIterable
        AsyncIterableIterator AsyncIterator Awaited BigInt Blob Boolean Buffer Capitalize
        ConstructorParameters Crypto CustomEvent DataView Date Document Element Error EvalError Event
        EventListener EventTarget Exclude Extract File FileList Float32Array Float64Array FormData Function
        Generator Headers InstanceType Int16Array Int32Array Int8Array Iterable IterableIterator Iterator
        IteratorResult JSX KeyboardEvent Location Lowercase Map MessageEvent MouseEvent MutationObserver
        Node NodeJS NodeList NonNullable Number Object Omit OmitThisParameter Parameters Partial Pick
        Promise PromiseLike PropertyKey RangeError React ReadableStream Readonly ReadonlyArray ReadonlyMap
        ReadonlySet Record RegExp RegExpExecArray RegExpMatchArray Request RequestInit Required Response
        ResponseInit ReturnType Set Storage String Symbol SyntaxError TemplateStringsArray Text ThisType
        TypeError URL URLSearchParams Uint16Array Uint32Array Uint8Array Uint8ClampedArray Uppercase WeakMap
        WeakRef WeakSet WebSocket Window Worker XMLHttpRequest
        """,
    )
)
_GLOBAL = re.compile(r"(?:HTML|SVG)[A-Za-z]*Element")


def check_annotation(  # noqa: C901 - one case for each owner
    item: Item, after: Item | None, *, known: frozenset[str], decorated: bool
) -> None:
    """Refuse an annotation that is not plain, that some tool reads, or that may run on into the code."""
    node, owner = item.node, item.node.parent
    if decorated and _within(node, {"class_body"}):
        raise Broken(
            Rule.HINTS_ARE_READ, "the file has decorators, for which types of classes may be emitted"
        )
    if owner.type in _FUNCTIONS:
        _check_return(node, owner)
    elif owner.type == "catch_clause":
        if item.words[1:] not in {("any",), ("unknown",)}:
            raise Broken(Rule.HINT_NOT_PLAIN, "what is caught is unknown or any")
    elif owner.type not in _PARAMETERS | _VALUES:
        raise Broken(Rule.CODE_CHANGED, "no annotation may stand here")
    elif owner.type == "public_field_definition" and _named(owner) in _MODIFIERS:
        raise Broken(Rule.CODE_CHANGED, f"{_named(owner)} may belong to what follows, and be no field")
    for one in _below(node):
        if one.is_named and one.type not in _PLAIN and one.type not in {"string_fragment", "comment"}:
            raise Broken(Rule.HINT_NOT_PLAIN, f"a hint may not contain a {one.type.replace('_', ' ')}")
        if one.type == "comment":
            raise Broken(Rule.COMMENT_CHANGED, "a comment comes with the addition")
    for leaf in leaves(node):
        _check_name(leaf, known)
    _check_end(owner, after)


def _check_return(node: Any, owner: Any) -> None:
    if (
        any(child.type in {"constructor", "set"} for child in owner.children)
        or _named(owner) == "constructor"
    ):
        raise Broken(Rule.HINT_NOT_PLAIN, "this takes no type of what it returns")
    if owner.type != "arrow_function":
        return
    if _within(owner, {"ternary_expression"}, up_to={"statement_block"}):
        raise Broken(Rule.HINT_NOT_PLAIN, "between ? and : nobody can tell where the type ends")
    waiting = list(node.children)
    while waiting:
        one = waiting.pop()
        if one.type in {"function_type", "parenthesized_type"}:
            raise Broken(
                Rule.HINT_NOT_PLAIN, "a function's type, or brackets, may be read as the function itself"
            )
        if one.type not in _CLOSED:
            waiting += one.children


def _check_name(leaf: Any, known: frozenset[str]) -> None:
    word = leaf.text.decode("utf-8", "replace")
    if not word.isascii() and word not in known:
        raise Broken(Rule.CONFUSABLE_CHARACTER, f"{word!a:.40} has other letters, and is not in the source")
    first = leaf.type == "type_identifier" or (
        leaf.type == "identifier" and leaf.parent.type in {"nested_type_identifier", "nested_identifier"}
    )
    if (
        leaf.parent.type in {"nested_type_identifier", "nested_identifier"}
        and leaf.start_byte > leaf.parent.start_byte
    ):
        return
    if first and word not in known and word not in _GLOBALS and not _GLOBAL.fullmatch(word):
        raise Broken(Rule.NAME_UNKNOWN, f"nothing in the file is called {word:.80}")


def _check_end(owner: Any, after: Item | None) -> None:
    """What follows must end the type for every reader."""
    if owner.type in _PARAMETERS and bare_parameter(owner.parent) is not None:
        return  # a bracket closes it, which the items leave out
    word = "" if after is None or after.kind == "comment" else after.words[0]
    ends = (
        {",", ")", "="}
        if owner.type in _PARAMETERS
        else {")"}
        if owner.type == "catch_clause"
        else {"{", "=>", ";", "}", ","}
        if owner.type in _FUNCTIONS
        else {"=", ",", ";", "}", ""}
    )
    if word in ends:
        return
    breaks = after is not None and after.ends_line and after.kind == "token"
    if not breaks or owner.type in _PARAMETERS or _GOES_ON.match(word):
        raise Broken(Rule.HINT_NOT_PLAIN, "what comes after the type might be read as a part of it")


def check_import(
    item: Item, *, words: frozenset[str], is_module: bool, before: Sequence[Item], after: Sequence[Item]
) -> frozenset[str]:
    """Refuse an import that is not of types alone, or whose names the file has; give its names."""
    _check_import_place(item, before, after)
    if item.node.parent.type != "program" or not is_module:
        raise Broken(Rule.IMPORT_PLACEMENT, "an import would make a module of the file")
    if item.words[1] != "type" or any(
        child.type in {"import_attribute", "import_require_clause"} for child in item.node.children
    ):
        raise Broken(Rule.IMPORT_NOT_ALLOWED, "only `import type … from` may be added")
    names: set[str] = set()
    for leaf in leaves(item.node):
        if leaf.type == "comment":
            raise Broken(Rule.COMMENT_CHANGED, "a comment comes with the addition")
        if leaf.type == "identifier":
            alias = (
                leaf.parent.child_by_field_name("alias") if leaf.parent.type == "import_specifier" else None
            )
            if alias is None or alias.start_byte == leaf.start_byte:
                names.add(leaf.text.decode("utf-8", "replace"))
    taken = {name for name in names if name in words or not name.isascii()}
    if taken or not names:
        raise Broken(Rule.IMPORT_REBINDS, f"the file uses the name {', '.join(sorted(taken))[:80]} already")
    return frozenset(names)


def _check_import_place(item: Item, before: Sequence[Item], after: Sequence[Item]) -> None:
    """What tools look for at the head of a file stays there, and what a comment is about right below it."""
    last = next((one for one in reversed(before) if one.kind != "import"), None)
    if last is not None and last.kind == "comment" and _ABOUT_NEXT.search(last.words[0]):
        raise Broken(Rule.COMMENT_CHANGED, "it stands between a comment and what that is about")
    code = any(one.kind == "token" and one.node.type != "hash_bang_line" for one in before)
    if code and not _is_directive(item.node.next_named_sibling):
        return
    first = next((one for one in after if one.kind != "import"), None)
    if first is not None and (first.kind == "comment" or _is_directive(item.node.next_named_sibling)):
        raise Broken(Rule.IMPORT_PLACEMENT, "it has to stand below the comments and directives of the head")


def _is_directive(node: Any) -> bool:
    while node is not None and node.type in {"comment", "import_statement"}:
        node = node.next_named_sibling
    return (
        node is not None
        and node.type == "expression_statement"
        and [child.type for child in node.named_children] == ["string"]
    )


def check_docstring(item: Item, before: Item | None, after: Item | None) -> None:
    """Refuse a comment that a tool obeys, that parts another from what it is about, or stands elsewhere."""
    text = item.words[0]
    following = item.node.next_named_sibling
    if _DOCSTRING.fullmatch(text) is None or "*/" in text[:-2]:
        raise Broken(Rule.DOCSTRING_NOT_PLAIN, "only /** … */ may be added")
    if item.node.parent.type not in _BODIES or not _may_be_told_of(following):
        raise Broken(Rule.COMMENT_CHANGED, "a comment may be added right before a declaration")
    if before is not None and (not item.ends_line or (before.kind == "comment" and before.ends_line)):
        raise Broken(Rule.COMMENT_CHANGED, "it stands between a comment, or code, and what that is about")
    if after is None or not after.ends_line:
        raise Broken(Rule.COMMENT_CHANGED, "it has to stand on lines of its own")
    unknown = [tag for tag in _TAG.findall(text) if tag not in _TAGS]
    if unknown or _OBEYED.search(text):
        words = f"@{unknown[0]}" if unknown else "it"
        raise Broken(Rule.DOCSTRING_NOT_PLAIN, f"a tool may obey what {words:.40} says")


def _may_be_told_of(node: Any) -> bool:
    """Whether something is declared here: by a declaration, a member of an object, or as `x.y = ...`."""
    if node is None:
        return False
    if node.type == "expression_statement":
        inner = node.named_children[0] if node.named_children else None
        return inner is not None and inner.type in {"assignment_expression", "internal_module"}
    return node.type in _DECLARATIONS or (node.type == "pair" and node.parent.type == "object")


def _named(owner: Any) -> str:
    name = owner.child_by_field_name("name")
    return "" if name is None else str(name.text.decode("utf-8", "replace"))


def _within(node: Any, types: Collection[str], up_to: Collection[str] = ()) -> bool:
    node = node.parent
    while node is not None and node.type not in up_to:
        if node.type in types:
            return True
        node = node.parent
    return False


def _below(node: Any) -> list[Any]:
    found = []
    waiting = [node]
    while waiting:
        one = waiting.pop()
        found.append(one)
        if one.type != "string":
            waiting += one.children
    return found
