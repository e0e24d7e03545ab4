"""Every edit format by its name; a new format is one file in this folder and one line here."""

from patchmill.edit.formats.anchored_lines import AnchoredLines
from patchmill.edit.formats.json_edits import JsonEdits
from patchmill.edit.formats.search_replace import SearchReplace
from patchmill.edit.formats.tool_call import ToolCallEdits
from patchmill.edit.protocol import EditFormat

DEFAULT = "search_replace"

EDIT_FORMATS: dict[str, EditFormat] = {
    "search_replace": SearchReplace(),
    "json": JsonEdits(),
    "anchored_lines": AnchoredLines(),
    "tool": ToolCallEdits(),
}
