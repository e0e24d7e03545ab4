"""Parts for running Patchmill on one machine."""
