"""Answers with a document: the one way from a shape of the API to bytes."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import Response
from pydantic import BaseModel


def json_answer(
    document: BaseModel, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with a document as JSON."""
    return Response(
        document.model_dump_json(), status_code=status, media_type="application/json", headers=headers
    )
