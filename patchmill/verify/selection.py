"""Which rules are on: select and ignore lists read as ruff reads them, the more specific entry winning."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_CODE = re.compile(r"([A-Z]+)([0-9]*)")


class Selection:
    """The lists of a request, ready to be asked about many rules."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._selects = "select" in settings
        self._selectors = frozenset((*settings.get("select", ()), *settings.get("extend-select", ())))
        self._ignored = frozenset(settings.get("ignore", ()))

    def enables(self, rule: str) -> bool:
        """Whether a rule is on; where nothing is selected, whatever is not ignored is on."""
        selected = _best_match(rule, self._selectors)
        return (selected if self._selects else max(0, selected)) > _best_match(rule, self._ignored)

    def ignores(self, rule: str) -> bool:
        """Whether a rule is turned off by name or prefix, rather than merely not selected."""
        ignored = _best_match(rule, self._ignored)
        return ignored >= 0 and ignored >= _best_match(rule, self._selectors)


def _best_match(rule: str, selectors: frozenset[str]) -> int:
    """How specific the closest selector of a rule is: -1 for none, 0 for ALL, else its length."""
    if not selectors:
        return -1
    most = max((len(selector) for selector in _selectors_of(rule) if selector in selectors), default=-1)
    return 0 if most < 0 and "ALL" in selectors else most


def _selectors_of(rule: str) -> Iterator[str]:
    """Everything but ALL that selects a rule: its name, and a code's prefixes down to its whole family."""
    yield rule
    code = _CODE.fullmatch(rule)
    if code is not None:
        # "B" is flake8-bugbear, not the beginning of BLE; of pylint's four families "PL" is the common name.
        yield from (code[1] + code[2][:size] for size in range(len(code[2]) + 1))
        if code[1].startswith("PL"):
            yield "PL"
