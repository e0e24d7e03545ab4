"""Model text to edits, edits to lines: pure functions over strings."""
