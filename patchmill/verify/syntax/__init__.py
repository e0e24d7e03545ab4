"""The floor under every language: does the text parse, by the grammar of the language alone."""
