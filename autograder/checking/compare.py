"""The verdict: which entries of an answer agree with the reference."""

import numpy as np

TOLERANCE = {"float64": 1e-9, "float32": 2e-4}


def is_single(a: np.ndarray) -> bool:
    """True if an answer was computed in single precision: by its dtype, or since all its numbers fit into it."""
    if a.dtype.kind != "f" or not a.any():
        return False
    with np.errstate(all="ignore"):
        return a.dtype.itemsize <= 4 or np.array_equal(a, a.astype(np.float32))


def tolerance(a: np.ndarray) -> float:
    """Relative tolerance for an answer: the looser one if it was computed in single precision."""
    return TOLERANCE["float32" if is_single(a) else "float64"]


def agrees(a: np.ndarray, r: np.ndarray, rtol: float | None = None) -> np.ndarray:
    """Entry by entry, ``|a - r| ≤ τ · max(|r|, rms(r))``; structural zeros get an absolute floor.

    Parameters
    ----------
    a, r : answer and reference, of the same shape.
    rtol : τ; by default 1e-9, or 2e-4 for an answer in single precision.
    """
    if r.size == 0:
        return np.ones(r.shape, bool)
    a, r = (x.astype(float) if x.dtype.kind == "b" else x for x in (a, r))
    with np.errstate(all="ignore"):
        scale = np.maximum(np.abs(r), np.sqrt(np.mean(np.square(r, dtype=np.float64))))
        return (np.abs(a - r) <= (tolerance(a) if rtol is None else rtol) * np.maximum(scale, 1e-6)) & np.isfinite(r)


def same(a: np.ndarray | None, r: np.ndarray | None, rtol: float = 1e-9) -> bool:
    """True if both are there, have one shape, and agree in every entry."""
    if a is None or r is None or a.shape != r.shape:
        return False
    rtol = max(rtol, tolerance(a)) if a.dtype.kind == "f" and a.dtype.itemsize <= 4 else rtol
    return bool(np.all(agrees(a, r, rtol)))


def cosine(a: np.ndarray, r: np.ndarray) -> float:
    """Cosine of the angle between two gradients, 0 if either is all zeros."""
    norm = float(np.linalg.norm(a) * np.linalg.norm(r))
    return float(np.vdot(a, r)) / norm if norm else 0.0
