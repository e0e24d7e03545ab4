"""Findings in: one reader for each format of reports."""
