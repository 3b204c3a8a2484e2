"""Checks and grades gradients that learners write by hand."""

from autograder.exercises import check

__all__ = ["check"]
