"""Cures for overfitting, as in chapter 8: dropout, a penalty on large weights, and stopping in time."""

from collections.abc import Sequence

import numpy as np


def dropout_forward(X: np.ndarray, p: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Inverted dropout: set each entry to 0 with probability ``p``, and make up for it in those that are kept.

    Parameters
    ----------
    X : activations, ``(N, D)``.
    p : probability of *dropping* an entry, 0 ≤ p < 1, as in PyTorch.
    rng : decides which.

    Returns
    -------
    ``Y``, whose expectation is X, and the boolean ``mask`` of entries that were kept; both of the shape of X.

    Source: Srivastava et al. 2014.
    """
    mask = rng.random(X.shape) >= p
    return X * mask / (1 - p), mask


def dropout_backward(dY: np.ndarray, mask: np.ndarray, p: float) -> np.ndarray:
    """Gradient through :func:`dropout_forward`, from ``dY`` and the ``mask`` of what was kept."""
    return dY * mask / (1 - p)


def l2_grad(W: np.ndarray, dW: np.ndarray, lam: float) -> np.ndarray:
    """Gradient of ``loss + lam * ‖W‖²``, where ``dW`` is that of the loss alone; all of one shape."""
    return dW + 2 * lam * W


def early_stop(losses: Sequence[float], patience: int) -> int:
    """The epoch whose weights to keep: the best one before training stops.

    Parameters
    ----------
    losses : validation loss after each epoch.
    patience : training stops after so many epochs in a row without a new lowest loss; at least 1.
    """
    best = 0
    for epoch, loss in enumerate(losses):
        if loss < losses[best]:
            best = epoch
        elif epoch - best >= patience:
            break
    return best
