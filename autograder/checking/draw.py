"""Random inputs for cases: nowhere near a kink, every unit seen on both sides."""

import numpy as np

KINK = 0.02  # a piecewise linear function is not sampled nearer to its corner than this


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Standard normal numbers."""
    return rng.standard_normal(shape)


def off_kink(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Normal numbers at least 0.02 away from zero, with both signs in every column of two or more."""
    Z = rng.standard_normal(shape)
    Z = np.where(np.abs(Z) < KINK, np.copysign(0.5, Z), Z)
    if len(shape) and shape[0] > 1:
        first = rng.permutation(shape[0])[:2]
        Z[first[0]] = np.abs(Z[first[0]])
        Z[first[1]] = -np.abs(Z[first[1]])
    return Z


def labels(rng: np.random.Generator, N: int, C: int) -> np.ndarray:
    """Integer labels; every class once before any class twice, in random order."""
    return rng.permutation(np.concatenate([np.arange(C)] * (N // C + 1))[:N])


def rows_that_sum_to_1(rng: np.random.Generator, N: int, C: int) -> np.ndarray:
    """Random probability distributions, one a row."""
    return rng.dirichlet(np.ones(C), size=N)
