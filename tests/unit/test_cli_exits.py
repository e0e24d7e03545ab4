import pytest

from patchmill.cli.exits import Exit, ends, exit_of
from patchmill.client.problem import ApiError
from patchmill.errors import ConfigurationError, Forbidden, PatchmillError, Unauthenticated, Unavailable


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("x"), Exit.USAGE),
        (Unavailable("x"), Exit.SERVICE),
        (Unauthenticated("x"), Exit.AUTHENTICATION),
        (Forbidden("x"), Exit.AUTHENTICATION),
        (ApiError({"code": "unauthenticated"}, status=401), Exit.AUTHENTICATION),
        (ApiError({"code": "invalid_field"}, status=422), Exit.USAGE),
        (ApiError({"code": "rate_limited"}, status=429), Exit.SERVICE),
        (ApiError({"code": "internal"}, status=500), Exit.SERVICE),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: PatchmillError | ApiError, code: Exit) -> None:
    assert exit_of(error) == code


def test_the_end_of_help_shows_the_examples_and_every_exit_code() -> None:
    end = ends("patchmill one", "patchmill two")

    assert "Examples:\n  patchmill one\n  patchmill two\n" in end
    assert all(f"{code.value} " in end for code in Exit)
