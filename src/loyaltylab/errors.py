"""Errors that a person is meant to read."""


class LabError(Exception):
    """What was expected, what was there, and what to do; shown without a traceback."""


class UnanswerableError(LabError):
    """These data cannot answer the question of a page: it says so, and the report goes on."""
