"""The Python client of Patchmill's HTTP API: `http` has the client, `problem` its error."""
