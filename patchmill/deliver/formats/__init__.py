"""Every format of suggestions by its name; a new one is one file in this folder and one line here."""

from patchmill.deliver.formats.github import GITHUB
from patchmill.deliver.formats.gitlab import GITLAB
from patchmill.deliver.formats.json_list import JSON
from patchmill.deliver.formats.patch import PATCH
from patchmill.deliver.formats.rdjson import RDJSON
from patchmill.deliver.formats.sarif import SARIF
from patchmill.deliver.suggestion import Format

DEFAULT = JSON.name

FORMATS: dict[str, Format] = {item.name: item for item in (JSON, PATCH, GITHUB, GITLAB, SARIF, RDJSON)}
