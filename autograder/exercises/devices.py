"""Chapter 12: honest timing, and loss scaling."""

EXERCISES = []
