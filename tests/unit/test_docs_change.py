"""The checklists name files that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "change").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_that_a_checklist_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:api|worker|patchmill|migrations|tests|docs)/[\w/.-]*)`", text)
    linked = re.findall(r"\]\(([\w.-]+\.md)\)", text)
    assert [name for name in named if not (ROOT / name).exists()] == []
    assert [name for name in linked if not (page.parent / name).exists()] == []


def test_the_checklists_name_contracts_that_are_there() -> None:
    contracts = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    quoted = {
        name
        for page in PAGES
        for name in re.findall(r'contract\s+"([^"]+)"', page.read_text(encoding="utf-8"))
    }
    assert quoted
    assert [name for name in quoted if f'name = "{name}"' not in contracts] == []


def test_every_checklist_is_in_the_list() -> None:
    index = (ROOT / "docs" / "change" / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if page.name != "README.md" and f"({page.name})" not in index] == []
