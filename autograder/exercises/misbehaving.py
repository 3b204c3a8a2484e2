"""Chapter 8: initialisation, batch norm, clipping, dropout and other cures."""

EXERCISES: list = []
