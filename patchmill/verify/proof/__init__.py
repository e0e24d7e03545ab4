"""The proof that an edit only adds hints and docstrings: `prove` asks, and a child process answers."""
