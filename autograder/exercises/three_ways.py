"""Chapter 11: weights between three libraries, and how far two sets of gradients are apart."""

EXERCISES = []
