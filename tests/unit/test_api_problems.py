from typing import Any, cast, get_args

import pytest
from pydantic_core.core_schema import ErrorType

from api.problems import FIELD_CODES, field_error


@pytest.mark.parametrize("kind", [*get_args(ErrorType), "a_type_of_next_year"])
def test_whatever_the_library_calls_a_mistake_it_has_a_code_of_the_api(kind: str) -> None:
    error = field_error(cast("Any", {"type": kind, "loc": ("body", "url"), "msg": "Wrong", "input": None}))

    assert error.code in FIELD_CODES
    assert error.pointer == "/url"
