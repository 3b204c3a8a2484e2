"""Chapter 13, PyTorch: what published tutorials get wrong, mended."""

EXERCISES = []
