"""Which rules are on: select and ignore lists read as ruff reads them, the more specific entry winning."""

import re
from collections.abc import Collection, Mapping
from typing import Any

_CODE = re.compile(r"([A-Z]+)([0-9]*)")


def is_enabled(rule: str, settings: Mapping[str, Any]) -> bool:
    """Whether a rule is on; where nothing is selected, whatever is not ignored is on."""
    selectors = [*settings.get("select", ()), *settings.get("extend-select", ())]
    selected = _best_match(rule, selectors) if "select" in settings else max(0, _best_match(rule, selectors))
    return selected > _best_match(rule, settings.get("ignore", ()))


def is_ignored(rule: str, settings: Mapping[str, Any]) -> bool:
    """Whether a rule is turned off by name or prefix, rather than merely not selected."""
    selectors = [*settings.get("select", ()), *settings.get("extend-select", ())]
    ignored = _best_match(rule, settings.get("ignore", ()))
    return ignored >= 0 and ignored >= _best_match(rule, selectors)


def _best_match(rule: str, selectors: Collection[str]) -> int:
    """How specific the closest selector of a rule is: -1 for none, 0 for ALL, else its length."""
    return max((_match(rule, selector) for selector in selectors), default=-1)


def _match(rule: str, selector: str) -> int:
    if selector == "ALL":
        return 0
    if selector == rule:
        return len(selector)
    code, prefix = _CODE.fullmatch(rule), _CODE.fullmatch(selector)
    if code is None or prefix is None:
        return -1
    # "B" is flake8-bugbear, not the beginning of BLE; of pylint's four families "PL" is the common name.
    whole_family = prefix[1] == code[1] or (selector == "PL" and rule.startswith("PL"))
    return len(selector) if whole_family and rule.startswith(selector) else -1
