"""Chapter 7: steps that learn."""

EXERCISES: list = []
