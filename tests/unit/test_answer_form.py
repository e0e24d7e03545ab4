import json

import pytest

from patchmill.call.answer_form import answer_form
from patchmill.edit.formats import EDIT_FORMATS

JSON = EDIT_FORMATS["json"]


def test_plain_text_needs_no_form() -> None:
    assert answer_form("deepseek-v4-flash", EDIT_FORMATS["search_replace"]) is None


@pytest.mark.parametrize("model", ["deepseek-v4-flash", "deepseek-v4-pro"])
def test_models_with_structured_output_are_given_the_schema(model: str) -> None:
    form = answer_form(model, JSON)

    assert form is not None
    assert form["type"] == "json_schema"
    assert form["json_schema"]["schema"] == JSON.answer_schema
    assert json.loads(json.dumps(form)) == form


@pytest.mark.parametrize("model", ["deepseek-v3-2", "a-model-of-tomorrow"])
def test_other_models_are_asked_for_json_mode(model: str) -> None:
    assert answer_form(model, JSON) == {"type": "json_object"}
