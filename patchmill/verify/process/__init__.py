"""Processes that text from outside is read in: how they start, what holds them, what is laid out for them."""
