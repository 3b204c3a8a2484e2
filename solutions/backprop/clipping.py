"""Keeping gradients from exploding, as in chapter 8."""

import numpy as np


def clip_by_global_norm(grads: list[np.ndarray], max_norm: float) -> tuple[list[np.ndarray], float]:
    """Shorten a gradient that is longer than ``max_norm``, without turning it.

    All arrays together count as one long vector, and are scaled by one factor.

    Parameters
    ----------
    grads : arrays of any shapes; left as they are.
    max_norm : the largest length that is let through.

    Returns
    -------
    The gradients, in new arrays, and their length *before* clipping.

    Source: Pascanu, Mikolov & Bengio 2013.
    """
    norm = float(np.sqrt(sum(np.sum(g * g) for g in grads)))
    scale = max_norm / norm if norm > max_norm else 1.0
    return [g * scale for g in grads], norm
