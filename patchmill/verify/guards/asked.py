"""What rules are about, by their names in words: a mending may exchange just that."""

import re

OF_OPERATORS = re.compile(
    r"yoda|operator|(?<!value-)compar|equal|eqeq|negat|invert|not-|logical|condition|ternary|math|plus|bitwise|nullish"
    r"|boolean|bool|collapsible|zero|identity|member|type-of|valid-typeof|includes|some|index|assign|explicit|length"
    r"|-eq|true|false"
)
OF_NAMES = re.compile(
    r"undef|name|self|first-argument|naming|alias|camel|shadow|deprecat|import|call|prefer-|type"
)
OF_TEXT = re.compile(
    r"docstring|comment|capital|word|text|spell|punct|password|ambiguous|escape|string-(?:case|literal|content)"
    r"|imperative|period|sentence|title|regex|percent|encoding|path|temp|bind|sql|quote|whitespace|doc|non-ascii"
)
OF_NUMBERS = re.compile(
    r"number|octal|permission|precision|numeric|version|index|slice|range|duplicate|digit"
)
OF_UNUSED = re.compile(r"unused-(?:variable|loop|unpacked|argument)")
OF_LEAVING = re.compile(
    r"return|raise|throw|except|try|catch|case|switch|break|continue|loop|else|assert|reach|guard|expression"
    r"|undefined|callback|flow|yield|generator|abstract|error|del|exit|too-many|complex|long|if"
)
OF_ORDER = re.compile(
    r"order|sort|yoda|first|last|condition|negat|compar|argument|param|before|after|unsorted|isort|swap"
)
