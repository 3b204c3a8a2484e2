"""Chapter 4: the chain rule on a graph."""

EXERCISES: list = []
