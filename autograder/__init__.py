"""Checks and grades gradients that learners write by hand."""

from autograder.checking.gradcheck import gradcheck
from autograder.practice import check
from autograder.progress import progress

__all__ = ["check", "gradcheck", "progress"]
