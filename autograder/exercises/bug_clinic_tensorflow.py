"""Chapter 13, TensorFlow: what published tutorials get wrong, mended."""

EXERCISES = []
