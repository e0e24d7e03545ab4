"""The commands, one file each; a new one is a file here and a line in `patchmill/cli/main.py`."""
