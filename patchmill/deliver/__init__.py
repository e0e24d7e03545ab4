"""Suggestions out: how a verified edit is offered, and the formats that it is rendered in."""
