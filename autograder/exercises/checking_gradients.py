"""Chapter 3: finite differences, the complex step, and a gradient checker of one's own."""

EXERCISES: list = []
