"""The proof for TypeScript and JavaScript: what is added is types and comments, which never run."""
