"""What rules are about, by their names in words: a mending may exchange just that.

A name is words with hyphens between them, and each pattern matches whole words of it.
"""

import re


def _about(*words: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z])(?:{'|'.join(words)})(?![a-z])")


OF_OPERATORS = _about(
    r"yoda|(?:or|and|void|reimplemented|exponentiation)-operator|operators|operator-assignment|eq|eqeqeq",
    r"equal|equality|compare|(?<!value-)comparisons?|negate|negated?|(?<!unsafe-)negation|not-in|not-is|logical|conditions?",
    r"conditional|ternary|bitwise|nullish|bool|boolean|membership|isnan|nan|typeof|type-of|includes|some",
    r"existence|(?:augmented|default|logical)-assignment|(?:cond|op)-assign|assign-op|length-check|len-test",
    r"increment|plusplus|direction|true-false|false-true|or-true|and-false|twisted|plus|math|not-null",
    r"indexed-object-style|array-type",  # where less and greater are brackets
)
OF_NAMES = _about(
    r"undef|undefined|names?|naming|self|alias|unconventional|camelcase|shadow\w*|deprecated|deprecation|legacy",
    r"prefer|suspicious|insecure|blocking|os|py-path|typing|any-type|type-comparison|private-import|relative",
    r"(?:banned|mock|builtin|pytest|restricted|require)-imports?|import-(?:private|self)|first-argument|moved",
)
OF_TEXT = _about(
    r"docstrings?|doc|undocumented|comments?|commented|\w*capital\w*|words?|(?<!alt-)text|spell\w*|punctuation|period",
    r"imperative|sentence|title|section|password|unicode|pattern|escape|string-(?:case|literal|content)|regexp?",
    r"percent|encoding|partial-path|temp|tmp|mktemp|bind|sql|quotes|todo|fixme|xxx|hack|copyright|insecure",
    r"environment|envvar|strptime|modes?|ascii|hex|shebang|noqa|export",
)
OF_NUMBERS = _about(
    r"(?<!magic-)numbers?|octal|permissions|precision|numeric|versions?\d?|sys-version.*|index|slice\d?|range",
    r"duplicates?|dupe|unique|units?|digits?|cryptographic-key|sleep|enumerate",
)
OF_UNUSED = _about(r"unused-(?:variable|loop|unpacked|[\w-]*argument)[\w-]*")
OF_LEAVING = _about(
    r"returns?|raises?|throws?|except|try|catch|switch|case|fallthrough|break|continue|loop|else|assert|assertion",
    r"unreachable|guard|expressions?|undefined|callback|flow|yields?|generator|abstract|errors?|exceptions?|del",
    r"exit|too-many|(?<!min-)max|complex|complexity|cognitive|too-long|if|useless-comparison|unused-[\w-]*argument|url-open",
)
OF_ORDER = _about(
    r"order|ordering|unordered|sort|sorted|unsorted|sorting|yoda|first|last|conditions?|negated?|negate|(?<!unsafe-)negation",
    r"compare|(?<!value-)comparisons?|twisted|positional-arguments?|positional-argument|arg-unpacking|rest-params|swap",
    r"before-define|load-before|on-top",
)
OF_LOOPS = _about(r"loops?|for|sleep|busy-wait")
# Which errors are caught or raised.
OF_ERRORS = _about(
    r"blind|broad|vanilla-class|raises-exception|raises-too|without-exception|non-exception|raise-literal|empty-tuple",
    r"binary-op|not-implemented|type-error|error-alias|throw-literal|throw-error|handler|raise-within|suffix",
)
# What calls are handed.
OF_ARGUMENTS = _about(
    r"arguments?|args?|logging|sql|format|printf|params?|parameters?",
)
