"""Errors that a person is meant to read."""


class LabError(Exception):
    """What was expected, what was there, and what to do; shown without a traceback."""
