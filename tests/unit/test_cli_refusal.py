from typing import Any

import pytest

from patchmill.cli.refusal import naming, place, sentence
from patchmill.client.problem import ApiError

RUN = {"reports": [{}, {}], "files": [{"path": "a.py"}, {"path": "src/b.py"}]}


def refused(*pointers: str) -> ApiError:
    errors = [{"pointer": pointer, "code": "not_allowed", "detail": "is wrong"} for pointer in pointers]
    return ApiError({"code": "invalid_field", "detail": "as the server says", "errors": errors}, status=422)


@pytest.mark.parametrize(
    ("pointer", "request_", "expected"),
    [
        ("/query/created_after", None, "--since"),
        ("/query/pull_request", None, "--pull-request"),
        ("/labels/team", None, "--label"),
        ("/query/label.a~1b", None, "--label a/b"),
        ("/origin/pull_request", None, "--pull-request"),
        ("/origin", None, "/origin"),
        ("/checkers/ruff/select/0", None, "--select"),
        ("/max_cost_usd", None, "--max-cost-usd"),
        ("/instructions", None, "/instructions"),
        ("/limit", None, "--usd, --tokens"),
        ("/limit/usd", None, "--usd"),
        ("/usd", None, "--billed"),
        ("/reason", None, "--reason"),
        ("/file/content", {"file": {"path": "a.py"}}, "a.py"),
        ("/files/1/path", RUN, "src/b.py"),
        ("/files/2/path", RUN, "/files/2/path"),
        ("/files", RUN, "/files"),
        ("/reports/1/content", RUN, "report 2"),
        ("/reports/0", {"reports": [{}]}, "the report"),
        ("", RUN, ""),
    ],
)
def test_a_place_is_named_as_the_command_line_knows_it(
    pointer: str, request_: dict[str, Any] | None, expected: str
) -> None:
    assert place(pointer, request_) == expected


def test_the_sentence_names_the_first_mistakes_and_counts_the_others() -> None:
    with pytest.raises(ApiError) as caught, naming(RUN):
        raise refused("/files/1/path", "/diff", "/options", "/max_cost_usd", "/labels")

    assert sentence(caught.value) == "src/b.py: is wrong; --diff: is wrong; /options: is wrong; and 2 more"
    assert (caught.value.status, caught.value.code) == (422, "invalid_field")


def test_without_places_the_sentence_is_the_servers() -> None:
    assert sentence(refused()) == "as the server says"
