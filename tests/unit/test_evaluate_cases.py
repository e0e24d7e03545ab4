import json
from pathlib import Path
from typing import Any

import pytest

from patchmill.errors import ConfigurationError
from patchmill.evaluate.cases import DEVELOPMENT, Case, read_cases
from patchmill.kinds.languages import language_of

FINDING = {"tool": "ruff", "rule": "E711", "message": "Comparison to None", "start_line": 1, "end_line": 1}
GOOD: dict[str, Any] = {
    "id": "one",
    "kind": "fix",
    "path": "app.py",
    "source": "x == None\n",
    "findings": [FINDING],
    "gold": "x is None\n",
    "origin": "made",
    "licence": "Apache-2.0",
}
PERMISSIVE = {"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT OR Apache-2.0"}


def written(folder: Path, *lines: str) -> str:
    file = folder / "cases.jsonl"
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(file)


def test_a_case_is_read_with_what_it_asks(tmp_path: Path) -> None:
    [case] = read_cases(written(tmp_path, "", json.dumps(GOOD)))

    assert case.request() == {
        "kind": "fix",
        "file": {"path": "app.py", "content": "x == None\n"},
        "findings": [FINDING],
    }
    assert (case.gold, case.rules) == ("x is None\n", ("E711",))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"golden": ""}, "unknown field 'golden'"),
        ({"source": "x = '\ud800'\n"}, "half of a surrogate pair"),
        ({"id": "\x1b[2J"}, r"the id '\x1b[2J' has characters that cannot be shown"),
        ({"id": "a\N{RIGHT-TO-LEFT OVERRIDE}b"}, "characters that cannot be shown"),
        ({"licence": None}, "needs the text 'licence'"),
        ({"kind": "mend"}, "write fix or annotate"),
        ({"findings": []}, "needs findings or instruction"),
        ({"kind": "annotate"}, "needs what"),
        ({"gold": 1}, "gold must be the whole text"),
        ({"findings": [{"rule": "E711"}]}, "findings must be a list of objects"),
        ({"kind": "annotate", "what": "types"}, "what must be a list"),
    ],
)
def test_what_is_no_case_is_told_with_its_place(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    name = written(tmp_path, json.dumps(GOOD), json.dumps({**GOOD, "id": "two", **change}))

    with pytest.raises(ConfigurationError) as caught:
        read_cases(name)

    assert str(caught.value).startswith(f"{name}:2: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["{"], ":1: is no JSON"),
        (["[]"], ":1: must be an object"),
        ([json.dumps(GOOD), json.dumps(GOOD)], ":2: the id 'one' is taken"),
        ([], "has no cases"),
    ],
)
def test_a_file_without_cases_is_told(lines: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cases\.jsonl") as caught:
        read_cases(written(tmp_path, *lines))

    assert said in str(caught.value)


def test_a_file_that_is_not_there_is_told_with_the_name_of_the_bundled_set() -> None:
    with pytest.raises(ConfigurationError, match=f"`{DEVELOPMENT}`"):
        read_cases("nowhere.jsonl")


@pytest.fixture(scope="module")
def development() -> list[Case]:
    return read_cases(DEVELOPMENT)


def test_the_development_set_is_large_and_of_many_sorts(development: list[Case]) -> None:
    assert len(development) >= 300
    assert len({rule for case in development for rule in case.rules}) >= 150
    assert {language_of(case.path) for case in development} >= {"python", "javascript"}
    assert {case.kind for case in development} == {"fix", "annotate"}
    assert sum("\r\n" in case.source for case in development) >= 8
    assert sum(not case.source.isascii() for case in development) >= 20
    assert sum(case.source.count("\n") > 150 for case in development) >= 50


def test_every_case_of_the_development_set_has_a_gold_an_origin_and_a_permissive_licence(
    development: list[Case],
) -> None:
    for case in development:
        assert case.gold is not None
        assert case.gold != case.source
        assert case.origin
        assert case.licence in PERMISSIVE
