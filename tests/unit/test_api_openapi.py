import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from api import (
    account_shapes,
    budget_shapes,
    estimate_shapes,
    examples,
    gateway_shapes,
    live_shapes,
    model_shapes,
    operator_shapes,
    price_shapes,
    requests,
    rules,
    run_examples,
    run_requests,
    run_shapes,
    schemas,
    usage_shapes,
    webhook_shapes,
)
from api.app import create_app
from api.dashboard.body_fields import body_fields
from patchmill.instants import rfc3339
from patchmill.settings import Settings

PROBLEM = "application/problem+json"
SHAPES = (
    account_shapes,
    schemas,
    requests,
    run_requests,
    run_shapes,
    live_shapes,
    webhook_shapes,
    gateway_shapes,
    model_shapes,
    operator_shapes,
    estimate_shapes,
    usage_shapes,
    budget_shapes,
    price_shapes,
)


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    settings = Settings(
        database_url="postgresql+psycopg://nobody@127.0.0.1:1/none",
        redis_url="redis://127.0.0.1:1",
        data_dir=tmp_path,
    )
    described: dict[str, Any] = create_app(settings).openapi()
    return described


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def model_of(schema: dict[str, Any]) -> type[BaseModel]:
    name = schema["$ref"].removeprefix("#/components/schemas/")
    model: type[BaseModel] = next(getattr(module, name) for module in SHAPES if hasattr(module, name))
    return model


def test_every_operation_has_a_summary_and_an_id_of_its_own(document: dict[str, Any]) -> None:
    described = dict(operations(document))

    assert all(operation["summary"] and operation["description"] for operation in described.values())
    assert len({operation["operationId"] for operation in described.values()}) == len(described)


def test_every_example_of_an_answer_fits_its_schema(document: dict[str, Any]) -> None:
    seen = 0
    for name, operation in operations(document):
        for status, response in operation["responses"].items():
            for media_type, content in response["content"].items():
                if "$ref" not in content["schema"]:
                    kinds = {"string": str, "object": dict}
                    assert isinstance(content["example"], kinds[content["schema"]["type"]]), media_type
                    continue
                shown = [content["example"]] if "example" in content else []
                shown += [example["value"] for example in content.get("examples", {}).values()]
                assert shown, (name, status)
                for example in shown:
                    read = model_of(content["schema"]).model_validate_json(json.dumps(example), strict=False)
                    assert json.loads(read.model_dump_json()) == example, (name, status)
                    seen += 1
    assert seen > 50


def test_every_example_of_a_request_fits_its_schema(document: dict[str, Any]) -> None:
    models = set()
    for _, operation in operations(document):
        if "requestBody" in operation:
            content = operation["requestBody"]["content"]["application/json"]
            choices = [model_of(each) for each in content["schema"].get("anyOf", [content["schema"]])]
            models.update(choices)
            for example in content["examples"].values():
                assert any(_fits(model, example["value"]) for model in choices)
    assert models == {
        requests.JobRequest,
        budget_shapes.BudgetRequest,
        budget_shapes.BudgetChange,
        price_shapes.PriceRequest,
        requests.KeyRequest,
        run_requests.RunRequest,
        webhook_shapes.WebhookRequest,
        webhook_shapes.WebhookChange,
        webhook_shapes.ReplayRequest,
        gateway_shapes.ProjectChange,
        account_shapes.DecisionBody,
        operator_shapes.PauseRequest,
        operator_shapes.BulkRequest,
    }


def _fits(model: type[BaseModel], value: Any) -> bool:
    try:
        model.model_validate(value)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("name", examples.JOB_REQUESTS)
def test_the_examples_of_jobs_would_be_accepted(name: str) -> None:
    body = json.dumps(examples.JOB_REQUESTS[name]).encode()

    assert rules.read_job_request(body, max_file_bytes=10_000).kind == name


@pytest.mark.parametrize("name", run_examples.RUN_REQUESTS)
def test_the_examples_of_runs_would_be_accepted_and_have_findings(name: str) -> None:
    body = json.dumps(run_examples.RUN_REQUESTS[name]).encode()

    assert run_requests.read_run_request(body, max_file_bytes=10_000).selection.files


def test_every_operation_declares_its_problems(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        declared = {
            status for status, response in operation["responses"].items() if PROBLEM in response["content"]
        }
        needed = {"422", "500"}
        if "/v1/" in name:
            needed |= {"401", "403", "503"}
        if "{" in name:
            needed.add("404")
        if "requestBody" in operation:
            needed |= {"400", "413", "415"}
        assert declared >= needed, name
        assert all(
            response["content"][PROBLEM]["schema"] == {"$ref": "#/components/schemas/Problem"}
            for status, response in operation["responses"].items()
            if status in declared
        )


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    text = json.dumps(document)

    references = {piece.split('"')[0] for piece in text.split('"$ref": "')[1:]}
    assert references <= known
    assert "HTTPValidationError" not in text


def test_money_and_times_have_one_form() -> None:
    at = TypeAdapter(schemas.Instant).validate_python("2026-11-22T12:00:00+02:00")

    assert rfc3339(at) == "2026-11-22T10:00:00.000000Z"


@pytest.mark.parametrize("operation", ["/v1/jobs", "/v1/runs"])
def test_every_field_of_a_submission_says_what_it_means(document: dict[str, Any], operation: str) -> None:
    fields = body_fields(document, document["paths"][operation]["post"]["requestBody"])

    assert {"kind", "options.deadline_s", "origin.forge"} <= {field.name for field in fields}
    assert [field.name for field in fields if not field.description] == []
