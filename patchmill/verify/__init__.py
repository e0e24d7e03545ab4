"""Checks that turn a proposed edit into a suggestion with evidence."""
