"""Loyalty Lab: from a company's customer data to findings one can act on and check."""

__version__ = "0.1.0"
