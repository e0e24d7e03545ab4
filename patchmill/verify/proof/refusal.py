"""The rules that an annotated file must keep, by name, and the record of a broken one."""

from enum import StrEnum
from typing import NamedTuple


class Rule(StrEnum):
    """Why an edit is refused; the name is what evidence and feedback show."""

    NOT_PARSED = "not_parsed"
    CODE_CHANGED = "code_changed"
    TOKENS_CHANGED = "tokens_changed"
    COMMENT_CHANGED = "comment_changed"
    EXISTING_HINT_CHANGED = "existing_hint_changed"
    EXISTING_DOCSTRING_CHANGED = "existing_docstring_changed"
    SOURCE_IS_READ = "source_is_read"
    CONFUSABLE_CHARACTER = "confusable_character"
    INVISIBLE_CHARACTER = "invisible_character"
    NEW_WARNING = "new_warning"
    NOT_ASKED_FOR = "not_asked_for"
    ADDS_NOTHING = "adds_nothing"
    HINT_NOT_PLAIN = "hint_not_plain"
    HINT_FAILS = "hint_fails"
    HINTS_ARE_READ = "hints_are_read"
    TYPE_COMMENT = "type_comment"
    STRING_UNION = "string_union"
    NAME_NOT_BOUND = "name_not_bound"
    NAME_UNKNOWN = "name_unknown"
    TOO_NEW_FOR_TARGET = "too_new_for_target"
    BARE_ANNOTATION_IN_FUNCTION = "bare_annotation_in_function"
    CLASS_LEVEL_ANNOTATION = "class_level_annotation"
    DECORATED_PARAMETER_HINT = "decorated_parameter_hint"
    DECORATED_RETURN_HINT = "decorated_return_hint"
    IMPORT_NOT_ALLOWED = "import_not_allowed"
    IMPORT_PLACEMENT = "import_placement"
    IMPORT_REBINDS = "import_rebinds"
    DOCSTRING_NOT_PLAIN = "docstring_not_plain"
    DOCSTRING_EXAMPLE = "docstring_example"
    DOCSTRINGS_ARE_READ = "docstrings_are_read"


# An edit refused only for these may pass together with another, such as the import that its hints need.
MAY_PASS_TOGETHER = frozenset({Rule.NOT_PARSED, Rule.NAME_NOT_BOUND, Rule.NAME_UNKNOWN, Rule.ADDS_NOTHING})


class Refusal(NamedTuple):
    """A broken rule: the line of the edited file, 1-based, and a sentence."""

    rule: Rule
    line: int
    detail: str


class Broken(Exception):
    """A rule is broken; raised inside the proof only."""

    def __init__(self, rule: Rule, detail: str) -> None:
        super().__init__(detail)
        self.rule = rule
        self.detail = detail
