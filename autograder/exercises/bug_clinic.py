"""Chapter 13, formulas: what published tutorials get wrong, mended."""

EXERCISES = []
