"""The key's project over the API: how its jobs climb, its share, and how long it keeps what ended."""

from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import quote

from patchmill.client.connection import Connection
from patchmill.client.documents import Project
from patchmill.client.pages import pages

_PATH = "/v1/projects"


class Projects:
    """The projects that the key may see: its own; methods raise as those of `Client` do."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> Iterator[Project]:
        """Give the projects with their policies and shares."""
        return cast("Iterator[Project]", pages(self._connection, _PATH, {}))

    def change_policy(self, project_id: str, changes: Mapping[str, Any]) -> Project:
        """Set fields of a project's policy; None takes one back to the installation's. Needs `admin`."""
        return self._change(project_id, {"policy": dict(changes)})

    def change_share(self, project_id: str, changes: Mapping[str, int | None]) -> Project:
        """Set how much is done for a project at once; None takes a number back. Needs `admin`."""
        return self._change(project_id, {"share": dict(changes)})

    def change_retention(self, project_id: str, days: int | None) -> Project:
        """Set how many days what ended is kept; 0 is for ever, None the installation's. Needs `admin`."""
        return self._change(project_id, {"retention_days": days})

    def _change(self, project_id: str, body: Mapping[str, Any]) -> Project:
        path = f"{_PATH}/{quote(project_id, safe='')}"
        return cast("Project", self._connection.json("PATCH", path, json=body, repeatable=True))
