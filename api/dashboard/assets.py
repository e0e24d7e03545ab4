"""Styles and scripts: read once, named by their content, and kept by browsers for ever."""

import hashlib
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from fastapi import APIRouter, Request, Response

from api.dashboard.page_route import PageRoute
from patchmill.errors import NotFound

FOLDER = Path(__file__).with_name("static")
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asset:
    address: str
    media_type: str
    body: bytes


def _read(file: Path) -> _Asset:
    body = file.read_bytes()
    digest = hashlib.sha256(body).hexdigest()[:12]
    return _Asset(
        address=f"/static/{file.stem}.{digest}{file.suffix}",
        media_type=_TYPES[file.suffix],
        body=body,
    )


_ASSETS = {file.name: _read(file) for file in sorted(FOLDER.iterdir()) if file.suffix in _TYPES}
_BY_ADDRESS = {asset.address: asset for asset in _ASSETS.values()}

router = APIRouter(route_class=PageRoute)


def address(name: str) -> str:
    """Give the path under which a file of `static/` is served; KeyError when there is none."""
    return _ASSETS[name].address


@router.get("/static/{name}")
async def static(name: str, request: Request) -> Response:
    """Serve a file by the name that its content gives it; nothing else is ever opened."""
    asset = _BY_ADDRESS.get(f"/static/{name}")
    if asset is None:
        raise NotFound(f"there is no {request.url.path}")
    return Response(
        asset.body, HTTPStatus.OK, headers={"Cache-Control": _FOR_EVER}, media_type=asset.media_type
    )
