import pytest

from patchmill.edit.encoding import declared
from patchmill.edit.span import Hunk, split_lines
from patchmill.verify.candidate import candidate
from patchmill.verify.cookie import unwritable
from patchmill.verify.evidence import CheckName, Result

LATIN = '# -*- coding: latin-1 -*-\nname = "\u00e9"\n'


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (LATIN, "iso8859-1"),
        ("#!/usr/bin/env python\n# vim: set fileencoding=cp1252 :\n", "cp1252"),
        ("\n# coding: utf-8\n", "utf-8"),
        ("import os\n# coding: latin-1\n", None),
        ("# coding: nonsense\n", None),
        ("# encoding of names: see below\n", None),
        ("", None),
    ],
)
def test_what_a_file_declares_is_read_as_python_does(text: str, encoding: str | None) -> None:
    assert declared(text) == encoding


def test_a_character_that_the_declared_encoding_lacks_is_refused_and_named() -> None:
    assert "iso8859-1, which has no U+20AC" in str(unwritable(LATIN, LATIN + "# \u20ac\n"))
    assert unwritable(LATIN, LATIN + "# \u00fc\n") is None
    assert unwritable("# \u4f60\n", "# \u4f60 \u20ac\n") is None


def test_the_declaration_stays() -> None:
    assert "the edited one utf-8" in str(unwritable(LATIN, LATIN.split("\n", 1)[1]))
    assert "the edited one cp1252" in str(unwritable(LATIN, LATIN.replace("latin-1", "cp1252")))
    assert unwritable("# coding: utf-8\n# \u20ac\n", "# \u20ac\n") is None
    assert unwritable("# coding: latin-1\nx = 1\n", "x = 1\n") is None


def test_such_an_edit_does_not_apply() -> None:
    first = split_lines(LATIN)[0]

    trial = candidate(LATIN, [Hunk(start_line=1, end_line=1, original=first, replacement="")], None)

    assert not trial.usable
    assert (trial.checks[0].check, trial.checks[0].result) == (CheckName.APPLIES, Result.FAILED)
