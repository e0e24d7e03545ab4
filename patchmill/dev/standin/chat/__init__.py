"""The chat route: what a request may hold, what is answered, how it is sent, and what is billed."""
